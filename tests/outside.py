"""A company on this machine for tests of the program from outside: its configuration, its folders, its terminal."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge import Json
from bridge.cli import main
from bridge_memory.client import Folder

KEY = "the key of the folder"
"""What opens every folder, and signs requests to their webhooks; it must never be printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one JSON value on standard output; fails where there is more or less than one."""
        assert self.out, self.err
        return json.loads(self.out)


class Office:
    """
    A company with a folder `crm` that may be written to and a folder `chat`, in a home of its own.

    Change `connections` or `more` and call `write` for another configuration.
    """

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("FOLDER_KEY", KEY)
        monkeypatch.delenv("CRMBRIDGE_CONFIG", raising=False)
        monkeypatch.chdir(home)
        self.config = home / "config.yaml"
        self.connections: dict[str, Any] = {
            "crm": {
                **self.folder("crm"),
                "push": {"timeline": True, "create": {"whatsapp": "first_message"}},
            },
            "chat": self.folder("chat"),
        }
        self.more: dict[str, Any] = {
            "company": {"time_zone": "America/Sao_Paulo"},
            "identity": {"default_region": "BR", "own_domains": ["example.com"]},
            "web": {"listen": "127.0.0.1:0"},
        }
        self.write()

    def folder(self, name: str) -> dict[str, Any]:
        """Return the connection to a folder of this home."""
        return {"connector": "memory", "settings": {"directory": name, "key": "${env:FOLDER_KEY}"}}

    def write(self) -> None:
        """Write the configuration."""
        self.config.write_text(json.dumps({"connections": self.connections, **self.more}, indent=1))

    def put(self, folder: str, stream: str, **thing: Json) -> str:
        """Write a thing into a folder as somebody there does, and return its id."""
        return str(self._open(folder).append(stream, thing)["id"])

    def latest(self, folder: str, stream: str) -> Mapping[str, Any]:
        """Return what stands in a folder, by id."""
        return self._open(folder).latest(stream)

    def message(self, text: str, sender: str = "+5511973914862", *, hours: float = 1, **more: Json) -> str:
        """Let somebody write to the company on WhatsApp, so many hours ago."""
        at = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        told = {"from": sender, "text": text, "at": at, "channel": "whatsapp", "direction": "inbound"}
        return self.put("chat", "messages", **{**told, "thread": sender, **more})

    def talk_on(self, lines: int = 30_000) -> int:
        """Let so many messages lie in the folder `chat`, more than are read one by one in a minute."""
        self.message("Oi")
        told = {"from": "+5511973914862", "channel": "whatsapp", "at": "2026-11-20T10:00:00Z"}
        told["modified"] = told["at"]
        with self._messages.open("a") as file:
            file.writelines(json.dumps({"id": f"n{number}", **told}) + "\n" for number in range(1, lines))
        return lines

    def end_the_talk(self, after: int) -> None:
        """Take away all but the first messages."""
        self._messages.write_text("".join(self._messages.read_text().splitlines(keepends=True)[:after]))

    @property
    def _messages(self) -> Path:
        return self.home / "chat" / "messages.jsonl"

    def run(self, *arguments: str) -> Said:
        """Run a command as `crmbridge` does, in this process."""
        out, err = io.StringIO(), io.StringIO()
        self._monkeypatch.setattr(sys, "argv", ["crmbridge", *arguments])
        kept = signal.getsignal(signal.SIGINT)
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
            finally:
                signal.signal(signal.SIGINT, kept)
        said = Said(code=code, out=out.getvalue(), err=err.getvalue())
        assert KEY not in said.out + said.err
        return said

    def command(self, *arguments: str, **environment: str) -> Said:
        """Run a command as a process of its own, its output piped."""
        done = subprocess.run(
            [sys.executable, "-m", "bridge.cli", *arguments],
            capture_output=True,
            timeout=120,
            env={**os.environ, **environment},
        )
        encoding = environment.get("PYTHONIOENCODING", "utf-8")
        return Said(code=done.returncode, out=done.stdout.decode(encoding), err=done.stderr.decode(encoding))

    def _open(self, folder: str) -> Folder:
        return Folder(self.home / folder, KEY, lambda: datetime.now(UTC))


class Daemon:
    """`crmbridge run` as a process, from `start` on; `url` is where its receiver answers."""

    def __init__(self, office: Office, *arguments: str) -> None:
        self._office = office
        self._arguments = arguments
        self.url = ""

    def start(self) -> Daemon:
        """Return once the receiver answers."""
        log = self._office.home / "daemon.log"
        with log.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bridge.cli", "run", *self._arguments],
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                cwd=self._office.home,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "crmbridge runs" in line, self.log
        self.url = line.split("webhooks at ")[1].split("/hooks")[0]
        return self

    @property
    def log(self) -> str:
        """Return what every daemon of this office wrote to standard error."""
        return (self._office.home / "daemon.log").read_text()

    def stop(self, *, by: signal.Signals = signal.SIGTERM) -> int:
        """End the daemon and return its exit code."""
        self.process.send_signal(by)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def get(self, path: str) -> requests.Response:
        """Ask the receiver."""
        return requests.get(self.url + path, timeout=60)


@contextmanager
def running(office: Office, *arguments: str) -> Iterator[Daemon]:
    """Run the daemon inside a `with` block; it must end cleanly, and show no secret."""
    daemon = Daemon(office, *arguments).start()
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            assert daemon.stop() == 0, daemon.log
        elif daemon.process.stdout is not None:
            daemon.process.stdout.close()
        assert KEY not in daemon.log


def until(check: Callable[[], Any], *, seconds: float = 120.0) -> Any:
    """Return what `check` returns once that is true; fails after so many seconds, which only bound a hang."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, f"not true after {seconds:.0f} s"
        time.sleep(0.1)
    return found
