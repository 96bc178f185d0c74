"""The program as a process that can be started in milliseconds and killed at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STEM = r"""
import json, os, signal, sys
from dataclasses import replace
import bridge.cli, bridge_hubspot, bridge_memory.client
import bridge.engine.local, bridge.web.app

def prepare(ask):
    os.environ.update(ask["environment"])
    sys.argv = ["crmbridge", *ask["arguments"]]
    out = os.open(ask["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if ask["settle"] is not None:
        bridge_hubspot.SPEC = replace(bridge_hubspot.SPEC, settle=ask["settle"])
    if ask["dies_after_writes"]:
        append, left = bridge_memory.client.Folder.append, [ask["dies_after_writes"]]
        def deadly(self, stream, thing):
            written = append(self, stream, thing)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return written
        bridge_memory.client.Folder.append = deadly

for line in sys.stdin:
    ask = json.loads(line)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            prepare(ask)
            bridge.cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Imports the program once, then forks a process of it for each line; a fork has nothing of another run."""


@dataclass(slots=True, kw_only=True)
class Running:
    """One process of the program."""

    pid: int
    _stem: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a power cut does; quiet where it has ended already."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait(self) -> int:
        """Return its exit code, negative where a signal ended it."""
        assert self._stem.stdout is not None
        return os.waitstatus_to_exitcode(int(self._stem.stdout.readline()))


class Program:
    """Starts `crmbridge` with a configuration; one process at a time."""

    def __init__(self, stem: subprocess.Popen[str], config: Path, environment: Mapping[str, str]) -> None:
        self._stem = stem
        self._config = config
        self._environment = dict(environment)
        self.output = config.with_name("output.txt")

    def start(self, *arguments: str, settle: float | None = None, dies_after_writes: int = 0) -> Running:
        """
        Start a command.

        `settle` replaces HubSpot's. With `dies_after_writes` the process kills itself right after it
        wrote so many things into folders, before it can note that it did.
        """
        ask = {
            "arguments": [*arguments, "--config", str(self._config)],
            "environment": self._environment,
            "output": str(self.output),
            "settle": settle,
            "dies_after_writes": dies_after_writes,
        }
        assert self._stem.stdin is not None and self._stem.stdout is not None
        self._stem.stdin.write(json.dumps(ask) + "\n")
        self._stem.stdin.flush()
        return Running(pid=int(self._stem.stdout.readline()), _stem=self._stem)

    def run(self, *arguments: str, settle: float | None = None) -> Any:
        """Run a command to its end and return the JSON it printed."""
        self.output.unlink(missing_ok=True)
        code = self.start(*arguments, "--json", settle=settle).wait()
        text = self.output.read_text()
        assert code in (0, 1), text
        return json.loads(text)

    def took(self, *arguments: str, settle: float | None = None) -> float:
        """Run a command to its end and return how many seconds it took."""
        began = time.monotonic()
        self.run(*arguments, settle=settle)
        return time.monotonic() - began


@contextmanager
def program(config: Path, **environment: str) -> Iterator[Program]:
    """Lend the program with a configuration and environment variables."""
    stem = subprocess.Popen(
        [sys.executable, "-c", _STEM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Program(stem, config, environment)
    finally:
        assert stem.stdin is not None and stem.stdout is not None
        stem.stdin.close()
        stem.wait(60)
        stem.stdout.close()
