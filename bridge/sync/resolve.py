"""Resolve: stored bodies become validated entities, and the people they touch are identified anew."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import update

from bridge.connector import Receiver
from bridge.errors import MappingError
from bridge.model import Hint, Record, Skip
from bridge.store import collected, entities, people, rejects
from bridge.store.collected import Stored
from bridge.store.database import dumps
from bridge.store.tables import MAPPED, REJECTED, SKIPPED, entity, ledger
from bridge.store.traces import save_mentions, suppressed
from bridge.store.writer import Priority
from bridge.sync.collect import leave_out
from bridge.sync.identify import IdentityChange, Incoming, identify
from bridge.sync.interpret import OURS, Gone, Left, Meaning, Outcome, Reader, Refused
from bridge.sync.marks import alias_of, read_marks
from bridge.sync.runtime import JOURNEY, Connection, Runtime, log

PAGE = 200
"""Records resolved in one go: the transaction stays near ten milliseconds, the look-ups stay few."""


@dataclass(slots=True, kw_only=True)
class Change:
    """Everything that one page of records does to the store."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    marked: dict[str, str] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)
    participations: dict[tuple[str, str], int | None] = field(default_factory=dict)
    references: dict[str, list[str]] = field(default_factory=dict)
    states: dict[int, tuple[int, str | None]] = field(default_factory=dict)
    refused: list[tuple[Stored, Refused]] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    gone: list[Stored] = field(default_factory=list)
    identity: IdentityChange = field(default_factory=IdentityChange)
    touched: set[str] = field(default_factory=set)
    words: Counter[tuple[str, str]] = field(default_factory=Counter)


def split(runtime: Runtime, connection: Connection, *, run: int, limit: int = 50) -> int:
    """
    Split the oldest webhook bodies of a connection into records; returns how many bodies.

    A body that cannot be read becomes a reject and is kept. Where capture rules keep anything
    out, or it names somebody who was erased, the body is forgotten once its records stand.
    """
    assert connection.account_pk is not None and isinstance(connection.connector, Receiver)
    account_pk = connection.account_pk
    with runtime.database.read() as c:
        found = collected.next_deliveries(c, connection.name, limit=limit, blobs=runtime.blobs)
        out = suppressed(c) if found else frozenset()
    for pk, delivery in found:
        now = runtime.clock()
        items: list[Record | Skip] = []
        hinted: set[str] = set()
        failure: rejects.Reject | None = None
        try:
            for item in connection.connector.split(delivery):
                if isinstance(item, Hint):
                    hinted.add(item.stream)
                else:
                    items.append(item)
        except Exception as error:  # a third party's code; its body is kept and shown, the next one goes on
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
                hint=""
                if expected
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
                collected.make_due(c, account_pk, stream)
            if failure is not None:
                rejects.save(c, failure, now)
                save_mentions(c, runtime.traces, "delivery", pk, body)
            else:
                rejects.close_for_delivery(c, pk)
            return collected.set_delivery(c, pk, REJECTED if failure else MAPPED, drop_body=drop)

        unneeded = runtime.writer.run(work, priority=Priority.RESOLVE)
        if unneeded is not None:
            runtime.blobs.drop(unneeded)
        for stream in hinted:
            runtime.wake(f"collect:{connection.name}:{stream}")
    return len(found)


def resolve(runtime: Runtime, connection: Connection, stream: str, *, limit: int = PAGE) -> int:
    """Resolve the oldest waiting records of a stream and return how many they were."""
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        stored = collected.next_waiting(
            c, connection.account_pk, stream, after=0, limit=limit, blobs=runtime.blobs
        )
    if stored:
        apply(runtime, connection, stored)
    return len(stored)


def apply(runtime: Runtime, connection: Connection, stored: Sequence[Stored]) -> None:
    """Interpret records of one connection and write what they mean, with their states, in one transaction."""
    reader = Reader.of(connection, runtime.own)
    outcomes = [outcome for item in stored for outcome in _guarded(runtime, reader, item)]
    with runtime.identity_lock:
        with runtime.database.read() as c:
            change = _work_out(c, connection, outcomes)
        _count_words(connection, stored, change)
        runtime.writer.run(lambda c: _write(c, runtime, connection, change), priority=Priority.RESOLVE)
    runtime.wake("project")


def _guarded(runtime: Runtime, reader: Reader, item: Stored) -> list[Outcome]:
    try:
        return list(reader.read(item))
    except Exception as error:  # a connector's decode broke its promise; this record waits for a mended one
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


