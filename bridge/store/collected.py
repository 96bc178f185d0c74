"""What came in: raw records as they were sent, each with what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, func, select, update

from bridge.model import Record, Skip
from bridge.store.among import among, among_bound, keys_text
from bridge.store.blobs import Blobs
from bridge.store.bodies import json_bytes
from bridge.store.database import Database, instant, micros, upsert
from bridge.store.tables import MAPPED, RECORD_WAITS, REJECTED, SKIPPED, WAITING, account, record
from bridge.store.texts import key_text

AT_ONCE = 16 * 1024 * 1024
"""Bytes of raw bodies after which a page of records ends: what they are decoded to is larger still."""

STATE_NAMES = {WAITING: "waiting", MAPPED: "mapped", SKIPPED: "skipped", REJECTED: "rejected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """
    A raw record on its way through resolve.

    `received_at` is in microseconds; `lost` says why its body cannot be read, empty where it can.
    """

    pk: int
    record: Record
    received_at: int
    run: int
    lost: str = ""


def record_rows(
    records: Sequence[Record | Skip],
    *,
    account_pk: int,
    run: int,
    now: datetime,
    blobs: Blobs,
    delivery_pk: int | None = None,
) -> list[dict[str, Any]]:
    """Return table rows for collected records; bodies above the threshold are written to files first."""
    received_at = micros(now)
    rows: list[dict[str, Any]] = []
    for item in records:
        row: dict[str, Any] = {
            "account_pk": account_pk,
            "stream": item.stream,
            "ext_id": key_text(item.id),
            "version": key_text(item.version),
            "modified_at": None,
            "received_at": received_at,
            "run": run,
            "delivery_pk": delivery_pk,
            "is_json": True,
            "body": None,
            "blob": None,
            "deleted": False,
            "actor": None,
            "state": SKIPPED,
            "rule": None,
        }
        if isinstance(item, Skip):
            row["rule"] = item.rule
        else:
            is_json = not isinstance(item.data, bytes)
            body = json_bytes(item.data) if is_json else item.data
            row["body"], row["blob"] = blobs.keep(body)
            row["is_json"] = is_json
            row["modified_at"] = micros(item.modified_at)
            row["deleted"] = item.deleted
            row["actor"] = key_text(item.actor) if item.actor is not None else None
            row["state"] = WAITING
        rows.append(row)
    return rows


def unseen(c: Connection, account_pk: int, records: Sequence[Record | Skip]) -> list[Record | Skip]:
    """Return those of the records whose version is not stored yet: none where nothing changed."""
    keyed = [((one.stream, key_text(one.id), key_text(one.version)), one) for one in records]
    ids_of: dict[str, list[str]] = {}
    for (stream, ext_id, _), _ in keyed:
        ids_of.setdefault(stream, []).append(ext_id)
    known: set[tuple[str, str, str]] = set()
    for stream, ids in ids_of.items():
        found = c.execute(_VERSIONS, {"account": account_pk, "of": stream, "ids": keys_text(ids)})
        known.update((stream, ext_id, version) for ext_id, version in found.all())
    return [one for key, one in keyed if key not in known]


_VERSIONS = select(record.c.ext_id, record.c.version).where(
    record.c.account_pk == bindparam("account"),
    record.c.stream == bindparam("of"),
    among_bound(record.c.ext_id, "ids"),
)


def insert_records(c: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store what is new; the same (account, stream, id, version) again is a repeat and changes nothing."""
    upsert(c, record, rows, conflict=["account_pk", "stream", "ext_id", "version"])


def is_waiting(c: Connection, account_pk: int, stream: str) -> bool:
    """Tell whether any record of a stream waits to be resolved."""
    query = select(record.c.pk).where(
        record.c.account_pk == account_pk, record.c.stream == stream, RECORD_WAITS
    )
    return c.execute(query.limit(1)).first() is not None


def next_waiting(
    c: Connection,
    account_pk: int,
    stream: str,
    *,
    after: int,
    limit: int,
    blobs: Blobs,
    read: Mapping[int, Stored] = MappingProxyType({}),
) -> list[Stored]:
    """
    Return the oldest waiting records of a stream whose key is above `after`; fewer where their bodies are large.

    Those that begin with what was `read` before, by key, are not read again: only their state can have changed.
    """
    where = (
        record.c.account_pk == account_pk,
        record.c.stream == stream,
        RECORD_WAITS,
        record.c.pk > after,
    )
    if read:
        keys = c.execute(select(record.c.pk).where(*where).order_by(record.c.pk).limit(limit)).scalars().all()
        if known := [read[key] for key in takewhile(read.__contains__, keys)]:
            return known
    query = select(*_STORED).where(*where).order_by(record.c.pk).limit(limit)
    found: list[Stored] = []
    size = 0
    for row in c.execute(query).all():
        one = _stored(stream, row, blobs)
        found.append(one)
        size += len(one.record.data) if isinstance(one.record.data, bytes) else 0
        if size > AT_ONCE:
            break
    return found


