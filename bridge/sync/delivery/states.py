"""What the store knows of each person that a destination's plan is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.store import entities, holds, people, receipts
from bridge.store import ledger as books
from bridge.store.among import among
from bridge.store.intents import changing_intents, contacts_on_their_way
from bridge.store.members import entries_of, members_of
from bridge.store.people import StoredNode
from bridge.store.tables import journey
from bridge.sync.delivery.adopted import any_standing, standing
from bridge.sync.delivery.apart import with_apart
from bridge.sync.delivery.corrections import with_sightings
from bridge.sync.delivery.foreign import with_foreign
from bridge.sync.delivery.names import contact_markers, ids_of, markers_of
from bridge.sync.delivery.plan_places import moving
from bridge.sync.delivery.plan_values import Deal, PersonState, Standing
from bridge.sync.delivery.twins import touched_twins
from bridge.sync.identity.dismissals import dismissed_undecided
from bridge.sync.runtime import DEALS, Connection, Runtime


def load_states(c: Transaction, connection: Connection, person_ids: Sequence[str]) -> list[PersonState]:
    """Read from the store what the plan must know of these people, all from one state of it."""
    account_pk = connection.account_pk
    assert account_pk is not None
    nodes = people.nodes_of(c, person_ids)
    views: dict[str, dict[str, Any]] = {}
    for part in people.chunks(person_ids):
        for row in c.execute(select(journey).where(journey.c.person_id.in_(part))):
            views[row.person_id] = orjson.loads(row.body)
    candidates = people.load_nodes(
        c, {key for found in nodes.values() for node in found for key in node.candidates}
    )
    heard = _last_heard(c, {one.person_id for one in candidates.values()})
    person_of_node = {node.key: person_id for person_id, found in nodes.items() for node in found}
    interactions = entities.load_interactions(c, person_of_node)
    entry_of = entries_of(c, account_pk, interactions)
    changing = changing_intents(c, account_pk)
    entry_of |= {one: key for key, item in changing.items() for one in item.entity_ids if one in interactions}
    former = entities.former_ids(c, interactions)
    former |= {id: one.entity_id for one in interactions.values() for id in ids_of(one)[1:]}
    doubles = entries_of(c, account_pk, former)
    filed = books.filed_under(c, account_pk, {*entry_of.values(), *doubles.values()})
    members = {
        key: frozenset(former.get(one, one) for one in ids)
        for key, ids in members_of(c, account_pk, filed).items()
    }
    all_contacts = {
        person_id: sorted(
            node.contact_id for node in found if node.contact_of == account_pk and node.contact_id
        )
        for person_id, found in nodes.items()
    }
    stream = connection.spec.contact_stream
    every = {one for ids in all_contacts.values() for one in ids}
    made = books.made_contacts(c, account_pk, stream, every)
    contact_ids = {person_id: _own_contacts(ids, made) for person_id, ids in all_contacts.items()}
    taken = _taken(c, account_pk, nodes, contact_ids)
    known = {one for ids in contact_ids.values() for one in ids}
    held = holds.held(c, account_pk, {*filed, *_field_keys(connection, known)})
    twins = touched_twins(entry_of, doubles, former, members, held, changing.keys())
    touched = {now: doubles[old] for now, old in twins.items()}
    doubles |= {old: entry_of[now] for now, old in twins.items()}
    entry_of |= touched
    taken_back = _taken_back(c, connection, interactions.values())
    written = books.field_states(c, account_pk, stream, known)
    pending = contacts_on_their_way(c, account_pk)
    deals = _deals(c, account_pk, stream, {ids[0] for ids in contact_ids.values() if len(ids) == 1})
    mine: dict[str, list[entities.Interaction]] = {}
    for interaction in interactions.values():
        for person_id in {person_of_node[key] for key in interaction.node_keys}:
            mine.setdefault(person_id, []).append(interaction)
    contacts_in = _contacts_in(c, account_pk, interactions)
    parties = {
        entity_id: frozenset(one for ids in by_person.values() for one in ids)
        for entity_id, by_person in contacts_in.items()
    }
    left: dict[str, Standing] = {}
    if any_standing(c, connection.account_key):
        keys = set(markers_of(interactions.values(), connection.account_key))
        left = standing(c, connection, keys - books.written_ids(c, account_pk, keys).keys())
    states = []
    for person_id, found in nodes.items():
        own = tuple(mine.get(person_id, ()))
        ids = contact_ids[person_id]
        keys = {entry_of[one.entity_id] for one in own if one.entity_id in entry_of}
        here = {one.entity_id for one in own}
        left_over = {key for old, key in doubles.items() if former[old] in here and key in filed} - keys
        keys |= left_over
        view = views.get(person_id, {})
        states.append(
            PersonState(
                person_id=person_id,
                name=view.get("display_name", ""),
                contacts=ids,
                nodes=frozenset(node.key for node in found),
                senders=frozenset(node.key for node in found if node.contact_of is None),
                handles=_handles(found),
                candidates=_contacts_among(found, candidates, account_pk),
                possible=_possible(found, candidates, account_pk, heard),
                pending=pending.get(person_id),
                interactions=own,
                entry_of={one.entity_id: entry_of[one.entity_id] for one in own if one.entity_id in entry_of},
                members={key: members[key] for key in keys if key in members},
                filed={key: filed[key] for key in keys if key in filed},
                changing={key: changing[key].state for key in keys if key in changing},
                held=_held_of(held, keys, stream, ids),
                taken_back=_first_of(taken_back, own, found, connection.account_key),
                standing=left,
                doubles=tuple(sorted(left_over)),
                twins={now: old for now, old in twins.items() if now in here},
                yielding=frozenset(all_contacts[person_id]) - set(ids) if len(ids) == 1 else frozenset(),
                taken=taken.get(person_id, {}),
                carried=_carried(found, own, account_pk) if len(ids) > 1 else {},
                parties={one.entity_id: parties[one.entity_id] for one in own if one.entity_id in parties},
                shared={
                    one.entity_id: others
                    for one in own
                    if (others := _others(contacts_in.get(one.entity_id, {}), person_id))
                },
                view=view,
                written=written.get(ids[0], {}) if len(ids) == 1 else {},
                deals=deals.get(ids[0], ()) if len(ids) == 1 and own else (),
            )
        )
    states = with_foreign(c, states, nodes)
    return with_sightings(c, connection, with_apart(c, connection, states))


def with_dismissed(c: Transaction, runtime: Runtime, states: Sequence[PersonState]) -> list[PersonState]:
    """Return the states, those of whom somebody dismissed that they are undecided with the suggestion's key."""
    found = dismissed_undecided(c, runtime, [state.person_id for state in states if state.candidates])
    return [
        replace(state, dismissed=found[state.person_id]) if state.person_id in found else state
        for state in states
    ]