def _work_out(c: Transaction, connection: Connection, outcomes: Sequence[Outcome]) -> Change:
    change = Change()
    meanings = _current(c, connection, outcomes, change)
    marks = read_marks(c, connection, meanings)
    for meaning in meanings:
        if marks.is_ours(meaning):
            change.states[meaning.stored.pk] = (SKIPPED, OURS)
    meanings = [meaning for meaning in meanings if change.states[meaning.stored.pk][0] == MAPPED]
    known_keys = entities.load_aliases(
        c,
        {
            *(key for meaning in meanings for key in meaning.keys),
            *(
                f"merged:{node.key}"
                for meaning in meanings
                if meaning.type == "contact"
                for node in meaning.nodes
            ),
        },
    )
    incoming: dict[str, Incoming] = {}
    entity_ids: dict[tuple[int, int], str] = {}
    for meaning in meanings:
        entity_id = _entity_id(c, connection, meaning, known_keys, change)
        entity_ids[meaning.stored.pk, meaning.part] = entity_id
        change.rows.append(_row(connection, meaning, entity_id))
        if meaning.type == "deal":
            change.references[f"{meaning.stream}/{meaning.ext_id}"] = list(
                meaning.body.get("contact_refs", ())
            )
        for node in meaning.nodes:
            if meaning.type == "contact":
                if f"merged:{node.key}" in known_keys:
                    continue
                for alias in node.aliases:
                    change.merged[alias] = node.key
            else:
                change.participations[entity_id, node.key] = meaning.occurred_at
            incoming[node.key] = _joined(incoming.get(node.key), node)
        for key in meaning.contacts:
            change.participations[entity_id, key] = meaning.occurred_at
    for mark, meaning in marks.unknown(meanings) if connection.spec.contact_stream else ():
        entity_id = entity_ids[meaning.stored.pk, meaning.part]
        change.marked[alias_of(connection.account_key, mark)] = change.moves.get(entity_id, entity_id)
    removed = {connection.node_key(item.record.stream, item.record.id) for item in change.gone}
    gone = frozenset(removed | change.merged.keys())
    for key in gone:
        incoming.pop(key, None)
    change.identity = identify(c, incoming, gone=gone)
    change.touched = change.identity.touched | _people_of(c, change)
    return change


def _current(
    c: Transaction, connection: Connection, outcomes: Sequence[Outcome], change: Change
) -> list[Meaning]:
    """Sort the outcomes, and keep of the meanings only those newer than what the store holds."""
    assert connection.account_pk is not None
    by_stream: dict[str, list[Meaning]] = {}
    for outcome in outcomes:
        pk = outcome.stored.pk
        if isinstance(outcome, Meaning):
            change.states[pk] = (MAPPED, None)
            by_stream.setdefault(outcome.stream, []).append(outcome)
    for outcome in outcomes:
        pk = outcome.stored.pk
        if isinstance(outcome, Refused):
            change.states[pk] = (REJECTED, None)
            change.refused.append((outcome.stored, outcome))
        elif isinstance(outcome, Left):
            change.states.setdefault(pk, (SKIPPED, outcome.rule))
        elif isinstance(outcome, Gone):
            change.states[pk] = (MAPPED, None)
            change.gone.append(outcome.stored)
    kept: list[Meaning] = []
    for stream, meanings in by_stream.items():
        known = entities.load_known(
            c, connection.account_pk, stream, [meaning.ext_id for meaning in meanings]
        )
        newest: dict[tuple[str, int], Meaning] = {}
        for meaning in meanings:
            key = (meaning.ext_id, meaning.part)
            before = known.get(key)
            other = newest.get(key)
            age = (meaning.modified_at or 0, meaning.stored.pk)
            if before is not None and age < (before.modified_at or 0, before.record_pk):
                continue
            if other is None or age >= (other.modified_at or 0, other.stored.pk):
                newest[key] = meaning
        kept += newest.values()
    return [meaning for meaning in kept if change.states[meaning.stored.pk][0] == MAPPED]


def _entity_id(
    c: Transaction, connection: Connection, meaning: Meaning, known: dict[str, str], change: Change
) -> str:
    """
    Return the id of the thing a record speaks of, folding into one what its keys show to be one.

    The id that already stands in a CRM survives; else the least, so that order does not matter.
    """
    own_key = f"record:{connection.node_key(meaning.stream, meaning.ext_id)}:{meaning.part}"
    if not meaning.keys:
        return _derived(own_key)
    found = sorted({known[key] for key in meaning.keys if key in known})
    if not found:
        chosen = _derived(min(meaning.keys))
    elif len(found) == 1:
        chosen = found[0]
    else:
        pushed = entities.pushed_among(c, found)
        chosen = min(pushed or found)
        for other in found:
            if other != chosen:
                change.moves[other] = chosen
        for key, value in known.items():
            if value in change.moves:
                known[key] = chosen
        for row in change.rows:
            row["entity_id"] = change.moves.get(row["entity_id"], row["entity_id"])
        change.participations = {
            (change.moves.get(entity_id, entity_id), node_key): at
            for (entity_id, node_key), at in change.participations.items()
        }
    for key in meaning.keys:
        known[key] = chosen
        change.aliases[key] = chosen
    if change.moves:
        for key, value in change.aliases.items():
            change.aliases[key] = change.moves.get(value, value)
    return chosen


def _derived(key: str) -> str:
    return "e_" + hashlib.blake2b(key.encode(), digest_size=12).hexdigest()


