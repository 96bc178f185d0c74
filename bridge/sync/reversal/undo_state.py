"""What an undo must know of a run: its receipts, what became of their objects in the books and in the CRM."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.connector import Sink
from bridge.errors import PluginError
from bridge.store import entities, holds, people, receipts
from bridge.store import ledger as books
from bridge.store.among import among
from bridge.store.intents import ENTRY_SLOT, LINK_SLOT, UNDO_SLOT, UNDO_SLOTS, Intent, load_intents
from bridge.store.receipts import Written
from bridge.store.runs import Run, load_run, runs_of
from bridge.store.tables import account, entity, journey, ledger, reference
from bridge.store.tables import receipt as history
from bridge.sync.delivery.present import stands_on
from bridge.sync.reversal.undo_values import Place, Present, UndoState
from bridge.sync.runtime import Connection, Runtime, asked_id

UNDO = "undo"
"""The kind of a run that takes another back."""

SHOWN_DIGITS = 8
"""By how much of its digest a version of a mapping is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is taken back: what a run wrote, or one version of a mapping (its digest), all of it or for one person."""

    run: int | None = None
    person: str | None = None
    mapping: str | None = None

    @classmethod
    def of(cls, undo: Run) -> Scope:
        """Return what a run of the kind `undo` takes back."""
        counts = undo.counts
        return cls(run=counts["of"], person=counts.get("person"), mapping=counts.get("mapping"))

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"run {self.run}" if self.mapping is None else f"mapping {self.mapping[:SHOWN_DIGITS]}"

    @property
    def argument(self) -> str:
        """How `crmbridge undo` is told of it."""
        return str(self.run) if self.mapping is None else f"--mapping {self.mapping[:SHOWN_DIGITS]}"

    def covers(self, one: Written | Intent) -> bool:
        """Tell whether a write is meant, whoever it was for; what an undo wrote is no work of a mapping."""
        if self.mapping is None:
            return one.run == self.run
        return one.mapping == self.mapping and one.slot not in UNDO_SLOTS


def why_not(c: Transaction, runtime: Runtime, scope: Scope) -> str:
    """Return why it cannot be taken back at all, an empty text where it can."""
    title = scope.title
    run = None if scope.run is None else load_run(c, scope.run)
    if run is None and scope.mapping is None:
        return f"{title}: there is none. The latest: crmbridge runs"
    found = _written(c, scope)
    pending = [one for one in _pending(c, runtime) if scope.covers(one[1])]
    kept = scope.run is not None and any(one.run == scope.run for one in holds.all_holds(c))
    if not found and not pending and not kept:
        kind = f" ({run.kind})" if run is not None else ""
        return f"{title}{kind}: wrote nothing, so there is nothing to take back."
    gone = [pk for pk in accounts_of(c, runtime, scope) if runtime.of_account(pk) is None]
    if gone:
        rows = c.execute(select(account.c.connector, account.c.vendor_id).where(among(account.c.pk, gone)))
        named = ", ".join(f"{connector} {vendor_id}" for connector, vendor_id in rows)
        return (
            f"{title}: wrote to {named}, which no connection of the configuration leads to."
            f" Add it to `connections:` again, then: crmbridge undo {scope.argument}"
        )
    if scope.person is not None:
        now = _people_now(c, found, [item for _, item in pending])
        mine = {one for one, person in now.items() if person == scope.person}
        found = [one for one in found if one.person_id in mine]
        pending = [one for one in pending if one[1].person_id in mine]
        if not found and not pending:
            return f"{title}: wrote nothing for {scope.person}."
    if not pending and not kept and all(one.taken_back is not None for one in found):
        by = max(one.taken_back for one in found if one.taken_back is not None)
        return f"{title}: was taken back already, by run {by}. To bring it back: crmbridge undo {by}"
    return ""


def accounts_of(c: Transaction, runtime: Runtime, scope: Scope) -> set[int]:
    """Return the accounts that were written to, or were meant to be."""
    wrote = {one.account_pk for one in _written(c, scope)}
    if scope.run is not None:
        wrote |= {one.account_pk for one in holds.all_holds(c) if one.run == scope.run}
    return wrote | {account_pk for account_pk, item in _pending(c, runtime) if scope.covers(item)}


def _written(c: Transaction, scope: Scope) -> list[Written]:
    """Return what was written, newest first."""
    if scope.mapping is not None:
        return [one for one in receipts.by_mapping(c, scope.mapping) if scope.covers(one)]
    return [] if scope.run is None else receipts.of_run(c, scope.run)


def _pending(c: Transaction, runtime: Runtime) -> list[tuple[int, Intent]]:
    return [
        (connection.account_pk, item)
        for connection in runtime.crms()
        if connection.account_pk is not None
        for item in load_intents(c, connection.account_pk)
        if item.slot not in UNDO_SLOTS
    ]


def unfinished(c: Transaction, scope: Scope) -> Run | None:
    """Return the undo of this scope that was broken off."""
    for run in runs_of(c, UNDO):
        if run.ended_at is None and Scope.of(run) == scope:
            return run
    return None


def load_state(runtime: Runtime, connection: Connection, scope: Scope) -> UndoState:
    """
    Read what a run left in one CRM, from the store and, just now, from the CRM.

    Raises what the connector raises.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    with runtime.database.read() as c:
        found = [one for one in _written(c, scope) if one.account_pk == account_pk]
        run = None if scope.run is None else load_run(c, scope.run)
        again = any(one.slot == UNDO_SLOT for one in found) or (
            run is not None and run.kind == UNDO and not found
        )
        found = [one for one in found if one.taken_back is None]
        pending = [
            item for item in load_intents(c, account_pk) if scope.covers(item) and item.slot not in UNDO_SLOTS
        ]
        now = _people_now(c, found, pending)
        if scope.person is not None:
            found = [one for one in found if now.get(one.person_id) == scope.person]
            pending = [item for item in pending if now.get(item.person_id) == scope.person]
        stream = connection.spec.contact_stream
        contacts = {one.ext_id for one in found if one.stream == stream and one.op == "create"}
        places = {one.place for one in found}
        places |= {(item.write.stream, item.write.id) for item in pending if item.write.id}
        entries = _entries_at(c, account_pk, places)
        names = _names(c, set(now.values()))
        state = UndoState(
            scope=scope.argument,
            again=again,
            account_key=connection.account_key,
            contact_stream=stream,
            receipts=tuple(found),
            later=tuple(
                one
                for one in receipts.of_objects(c, account_pk, {ext_id for _, ext_id in places})
                if not scope.covers(one) and one.place in places
            ),
            pending=tuple(pending),
            entries=entries,
            placed={
                key: filed.contacts
                for key, filed in books.filed_under(c, account_pk, entries.values()).items()
            },
            held=holds.held(c, account_pk, entries.values()),
            ours=_ours_on(c, account_pk, contacts),
            others=_others_on(c, connection, contacts),
            names={one: names.get(person, "") for one, person in now.items()},
            dropped=_dropped(c, account_pk, scope, found),
            present={},
        )
    return _with_present(connection, state)


