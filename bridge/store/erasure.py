"""
The seam for erasing a person: where the store holds anything about them.

Most of it is reachable by keys: handle -> node -> person -> participation -> entity -> record -> file, and
entity -> entry -> ledger -> the entry's own record. What no entity speaks of (a rejected, skipped or unread body,
a former handle, a contact that is gone) is indexed by salted hashes of who is named in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Table, select, tuple_

from bridge.store.among import among
from bridge.store.blobs import Blobs
from bridge.store.intents import OBJECT_SLOTS
from bridge.store.tables import (
    DELIVERY_WAITS,
    RECORD_WAITS,
    alias,
    decision_key,
    delivery,
    entity,
    field_ledger,
    former_handle,
    held_back,
    identity_event_person,
    intent,
    journey,
    ledger,
    member,
    mention,
    node,
    node_handle,
    participation,
    person,
    question,
    receipt,
    record,
    reference,
    reject,
    touched,
)
from bridge.store.traces import Traces

STEP = 500
"""Rows looked at in one query."""

_KINDS = ("email", "phone", "whatsapp_id")
"""Kinds of handles by which a decision may name somebody of whom there is no record yet."""

Thing = tuple[int, str, str]
"""A vendor's object: account, stream, vendor id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Every row that speaks of a person: keys by table, and the names of body files."""

    rows: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    blobs: tuple[str, ...] = ()


def about(c: Connection, traces: Traces, blobs: Blobs, handles: Sequence[str]) -> About:
    """
    Find every row about whoever carries these handles (normalised addresses, numbers or platform ids).

    Everything else that is known to be theirs is followed too: their other handles, their contacts, the
    entries written for them. The result names keys only; erasing them is the caller's decision.
    """
    carriers = select(node_handle.c.node_key).where(among(node_handle.c.value, handles))
    people = _set(c, select(node.c.person_id).where(among(node.c.key, _set(c, carriers))))
    nodes = c.execute(select(node).where(among(node.c.person_id, people))).all()
    keys = {row.key for row in nodes}
    carried = c.execute(select(node_handle).where(among(node_handle.c.node_key, keys))).all()
    hashes = traces.of_handles({*handles, *(row.value for row in carried if not row.made)})
    entity_ids = _set(c, select(participation.c.entity_id).where(among(participation.c.node_key, keys)))
    mentioned = c.execute(select(mention).where(mention.c.handle_hash.in_(sorted(hashes)))).all()
    records = {row.ref for row in mentioned if row.kind == "record"}
    records |= _waiting(c, record, RECORD_WAITS, traces, blobs, hashes)
    deliveries = {row.ref for row in mentioned if row.kind == "delivery"}
    deliveries |= _waiting(c, delivery, DELIVERY_WAITS, traces, blobs, hashes)
    former = people | _set(
        c,
        select(person.c.id).join(node, node.c.key == person.c.founder).where(among(node.c.person_id, people)),
    )
    entries = _entries(c, entity_ids, former)
    things = {thing for row in nodes if row.contact_id for thing in _contacts(row)}
    things |= {
        (row.account_pk, row.stream, row.ext_id)
        for row in _rows(c, ledger, entries)
        if row.slot in OBJECT_SLOTS
    }
    things |= _things(c, record, record.c.pk, records)
    things |= _things(c, entity, entity.c.entity_id, entity_ids)
    entities = _at(c, entity, things) | _set(
        c, select(entity.c.pk).where(among(entity.c.entity_id, entity_ids))
    )
    read_from = _set(c, select(entity.c.record_pk).where(among(entity.c.pk, entities)))
    records |= _at(c, record, things | _things(c, record, record.c.pk, read_from))
    deliveries |= _set(
        c, select(record.c.delivery_pk).where(among(record.c.pk, records), record.c.delivery_pk.is_not(None))
    )
    files = {
        name
        for table, pks in ((record, records), (delivery, deliveries))
        for name in _set(c, select(table.c.blob).where(among(table.c.pk, pks), table.c.blob.is_not(None)))
    }
    refs = {f"{stream}/{ext_id}" for _, stream, ext_id in things}
    spoken_of = keys | {f"{kind}:{value}" for kind in _KINDS for value in handles}
    said = decision_key.c
    named = _set(c, select(said.decision_id).where(among(said.node_key, spoken_of)))
    decided = _pairs(c, said.node_key, said.decision_id, said.decision_id, named)
    told = identity_event_person.c
    became = _pairs(c, told.person_id, told.event, told.person_id, former)
    found: dict[str, Iterable[Any]] = {
        "node": keys,
        "node_handle": {(row.node_key, row.handle_key) for row in carried},
        "former_handle": _pairs(
            c, former_handle.c.node_key, former_handle.c.handle_key, former_handle.c.node_key, keys
        ),
        "decision_key": decided,
        "decision": named,
        "identity_event_person": became,
        "identity_event": {event for _, event in became},
        "person": _set(c, select(person.c.id).where(among(person.c.founder, keys))) | people,
        "journey": _set(c, select(journey.c.person_id).where(among(journey.c.person_id, people))),
        "touched": _pairs(c, touched.c.target, touched.c.person_id, touched.c.person_id, people),
        "held_back": _pairs(
            c,
            held_back.c.account_pk,
            held_back.c.person_id,
            held_back.c.person_id,
            former | _could_be(c, keys),
        ),
        "participation": _pairs(
            c, participation.c.entity_id, participation.c.node_key, participation.c.node_key, keys
        ),
        "alias": _set(c, select(alias.c.key).where(among(alias.c.entity_id, entity_ids | keys))),
        "reference": _pairs(c, reference.c.from_ref, reference.c.to_ref, reference.c.to_ref, refs)
        | _pairs(c, reference.c.from_ref, reference.c.to_ref, reference.c.from_ref, refs),
        "entity": entities,
        "record": records,
        "delivery": deliveries,
        "member": _pairs(c, member.c.account_pk, member.c.entity_id, member.c.entity_id, entity_ids),
        "entry": entries,
        "field": _fields(c, things),
        "receipt": _at(c, receipt, things)
        | _set(c, select(receipt.c.pk).where(among(receipt.c.person_id, former))),
        "question": _questions(c, keys),
        "reject": _rejects(c, records, deliveries, entries),
        "mention": {(row.kind, row.ref) for row in mentioned},
    }
    return About(rows={name: tuple(sorted(rows)) for name, rows in found.items()}, blobs=tuple(sorted(files)))


