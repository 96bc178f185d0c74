"""The ledger of what was written, its history, and which interaction stands in which entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from bridge.model import Json
from bridge.store.among import among
from bridge.store.database import LazyJson, dumps, instant, micros, upsert
from bridge.store.intents import (
    ADOPTED_SLOT,
    CONTACT_SLOT,
    DOUBLE_SLOT,
    ENTRY_SLOT,
    FIELDS_SLOT,
    GROWTH_SLOT,
    LINK_SLOT,
    OBJECT_SLOTS,
    UNLINK_SLOT,
    Intent,
    drop_intents,
    load_intents,
)
from bridge.store.members import save_members
from bridge.store.receipts import add_receipts
from bridge.store.tables import field_ledger, intent, ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldState:
    """What we last wrote into one field, what the CRM made of it, and what stood there before."""

    sent: Json
    as_read: Json
    before: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """
    A written entry: where it stands, on which contacts, what was sent and what the CRM made of it.

    `told` is the digest of what it tells, None where an older version or an older store wrote it.
    """

    stream: str
    ext_id: str
    contacts: frozenset[str]
    fields: Mapping[str, Json] = field(default_factory=dict)
    as_read: Mapping[str, Json] = field(default_factory=dict)
    told: str | None = None
    written_at: datetime | None = None

    def shown(self, name: str) -> Json:
        """Return what the CRM shows in a field as long as nobody edits it."""
        return self.as_read.get(name, self.fields.get(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """
    A write that stands at the CRM: under which id, on which contact, and the values as the CRM shows them.

    `linked` are the contacts an entry was put on (or taken off) besides `contact_id`, by the keys of those links.
    """

    item: Intent
    ext_id: str
    contact_id: str | None
    linked: Mapping[str, str] = field(default_factory=dict)
    as_read: Mapping[str, Json] | None = None


def file_receipts(c: Connection, account_pk: int, found: Sequence[Stands], now: datetime) -> None:
    """Enter writes that stand at the CRM into the ledger and its history, and take their intents off the list."""
    rows = [row for one in found for row in _ledger_rows(account_pk, one, now)]
    upsert(c, ledger, rows, conflict=["account_pk", "key"], update=["ext_id", "contact_id", "as_read"])
    for one in found:
        item = one.item
        if item.slot == GROWTH_SLOT and item.entry is not None:
            refile(
                c,
                account_pk,
                item.entry,
                fields=item.write.fields,
                as_read=one.as_read,
                told=item.told,
                entity_ids=item.entity_ids,
                now=now,
                run=item.run,
                mapping=item.mapping,
            )
        elif item.slot == UNLINK_SLOT and item.entry is not None:
            for contact_id in filter(None, (one.contact_id, *one.linked.values())):
                leave_contact(c, account_pk, item.entry, contact_id)
        elif item.slot == DOUBLE_SLOT:
            drop_entry(c, account_pk, item.write.stream, one.ext_id)
    upsert(
        c,
        field_ledger,
        [row for one in found for row in _field_rows(account_pk, one, now)],
        conflict=["account_pk", "stream", "ext_id", "field"],
        update=["sent", "as_read", "before", "run", "written_at"],
    )
    add_receipts(c, account_pk, [(one.item, one.ext_id, one.as_read) for one in found], now)
    drop_intents(c, account_pk, [one.item.write.key for one in found])


def _ledger_rows(account_pk: int, one: Stands, now: datetime) -> Iterator[dict[str, Any]]:
    item = one.item
    if item.write.op not in ("create", "link"):
        return
    row = {
        "account_pk": account_pk,
        "key": item.write.key,
        "stream": item.write.stream,
        "ext_id": one.ext_id,
        "contact_id": one.contact_id,
        "person_id": item.person_id,
        "slot": item.slot,
        "fields": dumps(dict(item.write.fields)),
        "as_read": None if one.as_read is None else dumps(dict(one.as_read)),
        "run": item.run,
        "mapping": item.mapping,
        "written_at": micros(now),
        "told": item.told,
    }
    yield row
    bare = {"slot": LINK_SLOT, "fields": dumps({}), "as_read": None, "told": None}
    for key, contact_id in one.linked.items():
        yield {**row, **bare, "key": key, "contact_id": contact_id}


def _field_rows(account_pk: int, one: Stands, now: datetime) -> Iterator[dict[str, Any]]:
    item, as_read = one.item, one.as_read
    if item.slot not in (CONTACT_SLOT, FIELDS_SLOT):
        return
    for name, value in item.write.fields.items():
        yield {
            "account_pk": account_pk,
            "stream": item.write.stream,
            "ext_id": one.ext_id,
            "field": name,
            "sent": dumps(value),
            "as_read": None if as_read is None or name not in as_read else dumps(as_read[name]),
            "before": dumps(item.before.get(name)),
            "run": item.run,
            "written_at": micros(now),
        }


def follow_merge(c: Connection, account_pk: int, stream: str, loser: str, winner: str) -> None:
    """Move what was filed under a contact that its CRM merged into another, and what is on its way there."""
    c.execute(
        update(ledger)
        .where(ledger.c.account_pk == account_pk, ledger.c.contact_id == loser)
        .values(contact_id=winner)
    )
    for item in load_intents(c, account_pk):
        named = [link for link in item.write.links if (link.stream, link.to) == (stream, loser)]
        if named:
            links = (replace(link, to=winner) if link in named else link for link in item.write.links)
            rows = [
                {"stream": link.stream, "to": link.to, "role": link.role} for link in dict.fromkeys(links)
            ]
            same = (intent.c.account_pk == account_pk, intent.c.key == item.write.key)
            c.execute(update(intent).where(*same).values(links=dumps(rows)))


def put_on(c: Connection, account_pk: int, key: str, contact_id: str, linked: Mapping[str, str]) -> None:
    """Note on which contacts an entry stands: on `contact_id`, and on more by the keys of those links."""
    here = (ledger.c.account_pk == account_pk, ledger.c.key == key)
    entry = c.execute(select(ledger).where(*here)).first()
    if entry is None:
        return
    same = (ledger.c.stream == entry.stream, ledger.c.ext_id == entry.ext_id)
    c.execute(delete(ledger).where(here[0], *same, ledger.c.slot == LINK_SLOT))
    c.execute(update(ledger).where(*here).values(contact_id=contact_id))
    bare = {**entry._mapping, "slot": LINK_SLOT, "fields": dumps({}), "as_read": None, "told": None}
    links = [{**bare, "key": name, "contact_id": one} for name, one in linked.items()]
    upsert(c, ledger, links, conflict=["account_pk", "key"])


def leave_contact(c: Connection, account_pk: int, key: str, contact_id: str) -> None:
    """Note that an entry stands on a contact no more."""
    entry = c.execute(select(ledger).where(ledger.c.account_pk == account_pk, ledger.c.key == key)).first()
    if entry is None:
        return
    places = (
        ledger.c.account_pk == account_pk,
        ledger.c.stream == entry.stream,
        ledger.c.ext_id == entry.ext_id,
        ledger.c.slot == LINK_SLOT,
    )
    c.execute(delete(ledger).where(*places, ledger.c.contact_id == contact_id))
    if entry.contact_id != contact_id:
        return
    other = c.execute(select(ledger.c.key, ledger.c.contact_id).where(*places).order_by(ledger.c.key)).first()
    if other is not None:
        c.execute(delete(ledger).where(ledger.c.account_pk == account_pk, ledger.c.key == other.key))
    c.execute(
        update(ledger)
        .where(ledger.c.account_pk == account_pk, ledger.c.key == key)
        .values(contact_id=other.contact_id if other is not None else None)
    )


def drop_entry(c: Connection, account_pk: int, stream: str, ext_id: str) -> None:
    """Take an entry that we archived out of the ledger, with its places."""
    c.execute(
        delete(ledger).where(
            ledger.c.account_pk == account_pk, ledger.c.stream == stream, ledger.c.ext_id == ext_id
        )
    )


def made_contacts(c: Connection, account_pk: int, stream: str, ext_ids: Iterable[str]) -> frozenset[str]:
    """Return those of these contacts that are of our making."""
    here = (ledger.c.account_pk == account_pk, ledger.c.stream == stream, ledger.c.slot == CONTACT_SLOT)
    return frozenset(
        c.execute(select(ledger.c.ext_id).where(*here, among(ledger.c.ext_id, ext_ids))).scalars()
    )


def keys_of_contact(c: Connection, account_pk: int, contact_id: str) -> set[str]:
    """Return the keys under which a contact was made or is used."""
    here = (ledger.c.account_pk == account_pk, ledger.c.contact_id == contact_id)
    used = ledger.c.slot.in_((CONTACT_SLOT, ADOPTED_SLOT))
    return set(c.execute(select(ledger.c.key).where(*here, used)).scalars())


def become(c: Connection, account_pk: int, ext_ids: Iterable[str], ext_id: str) -> None:
    """Note that contacts of our making are one by now, under an id of its own."""
    here = (ledger.c.account_pk == account_pk, ledger.c.slot == CONTACT_SLOT)
    c.execute(update(ledger).where(*here, among(ledger.c.ext_id, ext_ids)).values(ext_id=ext_id))


def refile(
    c: Connection,
    account_pk: int,
    key: str,
    *,
    fields: Mapping[str, Json],
    as_read: Mapping[str, Json] | None,
    told: str | None,
    entity_ids: Iterable[str],
    now: datetime,
    **more: Any,
) -> None:
    """Note what an entry tells by now: some of its fields, as sent and as the CRM shows them, and what it holds."""
    here = (ledger.c.account_pk == account_pk, ledger.c.key == key)
    row = c.execute(select(ledger.c.fields, ledger.c.as_read).where(*here)).first()
    if row is None:
        return
    shown = {**(orjson.loads(row.as_read) if row.as_read else {}), **fields, **(as_read or {})}
    c.execute(
        update(ledger)
        .where(*here)
        .values(
            fields=dumps({**orjson.loads(row.fields), **fields}),
            as_read=dumps(shown),
            written_at=micros(now),
            told=told,
            **more,
        )
    )
    save_members(c, account_pk, {key: entity_ids})


def file_found(
    c: Connection,
    account_pk: int,
    *,
    key: str,
    slot: str,
    stream: str,
    ext_id: str,
    contact_ids: Sequence[str],
    linked: Mapping[str, str],
    person_id: str,
    mapping: str,
    now: datetime,
) -> None:
    """
    Enter into the ledger what stands at the CRM without a write of this store.

    It belongs to no run (0), so that no undo takes it back.
    """
    row = {
        "account_pk": account_pk,
        "key": key,
        "stream": stream,
        "ext_id": ext_id,
        "contact_id": contact_ids[0] if contact_ids else None,
        "person_id": person_id,
        "slot": slot,
        "fields": dumps({}),
        "as_read": None,
        "run": 0,
        "mapping": mapping,
        "written_at": micros(now),
        "told": None,
    }
    links = [{**row, "slot": LINK_SLOT, "key": name, "contact_id": one} for name, one in linked.items()]
    upsert(c, ledger, [row, *links], conflict=["account_pk", "key"], update=["ext_id", "contact_id"])
    drop_intents(c, account_pk, [key])


def written_ids(c: Connection, account_pk: int, keys: Iterable[str]) -> dict[str, str]:
    """Return the CRM ids of writes that stand, by key; for a contact that was merged into another, of that one."""
    columns = (ledger.c.key, ledger.c.ext_id, ledger.c.contact_id, ledger.c.slot)
    found: dict[str, str] = {}
    query = select(*columns).where(ledger.c.account_pk == account_pk, among(ledger.c.key, keys))
    for row in c.execute(query).all():
        is_contact = row.slot in (CONTACT_SLOT, ADOPTED_SLOT)
        found[row.key] = row.contact_id if is_contact and row.contact_id else row.ext_id
    return found


def entries_at(c: Connection, account_pk: int, stream: str, ext_ids: Iterable[str]) -> dict[str, str]:
    """Return the keys of the entries of our making among these objects, by vendor id."""
    query = select(ledger.c.ext_id, ledger.c.key).where(
        ledger.c.account_pk == account_pk,
        ledger.c.stream == stream,
        among(ledger.c.ext_id, ext_ids),
        ledger.c.slot == ENTRY_SLOT,
    )
    return {row.ext_id: row.key for row in c.execute(query)}


def filed_under(c: Connection, account_pk: int, keys: Iterable[str]) -> dict[str, Filed]:
    """Return where each written entry stands and what it tells, by key."""
    columns = (ledger.c.key, ledger.c.stream, ledger.c.ext_id, ledger.c.contact_id)
    tells = (ledger.c.fields, ledger.c.as_read, ledger.c.told, ledger.c.written_at)
    here = ledger.c.account_pk == account_pk
    rows = c.execute(select(*columns, *tells).where(here, among(ledger.c.key, keys))).all()
    if not rows:
        return {}
    links = select(*columns).where(
        here,
        among(ledger.c.stream, {row.stream for row in rows}),
        among(ledger.c.ext_id, {row.ext_id for row in rows}),
        ledger.c.slot == LINK_SLOT,
    )
    more: dict[tuple[str, str], set[str]] = {}
    for row in c.execute(links):
        more.setdefault((row.stream, row.ext_id), set()).add(row.contact_id)
    return {
        key: Filed(
            stream=stream,
            ext_id=ext_id,
            contacts=frozenset(filter(None, (contact_id, *more.get((stream, ext_id), ())))),
            fields=LazyJson(fields),
            as_read=LazyJson(as_read) if as_read else {},
            told=told,
            written_at=instant(written_at),
        )
        for key, stream, ext_id, contact_id, fields, as_read, told, written_at in rows
    }


def field_states(
    c: Connection, account_pk: int, stream: str, ext_ids: Iterable[str]
) -> dict[str, dict[str, FieldState]]:
    """Return what we last wrote into each field of these contacts."""
    found: dict[str, dict[str, FieldState]] = {}
    columns = (field_ledger.c.ext_id, field_ledger.c.field)
    values = (field_ledger.c.sent, field_ledger.c.as_read, field_ledger.c.before)
    query = select(*columns, *values).where(
        field_ledger.c.account_pk == account_pk,
        field_ledger.c.stream == stream,
        among(field_ledger.c.ext_id, ext_ids),
    )
    for ext_id, name, sent, as_read, before in c.execute(query).all():
        found.setdefault(ext_id, {})[name] = FieldState(
            sent=orjson.loads(sent),
            as_read=orjson.loads(as_read) if as_read else None,
            before=orjson.loads(before),
        )
    return found


def written_count(c: Connection, account_pk: int, *, run: int | None = None) -> int:
    """Return how many objects of our making the ledger of an account holds, of one run or of all."""
    query = (
        select(func.count())
        .select_from(ledger)
        .where(ledger.c.account_pk == account_pk, ledger.c.slot.in_(OBJECT_SLOTS))
    )
    if run is not None:
        query = query.where(ledger.c.run == run)
    return int(c.execute(query).scalar_one())
