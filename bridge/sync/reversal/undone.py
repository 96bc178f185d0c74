"""What the books say once a write was taken back, and once what was taken back is let go."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import delete, select, update

from bridge.model import Json
from bridge.store import entities, looks, people, receipts, rejects
from bridge.store import ledger as books
from bridge.store.among import among
from bridge.store.database import dumps, micros, upsert
from bridge.store.holds import (
    DELETED,
    ROUNDS,
    UNDONE,
    Hold,
    add_holds,
    all_holds,
    field_key,
    hold_undone,
    note_released,
    release,
    released_at,
)
from bridge.store.intents import (
    FIELDS_SLOT,
    GROWTH_SLOT,
    LINK_SLOT,
    REDO_SLOT,
    UNDO_SLOT,
    Intent,
    drop_intents,
)
from bridge.store.members import release_members, save_members
from bridge.store.receipts import Written
from bridge.store.runs import load_run
from bridge.store.tables import entity, field_ledger, ledger, member
from bridge.store.tables import receipt as history
from bridge.sync.delivery.entries import link_key
from bridge.sync.identity.identify import identify
from bridge.sync.reversal.undo_state import Scope, read_present
from bridge.sync.reversal.undo_values import Place, Step
from bridge.sync.runtime import JOURNEY, Connection, Runtime

AGAIN = ""
"""What an entry tells that is to be looked at again: the digest of nothing."""


def file_undone(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    item: Intent,
    as_read: Mapping[str, Json] | None,
) -> None:
    """
    Enter a write that took something back: its receipts are taken back, and what they wrote is held.

    One that takes an undo back lets go instead. Holds the identity lock where a contact is archived.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    now = runtime.clock()
    write = item.write
    place = (write.stream, write.id or "")
    found = [one for one in _covered(c, account_pk, item) if _is_covered(one, item, connection)]
    receipts.add_receipts(c, account_pk, [(item, place[1], as_read)], now)
    receipts.take_back(c, [one.pk for one in found], item.run)
    held: Collection[str] = [item.entry] if item.entry else []
    if write.op == "update" and write.stream == connection.spec.contact_stream:
        _set_fields(c, account_pk, item, as_read, now)
        held = [field_key(*place, name) for name in write.fields]
    elif write.op == "update" and item.entry is not None:
        held = [item.entry, *_retell(c, account_pk, item, found, as_read)]
    elif write.op in ("link", "unlink"):
        _set_places(c, connection, item)
    elif write.op == "archive" and write.stream == connection.spec.contact_stream:
        _forget_contact(c, runtime, connection, place)
    if item.slot == REDO_SLOT:
        _let_back(c, account_pk, place, held, now)
    else:
        hold_undone(c, account_pk, held, now, run=item.run)
    drop_intents(c, account_pk, [write.key])


def _let_back(c: Transaction, account_pk: int, place: Place, held: Collection[str], now: datetime) -> None:
    """Let go of what an undo held that was taken back, but for what an earlier undo holds and nobody released since."""
    release(c, account_pk, held)
    let_go_at = {key: released_at(c, account_pk, key) for key in held}
    for one in receipts.undone_at(c, account_pk, *place):
        keys = {field_key(*place, name) for name in one.fields} | {one.entry}
        still = [key for key in held if key in keys and not ((at := let_go_at[key]) and at >= one.at)]
        add_holds(c, account_pk, still, UNDONE, now, run=one.run)


def drop_pending(
    c: Transaction, runtime: Runtime, connection: Connection, steps: Sequence[Step], run: int
) -> None:
    """Take writes off the list that were decided and not sent, and hold what they would have written."""
    account_pk = connection.account_pk
    assert account_pk is not None
    for step in steps:
        item = step.dropped
        assert item is not None
        key = item.write.key
        held = [key, step.entry] if step.entry else [key]
        if item.slot == FIELDS_SLOT:
            held = [field_key(item.write.stream, item.write.id or "", name) for name in item.write.fields]
        elif item.slot == GROWTH_SLOT:
            save_members(c, account_pk, {key: item.entity_ids})
        drop_intents(c, account_pk, [key])
        rejects.close_for_intents(c, account_pk, [key])
        hold_undone(c, account_pk, held, runtime.clock(), run=run)