def read_present(
    connection: Connection, wanted: Mapping[str, Mapping[str, Iterable[str]]]
) -> dict[Place, Present]:
    """Return what the CRM shows of these objects (stream to vendor id to field names)."""
    sink = connection.connector
    if not isinstance(sink, Sink):
        raise PluginError(f"connector {connection.spec.name} cannot read or write; nothing can be taken back")
    present: dict[Place, Present] = {}
    for stream, fields in wanted.items():
        names = sorted({name for some in fields.values() for name in some})
        for record in sink.read(stream, sorted(fields), names):
            data = record.data if isinstance(record.data, dict) else {}
            values = data.get("properties", data)
            contacts = stands_on(connection.mapping, record, connection.spec.contact_stream, "contact_refs")
            present[stream, asked_id(record)] = Present(
                id=record.id, fields=values, gone=record.deleted, contacts=contacts or None
            )
    return present


def _with_present(connection: Connection, state: UndoState) -> UndoState:
    wanted: dict[str, dict[str, set[str]]] = {}
    for one in state.receipts:
        names = wanted.setdefault(one.stream, {}).setdefault(one.ext_id, set())
        names.update(one.fields)
        if (rule := connection.mapping.pull.get(one.stream)) and one.stream != state.contact_stream:
            names.update(rule.fields_read)
    return replace(state, present=read_present(connection, wanted)) if wanted else state


