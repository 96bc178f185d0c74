"""What the store holds of each account, object by object, for comparing it with the account itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, func, select, update

from bridge.model import Json
from bridge.store import ledger as books
from bridge.store.among import among
from bridge.store.collected import STATE_NAMES
from bridge.store.holds import UNDONE
from bridge.store.intents import ADOPTED_SLOT, CONTACT_SLOT, ENTRY_SLOT, UNDO_SLOT
from bridge.store.tables import (
    alias,
    entity,
    field_ledger,
    hold,
    intent,
    journey,
    ledger,
    member,
    participation,
    receipt,
    record,
    touched,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object in the ledger: an entry, or a contact that was made or adopted."""

    key: str
    slot: str
    stream: str
    ext_id: str
    contact_id: str | None
    person_id: str
    shown: Mapping[str, Json]


def states(c: Connection, account_pk: int) -> dict[str, dict[str, int]]:
    """
    Count the objects of each stream by what became of their newest version.

    The words: mapped, skipped, rejected, waiting, and `deleted` for what is gone at its source.
    """
    newest = (
        select(func.max(record.c.pk))
        .where(record.c.account_pk == account_pk)
        .group_by(record.c.stream, record.c.ext_id)
    )
    query = (
        select(record.c.stream, record.c.state, record.c.deleted, func.count().label("objects"))
        .where(record.c.pk.in_(newest))
        .group_by(record.c.stream, record.c.state, record.c.deleted)
    )
    found: dict[str, dict[str, int]] = {}
    for row in c.execute(query):
        word = "deleted" if row.deleted else STATE_NAMES[row.state]
        counts = found.setdefault(row.stream, {})
        counts[word] = counts.get(word, 0) + int(row.objects)
    return found


def rules(c: Connection, account_pk: int, stream: str) -> dict[str, int]:
    """Count the objects of a stream that a rule keeps out, by rule."""
    newest = (
        select(func.max(record.c.pk))
        .where(record.c.account_pk == account_pk, record.c.stream == stream)
        .group_by(record.c.ext_id)
    )
    query = (
        select(record.c.rule, func.count().label("objects"))
        .where(record.c.pk.in_(newest), record.c.rule.is_not(None), record.c.deleted.is_(False))
        .group_by(record.c.rule)
    )
    return {row.rule: int(row.objects) for row in c.execute(query)}


def ids(c: Connection, account_pk: int, stream: str) -> dict[str, bool]:
    """Return the objects of a stream by vendor id, each with whether its newest version is a deletion."""
    query = (
        select(record.c.ext_id, record.c.deleted)
        .where(record.c.account_pk == account_pk, record.c.stream == stream)
        .order_by(record.c.pk)
    )
    return {row.ext_id: row.deleted for row in c.execute(query)}


def written(c: Connection, account_pk: int, stream: str) -> set[str]:
    """Return the objects of a stream that stand in the ledger, by vendor id."""
    here = (ledger.c.account_pk == account_pk, ledger.c.stream == stream)
    return set(c.execute(select(ledger.c.ext_id).where(*here)).scalars())


def archived(c: Connection, account_pk: int, stream: str) -> set[str]:
    """Return the objects of a stream that we archived, by vendor id; what was archived by mistake is made anew."""
    here = (receipt.c.account_pk == account_pk, receipt.c.stream == stream, receipt.c.op == "archive")
    return set(c.execute(select(receipt.c.ext_id).where(*here)).scalars())


def taken_back(c: Connection, account_pk: int) -> frozenset[str]:
    """
    Return the keys under which an undo claims interactions that stand nowhere.

    Those of entries that it archived, of writes that took some out of an entry, and of what it dropped unsent.
    """
    here = (receipt.c.account_pk == account_pk, receipt.c.slot == UNDO_SLOT, receipt.c.taken_back.is_(None))
    query = select(receipt.c.key, receipt.c.entry, receipt.c.op).where(*here)
    gone = {row.entry if row.op == "archive" else row.key for row in c.execute(query)}
    filed = select(ledger.c.key).where(ledger.c.account_pk == account_pk, ledger.c.key == hold.c.key)
    dropped = select(hold.c.key).where(
        hold.c.account_pk == account_pk, hold.c.reason == UNDONE, ~filed.exists()
    )
    return frozenset(gone) | frozenset(c.execute(dropped).scalars())


def merged(c: Connection, prefix: str) -> set[str]:
    """Return the vendor ids of contacts that were merged into others; `prefix` is `connector:account:stream:`."""
    start = f"merged:{prefix}"
    query = select(alias.c.key).where(alias.c.key > start, alias.c.key < start + "\U0010ffff")
    return {key.removeprefix(start) for key in c.execute(query).scalars()}


def rows(c: Connection, account_pk: int) -> list[Row]:
    """Return what the ledger says stands in an account: entries, and contacts by their keys."""
    query = (
        select(ledger)
        .where(ledger.c.account_pk == account_pk, ledger.c.slot.in_((ENTRY_SLOT, CONTACT_SLOT, ADOPTED_SLOT)))
        .order_by(ledger.c.stream, ledger.c.ext_id)
    )
    return [
        Row(
            key=row.key,
            slot=row.slot,
            stream=row.stream,
            ext_id=row.ext_id,
            contact_id=row.contact_id,
            person_id=row.person_id,
            shown=_shown(row.fields, row.as_read),
        )
        for row in c.execute(query)
    ]