def let_go(
    c: Transaction, runtime: Runtime, connection: Connection, found: Sequence[Hold], *, restored: bool = False
) -> None:
    """
    Let go of what is held, so that the next plan writes it again where it should stand.

    `restored` says that the objects stand, since a person brought them back.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    keys = {one.key for one in found}
    rows = {
        row.key: row
        for row in c.execute(
            select(ledger).where(ledger.c.account_pk == account_pk, among(ledger.c.key, keys))
        )
    }
    wishes = _people_of(c, connection, found)
    archived = _archived(c, account_pk, keys)
    parked = _parked(c, account_pk, keys)
    free = (keys - rows.keys()) | parked
    for one in found:
        row = rows.get(one.key)
        if row is None or restored:
            continue
        if one.reason == DELETED or (one.key, row.ext_id) in archived:
            free.add(one.key)
            here = (ledger.c.stream == row.stream, ledger.c.ext_id == row.ext_id)
            c.execute(delete(ledger).where(ledger.c.account_pk == account_pk, *here))
    release_members(c, account_pk, free)
    release(c, account_pk, keys | parked)
    noted = [one.key for one in found if one.reason in (ROUNDS, UNDONE)]
    note_released(c, account_pk, noted, runtime.clock())
    looks.touch(c, account_pk, people.current_people(c, wishes), runtime.sequence())


def holds_of(c: Transaction, account_pk: int, keys: Collection[str]) -> list[Hold]:
    """Return what is held under these keys."""
    return [one for one in all_holds(c) if one.account_pk == account_pk and one.key in keys]


def restored(runtime: Runtime, connection: Connection, found: Sequence[Hold]) -> set[str]:
    """
    Return those held keys whose objects stand in the CRM, although we archived them or somebody deleted them.

    Raises what the connector raises.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    with runtime.database.read() as c:
        keys = {one.key for one in found}
        archived = _archived(c, account_pk, keys)
        deleted = {one.key for one in found if one.reason == DELETED}
        places = {
            row.key: (row.stream, row.ext_id)
            for row in c.execute(
                select(ledger).where(ledger.c.account_pk == account_pk, among(ledger.c.key, keys))
            )
            if row.key in deleted or (row.key, row.ext_id) in archived
        }
    wanted: dict[str, dict[str, Collection[str]]] = {}
    for stream, ext_id in places.values():
        wanted.setdefault(stream, {})[ext_id] = ()
    present = read_present(connection, wanted)
    return {key for key, place in places.items() if place in present and not present[place].gone}


def _people_of(c: Transaction, connection: Connection, found: Sequence[Hold]) -> set[str]:
    """Return the people whom these holds are about."""
    account_pk = connection.account_pk
    assert account_pk is not None
    keys = {one.key for one in found}
    named = select(history.c.person_id).where(
        history.c.account_pk == account_pk, among(history.c.key, keys) | among(history.c.entry, keys)
    )
    fields = [one.field for one in found if one.field is not None]
    nodes = {connection.node_key(stream, ext_id) for stream, ext_id, _ in fields}
    return (
        set(c.execute(named).scalars())
        | entities.people_in(c, account_pk, keys)
        | set(people.persons_at(c, nodes).values())
    )


def _archived(c: Transaction, account_pk: int, keys: Collection[str]) -> set[tuple[str, str]]:
    """Return under which of these keys an undo archived which object."""
    query = select(history.c.entry, history.c.ext_id).where(
        history.c.account_pk == account_pk, among(history.c.entry, keys), history.c.op == "archive"
    )
    return {(row.entry, row.ext_id) for row in c.execute(query)}


def _parked(c: Transaction, account_pk: int, keys: Collection[str]) -> set[str]:
    """Return the keys that claim what an undo took out of these entries."""
    query = select(history.c.key).where(
        history.c.account_pk == account_pk,
        among(history.c.entry, keys),
        history.c.slot == UNDO_SLOT,
        history.c.op == "update",
    )
    return set(c.execute(query).scalars())


