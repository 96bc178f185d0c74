"""What came in: accounts, cursors, webhook deliveries and raw records, as they were sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select, update

from bridge.model import Account, Delivery, Json, Phase, Record, Request, Skip
from bridge.store.among import among
from bridge.store.blobs import Blobs
from bridge.store.bodies import json_bytes
from bridge.store.database import Database, append, instant, micros, upsert
from bridge.store.tables import (
    DELIVERY_WAITS,
    MAPPED,
    RECORD_WAITS,
    REJECTED,
    SKIPPED,
    WAITING,
    account,
    cursor,
    delivery,
    record,
    reject,
)
from bridge.store.tables import connection as connections
from bridge.store.texts import key_text

STATE_NAMES = {WAITING: "waiting", MAPPED: "mapped", SKIPPED: "skipped", REJECTED: "rejected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where one phase of one stream stands; `fields` are the vendor fields asked for so far."""

    value: Json
    fields: frozenset[str]
    complete: bool
    pulled_at: datetime | None
    not_before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A raw record on its way through resolve; `lost` says why its body cannot be read, empty where it can."""

    pk: int
    record: Record
    received_at: datetime
    run: int
    lost: str = ""


def save_account(c: Connection, connection: str, connector: str, found: Account, now: datetime) -> int:
    """Note which account a connection belongs to and return the account's key."""
    row = {
        "connector": connector,
        "vendor_id": found.id,
        "name": found.name,
        "time_zone": found.time_zone,
        "currency": found.currency,
    }
    upsert(
        c,
        account,
        [row],
        conflict=["connector", "vendor_id"],
        update=["name", "time_zone", "currency"],
    )
    pk = int(
        c.execute(
            select(account.c.pk).where(account.c.connector == connector, account.c.vendor_id == found.id)
        ).scalar_one()
    )
    state = {
        "name": connection,
        "connector": connector,
        "account_pk": pk,
        "checked_at": micros(now),
        "error_kind": None,
        "error": None,
        "error_since": None,
    }
    upsert(
        c,
        connections,
        [state],
        conflict=["name"],
        update=["connector", "account_pk", "checked_at", "error_kind", "error", "error_since"],
    )
    return pk


def save_connection_error(
    c: Connection, connection: str, connector: str, kind: str, message: str, now: datetime
) -> None:
    """Note that a connection is in trouble; the time it began is kept."""
    since = c.execute(select(connections.c.error_since).where(connections.c.name == connection)).scalar()
    row = {
        "name": connection,
        "connector": connector,
        "account_pk": None,
        "checked_at": None,
        "error_kind": kind,
        "error": message,
        "error_since": since or micros(now),
    }
    upsert(c, connections, [row], conflict=["name"], update=["error_kind", "error", "error_since"])


def known_account(c: Connection, connection: str, connector: str) -> int | None:
    """Return the account a connection was last seen to belong to, None if it never answered."""
    found = c.execute(
        select(connections.c.account_pk).where(
            connections.c.name == connection, connections.c.connector == connector
        )
    ).scalar()
    return None if found is None else int(found)


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
        not_before=instant(row.not_before),
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
    c: Connection, account_pk: int, stream: str, *, after: int, limit: int, blobs: Blobs
) -> list[Stored]:
    """Return the oldest waiting records of a stream whose key is above `after`."""
    query = (
        select(
            record.c.pk,
            record.c.ext_id,
            record.c.version,
            record.c.modified_at,
            record.c.received_at,
            record.c.is_json,
            record.c.body,
            record.c.blob,
            record.c.deleted,
            record.c.actor,
            record.c.run,
        )
        .where(
            record.c.account_pk == account_pk,
            record.c.stream == stream,
            RECORD_WAITS,
            record.c.pk > after,
        )
        .order_by(record.c.pk)
        .limit(limit)
    )
    return [_stored(stream, row, blobs) for row in c.execute(query)]


def _stored(stream: str, row: Any, blobs: Blobs) -> Stored:
    body, lost = _body(row, blobs)
    received_at = instant(row.received_at)
    assert received_at is not None
    return Stored(
        pk=row.pk,
        lost=lost,
        received_at=received_at,
        run=row.run,
        record=Record(
            stream=stream,
            id=row.ext_id,
            version=row.version,
            modified_at=instant(row.modified_at),
            data=(orjson.loads(body) if body else None) if row.is_json else body,
            deleted=row.deleted,
            actor=row.actor,
        ),
    )


def _body(row: Any, blobs: Blobs) -> tuple[bytes, str]:
    """Return a stored body, or nothing and why its file cannot be read: one lost file must not stop the others."""
    try:
        return blobs.load(row.body, row.blob), ""
    except OSError as error:
        return b"", f"its body cannot be read: {error.strerror}: {error.filename}"


def load_records(
    c: Connection, account_pk: int, stream: str, pks: Sequence[int], blobs: Blobs
) -> list[Stored]:
    """Return stored records by key, in that order of storing."""
    query = select(record).where(among(record.c.pk, pks)).order_by(record.c.pk)
    return [_stored(stream, row, blobs) for row in c.execute(query) if row.account_pk == account_pk]


def set_states(c: Connection, states: Sequence[tuple[int, int, str | None]]) -> None:
    """Set (record key, state, rule of a skip) of many records."""
    if not states:
        return
    plain = [pk for pk, state, _ in states if state == MAPPED]
    c.execute(update(record).where(among(record.c.pk, plain)).values(state=MAPPED, rule=None))
    for pk, state, rule in states:
        if state != MAPPED:
            c.execute(update(record).where(record.c.pk == pk).values(state=state, rule=rule))