def with_deals(c: Transaction, connection: Connection, states: Sequence[PersonState]) -> list[PersonState]:
    """Return the states with the deals of those entries which are about to move, or whose thread may decide."""
    assert connection.account_pk is not None
    places = {
        (filed.stream, filed.ext_id)
        for state in states
        for filed in (state.filed.values() if _may_follow_a_thread(state) else moving(state))
    }
    left = (
        receipts.left_on(c, connection.account_pk, {ext_id for _, ext_id in places}, DEALS) if places else {}
    )
    return [
        replace(
            state,
            deals_of={
                key: left[filed.stream, filed.ext_id]
                for key, filed in state.filed.items()
                if (filed.stream, filed.ext_id) in left
            },
        )
        if left
        else state
        for state in states
    ]


def _may_follow_a_thread(state: PersonState) -> bool:
    """Tell whether something is to be entered while somebody has several deals."""
    return len(state.deals) > 1 and any(one.entity_id not in state.entry_of for one in state.interactions)


def _handles(nodes: Sequence[StoredNode]) -> frozenset[str]:
    """Return the addresses and numbers of a person, and their bare ids in the channels, in lower case."""
    values = {handle.value for node in nodes for handle, _ in node.handles.values()}
    values |= {node.key.rpartition(":")[2] for node in nodes}
    return frozenset(value.casefold() for value in values)


def _taken(
    c: Transaction,
    account_pk: int,
    nodes: Mapping[str, Sequence[StoredNode]],
    own: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, str]]:
    """Return the e-mail addresses, in lower case, of people with one contact that another there carries, with which."""
    wanted: dict[str, dict[str, str]] = {}
    for person_id, found in nodes.items():
        emails = {
            key: pair[0].value
            for node in found
            for key, pair in node.handles.items()
            if pair[0].kind == "email"
        }
        here = {key for node in found if node.contact_id in own[person_id] for key in node.handles}
        if len(own[person_id]) == 1 and emails.keys() - here:
            wanted[person_id] = {key: value for key, value in emails.items() if key not in here}
    elsewhere = people.on_contacts(c, account_pk, {key for emails in wanted.values() for key in emails})
    return {
        person_id: {
            value.casefold(): " ".join(filter(None, elsewhere[key]))
            for key, value in emails.items()
            if key in elsewhere
        }
        for person_id, emails in wanted.items()
    }


def _own_contacts(ids: Sequence[str], made: Collection[str]) -> tuple[str, ...]:
    """Return a person's contacts; those of our making yield to the only one that is not."""
    theirs = [one for one in ids if one not in made]
    return (theirs[0],) if len(theirs) == 1 else tuple(ids)


def _carried(
    nodes: Sequence[StoredNode], interactions: Iterable[entities.Interaction], account_pk: int
) -> dict[str, str]:
    """Return, for each interaction, the only one of a person's contacts that carries a handle of its sender."""
    handles = {node.key: set(node.handles) for node in nodes}
    contacts = {
        node.contact_id: handles[node.key]
        for node in nodes
        if node.contact_of == account_pk and node.contact_id
    }
    found: dict[str, str] = {}
    for one in interactions:
        senders = {handle for key in one.node_keys for handle in handles.get(key, ())}
        carriers = [contact_id for contact_id, carried in contacts.items() if carried & senders]
        if len(carriers) == 1:
            found[one.entity_id] = carriers[0]
    return found