def _shown(fields: bytes, as_read: bytes | None) -> dict[str, Json]:
    """Return what the CRM said it shows after a write; nothing where it did not say."""
    if as_read is None:
        return {}
    sent, read = orjson.loads(fields), orjson.loads(as_read)
    return {name: read[name] for name in sent if name in read}


def fields_of(c: Connection, account_pk: int, stream: str) -> dict[str, dict[str, Json]]:
    """Return what we last wrote into contacts and the CRM then showed, by contact."""
    query = select(field_ledger).where(
        field_ledger.c.account_pk == account_pk, field_ledger.c.stream == stream
    )
    found: dict[str, dict[str, Json]] = {}
    for row in c.execute(query):
        known = found.setdefault(row.ext_id, {})
        if row.as_read is not None:
            known[row.field] = orjson.loads(row.as_read)
    return found


def intent_states(c: Connection, account_pk: int) -> dict[str, str]:
    """Return the state of every write that does not stand yet, by key and by the entry it changes."""
    query = select(intent.c.key, intent.c.entry, intent.c.state).where(intent.c.account_pk == account_pk)
    found: dict[str, str] = {}
    for row in c.execute(query):
        found[row.key] = row.state
        if row.entry:
            found.setdefault(row.entry, row.state)
    return found


def queue(c: Connection, account_pk: int) -> set[str]:
    """Return the people whom the next delivery looks at."""
    query = select(touched.c.person_id).where(touched.c.target.in_((0, account_pk)))
    return set(c.execute(query).scalars())


def people_count(c: Connection) -> int:
    """Return how many people have a journey."""
    return int(c.execute(select(func.count()).select_from(journey)).scalar_one())


def interactions(c: Connection) -> tuple[int, int]:
    """Return how many interactions there are, and in how many of them nobody takes part."""
    stands = (entity.c.type == "interaction", entity.c.deleted.is_(False))
    total = select(func.count(func.distinct(entity.c.entity_id))).where(*stands)
    here = select(participation.c.entity_id).where(participation.c.entity_id == entity.c.entity_id)
    alone = total.where(~here.exists())
    return int(c.execute(total).scalar_one()), int(c.execute(alone).scalar_one())


def unknown_marks(c: Connection, account_pk: int, account_key: str) -> dict[str, str]:
    """Return what stands in an account under a marker of ours that the ledger lacks: `<stream>/<id>` by marker."""
    start = f"marker:{account_key}:"
    query = (
        select(alias.c.key, entity.c.stream, entity.c.ext_id)
        .join(entity, entity.c.entity_id == alias.c.entity_id)
        .where(
            alias.c.key > start,
            alias.c.key < start + "\U0010ffff",
            entity.c.account_pk == account_pk,
            entity.c.deleted.is_(False),
        )
    )
    found = {row.key.removeprefix(start): f"{row.stream}/{row.ext_id}" for row in c.execute(query)}
    known = books.written_ids(c, account_pk, found)
    return {key: place for key, place in found.items() if key not in known}


def orphans(c: Connection, account_pk: int) -> dict[str, list[str]]:
    """Return interactions said to stand in entries which neither stand, are to be written nor are held, by key."""
    written = select(ledger.c.key).where(ledger.c.account_pk == account_pk, ledger.c.key == member.c.key)
    meant = select(intent.c.key).where(intent.c.account_pk == account_pk, intent.c.key == member.c.key)
    kept = select(hold.c.key).where(hold.c.account_pk == account_pk, hold.c.key == member.c.key)
    query = select(member.c.key, member.c.entity_id).where(
        member.c.account_pk == account_pk, ~written.exists(), ~meant.exists(), ~kept.exists()
    )
    found: dict[str, list[str]] = {}
    for row in c.execute(query.order_by(member.c.key, member.c.entity_id)):
        found.setdefault(row.key, []).append(row.entity_id)
    return found


def release_members(c: Connection, account_pk: int, keys: Iterable[str]) -> None:
    """Let the interactions go that were claimed for entries which do not stand."""
    c.execute(member.delete().where(member.c.account_pk == account_pk, among(member.c.key, keys)))


def follow_merge(c: Connection, account_pk: int, stream: str, old: str, new: str) -> None:
    """
    Let the books follow an object that its CRM merged into another, and a contact's entries with it.

    What was written into its fields is forgotten: which of the two values survived, only the CRM knows.
    """
    here = (ledger.c.account_pk == account_pk, ledger.c.stream == stream, ledger.c.ext_id == old)
    c.execute(update(ledger).where(*here).values(ext_id=new))
    c.execute(
        update(ledger)
        .where(ledger.c.account_pk == account_pk, ledger.c.contact_id == old)
        .values(contact_id=new)
    )
    gone = (field_ledger.c.account_pk == account_pk, field_ledger.c.stream == stream)
    c.execute(field_ledger.delete().where(*gone, field_ledger.c.ext_id == old))
