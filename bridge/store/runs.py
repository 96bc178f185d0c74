"""Runs, commands handed to a running daemon, and the counts people are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from bridge.store.database import instant, micros
from bridge.store.tables import command, run

MOST = 2**63 - 1
"""The greatest number that the store can be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run: `outcome` is ok, partial or failed, None while it goes on or where it was broken off."""

    number: int
    kind: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    counts: Mapping[str, Any]


def start_run(c: Connection, kind: str, now: datetime, counts: Mapping[str, Any] | None = None) -> int:
    """Open a run and return its number; `counts` are known before it ends, such as which run an undo takes back."""
    result = c.execute(
        run.insert().values(
            kind=kind, started_at=micros(now), counts=orjson.dumps(counts) if counts is not None else None
        )
    )
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def load_run(c: Connection, number: int) -> Run | None:
    """Return a run, None where there is none of that number."""
    if number > MOST:
        return None
    row = c.execute(select(run).where(run.c.pk == number)).first()
    return None if row is None else _run(row)


def latest_runs(c: Connection, limit: int) -> list[Run]:
    """Return the newest runs, newest first."""
    return [_run(row) for row in c.execute(select(run).order_by(run.c.pk.desc()).limit(min(limit, MOST)))]


def runs_of(c: Connection, kind: str) -> list[Run]:
    """Return every run of a kind, newest first."""
    return [_run(row) for row in c.execute(select(run).where(run.c.kind == kind).order_by(run.c.pk.desc()))]


def _run(row: Any) -> Run:
    started = instant(row.started_at)
    assert started is not None
    return Run(
        number=row.pk,
        kind=row.kind,
        started_at=started,
        ended_at=instant(row.ended_at),
        outcome=row.outcome,
        counts=orjson.loads(row.counts) if row.counts else {},
    )


def end_run(c: Connection, number: int, *, outcome: str, counts: Mapping[str, Any], now: datetime) -> None:
    """Close a run: `outcome` is ok, partial or failed."""
    c.execute(
        update(run)
        .where(run.c.pk == number)
        .values(ended_at=micros(now), outcome=outcome, counts=orjson.dumps(counts))
    )


def started_at(c: Connection, number: int) -> datetime | None:
    """Return when a run began."""
    return instant(c.execute(select(run.c.started_at).where(run.c.pk == number)).scalar())


def latest_run(c: Connection, kind: str) -> dict[str, Any] | None:
    """Return the newest run of a kind, with times as instants."""
    row = c.execute(select(run).where(run.c.kind == kind).order_by(run.c.pk.desc()).limit(1)).first()
    if row is None:
        return None
    return {
        "number": row.pk,
        "started_at": instant(row.started_at),
        "ended_at": instant(row.ended_at),
        "outcome": row.outcome,
        "counts": orjson.loads(row.counts) if row.counts else {},
    }


def add_command(c: Connection, name: str, arguments: Mapping[str, Any], now: datetime) -> int:
    """Hand a command to the daemon and return its number."""
    result = c.execute(
        command.insert().values(
            name=name, arguments=orjson.dumps(arguments), created_at=micros(now), state="open"
        )
    )
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def open_commands(c: Connection) -> list[tuple[int, str, dict[str, Any]]]:
    """Return the commands nobody has carried out yet, oldest first."""
    query = select(command).where(command.c.state == "open").order_by(command.c.pk)
    return [(row.pk, row.name, orjson.loads(row.arguments)) for row in c.execute(query)]


def take_command(c: Connection, number: int) -> None:
    """Note that somebody carries a command out now."""
    c.execute(update(command).where(command.c.pk == number).values(state="taken"))


def finish_command(c: Connection, number: int, result: Mapping[str, Any], *, failed: bool = False) -> None:
    """Note what a command led to."""
    c.execute(
        update(command)
        .where(command.c.pk == number)
        .values(state="failed" if failed else "done", result=orjson.dumps(result))
    )


def command_result(c: Connection, number: int) -> tuple[str, dict[str, Any]]:
    """Return (open, taken, done or failed; result) of a command."""
    row = c.execute(select(command.c.state, command.c.result).where(command.c.pk == number)).one()
    return row.state, orjson.loads(row.result) if row.result else {}
