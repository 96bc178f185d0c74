"""What a program costs: CPU and peak memory of a process and its children, and servers that are not counted."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(__file__).with_name(".work")
PYTHON = sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Seconds of CPU (user and system, with every child that was waited for), seconds of the clock, peak MB."""

    cpu: float
    wall: float
    peak: float


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Used:
    """Run a program to its end, silently, and return what it used; its failure ends the benchmark."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_as_installed(env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said[-2000:]}")
    return Used(
        cpu=used.ru_utime + used.ru_stime,
        wall=time.perf_counter() - started,
        peak=used.ru_maxrss / 1024,
    )


def _as_installed(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return an environment in which Python keeps what it compiled, as it does wherever a program is installed."""
    found = dict(os.environ if env is None else env)
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


@contextmanager
def server(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Start a server that prints one line when it is ready; yield (that line, its process id)."""
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line:
            sys.exit(f"{' '.join(command)} did not start")
        yield line, process.pid
    finally:
        process.terminate()
        process.wait(60)


def cpu_of(process: int) -> float:
    """Return the seconds of CPU that a running process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def middle(found: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(found)


def spread(found: Sequence[float]) -> str:
    """Return the median, and the least and the most where there were several rounds."""
    if len(found) == 1:
        return f"{found[0]:.2f}"
    return f"{middle(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def conditions() -> str:
    """Return the machine's state in a line, as other work on it changes every number."""
    load = os.getloadavg()[0]
    version = sys.version.split()[0]
    return f"{os.cpu_count()} processors, load {load:.1f} at the start, CPython {version}"
