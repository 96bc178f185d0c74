"""How the process of the chaos run dies: at a transaction, before a receipt, by `kill -9`, without power."""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import make_url

from benchmarks.chaos_company import Company
from benchmarks.chaos_store import Snapshots, put
from bridge.errors import StoreError
from tests.sync_world import Crash, CrashingWriter

PATIENCE = 60.0
"""Seconds that a process of its own has to begin, and to come to where it is to die."""

FREED = 10.0
"""Seconds within which a database must have let go of the lock of a process that was killed."""


def crash(company: Company) -> None:
    """Let the process die at some transaction of a cycle, before or right after it."""
    steps: list[tuple[str, Callable[[], object]]] = [
        ("collect", company.collect),
        ("resolve", company.resolve),
        ("deliver", company.deliver),
    ]
    dies_in = company.chance.choice(["collect", "resolve", "deliver"])
    at = company.chance.randint(1, 5 if dies_in == "deliver" else 8)
    after = company.chance.random() < 0.5
    for name, step in steps:
        if name != dies_in:
            step()
            continue
        writer = company.runtime.writer
        company.runtime.writer = CrashingWriter(writer, at=at, after=after)  # type: ignore[assignment]
        try:
            step()
        except Crash:
            company.kills[name] += 1
            company.tell(f"  dies in {name}, {'after' if after else 'before'} transaction {at}")
            company.runtime.writer = writer
            company.start()
            return
        company.runtime.writer = writer


def crash_unreceipted(company: Company) -> None:
    """Let the process die between what the CRM carried out and our note of it."""
    company.collect()
    company.resolve()
    company.meddle.pushed = company.chance.randint(1, 3)
    try:
        company.deliver()
    except Crash:
        company.kills["unreceipted"] += 1
        company.tell("  dies after a write, before its receipt")
        company.start()
    company.meddle.pushed = 0


def kill(company: Company) -> None:
    """Do a cycle in a process of its own and `kill -9` it after a part of the time that a cycle takes."""
    company.stop()
    child, told = _cycle_apart(company, pushed=0)
    share = company.chance.random()
    began = time.monotonic()
    ended, _, _ = select.select([told], [], [], share * company.cycle_seconds)
    _kill(company, child, told, "kill -9", why=f"after {share:.0%} of a cycle")
    if ended:
        company.cycle_seconds = time.monotonic() - began
    else:
        company.cycle_seconds *= (
            1.02  # so that the end of a cycle is reached as well, however long cycles grow
        )


def kill_unreceipted(company: Company) -> None:
    """`kill -9` a process that has the CRM's answer to a write and has not noted it yet."""
    company.stop()
    child, told = _cycle_apart(company, pushed=company.chance.randint(1, 3))
    select.select([told], [], [], PATIENCE)
    _kill(company, child, told, "kill -9 unreceipted", why="after a write, before its receipt")


def _cycle_apart(company: Company, *, pushed: int) -> tuple[int, int]:
    """
    Start a cycle in a process of its own; return it, and where it says that it is done.

    With `pushed` it stops after so many answers of the CRM, before the last is noted, and says so.
    """
    told, tells = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(told)
            logging.disable()
            company.start()
            company.meddle.pushed = pushed
            company.meddle.dies = lambda: _wait_for_the_end(tells)
            os.write(tells, b"b")
            company.cycle()
            os.write(tells, b"e")
            os.close(tells)
            time.sleep(PATIENCE)
        finally:
            os._exit(0)
    os.close(tells)
    select.select([told], [], [], PATIENCE)
    os.read(told, 1)
    return child, told


def _wait_for_the_end(tells: int) -> None:
    os.write(tells, b"p")
    time.sleep(PATIENCE)


def _kill(company: Company, child: int, told: int, name: str, *, why: str) -> None:
    """Kill a process and start the next; it counts as a death of this name where it was not done."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said = os.read(told, 1)
    os.close(told)
    if said == b"e":
        company.tell("  the cycle was done before it could be killed")
    else:
        company.kills[name] += 1
        company.tell(f"  {name} {why}")
    _start_once_freed(company)


def _start_once_freed(company: Company) -> None:
    """Start the next process; a database server may notice only in a moment that the one before is dead."""
    until = time.monotonic() + FREED
    while True:
        try:
            company.start()
        except StoreError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def power_fails(company: Company) -> None:
    """Let the process die and take all with it that was not flushed: what SQLite's NORMAL allows."""
    left = company.home / "durable.db"
    durable = Snapshots(company.runtime.writer, make_url(company.store).database or "", left)
    writer, company.runtime.writer = company.runtime.writer, durable  # type: ignore[assignment]
    durable.left = company.chance.randint(2, 25)
    try:
        company.cycle()
    except Crash:
        company.kills["power"] += 1
        company.tell("  the power fails")
    company.runtime.writer = writer
    company.stop()
    put(left, Path(make_url(company.store).database or ""))
    company.start()
