"""crmbridge as a user runs it: its commands, its daemon, and the same killed half-way."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

PATIENCE = 60.0
"""Seconds after which the demo no longer waits for something."""


class Failed(Exception):
    """Something did not come as it should; the message says what and where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that ended: its exit code and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """crmbridge in the demo's folder, where its config.yaml lies."""

    folder: Path

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> Done:
        """Run a command to its end. Raises Failed where it ends with another code than expected."""
        with self._started(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            out, err = process.communicate(timeout=PATIENCE * 3)
        if process.returncode not in codes:
            raise Failed(f"crmbridge {' '.join(words)} ended with {process.returncode}:\n{out}{err}")
        return Done(code=process.returncode, out=out, err=err)

    def kill_when(self, seen: Callable[[], bool], *words: str) -> None:
        """Start a command and end it with SIGKILL as soon as `seen`. Raises Failed where it ends before."""
        with self._started(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            until(lambda: seen() or process.poll() is not None, f"crmbridge {' '.join(words)} to be half-way")
            process.kill()
        if process.returncode != -signal.SIGKILL:
            raise Failed(f"crmbridge {' '.join(words)} was not killed, it ended with {process.returncode}")

    @contextmanager
    def daemon(self, url: str) -> Iterator[None]:
        """Run `crmbridge run` inside the block, from its first ready answer until SIGTERM ended it."""
        log = self.folder / "daemon.log"
        with (
            log.open("a") as sink,
            self._started("run", "--verbose", stdout=sink, stderr=sink) as process,
        ):
            until(lambda: is_ready(url) or process.poll() is not None, f"the daemon to answer; see {log}")
            try:
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)
        if process.returncode:
            raise Failed(f"crmbridge run ended with {process.returncode}; see {log}")

    @contextmanager
    def _started(self, *words: str, stdout: Any, stderr: Any) -> Iterator[subprocess.Popen[str]]:
        """Lend a running command, which does not outlive the block and takes no Ctrl-C of ours."""
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def until(seen: Callable[[], bool], what: str, *, seconds: float = PATIENCE) -> float:
    """Wait until something is seen and return how long that took. Raises Failed when it takes too long."""
    start = time.monotonic()
    while not seen():
        if time.monotonic() - start > seconds:
            raise Failed(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)
    return time.monotonic() - start


def is_ready(url: str) -> bool:
    """Tell whether the daemon at `url` says that it is ready."""
    try:
        return requests.get(f"{url}/readyz", timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


def free_port() -> int:
    """Return a port of loopback that nobody has, below those from which the system gives each connection one."""
    while True:
        port = random.randint(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
