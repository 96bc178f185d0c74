"""Contacts that are used for people: made by us, found in the CRM, or theirs by now; and identity's word of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection as Transaction

from bridge.journey.handles import Handle
from bridge.store import collected, cursors, looks, people, rejects
from bridge.store import ledger as books
from bridge.store.entities import people_in
from bridge.store.intents import (
    ADOPTED_SLOT,
    CONTACT_SLOT,
    ENTRY_SLOT,
    UPDATE_SLOTS,
    Intent,
    drop_intents,
    load_intents,
)
from bridge.store.members import release_members
from bridge.store.people import StoredNode
from bridge.store.writer import Priority
from bridge.sync.delivery.plan_values import PersonState
from bridge.sync.identity.identify import USED, Incoming, identify, tied
from bridge.sync.runtime import JOURNEY, Connection, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """
    A contact that the CRM has already, used for a person as if it had been made under `key`.

    `ours` says that it was made by us, in a time of which the store does not know. `senders` are those of the person
    for whom it was, all where that is not known: the others have it only as long as their addresses say so.
    """

    person_id: str
    key: str
    contact_id: str
    ours: bool = False
    senders: frozenset[str] = frozenset()


def adopt(runtime: Runtime, connection: Connection, found: Adopted) -> None:
    """Take a contact that the CRM already has for a person instead of making one."""
    with runtime.identity_lock:
        runtime.writer.run(enter_adopted, runtime, connection, found, priority=Priority.DELIVERY)


def enter_adopted(c: Transaction, runtime: Runtime, connection: Connection, found: Adopted) -> None:
    """
    Use a contact as if it had been made under its key.

    Nothing was written to it: its fields are planned as any contact's, and undo leaves it alone.
    """
    _file_adopted(c, runtime, connection, found)
    know_contact(
        c,
        runtime,
        connection,
        found.person_id,
        found.key,
        found.contact_id,
        made=found.ours,
        senders=found.senders,
    )


def _file_adopted(c: Transaction, runtime: Runtime, connection: Connection, found: Adopted) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    books.file_found(
        c,
        account_pk,
        key=found.key,
        slot=CONTACT_SLOT if found.ours else ADOPTED_SLOT,
        stream=connection.spec.contact_stream,
        ext_id=found.contact_id,
        contact_ids=[found.contact_id],
        linked={},
        person_id=found.person_id,
        mapping=connection.mapping.digest,
        now=runtime.clock(),
    )
    rejects.close_for_intents(c, account_pk, [found.key])


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
            used = Adopted(person_id=state.person_id, key=key, contact_id=state.contacts[0])
            _file_adopted(c, runtime, connection, used)
        looks.touch(c, account_pk, {stands[key].person_id for key in keys}, runtime.sequence())

    if keys:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)


def follow_gone(runtime: Runtime, connection: Connection) -> None:
    """
    Take back what was decided for a contact that is gone by now and does not stand, so that it is planned anew.

    What was refused or never sent does not stand. Nor does an entry without an answer that the CRM has not shown
    though its entries were read since it could have come last; until then nobody can say, and it stays as it is.
    """
    account_pk, stream = connection.account_pk, connection.spec.contact_stream
    assert account_pk is not None
    with runtime.database.read() as c:
        items = load_intents(c, account_pk, slot=ENTRY_SLOT)
        items += [one for one in load_intents(c, account_pk, state="rejected") if one.slot in UPDATE_SLOTS]
        stands = books.written_ids(c, account_pk, {link.to for item in items for link in item.write.links})
        contacts = {item.write.key: _contacts_of(item, stream, stands) for item in items}
        named = {one for some in contacts.values() for one in some}
        gone = collected.deleted_among(c, account_pk, stream, named) if named else set()
        gone -= {one.contact_id for one in _nodes(c, connection, gone)}
        lost = [item for item in items if not gone.isdisjoint(contacts[item.write.key])]
        until = {one: _read_until(c, account_pk, one) for one in {item.write.stream for item in lost}}
    settle = timedelta(seconds=connection.spec.settle)
    found = [item for item in lost if _does_not_stand(item, until[item.write.stream], settle)]

    def work(c: Transaction) -> None:
        keys = [item.write.key for item in found]
        wishes = people_in(c, account_pk, keys) | people.current_people(c, {item.person_id for item in found})
        drop_intents(c, account_pk, keys)
        release_members(c, account_pk, [item.write.key for item in found if item.slot == ENTRY_SLOT])
        rejects.close_for_intents(c, account_pk, keys)
        looks.touch(c, account_pk, wishes, runtime.sequence())

    if found:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)


def _contacts_of(item: Intent, stream: str, stands: Mapping[str, str]) -> set[str]:
    """Return the contacts that a write is about, those that were made for it by the ids they got."""
    linked = {stands.get(link.to, link.to) for link in item.write.links if link.stream == stream}
    return linked | ({item.write.id} if item.write.id and item.write.stream == stream else set())


def _read_until(c: Transaction, account_pk: int, stream: str) -> datetime | None:
    """Return until when all that a stream tells is known, None where that is not known."""
    if collected.is_waiting(c, account_pk, stream):
        return None
    at = cursors.load_cursor(c, account_pk, stream, "live")
    return at.watermark if at is not None else None


def _does_not_stand(item: Intent, until: datetime | None, settle: timedelta) -> bool:
    if item.state in ("open", "rejected"):
        return True
    return item.sent_at is not None and until is not None and until >= item.sent_at + settle


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
    senders: Collection[str] = (),
) -> None:
    """
    Tell identity about a contact of ours: a handle of our own ties it to the person it was made for.

    Of a person with several senders to those in `senders` only, where there are any. One that was not `made` by us
    but stood there already is nobody else's, unlike ours.

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
        if node.contact_of is None and (not senders or node.key in senders):
            incoming[node.key] = tied(node, (ours,))
    change = identify(c, incoming, runtime.rules)
    change.save(c, runtime.clock())
    looks.touch(c, JOURNEY, change.touched, runtime.sequence())