def _covered(c: Transaction, account_pk: int, item: Intent) -> list[Written]:
    """Return what of all that is taken back was written to the same object."""
    undo = load_run(c, item.run)
    assert undo is not None
    scope = Scope.of(undo)
    there = receipts.at_object(c, account_pk, item.write.stream, item.write.id or "")
    return [one for one in there if one.taken_back is None and scope.covers(one)]


def _is_covered(one: Written, item: Intent, connection: Connection) -> bool:
    write = item.write
    if write.op == "archive":
        return True
    if write.op == "update":
        same = one.entry == item.entry or write.stream == connection.spec.contact_stream
        return one.op == "update" and same and one.fields.keys() <= write.fields.keys()
    return one.op in ("link", "unlink") and one.links == write.links


def _set_fields(
    c: Transaction, account_pk: int, item: Intent, as_read: Mapping[str, Json] | None, now: datetime
) -> None:
    rows = [
        {
            "account_pk": account_pk,
            "stream": item.write.stream,
            "ext_id": item.write.id,
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


def _retell(
    c: Transaction,
    account_pk: int,
    item: Intent,
    found: Sequence[Written],
    as_read: Mapping[str, Json] | None,
) -> list[str]:
    """
    Note what an entry tells now, and let interactions leave or join it; returns the keys that claim what left.

    What leaves stays claimed, by the write that took it out, so that no other entry takes it in.
    """
    assert item.entry is not None
    here = (ledger.c.account_pk == account_pk, ledger.c.key == item.entry)
    row = c.execute(select(ledger.c.fields, ledger.c.as_read).where(*here)).first()
    if row is not None:
        fields = {**orjson.loads(row.fields), **item.write.fields}
        shown = orjson.loads(row.as_read) if row.as_read else {}
        shown = {name: value for name, value in shown.items() if name not in item.write.fields}
        shown |= {name: as_read[name] for name in item.write.fields if name in as_read} if as_read else {}
        values = {"fields": dumps(fields), "as_read": dumps(shown), "run": item.run, "told": AGAIN}
        c.execute(update(ledger).where(*here).values(**values))
    if item.slot == REDO_SLOT:
        parked, goal = [one.key for one in found], item.entry
        mine = among(member.c.key, parked)
    else:
        parked, goal = [item.write.key], item.write.key
        mine = among(member.c.entity_id, item.entity_ids)
    c.execute(update(member).where(member.c.account_pk == account_pk, mine).values(key=goal))
    return parked


def _set_places(c: Transaction, connection: Connection, item: Intent) -> None:
    """Note on which contacts an entry stands now."""
    account_pk = connection.account_pk
    assert account_pk is not None
    row = c.execute(
        select(ledger).where(ledger.c.account_pk == account_pk, ledger.c.key == item.entry)
    ).first()
    if row is None:
        return
    for link in item.write.links:
        if link.stream != connection.spec.contact_stream:
            continue
        if item.write.op == "unlink":
            books.leave_contact(c, account_pk, row.key, link.to)
        else:
            key = link_key(connection.account_key, row.key, link.to)
            values = {**row._mapping, "key": key, "contact_id": link.to, "slot": LINK_SLOT, "run": item.run}
            bare = {"fields": dumps({}), "as_read": None, "told": None}
            upsert(c, ledger, [{**values, **bare}], conflict=["account_pk", "key"], update=["contact_id"])


def _forget_contact(c: Transaction, runtime: Runtime, connection: Connection, place: Place) -> None:
    """Tell identity that a contact is gone, before the CRM says so: nothing may be written to it any more."""
    key = connection.node_key(*place)
    change = identify(c, {}, runtime.rules, gone=frozenset({key}))
    people.hand_on_founder(c, key)
    people.remove_node(c, key)
    change.save(c, runtime.clock())
    same = (
        entity.c.account_pk == connection.account_pk,
        entity.c.stream == place[0],
        entity.c.ext_id == place[1],
    )
    c.execute(update(entity).where(*same).values(deleted=True))
    looks.touch(c, JOURNEY, entities.with_journeys(c, change.touched), runtime.sequence())
