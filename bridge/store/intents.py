"""Writes that were decided and do not stand yet, and what a write can be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from bridge.model import Json, Link, Op, Write
from bridge.store.among import among
from bridge.store.database import dumps, instant, micros, upsert
from bridge.store.members import save_members
from bridge.store.people import current_person
from bridge.store.tables import intent

CONTACT_SLOT = "contact"
ENTRY_SLOT = "entry"
TASK_SLOT = "task"
FIELDS_SLOT = "fields"
LINK_SLOT = "link"
UNLINK_SLOT = "unlink"
DOUBLE_SLOT = "double"
GROWTH_SLOT = "growth"
ADOPTED_SLOT = "adopted"
UNDO_SLOT = "undo"
REDO_SLOT = "redo"
"""
What a write is: a contact, a timeline entry, a task that asks who somebody is, a contact's fields, an entry's place
on one more contact or no more on one, the end of one that stands elsewhere too, what an entry or task tells anew
after it was written, what takes one of these back, and what takes that back again.

Adopted is a contact that stood in the CRM already: it is used as if we had made it, and is not ours.
"""

UPDATE_SLOTS = (FIELDS_SLOT, GROWTH_SLOT, LINK_SLOT, UNLINK_SLOT, DOUBLE_SLOT)
"""What changes an object that stands: sent again it does no harm, but what it was made from may have changed."""

UNDO_SLOTS = (UNDO_SLOT, REDO_SLOT)
"""What is decided anew, from what the CRM shows by then, wherever it was broken off."""

OBJECT_SLOTS = (CONTACT_SLOT, ENTRY_SLOT, TASK_SLOT)
"""What is an object of its own in the CRM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """
    A write that was decided and committed before its call; `before` holds the values it will overwrite.

    `entry` is the key of the entry that it changes, None where it makes one of its own; `told` is the digest
    of what an entry tells once it is carried out.
    """

    write: Write
    seq: int
    run: int
    person_id: str
    slot: str
    mapping: str
    entity_ids: tuple[str, ...] = ()
    entry: str | None = None
    told: str | None = None
    before: Mapping[str, Json] = field(default_factory=dict)
    sent_at: datetime | None = None
    attempts: int = 0
    state: str = "open"
    reason: str | None = None


def add_intents(c: Connection, account_pk: int, intents: Sequence[Intent], now: datetime) -> None:
    """Commit what is about to be written, and claim the interactions it will hold."""
    rows = [
        {
            "account_pk": account_pk,
            "key": item.write.key,
            "seq": item.seq,
            "run": item.run,
            "op": item.write.op,
            "stream": item.write.stream,
            "target_id": item.write.id,
            "person_id": item.person_id,
            "fields": dumps(dict(item.write.fields)),
            "links": dumps(
                [{"stream": link.stream, "to": link.to, "role": link.role} for link in item.write.links]
            ),
            "before": dumps(dict(item.before)) if item.before else None,
            "slot": item.slot,
            "mapping": item.mapping,
            "created_at": micros(now),
            "sent_at": None,
            "attempts": 0,
            "state": "open",
            "reason": None,
            "entry": item.entry,
            "told": item.told,
            "entity_ids": orjson.dumps(item.entity_ids) if item.entity_ids else None,
        }
        for item in intents
    ]
    upsert(c, intent, rows, conflict=["account_pk", "key"])
    claimed = {item.write.key: item.entity_ids for item in intents if item.slot == ENTRY_SLOT}
    save_members(c, account_pk, claimed)


_COLUMNS = (
    intent.c.op,
    intent.c.key,
    intent.c.stream,
    intent.c.target_id,
    intent.c.fields,
    intent.c.links,
    intent.c.seq,
    intent.c.run,
    intent.c.person_id,
    intent.c.slot,
    intent.c.mapping,
    intent.c.entity_ids,
    intent.c.entry,
    intent.c.told,
    intent.c.before,
    intent.c.sent_at,
    intent.c.attempts,
    intent.c.state,
    intent.c.reason,
)


