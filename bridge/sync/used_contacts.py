"""Contacts that are used for people: made by us, found in the CRM, or theirs by now; and identity's word of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection as Transaction

from bridge.journey.handles import Handle
from bridge.model import Link
from bridge.store import collected, looks, people, rejects
from bridge.store import ledger as books
from bridge.store.intents import ADOPTED_SLOT, CONTACT_SLOT, ENTRY_SLOT, Intent, load_intents, relink
from bridge.store.people import StoredNode
from bridge.store.writer import Priority
from bridge.sync.identify import USED, Incoming, identify, tied
from bridge.sync.plan_values import PersonState
from bridge.sync.runtime import JOURNEY, Connection, Runtime


def adopt(
    runtime: Runtime,
    connection: Connection,
    person_id: str,
    key: str,
    contact_id: str,
    *,
    ours: bool = False,
) -> None:
    """
    Take a contact that the CRM already has for a person instead of making one under `key`.

    `ours` says that it was made by us, in a time of which the store does not know.
    """
    with runtime.identity_lock:
        runtime.writer.run(
            lambda c: enter_adopted(c, runtime, connection, person_id, key, contact_id, ours=ours),
            priority=Priority.DELIVERY,
        )


def enter_adopted(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    person_id: str,
    key: str,
    contact_id: str,
    *,
    ours: bool = False,
) -> None:
    """
    Use a contact as if it had been made under this key.

    Nothing was written to it: its fields are planned as any contact's, and undo leaves it alone.
    """
    _file_adopted(c, runtime, connection, person_id, key, contact_id, ours=ours)
    know_contact(c, runtime, connection, person_id, key, contact_id, made=ours)


def _file_adopted(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    person_id: str,
    key: str,
    contact_id: str,
    *,
    ours: bool = False,
) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    books.file_found(
        c,
        account_pk,
        key=key,
        slot=CONTACT_SLOT if ours else ADOPTED_SLOT,
        stream=connection.spec.contact_stream,
        ext_id=contact_id,
        contact_ids=[contact_id],
        linked={},
        person_id=person_id,
        mapping=connection.mapping.digest,
        now=runtime.clock(),
    )
    rejects.close_for_intents(c, account_pk, [key])


def use_instead(runtime: Runtime, connection: Connection, states: Iterable[PersonState]) -> None:
    """Let what waits for a contact that the CRM refused go to the contact that its person has by now."""
    account_pk = connection.account_pk
    assert account_pk is not None
    stands = {
        state.pending: state for state in states if state.pending is not None and len(state.contacts) == 1
    }
    if not stands:
        return
    with runtime.database.read() as c:
        refused = load_intents(c, account_pk, state="rejected", slot=CONTACT_SLOT)
    keys = [item.write.key for item in refused if item.write.key in stands]

    def work(c: Transaction) -> None:
        for key in keys:
            state = stands[key]
            _file_adopted(c, runtime, connection, state.person_id, key, state.contacts[0])
        looks.touch(c, account_pk, {stands[key].person_id for key in keys}, runtime.sequence())

    if keys:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)


def follow_gone(runtime: Runtime, connection: Connection) -> None:
    """Let entries that were decided for a contact which is gone by now go to the one that their person has instead."""
    account_pk, stream = connection.account_pk, connection.spec.contact_stream
    assert account_pk is not None
    found: list[tuple[Intent, list[Link]]] = []
    with runtime.database.read() as c:
        items = load_intents(c, account_pk, slot=ENTRY_SLOT)
        named = {link.to for item in items for link in item.write.links if link.stream == stream}
        gone = collected.deleted_among(c, account_pk, stream, named) if named else set()
        gone -= {one.contact_id for one in _nodes(c, connection, gone)}
        for item in items:
            if not any(link.stream == stream and link.to in gone for link in item.write.links):
                continue
            person_id = people.current_person(c, item.person_id) or item.person_id
            ids = people.contacts_of(c, account_pk, [person_id]).get(person_id, set())
            theirs = ids - books.made_contacts(c, account_pk, ids)
            if len(theirs or ids) == 1:
                (now,) = theirs or ids
                links = [
                    replace(link, to=now) if link.stream == stream and link.to in gone else link
                    for link in item.write.links
                ]
                found.append((item, list(dict.fromkeys(links))))

    def work(c: Transaction) -> None:
        for item, links in found:
            relink(c, account_pk, item, links)

    if found:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)


def _nodes(c: Transaction, connection: Connection, contact_ids: Iterable[str]) -> Iterable[StoredNode]:
    keys = [connection.node_key(connection.spec.contact_stream, one) for one in contact_ids]
    return people.load_nodes(c, keys).values() if keys else ()


def know_contact(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    person_id: str,
    mark: str,
    contact_id: str,
    *,
    made: bool = True,
) -> None:
    """
    Tell identity about a contact of ours: a handle of our own ties it to the person it was made for.

    One that was not `made` by us but stood there already is nobody else's, unlike ours.

    What the CRM makes of the contact arrives by its own stream later and replaces the rest.
    """
    key = connection.node_key(connection.spec.contact_stream, contact_id)
    ours = Handle(
        kind="external" if made else USED,
        value=mark,
        scope=f"crmbridge:{connection.account_key}",
        strength="certain",
    )
    known = people.load_nodes(c, [key]).get(key)
    fresh = Incoming(
        key=key, handles=(), contact_of=connection.account_pk, contact_id=contact_id, made=(ours,)
    )
    incoming = {key: fresh if known is None else tied(known, (ours,))}
    now = people.current_person(c, person_id) or person_id
    for node in people.nodes_of(c, [now]).get(now, []):
        if node.contact_of is None:
            incoming[node.key] = tied(node, (ours,))
    change = identify(c, incoming, runtime.rules)
    change.save(c, runtime.clock())
    looks.touch(c, JOURNEY, change.touched, runtime.sequence())