def delivery_row(
    connection: str, request: Request, blobs: Blobs, *, sender: str, key: str | None
) -> dict[str, Any]:
    """Return the table row of a verified webhook body; headers that carry a secret are left out."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if name not in {"authorization", "cookie", "proxy-authorization"}
    }
    body, blob = blobs.keep(request.body, shared=False)
    return {
        "connection": connection,
        "received_at": micros(request.received_at),
        "headers": orjson.dumps(kept),
        "body": body,
        "blob": blob,
        "body_hash": hashlib.sha256(request.body).digest(),
        "sender": sender,
        "idempotency_key": key,
        "state": WAITING,
    }


def insert_deliveries(c: Connection, rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """
    Store webhook bodies; for each say whether it stands (True) or its key was used for another body (False).

    The same key with the same body again is a repeat and is stored once.
    """
    keyed = [row for row in rows if row["idempotency_key"] is not None]
    taken: dict[tuple[str, str, str], bytes] = {}
    if keyed:
        keys = {row["idempotency_key"] for row in keyed}
        for found in c.execute(_TAKEN.where(among(delivery.c.idempotency_key, keys))):
            taken[found.connection, found.sender, found.idempotency_key] = found.body_hash
    fresh: list[Mapping[str, Any]] = []
    verdicts: list[bool] = []
    for row in rows:
        if row["idempotency_key"] is None:
            fresh.append(row)
            verdicts.append(True)
            continue
        key = (row["connection"], row["sender"], row["idempotency_key"])
        if key not in taken:
            taken[key] = row["body_hash"]
            fresh.append(row)
        verdicts.append(taken[key] == row["body_hash"])
    append(c, delivery, fresh)
    return verdicts


_TAKEN = select(delivery.c.connection, delivery.c.sender, delivery.c.idempotency_key, delivery.c.body_hash)


def next_deliveries(
    c: Connection, connection: str, *, limit: int, blobs: Blobs
) -> list[tuple[int, Delivery, str]]:
    """Return the oldest unread webhook bodies of a connection, each with why its body is lost, if it is."""
    query = (
        select(delivery)
        .where(delivery.c.connection == connection, DELIVERY_WAITS)
        .order_by(delivery.c.pk)
        .limit(limit)
    )
    return [(row.pk, *_delivery(row, blobs)) for row in c.execute(query)]


def _delivery(row: Any, blobs: Blobs) -> tuple[Delivery, str]:
    body, lost = _body(row, blobs)
    received_at = instant(row.received_at)
    assert received_at is not None
    delivery = Delivery(
        id=str(row.pk),
        body=body,
        headers=orjson.loads(row.headers),
        received_at=received_at,
        sender=row.sender,
    )
    return delivery, lost


def waiting_deliveries(c: Connection) -> dict[str, int]:
    """Return how many webhook bodies each connection still has to read; each counts as one waiting."""
    query = select(delivery.c.connection, func.count()).where(DELIVERY_WAITS).group_by(delivery.c.connection)
    return {row[0]: row[1] for row in c.execute(query)}


def refused_deliveries(c: Connection, *, since: datetime | None = None) -> dict[str, int]:
    """Return how many webhook bodies of each connection could not be read, at all or in a try after `since`."""
    query = (
        select(reject.c.connection, func.count())
        .where(reject.c.state == "open", reject.c.step == "split")
        .group_by(reject.c.connection)
    )
    if since is not None:
        query = query.where(reject.c.last_at >= micros(since))
    return {row[0]: row[1] for row in c.execute(query)}


def set_delivery(c: Connection, pk: int, state: int, *, drop_body: bool = False) -> str | None:
    """
    Set the state of a webhook body; `drop_body` forgets what capture rules do not allow to keep.

    Returns the name of its file, if it is one, for the caller to remove once this is committed.
    """
    same = delivery.c.pk == pk
    if not drop_body:
        c.execute(update(delivery).where(same).values(state=state))
        return None
    name = c.execute(select(delivery.c.blob).where(same)).scalar()
    c.execute(update(delivery).where(same).values(state=state, body=b"", blob=None))
    return None if name is None else str(name)


def tally(database: Database, *, run: int | None = None) -> list[dict[str, Any]]:
    """
    Count the records by account, stream, state and rule of a skip, of one run or of all.

    Rows: connector, vendor_id, account_pk, stream, state (a word), rule, count.
    """
    query = (
        select(
            account.c.connector,
            account.c.vendor_id,
            record.c.account_pk,
            record.c.stream,
            record.c.state,
            record.c.rule,
            func.count().label("count"),
        )
        .join(account, account.c.pk == record.c.account_pk)
        .group_by(
            account.c.connector,
            account.c.vendor_id,
            record.c.account_pk,
            record.c.stream,
            record.c.state,
            record.c.rule,
        )
        .order_by(account.c.connector, account.c.vendor_id, record.c.stream, record.c.state, record.c.rule)
    )
    if run is not None:
        query = query.where(record.c.run == run)
    with database.read() as c:
        return [{**row._mapping, "state": STATE_NAMES[row.state]} for row in c.execute(query)]


def load_account(c: Connection, pk: int) -> Account:
    """Return an account as its vendor last described it."""
    row = c.execute(select(account).where(account.c.pk == pk)).one()
    return Account(id=row.vendor_id, name=row.name, time_zone=row.time_zone, currency=row.currency)


def make_due(c: Connection, account_pk: int, stream: str | None = None) -> None:
    """Let a live stream of an account, or every one, be pulled at the next look."""
    due = update(cursor).where(cursor.c.account_pk == account_pk, cursor.c.phase == "live")
    if stream is not None:
        due = due.where(cursor.c.stream == stream)
    c.execute(due.values(pulled_at=None))
