"""Webhook bodies: stored as they came, once for each idempotency key, until they are split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, func, select, update

from bridge.model import Delivery, Request
from bridge.store.among import among
from bridge.store.blobs import Blobs
from bridge.store.database import insert_new, instant, micros
from bridge.store.tables import DELIVERY_WAITS, REJECTED, WAITING, delivery, reject


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
    if insert_new(c, delivery, rows) == len(rows):
        return [True] * len(rows)
    keys_of: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["idempotency_key"] is not None:
            keys_of.setdefault((row["connection"], row["sender"]), []).append(row["idempotency_key"])
    stored = {
        (connection, sender, key): body_hash
        for (connection, sender), keys in keys_of.items()
        for key, body_hash in c.execute(used_keys(connection, sender, keys))
    }
    return [
        row["idempotency_key"] is None
        or stored[row["connection"], row["sender"], row["idempotency_key"]] == row["body_hash"]
        for row in rows
    ]


def used_keys(connection: str, sender: str, keys: Sequence[str]) -> Select[Any]:
    """Return the query for those of a sender's idempotency keys that are used, with the hash of each one's body."""
    return select(delivery.c.idempotency_key, delivery.c.body_hash).where(
        delivery.c.connection == connection,
        delivery.c.sender == sender,
        among(delivery.c.idempotency_key, keys),
    )


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
    body, lost = blobs.load_or_say(row.body, row.blob)
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
        .join(delivery, delivery.c.pk == reject.c.delivery_pk)
        .where(reject.c.state == "open", reject.c.step == "split", delivery.c.state == REJECTED)
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
