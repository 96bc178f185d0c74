"""What the plan must know of each person, read from the store and, where needed, from the CRM."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.config import Push
from bridge.connector import Describer, Sink
from bridge.errors import MappingError
from bridge.journey.handles import spellings
from bridge.journey.text import Style
from bridge.model import Json, Person
from bridge.store import entities, people
from bridge.store import ledger as books
from bridge.store.ledger import CONTACT_SLOT
from bridge.store.people import StoredNode
from bridge.store.tables import journey
from bridge.sync.adopted import any_standing, standing
from bridge.sync.plan import markers_of, plan_person
from bridge.sync.plan_contact import fields_to_read
from bridge.sync.plan_values import Action, Deal, Destination, PersonState, Standing
from bridge.sync.receipts import adopt
from bridge.sync.runtime import Connection, Runtime

DEALS = "deals"

PREVIEW = Push(timeline=True)
"""What a plan shows for a CRM that may not be written to yet."""


@dataclass(slots=True, kw_only=True)
class Planned:
    """The actions for some people; `adopted` were found in the CRM and are planned in the next round."""

    actions: list[Action] = field(default_factory=list)
    adopted: set[str] = field(default_factory=set)
    calls: int = 0


def destination_of(runtime: Runtime, connection: Connection) -> Destination:
    """Return the rules by which a connection is written to."""
    assert connection.account_pk is not None
    return Destination(
        account_pk=connection.account_pk,
        account_key=connection.account_key,
        contact_stream=connection.spec.contact_stream,
        deal_stream=DEALS,
        push=connection.config.push or PREVIEW,
        mapping=connection.mapping,
        style=Style(
            language=runtime.config.company.language,
            zone=runtime.config.company.zone,
            names=_owner_names(runtime),
        ),
        lacking=lacking_fields(connection),
    )


def _owner_names(runtime: Runtime) -> dict[str, str]:
    """Return the display names of the CRM's users by reference, for the authors of messages."""
    with runtime.database.read() as c:
        users = entities.entities_of_type(c, "user")
    return {user["ref"]: user["name"] for user in users if user.get("name")}


def lacking_fields(connection: Connection) -> frozenset[str]:
    """
    Return the contact fields that the mapping would create and the CRM does not have yet.

    They are left out of every write until `crmbridge setup crm --apply` made them.
    """
    if connection.lacking is not None and not connection.lacking:
        return connection.lacking
    stream = connection.spec.contact_stream
    wanted = {field.name for field in connection.mapping.properties.get(stream, ())}
    existing = wanted
    if wanted and isinstance(connection.connector, Describer):
        existing = {field.name for field in connection.connector.describe(stream)}
    connection.lacking = frozenset(wanted - existing)
    return connection.lacking


def plan_people(
    runtime: Runtime,
    connection: Connection,
    destination: Destination,
    person_ids: Sequence[str],
    *,
    dry: bool = False,
) -> Planned:
    """
    Plan these people for one destination; asks the CRM for whom it knows and for present values.

    With `dry` nothing is written to the store either: a contact found in the CRM is shown as a
    skip. Raises what the connector raised.
    """
    with runtime.database.read() as c:
        states = load_states(c, connection, person_ids)
    sink = connection.connector
    assert isinstance(sink, Sink)
    planned = Planned()
    states = _read_present(sink, destination, states)
    claimed: dict[str, str] = {}
    for state in sorted(states, key=lambda state: len(state.contacts) != 1):
        planned.actions += _plan_or_hold(replace(state, entry_of={**state.entry_of, **claimed}), destination)
        claimed |= {
            entity_id: action.write.key
            for action in planned.actions
            if action.kind == "entry" and action.write is not None
            for entity_id in action.entity_ids
        }
    _look_up(runtime, connection, sink, planned, dry=dry)
    _take_over_contacts(runtime, connection, planned, dry=dry)
    return planned


def _plan_or_hold(state: PersonState, destination: Destination) -> list[Action]:
    """Plan one person; whom the mapping refuses is held and shown, and everybody else goes on."""
    try:
        return plan_person(state, destination)
    except MappingError as error:
        return [Action(kind="hold", person_id=state.person_id, name=state.name, reason=str(error))]


def _fields_to_read(state: PersonState, destination: Destination) -> tuple[str, ...]:
    try:
        return fields_to_read(state, destination)
    except MappingError:
        return ()  # their plan says why


def _read_present(sink: Sink, destination: Destination, states: list[PersonState]) -> list[PersonState]:
    """Read the present values of the fields that are about to change, just before they are."""
    wanted = {
        state.contacts[0]: _fields_to_read(state, destination) for state in states if len(state.contacts) == 1
    }
    wanted = {contact_id: names for contact_id, names in wanted.items() if names}
    if not wanted:
        return states
    names = sorted({name for found in wanted.values() for name in found})
    present: dict[str, Mapping[str, Json]] = {}
    for record in sink.read(destination.contact_stream, sorted(wanted), names):
        if record.deleted or not isinstance(record.data, dict):
            continue
        values = record.data.get("properties", record.data)
        present[record.id] = values
        present[str(record.data.get("requested_id", record.id))] = values
    return [
        replace(state, present=present.get(state.contacts[0])) if len(state.contacts) == 1 else state
        for state in states
    ]


