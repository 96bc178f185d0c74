"""Intents, the ledger of what was written, and which interaction stands in which entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from bridge.model import Json, Link, Op, Write
from bridge.store.database import dumps, instant, micros, upsert
from bridge.store.people import chunks
from bridge.store.tables import field_ledger, intent, ledger, member

CONTACT_SLOT = "contact"
ENTRY_SLOT = "entry"
FIELDS_SLOT = "fields"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A write that was decided and committed before its call; `before` holds the values it will overwrite."""

    write: Write
    seq: int
    run: int
    person_id: str
    slot: str
    mapping: str
    entity_ids: tuple[str, ...] = ()
    before: Mapping[str, Json] = field(default_factory=dict)
    sent_at: datetime | None = None
    attempts: int = 0
    state: str = "open"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldState:
    """What we last wrote into one field and what the CRM made of it."""

    sent: Json
    as_read: Json


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
        }
        for item in intents
    ]
    upsert(c, intent, rows, conflict=["account_pk", "key"])
    members = [
        {"account_pk": account_pk, "entity_id": entity_id, "key": item.write.key}
        for item in intents
        for entity_id in item.entity_ids
    ]
    upsert(c, member, members, conflict=["account_pk", "entity_id"])


def load_intents(
    c: Connection,
    account_pk: int,
    *,
    state: str | None = None,
    person_ids: Iterable[str] | None = None,
    limit: int | None = None,
) -> list[Intent]:
    """Return intents in the order they were decided."""
    query = select(intent).where(intent.c.account_pk == account_pk).order_by(intent.c.seq)
    if state is not None:
        query = query.where(intent.c.state == state)
    if person_ids is not None:
        query = query.where(intent.c.person_id.in_(list(person_ids)))
    if limit is not None:
        query = query.limit(limit)
    return [_intent(row) for row in c.execute(query)]


def _intent(row: Any) -> Intent:
    op: Op = row.op
    return Intent(
        write=Write(
            key=row.key,
            op=op,
            stream=row.stream,
            id=row.target_id,
            fields=orjson.loads(row.fields),
            links=tuple(Link(**link) for link in orjson.loads(row.links)),
        ),
        seq=row.seq,
        run=row.run,
        person_id=row.person_id,
        slot=row.slot,
        mapping=row.mapping,
        before=orjson.loads(row.before) if row.before else {},
        sent_at=instant(row.sent_at),
        attempts=row.attempts,
        state=row.state,
        reason=row.reason,
    )


def mark_sent(c: Connection, account_pk: int, keys: Iterable[str], now: datetime) -> None:
    """Note, before the call, that these writes are on their way: until a receipt their outcome is unknown."""
    for part in chunks(keys):
        c.execute(
            update(intent)
            .where(intent.c.account_pk == account_pk, intent.c.key.in_(part))
            .values(state="uncertain", sent_at=micros(now), attempts=intent.c.attempts + 1, reason=None)
        )


def set_state(
    c: Connection, account_pk: int, keys: Iterable[str], state: str, reason: str | None = None
) -> None:
    """Set what happens next with these writes."""
    for part in chunks(keys):
        c.execute(
            update(intent)
            .where(intent.c.account_pk == account_pk, intent.c.key.in_(part))
            .values(state=state, reason=reason)
        )


def drop_intents(c: Connection, account_pk: int, keys: Iterable[str], *, release: bool = False) -> None:
    """Take intents off the list; `release` also gives their interactions free for another plan."""
    for part in chunks(keys):
        c.execute(delete(intent).where(intent.c.account_pk == account_pk, intent.c.key.in_(part)))
        if release:
            c.execute(delete(member).where(member.c.account_pk == account_pk, member.c.key.in_(part)))