def _row(connection: Connection, meaning: Meaning, entity_id: str) -> dict[str, Any]:
    return {
        "account_pk": connection.account_pk,
        "stream": meaning.stream,
        "ext_id": meaning.ext_id,
        "part": meaning.part,
        "type": meaning.type,
        "entity_id": entity_id,
        "body": dumps(meaning.body),
        "modified_at": meaning.modified_at,
        "record_pk": meaning.stored.pk,
        "occurred_at": meaning.occurred_at,
        "deleted": False,
        "mapping": connection.mapping.pull[meaning.stream].digest,
    }


def _joined(before: Incoming | None, now: Incoming) -> Incoming:
    """Return what a page says of one node: a contact's newest state, a sender's sightings together."""
    if before is None or now.contact_of is not None:
        return now
    return Incoming(
        key=now.key,
        handles=tuple(dict.fromkeys((*before.handles, *now.handles))),
        name=now.name or before.name,
        since=min(filter(None, (before.since, now.since)), default=None),
    )


def _people_of(c: Transaction, change: Change) -> set[str]:
    """Return the people whose journeys the page's interactions belong to."""
    keys = {node_key for _, node_key in change.participations}
    known = change.identity.person_of
    found = {known[key] for key in keys if key in known}
    others = people.load_nodes(c, keys - known.keys())
    return found | {stored.person_id for stored in others.values()}


def _count_words(connection: Connection, stored: Sequence[Stored], change: Change) -> None:
    """Take the unknown words that the mapping met since the last page."""
    for stream in {item.record.stream for item in stored}:
        rule = connection.mapping.pull.get(stream)
        if rule is not None and rule.unknown_words:
            change.words.update(rule.unknown_words)
            rule.unknown_words.clear()


def _write(c: Transaction, runtime: Runtime, connection: Connection, change: Change) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    now = runtime.clock()
    for old, new in change.moves.items():
        entities.move_entity(c, old, new)
    for loser, winner in change.merged.items():
        change.aliases[f"merged:{loser}"] = winner
        _follow_merge(c, account_pk, loser, winner)
    entities.save_entities(
        c, change.rows, [{"key": key, "entity_id": entity_id} for key, entity_id in change.aliases.items()]
    )
    entities.save_marked(c, change.marked)
    entities.save_participations(
        c,
        [
            {"entity_id": entity_id, "node_key": node_key, "occurred_at": at}
            for (entity_id, node_key), at in change.participations.items()
        ],
    )
    if change.references:
        entities.save_references(c, account_pk, change.references)
    for item in change.gone:
        _remove(c, connection, item)
    found = change.identity
    people.save_nodes(c, found.nodes, found.handles, found.dropped, found.persons)
    collected.set_states(c, [(pk, state, rule) for pk, (state, rule) in change.states.items()])
    for stored, refused in change.refused:
        rejects.save(c, _reject(connection, stored, refused), now)
        save_mentions(c, runtime.traces, "record", stored.pk, _bytes(stored))
    retried = [pk for pk, (state, _) in change.states.items() if state != REJECTED]
    rejects.close_for_records(c, retried)
    entities.touch(c, JOURNEY, change.touched, runtime.sequence())
    entities.count_unknown_words(c, connection.spec.name, "", change.words)


def _remove(c: Transaction, connection: Connection, item: Stored) -> None:
    """Mark the entities of a deleted record; a CRM contact that is gone carries no handles any more."""
    where = (
        entity.c.account_pk == connection.account_pk,
        entity.c.stream == item.record.stream,
        entity.c.ext_id == item.record.id,
    )
    c.execute(update(entity).where(*where).values(deleted=True))
    people.remove_node(c, connection.node_key(item.record.stream, item.record.id))


def _follow_merge(c: Transaction, account_pk: int, loser: str, winner: str) -> None:
    """Move what was filed under a contact that its CRM merged into another."""
    loser_id, winner_id = loser.rsplit(":", 1)[1], winner.rsplit(":", 1)[1]
    people.remove_node(c, loser)
    c.execute(
        update(ledger)
        .where(ledger.c.account_pk == account_pk, ledger.c.contact_id == loser_id)
        .values(contact_id=winner_id)
    )
    people.move_founder(c, loser, winner)


def _reject(connection: Connection, stored: Stored, refused: Refused) -> rejects.Reject:
    return rejects.Reject(
        step="map",
        connection=connection.name,
        account_pk=connection.account_pk,
        stream=stored.record.stream,
        ext_id=stored.record.id,
        record_pk=stored.pk,
        code=refused.code,
        message=refused.message,
        hint=refused.hint,
        field=refused.field,
        place=f"{connection.mapping.file}:{refused.line}" if refused.line else "",
    )


def _bytes(stored: Stored) -> bytes:
    data = stored.record.data
    return data if isinstance(data, bytes) else orjson.dumps(data)


def waiting_work(runtime: Runtime) -> list[tuple[Connection, str]]:
    """Return the (connection, stream) pairs with records to resolve."""
    with runtime.database.read() as c:
        return [
            (connection, spec.name)
            for connection in runtime.connections.values()
            for spec in connection.streams()
            if connection.account_pk is not None and collected.is_waiting(c, connection.account_pk, spec.name)
        ]