def load_intents(
    c: Connection,
    account_pk: int,
    *,
    state: str | None = None,
    slot: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[Intent]:
    """Return intents in the order they were decided, those whose seq is above `after`."""
    query = select(*_COLUMNS).where(intent.c.account_pk == account_pk).order_by(intent.c.seq)
    if state is not None:
        query = query.where(intent.c.state == state)
    if slot is not None:
        query = query.where(intent.c.slot == slot)
    if after is not None:
        query = query.where(intent.c.seq > after)
    if limit is not None:
        query = query.limit(limit)
    return [_intent(row) for row in c.execute(query).all()]


def _intent(row: Any) -> Intent:
    op: Op
    (op, key, stream, target_id, fields, links, seq, run, person_id, slot, mapping, ids, *rest) = row
    entry, told, before, sent_at, attempts, state, reason = rest
    return Intent(
        write=Write(
            key=key,
            op=op,
            stream=stream,
            id=target_id,
            fields=orjson.loads(fields),
            links=tuple([Link(**link) for link in orjson.loads(links)]),
        ),
        seq=seq,
        run=run,
        person_id=person_id,
        slot=slot,
        mapping=mapping,
        entity_ids=tuple(orjson.loads(ids)) if ids else (),
        entry=entry,
        told=told,
        before=orjson.loads(before) if before else {},
        sent_at=instant(sent_at),
        attempts=attempts,
        state=state,
        reason=reason,
    )


def mark_sent(c: Connection, account_pk: int, keys: Collection[str], now: datetime) -> None:
    """Note, before the call, that these writes are on their way: until a receipt their outcome is unknown."""
    c.execute(
        update(intent)
        .where(intent.c.account_pk == account_pk, among(intent.c.key, keys))
        .values(state="uncertain", sent_at=micros(now), attempts=intent.c.attempts + 1, reason=None)
    )


def set_state(
    c: Connection, account_pk: int, keys: Collection[str], state: str, reason: str | None = None
) -> None:
    """Set what happens next with these writes."""
    if keys:
        here = (intent.c.account_pk == account_pk, among(intent.c.key, keys))
        c.execute(update(intent).where(*here).values(state=state, reason=reason))


def drop_intents(c: Connection, account_pk: int, keys: Collection[str]) -> None:
    """Take intents off the list."""
    if keys:
        c.execute(delete(intent).where(intent.c.account_pk == account_pk, among(intent.c.key, keys)))


def refused_fields(c: Connection, account_pk: int, ids: Iterable[str]) -> list[str]:
    """Return the keys of refused updates of these contacts."""
    query = select(intent.c.key).where(
        intent.c.account_pk == account_pk,
        intent.c.slot == FIELDS_SLOT,
        intent.c.state == "rejected",
        among(intent.c.target_id, ids),
    )
    return list(c.execute(query).scalars())


def changing_intents(c: Connection, account_pk: int) -> dict[str, Intent]:
    """Return the intents that are about to change an entry, by its key."""
    query = select(*_COLUMNS).where(intent.c.account_pk == account_pk, intent.c.entry.is_not(None))
    return {row.entry: _intent(row) for row in c.execute(query.order_by(intent.c.seq)).all()}


def contacts_on_their_way(c: Connection, account_pk: int) -> dict[str, str]:
    """Return the keys of contacts that are to be made, by the person who is meant today."""
    query = (
        select(intent.c.person_id, intent.c.key)
        .where(intent.c.account_pk == account_pk, intent.c.slot == CONTACT_SLOT)
        .order_by(intent.c.seq.desc())
    )
    return {current_person(c, row.person_id) or row.person_id: row.key for row in c.execute(query).all()}


def intent_counts(c: Connection, account_pk: int, *, run: int | None = None) -> dict[str, int]:
    """Return how many writes are open, uncertain, held and rejected, of one run or of all."""
    query = (
        select(intent.c.state, func.count()).where(intent.c.account_pk == account_pk).group_by(intent.c.state)
    )
    if run is not None:
        query = query.where(intent.c.run == run)
    return {row[0]: row[1] for row in c.execute(query)}
