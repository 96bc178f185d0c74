"""Resolve: stored bodies become validated entities, and the people they touch are identified anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Transaction

from bridge.connector import Receiver
from bridge.errors import MappingError, StoreError
from bridge.model import Hint, Record, Skip
from bridge.store import collected, cursors, deliveries, rejects
from bridge.store.collected import Stored
from bridge.store.tables import MAPPED, REJECTED
from bridge.store.texts import key_text
from bridge.store.traces import save_mentions, suppressed
from bridge.store.writer import Priority
from bridge.sync.collect import check_streams, leave_out
from bridge.sync.enter import enter
from bridge.sync.interpret import Outcome, Reader, Refused
from bridge.sync.page import Change, work_out
from bridge.sync.runtime import Connection, Runtime, log

LOST_HINT = "Restore the folder of bodies that belongs to the store, then replay."
LONGEST_WORD = 100
MOST_ITEMS = 1_000_000
"""Items of one webhook body; the largest body taken holds fewer."""

PAGE = 200
"""Records resolved in one go: the transaction stays near ten milliseconds, the look-ups stay few."""


def split(runtime: Runtime, connection: Connection, *, run: int, limit: int = 50) -> int:
    """
    Split the oldest webhook bodies of a connection into records; returns how many bodies.

    A body that cannot be read becomes a reject and is kept. Where capture rules keep anything
    out, or it names somebody who was erased, the body is forgotten once its records stand.
    """
    assert connection.account_pk is not None and isinstance(connection.connector, Receiver)
    account_pk = connection.account_pk
    with runtime.database.read() as c:
        found = deliveries.next_deliveries(c, connection.name, limit=limit, blobs=runtime.blobs)
        out = suppressed(c) if found else frozenset()
    for pk, delivery, lost in found:
        now = runtime.clock()
        items: list[Record | Skip] = []
        hinted: set[str] = set()
        failure: rejects.Reject | None = None
        try:
            if lost:
                raise MappingError(lost, hint=LOST_HINT)
            for count, item in enumerate(connection.connector.split(delivery)):
                if count > MOST_ITEMS:
                    raise ValueError(f"{MOST_ITEMS} items and no end in a body of {len(delivery.body)} bytes")
                if isinstance(item, Hint):
                    hinted.add(item.stream)
                else:
                    items.append(item)
            check_streams(connection, items)
        except (Exception, SystemExit) as error:  # a third party's code; the body is kept
            expected = isinstance(error, MappingError)
            failure = rejects.Reject(
                step="split",
                connection=connection.name,
                account_pk=account_pk,
                stream="webhook",
                ext_id=delivery.id,
                delivery_pk=pk,
                code="body" if expected else "plugin",
                message=runtime.message(error)
                if expected
                else f"{type(error).__name__}: {runtime.message(error)}",
                hint=error.hint
                if isinstance(error, MappingError)
                else f"A fault of the connector {connection.spec.name}; update it, then replay.",
            )
        kept = [] if failure else leave_out(runtime, items, out)
        rows = collected.record_rows(
            kept,
            account_pk=account_pk,
            run=run,
            now=delivery.received_at,
            blobs=runtime.blobs,
            delivery_pk=pk,
        )
        erased = any(was is not now for was, now in zip(items, kept, strict=False))
        drop = (connection.config.capture.restricts or erased) and failure is None

        def work(
            c: Transaction,
            pk: int = pk,
            rows: list[dict[str, Any]] = rows,
            failure: rejects.Reject | None = failure,
            drop: bool = drop,
            body: bytes = delivery.body,
            now: datetime = now,
            hinted: set[str] = hinted,
        ) -> str | None:
            collected.insert_records(c, rows)
            for stream in hinted:
                cursors.make_due(c, account_pk, stream)
            if failure is not None:
                rejects.save(c, failure, now)
                save_mentions(c, runtime.traces, "delivery", pk, body)
            else:
                rejects.close_for_delivery(c, pk)
            return deliveries.set_delivery(c, pk, REJECTED if failure else MAPPED, drop_body=drop)

        unneeded = runtime.writer.run(work, priority=Priority.RESOLVE)
        if unneeded is not None:
            runtime.blobs.drop(unneeded)
        for stream in hinted:
            runtime.wake(f"collect:{connection.name}:{stream}")
    return len(found)


def resolve(runtime: Runtime, connection: Connection, stream: str, *, limit: int = PAGE) -> int:
    """
    Resolve the oldest waiting records of a stream and return how many they were.

    Where something goes wrong that nobody thought of, they are taken one by one, and the one to blame
    becomes a reject: it must not keep the others waiting.
    """
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        stored = collected.next_waiting(
            c, connection.account_pk, stream, after=0, limit=limit, blobs=runtime.blobs
        )
    if stored:
        _apply_apart(runtime, connection, stored)
    return len(stored)


def _apply_apart(runtime: Runtime, connection: Connection, stored: Sequence[Stored]) -> None:
    try:
        apply(runtime, connection, stored)
    except StoreError:
        raise
    except Exception as error:
        if len(stored) > 1:
            for item in stored:
                _apply_apart(runtime, connection, [item])
            return
        log.exception("%s: a record cannot be resolved", connection.name)
        [item] = stored
        fault = Refused(
            stored=item,
            code="fault",
            message=f"a fault of crmbridge: {type(error).__name__}: {runtime.message(error)}",
            hint="Please report it. Once mended, replay.",
        )
        change = Change(states={item.pk: (REJECTED, None)}, refused=[(item, fault)])
        runtime.writer.run(lambda c: enter(c, runtime, connection, change), priority=Priority.RESOLVE)


def apply(runtime: Runtime, connection: Connection, stored: Sequence[Stored]) -> None:
    """Interpret records of one connection and write what they mean, with their states, in one transaction."""
    reader = Reader.of(connection, runtime.own)
    outcomes = [outcome for item in stored for outcome in _guarded(runtime, reader, item)]
    with runtime.identity_lock:
        with runtime.database.read() as c:
            change = work_out(c, reader, outcomes)
        _count_words(connection, stored, change)
        runtime.writer.run(lambda c: enter(c, runtime, connection, change), priority=Priority.RESOLVE)
    runtime.wake("project")


def _guarded(runtime: Runtime, reader: Reader, item: Stored) -> list[Outcome]:
    if item.lost:
        return [Refused(stored=item, code="body", message=item.lost, hint=LOST_HINT)]
    try:
        return list(reader.read(item))
    except (Exception, SystemExit) as error:  # decode broke its promise; the record waits
        log.warning("%s: decode failed: %s", reader.connection.name, runtime.message(error))
        name = reader.connection.spec.name
        return [
            Refused(
                stored=item,
                code="plugin",
                message=f"{type(error).__name__}: {runtime.message(error)}",
                hint=f"A fault of the connector {name}; update it, then replay.",
            )
        ]


def _count_words(connection: Connection, stored: Sequence[Stored], change: Change) -> None:
    """Take the unknown words that the mapping met since the last page."""
    for stream in {item.record.stream for item in stored}:
        rule = connection.mapping.pull.get(stream)
        if rule is not None and rule.unknown_words:
            change.words.update(
                {(field, key_text(word[:LONGEST_WORD])): n for (field, word), n in rule.unknown_words.items()}
            )
            rule.unknown_words.clear()


def waiting_work(runtime: Runtime) -> list[tuple[Connection, str]]:
    """Return the (connection, stream) pairs with records to resolve."""
    with runtime.database.read() as c:
        return [
            (connection, spec.name)
            for connection in runtime.connections.values()
            for spec in connection.streams()
            if connection.account_pk is not None and collected.is_waiting(c, connection.account_pk, spec.name)
        ]
