"""How far each phase of each stream has been read, and when it may be read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, select, update

from bridge.model import Json, Phase
from bridge.store.database import instant, micros, upsert
from bridge.store.tables import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """
    Where one phase of one stream stands; `fields` are the vendor fields asked for so far.

    `watermark` is the vendor's time until which everything was read, None where it tells none.

    `broken_off` says that the last pull was interrupted in its midst, by a stop or a kill.
    """

    value: Json
    fields: frozenset[str]
    complete: bool
    pulled_at: datetime | None
    broken_off: bool
    not_before: datetime | None
    watermark: datetime | None


def load_cursor(c: Connection, account_pk: int, stream: str, phase: Phase) -> Cursor | None:
    """Return where a phase stands, None if it never ran."""
    row = c.execute(
        select(cursor).where(
            cursor.c.account_pk == account_pk, cursor.c.stream == stream, cursor.c.phase == phase
        )
    ).first()
    if row is None:
        return None
    return Cursor(
        value=orjson.loads(row.value) if row.value is not None else None,
        fields=frozenset(orjson.loads(row.fields)),
        complete=row.complete,
        pulled_at=instant(row.pulled_at),
        broken_off=row.error is None and (row.succeeded_at or 0) < (row.pulled_at or 0),
        not_before=instant(row.not_before),
        watermark=instant(row.watermark),
    )


def save_cursor(
    c: Connection,
    account_pk: int,
    stream: str,
    phase: Phase,
    *,
    value: Json,
    fields: Sequence[str],
    now: datetime,
    watermark: datetime | None = None,
    complete: bool = False,
    succeeded: bool = False,
    error: str | None = None,
    not_before: datetime | None = None,
) -> None:
    """Move a cursor; `succeeded` marks the end of a pull that went through, `error` one that did not."""
    row = {
        "account_pk": account_pk,
        "stream": stream,
        "phase": phase,
        "value": None if value is None else orjson.dumps(value),
        "fields": orjson.dumps(sorted(fields)),
        "watermark": micros(watermark),
        "pulled_at": micros(now),
        "succeeded_at": micros(now) if succeeded else None,
        "complete": complete,
        "error": error,
        "error_since": micros(now) if error else None,
        "not_before": micros(not_before),
    }
    columns = ["value", "fields", "pulled_at", "complete", "error", "not_before"]
    if watermark is not None:
        columns.append("watermark")
    if succeeded:
        columns += ["succeeded_at", "error_since"]
    elif error:
        since = c.execute(
            select(cursor.c.error_since).where(
                cursor.c.account_pk == account_pk, cursor.c.stream == stream, cursor.c.phase == phase
            )
        ).scalar()
        row["error_since"] = since or micros(now)
        columns.append("error_since")
    upsert(c, cursor, [row], conflict=["account_pk", "stream", "phase"], update=columns)


def make_due(c: Connection, account_pk: int, stream: str | None = None) -> None:
    """Let a live stream of an account, or every one, be pulled at the next look."""
    due = update(cursor).where(cursor.c.account_pk == account_pk, cursor.c.phase == "live")
    if stream is not None:
        due = due.where(cursor.c.stream == stream)
    c.execute(due.values(pulled_at=None))