def _look_up(runtime: Runtime, connection: Connection, sink: Sink, planned: Planned, *, dry: bool) -> None:
    """Before a contact is made, ask the CRM whether it has one under any spelling of any handle."""
    creations = {action.person_id: action for action in planned.actions if action.kind == "create_contact"}
    if not creations:
        return
    with runtime.database.read() as c:
        nodes = people.nodes_of(c, creations)
    asked = [_person(person_id, nodes.get(person_id, [])) for person_id in creations]
    asked = [person for person in asked if person.emails or person.phones]
    unanswered = {person.key for person in asked}
    for match in sink.find(asked) if asked else ():
        creation = creations.get(match.key)
        unanswered.discard(match.key)
        if creation is None or not match.ids:
            continue
        others = [action for action in planned.actions if action.person_id != match.key]
        if len(match.ids) == 1:
            planned.adopted.add(match.key)
            if not dry:
                assert creation.write is not None
                adopt(runtime, connection, creation.person_id, creation.write.key, match.ids[0])
                planned.actions = others
                continue
            reason = f"the CRM has contact {match.ids[0]}; its timeline is used"
        else:
            reason = f"the CRM has contacts {', '.join(match.ids)}; merge them or decide which"
        hold = replace(creation, kind="skip" if len(match.ids) == 1 else "hold", write=None, reason=reason)
        planned.actions = [*others, hold]
    for person_id in sorted(unanswered):
        reason = f"connector {connection.spec.name} did not say whether the CRM has this contact; update it"
        others = [action for action in planned.actions if action.person_id != person_id]
        planned.actions = [*others, replace(creations[person_id], kind="hold", write=None, reason=reason)]


def _take_over_contacts(runtime: Runtime, connection: Connection, planned: Planned, *, dry: bool) -> None:
    """Use contacts that an older store made: their marker is what ties them to a person without any address."""
    for action in [one for one in planned.actions if one.kind == "adopt" and one.slot == CONTACT_SLOT]:
        assert action.standing is not None
        planned.adopted.add(action.person_id)
        if dry:
            continue
        adopt(runtime, connection, action.person_id, action.standing.key, action.standing.ext_id, ours=True)
        planned.actions = [one for one in planned.actions if one.person_id != action.person_id]


def _person(person_id: str, nodes: Iterable[StoredNode]) -> Person:
    handles = {pair[0] for node in nodes for pair in node.handles.values()}
    phones = sorted({handle.value for handle in handles if handle.kind == "phone"})
    return Person(
        key=person_id,
        emails=tuple(sorted({handle.value for handle in handles if handle.kind == "email"})),
        phones=tuple(dict.fromkeys(spelling for phone in phones for spelling in spellings(phone))),
    )


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
    person_of_node = {node.key: person_id for person_id, found in nodes.items() for node in found}
    interactions = entities.load_interactions(c, person_of_node)
    entry_of = books.entries_of(c, account_pk, interactions)
    filed = books.filed_under(c, account_pk, set(entry_of.values()))
    contact_ids = {
        person_id: tuple(
            sorted(node.contact_id for node in found if node.contact_of == account_pk and node.contact_id)
        )
        for person_id, found in nodes.items()
    }
    written = books.field_states(
        c, account_pk, connection.spec.contact_stream, {one for ids in contact_ids.values() for one in ids}
    )
    pending = books.contacts_on_their_way(c, account_pk)
    mine: dict[str, list[entities.Interaction]] = {}
    for interaction in interactions.values():
        for person_id in {person_of_node[key] for key in interaction.node_keys}:
            mine.setdefault(person_id, []).append(interaction)
    contacts_in = _contacts_in(c, account_pk, interactions)
    left: dict[str, Standing] = {}
    if any_standing(c, connection.account_key):
        fresh = [one for one in interactions.values() if one.entity_id not in entry_of]
        left = standing(c, connection, markers_of(fresh, connection.account_key))
    states = []
    for person_id, found in nodes.items():
        own = tuple(mine.get(person_id, ()))
        ids = contact_ids[person_id]
        keys = {entry_of[one.entity_id] for one in own if one.entity_id in entry_of}
        view = views.get(person_id, {})
        states.append(
            PersonState(
                person_id=person_id,
                name=view.get("display_name", ""),
                contacts=ids,
                candidates=_contacts_among(found, candidates, account_pk),
                pending=pending.get(person_id),
                interactions=own,
                entry_of={one.entity_id: entry_of[one.entity_id] for one in own if one.entity_id in entry_of},
                filed={key: filed[key] for key in keys if key in filed},
                standing=left,
                shared={
                    one.entity_id: others
                    for one in own
                    if (others := _others(contacts_in.get(one.entity_id, {}), person_id))
                },
                view=view,
                written=written.get(ids[0], {}) if len(ids) == 1 else {},
                deals=_deals(c, account_pk, connection.spec.contact_stream, ids[0])
                if len(ids) == 1 and own
                else (),
            )
        )
    return states


def _contacts_in(
    c: Transaction, account_pk: int, interactions: Collection[str]
) -> dict[str, dict[str, set[str]]]:
    """Return, for each interaction that has several people in it, their contacts by person."""
    several = {key: nodes for key, nodes in entities.partners(c, interactions).items() if len(nodes) > 1}
    person_of = people.persons_at(c, {node for nodes in several.values() for node in nodes})
    contacts = people.contacts_of(c, account_pk, set(person_of.values()))
    return {
        key: {person: contacts[person] for node in nodes if (person := person_of[node]) in contacts}
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


def _deals(c: Transaction, account_pk: int, contact_stream: str, contact_id: str) -> tuple[Deal, ...]:
    return tuple(
        Deal(
            id=deal["id"],
            created_at=_instant(deal.get("created_at")),
            closed_at=_instant(deal.get("closed_at")) if deal.get("status") in ("won", "lost") else None,
            is_open=deal.get("status") == "open",
        )
        for deal in entities.referring(c, account_pk, f"{contact_stream}/{contact_id}", DEALS)
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
