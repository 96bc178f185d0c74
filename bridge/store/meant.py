"""Whom an update of a CRM is for by now: since it was planned its person may have come apart."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from bridge.store import ledger as books
from bridge.store.among import among
from bridge.store.entities import people_in
from bridge.store.intents import FIELDS_SLOT
from bridge.store.people import current_people
from bridge.store.tables import intent, node


def people_meant(c: Connection, account_pk: int, keys: Iterable[str]) -> set[str]:
    """Return whom these updates were planned for, whose contacts they change and who took part in their entries."""
    query = select(intent.c.person_id, intent.c.slot, intent.c.stream, intent.c.target_id).where(
        intent.c.account_pk == account_pk, among(intent.c.key, keys)
    )
    updates = c.execute(query).all()
    found = current_people(c, {one.person_id for one in updates})
    contacts = {one.target_id for one in updates if one.slot == FIELDS_SLOT}
    if contacts:
        here = (node.c.contact_of == account_pk, among(node.c.contact_id, contacts))
        found |= set(c.execute(select(node.c.person_id).where(*here)).scalars())
    places: dict[str, set[str]] = {}
    for one in updates:
        if one.slot != FIELDS_SLOT:
            places.setdefault(one.stream, set()).add(one.target_id)
    for stream, ext_ids in places.items():
        found |= people_in(c, account_pk, books.entries_at(c, account_pk, stream, ext_ids).values())
    return found