def _contacts(row: Any) -> Iterable[Thing]:
    """Yield a contact, and those that its CRM merged into it."""
    start = row.key.removesuffix(row.contact_id)
    stream = start.removesuffix(":").rpartition(":")[2]
    yield row.contact_of, stream, row.contact_id
    for alias_key in orjson.loads(row.aliases) if row.aliases else ():
        yield row.contact_of, stream, alias_key.removeprefix(start)


def _set(c: Connection, query: Any) -> set[Any]:
    return set(c.execute(query).scalars())


def _pairs(c: Connection, left: Any, right: Any, column: Any, keys: Iterable[str]) -> set[tuple[Any, Any]]:
    return {(row[0], row[1]) for row in c.execute(select(left, right).where(among(column, keys)))}


def _things(c: Connection, table: Table, column: Any, keys: Iterable[Any]) -> set[Thing]:
    query = select(table.c.account_pk, table.c.stream, table.c.ext_id).where(among(column, keys))
    return {(row[0], row[1], row[2]) for row in c.execute(query)}


def _at(c: Connection, table: Table, things: Iterable[Thing]) -> set[int]:
    """Return the keys of every row about these vendor objects: all versions, all parts."""
    found: set[int] = set()
    ordered = sorted(things)
    for start in range(0, len(ordered), STEP):
        place = tuple_(table.c.account_pk, table.c.stream, table.c.ext_id)
        found |= _set(c, select(table.c.pk).where(place.in_(ordered[start : start + STEP])))
    return found


def _waiting(
    c: Connection, table: Table, waits: Any, traces: Traces, blobs: Blobs, hashes: set[bytes]
) -> set[int]:
    """Return those of the bodies nobody has read yet that name one of these people."""
    found: set[int] = set()
    last = 0
    while True:
        query = select(table.c.pk, table.c.body, table.c.blob).where(waits, table.c.pk > last)
        rows = c.execute(query.order_by(table.c.pk).limit(STEP)).all()
        if not rows:
            return found
        last = rows[-1].pk
        found |= {row.pk for row in rows if traces.in_bytes(blobs.load(row.body, row.blob)) & hashes}


def _entries(c: Connection, entity_ids: set[str], former: set[str]) -> set[tuple[int, str]]:
    """Return (account, key) of every write made or meant for these people or with what they took part in."""
    query = select(member.c.account_pk, member.c.key).where(among(member.c.entity_id, entity_ids))
    found = {(row[0], row[1]) for row in c.execute(query)}
    for table in (ledger, intent):
        found |= _pairs(c, table.c.account_pk, table.c.key, table.c.person_id, former)
    return found


def _rows(c: Connection, table: Table, entries: Iterable[tuple[int, str]]) -> list[Any]:
    query = select(table).where(among(table.c.key, {key for _, key in entries}))
    return list(c.execute(query))


def _fields(c: Connection, things: Iterable[Thing]) -> set[tuple[int, str, str]]:
    wanted = set(things)
    query = select(field_ledger).where(among(field_ledger.c.ext_id, {ext_id for _, _, ext_id in wanted}))
    return {
        (row.account_pk, row.ext_id, row.field)
        for row in c.execute(query)
        if (row.account_pk, row.stream, row.ext_id) in wanted
    }


def _could_be(c: Connection, keys: set[str]) -> set[str]:
    """Return the people who could be somebody of these records: what is said of them names those."""
    undecided = select(node.c.person_id, node.c.candidates).where(node.c.candidates.is_not(None))
    return {row.person_id for row in c.execute(undecided) if keys.intersection(orjson.loads(row.candidates))}


def _questions(c: Connection, keys: set[str]) -> set[tuple[int, str]]:
    """Return the questions that are about any of these records, or let choose it; there are few of them."""
    return {
        (row.account_pk, row.key)
        for row in c.execute(select(question.c.account_pk, question.c.key, question.c.body))
        if any(keys.intersection(some) for some in orjson.loads(row.body))
    }


def _rejects(
    c: Connection, records: set[int], deliveries: set[int], entries: set[tuple[int, str]]
) -> set[int]:
    found = _set(c, select(reject.c.pk).where(among(reject.c.record_pk, records)))
    found |= _set(c, select(reject.c.pk).where(among(reject.c.delivery_pk, deliveries)))
    return found | {
        row.pk
        for row in c.execute(
            select(reject.c.pk, reject.c.account_pk, reject.c.intent_key).where(
                among(reject.c.intent_key, {key for _, key in entries})
            )
        )
        if (row.account_pk, row.intent_key) in entries
    }