def _people_now(c: Transaction, found: Collection[Written], pending: Collection[Intent]) -> dict[str, str]:
    """Return who is meant today by the ids of people at that time."""
    ids = {one.person_id for one in found} | {item.person_id for item in pending}
    return {one: people.current_person(c, one) or one for one in ids}


def _dropped(c: Transaction, account_pk: int, scope: Scope, found: Collection[Written]) -> tuple[str, ...]:
    """Return what an undo holds that it never wrote: what was dropped before it was sent."""
    if scope.person is not None or scope.run is None:
        return ()
    wrote = {key for one in found for key in (one.key, one.entry)}
    wrote |= {holds.field_key(*one.place, name) for one in found for name in one.fields}
    mine = [one.key for one in holds.all_holds(c) if one.account_pk == account_pk and one.run == scope.run]
    return tuple(key for key in mine if key not in wrote)


def _names(c: Transaction, person_ids: Collection[str]) -> dict[str, str]:
    """Return what these people are called."""
    query = select(journey.c.person_id, journey.c.name).where(among(journey.c.person_id, person_ids))
    return {row.person_id: row.name for row in c.execute(query) if row.name}


def _entries_at(c: Transaction, account_pk: int, places: Collection[Place]) -> dict[Place, str]:
    """Return the keys of the entries that stand at these places."""
    found: dict[Place, str] = {}
    for stream in {stream for stream, _ in places}:
        ids = {ext_id for one, ext_id in places if one == stream}
        for ext_id, key in books.entries_at(c, account_pk, stream, ids).items():
            found[stream, ext_id] = key
    return found


def _ours_on(c: Transaction, account_pk: int, contacts: Collection[str]) -> dict[str, frozenset[Place]]:
    """Return which objects of our making stand on each of these contacts, without those that are gone again."""
    query = select(ledger.c.key, ledger.c.contact_id, ledger.c.stream, ledger.c.ext_id).where(
        ledger.c.account_pk == account_pk,
        among(ledger.c.contact_id, contacts),
        ledger.c.slot.in_((ENTRY_SLOT, LINK_SLOT)),
    )
    rows = c.execute(query).all()
    archived = select(history.c.stream, history.c.ext_id).where(
        history.c.account_pk == account_pk,
        history.c.op == "archive",
        history.c.taken_back.is_(None),
        among(history.c.ext_id, {row.ext_id for row in rows}),
    )
    gone = {tuple(row) for row in c.execute(archived)}
    held = holds.held(c, account_pk, {row.key for row in rows})
    gone |= {(row.stream, row.ext_id) for row in rows if held.get(row.key) == holds.DELETED}
    found: dict[str, set[Place]] = {}
    for row in rows:
        if (row.stream, row.ext_id) not in gone:
            found.setdefault(row.contact_id, set()).add((row.stream, row.ext_id))
    return {contact: frozenset(places) for contact, places in found.items()}


def _others_on(
    c: Transaction, connection: Connection, contacts: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return what refers to each of these contacts and is not ours: deals, and what the CRM's users logged."""
    stream = connection.spec.contact_stream
    nodes = {connection.node_key(stream, one): one for one in contacts}
    found: dict[str, list[str]] = {}
    refs = {f"{stream}/{one}": one for one in contacts}
    query = (
        select(reference.c.to_ref, reference.c.from_ref)
        .where(reference.c.account_pk == connection.account_pk, among(reference.c.to_ref, refs))
        .order_by(reference.c.from_ref)
    )
    rows = c.execute(query).all()
    there = entities.entities_at(c, connection.account_pk or 0, {row.from_ref for row in rows})
    for row in rows:
        if row.from_ref in there:
            found.setdefault(refs[row.to_ref], []).append(row.from_ref.replace("/", " "))
    parts = entities.taken_part(c, nodes)
    logged = select(entity.c.entity_id, entity.c.stream, entity.c.ext_id).where(
        among(entity.c.entity_id, {one for ids in parts.values() for one in ids}),
        entity.c.account_pk == connection.account_pk,
        entity.c.deleted.is_(False),
    )
    named = {row.entity_id: f"{row.stream} {row.ext_id}" for row in c.execute(logged)}
    for key, ids in parts.items():
        found.setdefault(nodes[key], []).extend(sorted(named[one] for one in ids if one in named))
    return {contact: tuple(names) for contact, names in found.items() if names}