def _field_keys(connection: Connection, contact_ids: Iterable[str]) -> set[str]:
    """Return the keys under which fields of these contacts may be held."""
    rules = connection.mapping.push_contact
    stream = connection.spec.contact_stream
    return {
        holds.field_key(stream, one, name) for one in contact_ids for name in (rules.owned if rules else ())
    }


def _taken_back(
    c: Transaction, connection: Connection, interactions: Iterable[entities.Interaction]
) -> Collection[str]:
    """Return the keys of contacts that were made because of one of these interactions and that an undo took back."""
    account_pk = connection.account_pk
    assert account_pk is not None
    if not holds.any_undone(c, account_pk):
        return ()
    keys = [
        key for one in interactions for key in contact_markers(one, connection.account_key, one.node_keys)
    ]
    return holds.held(c, account_pk, keys).keys()


def _first_of(
    taken_back: Collection[str],
    own: Iterable[entities.Interaction],
    nodes: Sequence[StoredNode],
    account_key: str,
) -> str:
    """Return the key of a contact of these nodes that was taken back, an empty text where there is none."""
    if not taken_back:
        return ""
    keys = {node.key for node in nodes}
    made = (key for one in own for key in contact_markers(one, account_key, keys))
    return next((key for key in made if key in taken_back), "")


def _held_of(
    held: Mapping[str, str], keys: Collection[str], stream: str, contact_ids: Sequence[str]
) -> dict[str, str]:
    starts = tuple(holds.field_key(stream, one, "") for one in contact_ids)
    return {key: reason for key, reason in held.items() if key in keys or key.startswith(starts)}


def _contacts_in(
    c: Transaction, account_pk: int, interactions: Collection[str]
) -> dict[str, dict[str, set[str]]]:
    """Return, for each interaction that has several people in it, their contacts by person."""
    several = {key: nodes for key, nodes in entities.partners(c, interactions).items() if len(nodes) > 1}
    person_of = people.persons_at(c, {node for nodes in several.values() for node in nodes})
    contacts = people.contacts_of(c, account_pk, set(person_of.values()))
    return {
        key: {person: contacts[person] for node in nodes if (person := person_of.get(node, "")) in contacts}
        for key, nodes in several.items()
    }


def _others(contacts: Mapping[str, set[str]], person_id: str) -> tuple[str, ...]:
    """Return the contacts of those who have exactly one, but for this person."""
    found = {next(iter(ids)) for other, ids in contacts.items() if other != person_id and len(ids) == 1}
    return tuple(sorted(found))


def _contacts_among(
    nodes: Iterable[StoredNode], candidates: Mapping[str, StoredNode], account_pk: int
) -> tuple[str, ...]:
    found = {
        f"{candidate.name or 'contact'} ({candidate.contact_id})"
        for node in nodes
        for key in node.candidates
        if (candidate := candidates.get(key)) is not None and candidate.contact_of == account_pk
    }
    return tuple(sorted(found))


def _last_heard(c: Transaction, person_ids: Collection[str]) -> dict[str, str]:
    """Return when each of these people, or we to them, last wrote by hand."""
    query = select(journey.c.person_id, journey.c.body).where(among(journey.c.person_id, person_ids))
    views = {row.person_id: orjson.loads(row.body) for row in (c.execute(query) if person_ids else ())}
    return {
        person_id: max(filter(None, (view.get("last_inbound_at"), view.get("last_outbound_at"))), default="")
        for person_id, view in views.items()
    }


def _possible(
    nodes: Iterable[StoredNode],
    candidates: Mapping[str, StoredNode],
    account_pk: int,
    heard: Mapping[str, str],
) -> tuple[tuple[str, str], ...]:
    """Return the contacts that somebody could be, with their names: who was heard of last first, then by id."""
    keys = {key for node in nodes for key in node.candidates}
    found = [candidates[key] for key in sorted(keys & candidates.keys())]
    there = [one for one in found if one.contact_of == account_pk and one.contact_id]
    there.sort(key=lambda one: one.contact_id or "")
    there.sort(key=lambda one: heard.get(one.person_id, ""), reverse=True)
    return tuple((one.contact_id or "", one.name or one.contact_id or "") for one in there)


def _deals(
    c: Transaction, account_pk: int, contact_stream: str, contact_ids: Iterable[str]
) -> dict[str, tuple[Deal, ...]]:
    """Return the deals of each of these contacts that has any."""
    refs = {f"{contact_stream}/{one}": one for one in contact_ids}
    return {
        refs[ref]: tuple(
            Deal(
                id=deal["id"],
                created_at=_instant(deal.get("created_at")),
                closed_at=_instant(deal.get("closed_at")) if deal.get("status") in ("won", "lost") else None,
                is_open=deal.get("status") == "open",
            )
            for deal in found
        )
        for ref, found in entities.referring(c, account_pk, refs, DEALS).items()
    }


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