_STORED = (
    record.c.pk,
    record.c.received_at,
    record.c.run,
    record.c.ext_id,
    record.c.version,
    record.c.modified_at,
    record.c.is_json,
    record.c.body,
    record.c.blob,
    record.c.deleted,
    record.c.actor,
)


def _stored(stream: str, row: Any, blobs: Blobs) -> Stored:
    pk, received_at, run, ext_id, version, modified_at, is_json, body, blob, deleted, actor = row
    data, lost = (body, "") if body is not None else blobs.load_or_say(body, blob)
    return Stored(
        pk=pk,
        lost=lost,
        received_at=received_at,
        run=run,
        record=Record(
            stream=stream,
            id=ext_id,
            version=version,
            modified_at=instant(modified_at),
            data=(orjson.loads(data) if data else None) if is_json else data,
            deleted=deleted,
            actor=actor,
        ),
    )


def load_records(
    c: Connection, account_pk: int, stream: str, pks: Sequence[int], blobs: Blobs
) -> list[Stored]:
    """Return stored records by key, in that order of storing."""
    where = (record.c.account_pk == account_pk, among(record.c.pk, pks))
    query = select(*_STORED).where(*where).order_by(record.c.pk)
    return [_stored(stream, row, blobs) for row in c.execute(query).all()]


def set_states(c: Connection, states: Sequence[tuple[int, int, str | None]]) -> None:
    """Set (record key, state, rule of a skip) of many records."""
    if not states:
        return
    plain = [pk for pk, state, _ in states if state == MAPPED]
    c.execute(update(record).where(among(record.c.pk, plain)).values(state=MAPPED, rule=None))
    for pk, state, rule in states:
        if state != MAPPED:
            c.execute(update(record).where(record.c.pk == pk).values(state=state, rule=rule))


def resolve_again(c: Connection, pks: Iterable[int]) -> None:
    """Put records that went through back in the queue."""
    again = sorted(pks)
    if again:
        c.execute(
            update(record).where(among(record.c.pk, again), record.c.state == MAPPED).values(state=WAITING)
        )


def tally(database: Database, *, run: int | None = None) -> list[dict[str, Any]]:
    """
    Count the records by account, stream, state and rule of a skip, of one run or of all.

    Rows: connector, vendor_id, account_pk, stream, state (a word), rule, count, newest (the highest key).
    """
    kinds = (record.c.account_pk, record.c.stream, record.c.state, record.c.rule)
    each = select(*kinds, func.count().label("count"), func.max(record.c.pk).label("newest"))
    if run is not None:
        each = each.where(record.c.run == run)
    # by run as well, the order of the index that holds all of this, so that nothing is sorted
    of_run = each.group_by(record.c.run, *kinds).subquery()
    kinds_of_all = (of_run.c.account_pk, of_run.c.stream, of_run.c.state, of_run.c.rule)
    whose = (account.c.connector, account.c.vendor_id)
    query = (
        select(
            *whose,
            *kinds_of_all,
            func.sum(of_run.c.count).label("count"),
            func.max(of_run.c.newest).label("newest"),
        )
        .join(account, account.c.pk == of_run.c.account_pk)
        .group_by(*whose, *kinds_of_all)
        .order_by(*whose, of_run.c.stream, of_run.c.state, of_run.c.rule)
    )
    with database.read() as c:
        return [
            {**row._mapping, "count": int(row._mapping["count"]), "state": STATE_NAMES[row.state]}
            for row in c.execute(query)
        ]


def deleted_among(c: Connection, account_pk: int, stream: str, ext_ids: Iterable[str]) -> set[str]:
    """Return those of these objects that the source said were deleted."""
    query = select(record.c.ext_id).where(
        record.c.account_pk == account_pk,
        record.c.stream == stream,
        among(record.c.ext_id, ext_ids),
        record.c.deleted,
    )
    return set(c.execute(query).scalars())


def is_deleted(c: Connection, account_pk: int, stream: str, ext_id: str) -> bool:
    """Tell whether the source said that an object was deleted."""
    here = (record.c.account_pk == account_pk, record.c.stream == stream, record.c.ext_id == ext_id)
    return c.execute(select(record.c.pk).where(*here, record.c.deleted).limit(1)).first() is not None