def file_receipt(
    c: Connection,
    account_pk: int,
    item: Intent,
    *,
    ext_id: str,
    contact_id: str | None,
    as_read: Mapping[str, Json] | None,
    now: datetime,
) -> None:
    """Enter a write that stands at the CRM into the ledger and take its intent off the list."""
    if item.write.op == "create":
        row = {
            "account_pk": account_pk,
            "key": item.write.key,
            "stream": item.write.stream,
            "ext_id": ext_id,
            "contact_id": contact_id,
            "person_id": item.person_id,
            "slot": item.slot,
            "fields": dumps(dict(item.write.fields)),
            "as_read": None if as_read is None else dumps(dict(as_read)),
            "run": item.run,
            "mapping": item.mapping,
            "written_at": micros(now),
        }
        upsert(c, ledger, [row], conflict=["account_pk", "key"], update=["ext_id", "contact_id", "as_read"])
    if item.slot in (CONTACT_SLOT, FIELDS_SLOT):
        rows = [
            {
                "account_pk": account_pk,
                "stream": item.write.stream,
                "ext_id": ext_id,
                "field": name,
                "sent": dumps(value),
                "as_read": None if as_read is None or name not in as_read else dumps(as_read[name]),
                "before": dumps(item.before.get(name)),
                "run": item.run,
                "written_at": micros(now),
            }
            for name, value in item.write.fields.items()
        ]
        upsert(
            c,
            field_ledger,
            rows,
            conflict=["account_pk", "stream", "ext_id", "field"],
            update=["sent", "as_read", "before", "run", "written_at"],
        )
    drop_intents(c, account_pk, [item.write.key])


def written_ids(c: Connection, account_pk: int, keys: Iterable[str]) -> dict[str, str]:
    """Return the CRM ids of writes that stand, by key."""
    found: dict[str, str] = {}
    for part in chunks(keys):
        query = select(ledger.c.key, ledger.c.ext_id).where(
            ledger.c.account_pk == account_pk, ledger.c.key.in_(part)
        )
        found |= {row.key: row.ext_id for row in c.execute(query)}
    return found


def entries_of(c: Connection, account_pk: int, entity_ids: Iterable[str]) -> dict[str, str]:
    """Return the key of the entry each interaction stands in, or is about to."""
    found: dict[str, str] = {}
    for part in chunks(entity_ids):
        query = select(member.c.entity_id, member.c.key).where(
            member.c.account_pk == account_pk, member.c.entity_id.in_(part)
        )
        found |= {row.entity_id: row.key for row in c.execute(query)}
    return found


def filed_under(c: Connection, account_pk: int, keys: Iterable[str]) -> dict[str, str]:
    """Return the contact that each written entry was filed under, by key."""
    found: dict[str, str] = {}
    for part in chunks(keys):
        query = select(ledger.c.key, ledger.c.contact_id).where(
            ledger.c.account_pk == account_pk, ledger.c.key.in_(part), ledger.c.contact_id.is_not(None)
        )
        found |= {row.key: row.contact_id for row in c.execute(query)}
    return found


def field_states(
    c: Connection, account_pk: int, stream: str, ext_ids: Iterable[str]
) -> dict[str, dict[str, FieldState]]:
    """Return what we last wrote into each field of these contacts."""
    found: dict[str, dict[str, FieldState]] = {}
    for part in chunks(ext_ids):
        query = select(field_ledger).where(
            field_ledger.c.account_pk == account_pk,
            field_ledger.c.stream == stream,
            field_ledger.c.ext_id.in_(part),
        )
        for row in c.execute(query):
            found.setdefault(row.ext_id, {})[row.field] = FieldState(
                sent=orjson.loads(row.sent), as_read=orjson.loads(row.as_read) if row.as_read else None
            )
    return found


def intent_counts(c: Connection, account_pk: int) -> dict[str, int]:
    """Return how many writes are open, uncertain, held and rejected."""
    query = (
        select(intent.c.state, func.count()).where(intent.c.account_pk == account_pk).group_by(intent.c.state)
    )
    return {row[0]: row[1] for row in c.execute(query)}


def written_count(c: Connection, account_pk: int, *, run: int | None = None) -> int:
    """Return how many objects the ledger of an account holds, of one run or of all."""
    query = select(func.count()).select_from(ledger).where(ledger.c.account_pk == account_pk)
    if run is not None:
        query = query.where(ledger.c.run == run)
    return int(c.execute(query).scalar_one())
