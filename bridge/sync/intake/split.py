"""Webhook bodies become records; one that its connector cannot split is kept and shown."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from bridge.connector import Receiver
from bridge.errors import MappingError
from bridge.model import Delivery, Hint, Record, Skip
from bridge.store import collected, cursors, deliveries, rejects
from bridge.store.blobs import LOST_HINT
from bridge.store.tables import MAPPED, REJECTED
from bridge.store.traces import add_mentions, suppressed
from bridge.store.writer import Priority
from bridge.sync.intake.collect import check_streams, leave_out
from bridge.sync.runtime import Connection, Runtime

MOST_ITEMS = 1_000_000
"""Items of one webhook body; the largest body taken holds fewer."""

AT_ONCE = 1024 * 1024
"""Bytes of bodies after which the store is waited for, so that large ones do not pile up in memory."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What a webhook body holds: its items, the streams it hints at, or why it cannot be split."""

    items: list[Record | Skip] = field(default_factory=list)
    hinted: set[str] = field(default_factory=set)
    failure: rejects.Reject | None = None


def split(runtime: Runtime, connection: Connection, *, run: int, limit: int = 50) -> int:
    """
    Split the oldest webhook bodies of a connection into records; returns how many bodies.

    A body that cannot be read becomes a reject and is kept. Where capture rules keep anything
    out, or it names somebody who was erased, the body is forgotten once its records stand.
    """
    with runtime.database.read() as c:
        waiting = deliveries.next_deliveries(c, connection.name, limit=limit, blobs=runtime.blobs)
        out = suppressed(c) if waiting else frozenset()
    under_way: list[tuple[Found, Future[str | None]]] = []
    size = 0
    for pk, delivery, lost in waiting:
        found = _look_into(runtime, connection, pk, delivery, lost)
        under_way.append((found, _enter(runtime, connection, run, pk, delivery, found, out)))
        size += len(delivery.body)
        if size > AT_ONCE:
            _finish(runtime, connection, under_way)
            under_way, size = [], 0
    _finish(runtime, connection, under_way)
    return len(waiting)


def _finish(
    runtime: Runtime, connection: Connection, under_way: Sequence[tuple[Found, Future[str | None]]]
) -> None:
    """Wait until bodies are entered; remove the files of those that may not stay, and act on hints."""
    for found, entered in under_way:
        unneeded = entered.result()
        if unneeded is not None:
            runtime.blobs.drop(unneeded)
        for stream in found.hinted:
            runtime.wake(f"collect:{connection.name}:{stream}")


def _look_into(runtime: Runtime, connection: Connection, pk: int, delivery: Delivery, lost: str) -> Found:
    assert isinstance(connection.connector, Receiver)
    found = Found()
    try:
        if lost:
            raise MappingError(lost, hint=LOST_HINT)
        for count, item in enumerate(connection.connector.split(delivery)):
            if count > MOST_ITEMS:
                raise ValueError(f"{MOST_ITEMS} items and no end in a body of {len(delivery.body)} bytes")
            if isinstance(item, Hint):
                found.hinted.add(item.stream)
            else:
                found.items.append(item)
        check_streams(connection, found.items)
    except MappingError as error:
        found.failure = _reject(connection, pk, "body", runtime.message(error), error.hint)
    except (Exception, SystemExit) as error:  # a third party's code; the body is kept
        hint = f"A fault of the connector {connection.spec.name}; update it, then replay."
        said = f"{type(error).__name__}: {runtime.message(error)}"
        found.failure = _reject(connection, pk, "plugin", said, hint)
    return found


def _reject(connection: Connection, pk: int, code: str, message: str, hint: str) -> rejects.Reject:
    return rejects.Reject(
        step="split",
        connection=connection.name,
        account_pk=connection.account_pk,
        stream="webhook",
        ext_id=str(pk),
        delivery_pk=pk,
        code=code,
        message=message,
        hint=hint,
    )


def _enter(
    runtime: Runtime,
    connection: Connection,
    run: int,
    pk: int,
    delivery: Delivery,
    found: Found,
    out: frozenset[bytes],
) -> Future[str | None]:
    """
    Store what a body holds and what became of it, at once or not at all.

    Gives the name of the body's file where that may not stay. Several bodies share a transaction.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    now = runtime.clock()
    failure = found.failure
    kept = [] if failure else leave_out(runtime, found.items, out)
    rows = collected.record_rows(
        kept,
        account_pk=account_pk,
        run=run,
        now=delivery.received_at,
        blobs=runtime.blobs,
        delivery_pk=pk,
    )
    erased = any(was is not stays for was, stays in zip(found.items, kept, strict=False))
    drop = (connection.config.capture.restricts or erased) and failure is None
    named = runtime.traces.in_bytes(delivery.body) if failure else set()

    def work(c: Transaction) -> str | None:
        collected.insert_records(c, rows)
        for stream in found.hinted:
            cursors.make_due(c, account_pk, stream)
        if failure is not None:
            rejects.save(c, failure, now)
            add_mentions(c, named, "delivery", [pk])
        else:
            rejects.close_for_delivery(c, pk)
        return deliveries.set_delivery(c, pk, REJECTED if failure else MAPPED, drop_body=drop)

    return runtime.writer.submit(work, priority=Priority.RESOLVE)
