"""Resolve: stored bodies become validated entities, and the people they touch are identified anew."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from bridge.connector import Decoder
from bridge.errors import StoreError
from bridge.model import Record
from bridge.store import collected
from bridge.store.blobs import LOST_HINT
from bridge.store.collected import Stored
from bridge.store.tables import REJECTED
from bridge.store.texts import key_text
from bridge.store.writer import Priority
from bridge.sync.intake.enter import enter
from bridge.sync.intake.interpret import Outcome, Reader, Refused
from bridge.sync.intake.page import Change, work_out
from bridge.sync.runtime import Connection, Runtime, log

LONGEST_WORD = 100

PAGE = 400
"""Records resolved in one go: the transaction stays near ten milliseconds, the look-ups stay few."""


def resolve(runtime: Runtime, connection: Connection, stream: str, *, limit: int = PAGE) -> int:
    """
    Resolve the oldest waiting records of a stream and return how many they were.

    Where something goes wrong that nobody thought of, they are taken one by one, and the one to blame
    becomes a reject: it must not keep the others waiting.
    """
    account_pk, blobs = connection.account_pk, runtime.blobs
    assert account_pk is not None
    decoder = connection.connector if isinstance(connection.connector, Decoder) else None
    behind: list[Stored] = []
    with runtime.database.read() as c:
        read = runtime.ahead.read
        stored = collected.next_waiting(c, account_pk, stream, after=0, limit=limit, blobs=blobs, read=read)
        if decoder is not None and stored and (len(stored) == limit or runtime.ahead.runs):
            after = stored[-1].pk
            behind = collected.next_waiting(c, account_pk, stream, after=after, limit=limit, blobs=blobs)
    if decoder is not None and (len(behind) == limit or runtime.ahead.runs):
        runtime.ahead.decode(decoder.decode, [(item.pk, item.record) for item in behind])
        runtime.ahead.read.update({item.pk: item for item in behind})
    if stored:
        _apply_apart(runtime, connection, stored)
    if not behind:
        runtime.ahead.rest()
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
        _index_people(runtime, change)
        runtime.writer.run(lambda c: enter(c, runtime, connection, change), priority=Priority.RESOLVE)


def apply(runtime: Runtime, connection: Connection, stored: Sequence[Stored]) -> None:
    """Interpret records of one connection and write what they mean, with their states, in one transaction."""
    reader = Reader.of(connection, runtime.own, runtime.rules)
    views = runtime.ahead.take(item.pk for item in stored)
    outcomes = [outcome for item in stored for outcome in _guarded(runtime, reader, item, views.get(item.pk))]
    with runtime.identity_lock:
        with runtime.database.read() as c:
            change = work_out(c, reader, outcomes)
        _count_words(connection, stored, change)
        _index_people(runtime, change)
        runtime.writer.run(lambda c: enter(c, runtime, connection, change), priority=Priority.RESOLVE)
    runtime.wake("project")


def _index_people(runtime: Runtime, change: Change) -> None:
    """Find who is named in bodies that no entity speaks of; a long body takes its time, so not in the writer."""
    for stored in [*(stored for stored, _ in change.refused), *change.left]:
        data = stored.record.data
        body = data if isinstance(data, bytes) else orjson.dumps(data)
        change.named[stored.pk] = runtime.traces.in_bytes(body)


def _guarded(runtime: Runtime, reader: Reader, item: Stored, views: Sequence[Record] | None) -> list[Outcome]:
    if item.lost:
        return [Refused(stored=item, code="body", message=item.lost, hint=LOST_HINT)]
    try:
        return list(reader.read(item, views))
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
