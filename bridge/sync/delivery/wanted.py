"""What the plan must know of each person, read from the store and, where needed, from the CRM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.config import Push
from bridge.connector import Describer, Historian, Sink
from bridge.errors import MappingError
from bridge.journey.handles import spellings
from bridge.journey.keys import is_marker
from bridge.journey.text import Style
from bridge.model import Person
from bridge.store import entities, people
from bridge.store.intents import CONTACT_SLOT
from bridge.store.ledger import Filed
from bridge.store.people import StoredNode
from bridge.sync.delivery.adopted import older_until
from bridge.sync.delivery.apart import kept_apart
from bridge.sync.delivery.ask import plan_questions
from bridge.sync.delivery.names import marked_senders
from bridge.sync.delivery.plan import entries_to_read, growths_of, plan_person
from bridge.sync.delivery.plan_found import found_to_read
from bridge.sync.delivery.plan_growth import Growth
from bridge.sync.delivery.plan_places import moving, stranded
from bridge.sync.delivery.plan_values import Action, Destination, PersonState, Shown, Standing
from bridge.sync.delivery.present import stands_on, with_ages, with_present
from bridge.sync.delivery.provisional import provisional
from bridge.sync.delivery.rounds import stop_rounds
from bridge.sync.delivery.states import load_states, with_deals, with_dismissed
from bridge.sync.delivery.twins import keep_touched
from bridge.sync.delivery.used_contacts import Adopted, adopt, use_instead
from bridge.sync.intake.marks import taken_as
from bridge.sync.runtime import DEALS, Connection, Runtime, asked_id

PREVIEW = Push(timeline=True)
"""What a plan shows for a CRM that may not be written to yet."""


@dataclass(slots=True, kw_only=True)
class Planned:
    """
    The actions for some people; `adopted` were found in the CRM and are planned in the next round.

    `looked` are entries that the CRM showed elsewhere and that were read since, `stranded` those that others take
    off a contact of nobody in them.
    """

    actions: list[Action] = field(default_factory=list)
    adopted: set[str] = field(default_factory=set)
    looked: set[str] = field(default_factory=set)
    stranded: set[str] = field(default_factory=set)
    calls: int = 0


def destination_of(runtime: Runtime, connection: Connection, *, rests: bool = False) -> Destination:
    """Return the rules by which a connection is written to; with `rests` fresh entries wait for more to come."""
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        older = older_until(c, connection)
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
        zone=_zone_of(connection),
        now=runtime.clock() if rests else None,
        rest=(connection.config.push or PREVIEW).grow_after,
        provisional=runtime.config.identity.on_ambiguous == "provisional",
        older_until=older,
        dated=isinstance(connection.connector, Historian),
    )


def _zone_of(connection: Connection) -> ZoneInfo:
    """Return the time zone of a connection's account, UTC where it names none that is known."""
    assert connection.account is not None
    try:
        return ZoneInfo(connection.account.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


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
    destination = replace(destination, as_of=runtime.clock())
    with runtime.database.read() as c:
        known = with_dismissed(c, runtime, load_states(c, connection, person_ids))
        states = with_deals(c, connection, [provisional(state, destination) for state in known])
    sink = connection.connector
    assert isinstance(sink, Sink)
    planned = Planned()
    if not dry:
        use_instead(runtime, connection, states)
        keep_touched(runtime, connection, states)
    states = with_ages(sink, destination, with_present(sink, destination, states))
    growths = {state.person_id: _growths(state, destination) for state in states}
    states = _read_entries(sink, destination, states, growths)
    planned.looked = {
        key for state in states if len(state.contacts) == 1 for key in state.seen & state.shown.keys()
    }
    planned.stranded = {key for state in states for key in stranded(state)}
    claimed: dict[str, str] = {}
    for state in sorted(states, key=lambda state: len(state.contacts) != 1):
        left = _without(state, claimed)
        actions = _plan_or_hold(left, destination, settled=left is state and growths[state.person_id] == [])
        claimed |= {
            entity_id: key
            for action in actions
            if (key := _claims(action))
            for entity_id in action.entity_ids
        }
        planned.actions += actions
    _look_up(runtime, connection, sink, planned, dry=dry)
    _take_over_contacts(runtime, connection, states, planned, dry=dry)
    planned.actions += plan_questions(runtime, connection, destination, known)
    planned.actions = stop_rounds(runtime, connection, planned.actions)
    return planned


def _without(state: PersonState, claimed: Mapping[str, str]) -> PersonState:
    """Return a person whose interactions stand in the entries that were planned for others who took part."""
    theirs = {one.entity_id: claimed[one.entity_id] for one in state.interactions if one.entity_id in claimed}
    return replace(state, entry_of={**state.entry_of, **theirs}) if theirs else state


def _claims(action: Action) -> str:
    """Return the key of the entry that takes interactions in, an empty text where none does."""
    if action.kind in ("entry", "grow") and action.write is not None:
        return action.write.key
    return action.standing.key if action.kind == "adopt" and action.standing is not None else ""


def _plan_or_hold(state: PersonState, destination: Destination, *, settled: bool) -> list[Action]:
    """Plan one person; whom the mapping refuses is held and shown, and everybody else goes on."""
    try:
        return plan_person(state, destination, settled=settled)
    except MappingError as error:
        return [Action(kind="hold", person_id=state.person_id, name=state.name, reason=str(error))]


def _read_entries(
    sink: Sink,
    destination: Destination,
    states: list[PersonState],
    growths: Mapping[str, Sequence[Growth] | None],
) -> list[PersonState]:
    """Read the entries that are about to change, just before they are: a person may have been there first."""
    wanted: dict[str, dict[str, Shown]] = {}
    fields: dict[str, set[str]] = {}
    for state in states:
        for filed, names in _entries_to_read(state, destination, growths[state.person_id] or ()):
            wanted.setdefault(filed.stream, {})[filed.ext_id] = Shown(gone=True)
            rule = destination.mapping.pull.get(filed.stream)
            fields.setdefault(filed.stream, set()).update(names, rule.fields_read if rule else ())
        for left, names in _found_to_read(state, destination):
            wanted.setdefault(left.stream, {})[left.ext_id] = Shown(gone=True)
            rule = destination.mapping.pull.get(left.stream)
            fields.setdefault(left.stream, set()).update(names, rule.fields_read if rule else ())
        for filed in moving(state):
            wanted.setdefault(filed.stream, {})[filed.ext_id] = Shown(gone=True)
            rule = destination.mapping.pull.get(filed.stream)
            fields.setdefault(filed.stream, set()).update(rule.fields_read if rule else ())
    if not wanted:
        return states
    for stream, found in wanted.items():
        for record in sink.read(stream, sorted(found), sorted(fields[stream])):
            if record.deleted or not isinstance(record.data, dict):
                continue
            found[asked_id(record)] = Shown(
                fields=record.data.get("properties", record.data),
                contacts=stands_on(destination.mapping, record, destination.contact_stream, "contact_refs")
                or None,
                deals=stands_on(destination.mapping, record, destination.deal_stream, "deal_refs"),
                at=record.modified_at,
            )
    states = [
        replace(state, shown=shown) if (shown := _shown_of(state, wanted)) else state for state in states
    ]
    return _with_gone(sink, destination, states)


def _shown_of(state: PersonState, found: Mapping[str, Mapping[str, Shown]]) -> dict[str, Shown]:
    """Return how a person's entries are shown that were asked for, by key."""
    return {
        key: found[stream][ext_id]
        for key, stream, ext_id in _places(state)
        if ext_id in found.get(stream, {})
    }


def _with_gone(sink: Sink, destination: Destination, states: list[PersonState]) -> list[PersonState]:
    """Return the states with those contacts that are gone, of those that entries left or would go to."""
    asked: dict[str, set[str]] = {}
    for state in states:
        if any(moving(state)):
            asked[state.person_id] = set(state.contacts)
        for key, shown in state.shown.items():
            if key in state.filed and shown.contacts:
                asked.setdefault(state.person_id, set()).update(state.filed[key].contacts - shown.contacts)
    ids = {one for some in asked.values() for one in some}
    if not ids:
        return states
    gone: dict[str, datetime | None] = dict.fromkeys(ids)
    made = sorted(one for one in ids if not is_marker(one))
    for record in sink.read(destination.contact_stream, made, ()) if made else ():
        if record.deleted:
            gone[record.id] = record.modified_at
        else:
            gone.pop(record.id, None)
    return [
        replace(state, gone={one: gone[one] for one in asked.get(state.person_id, ()) if one in gone})
        for state in states
    ]


def _places(state: PersonState) -> Iterator[tuple[str, str, str]]:
    """Yield key, stream and vendor id of every entry that stands, filed or not."""
    for key, filed in state.filed.items():
        yield key, filed.stream, filed.ext_id
    for key, left in state.standing.items():
        yield key, left.stream, left.ext_id


def _growths(state: PersonState, destination: Destination) -> list[Growth] | None:
    try:
        return growths_of(state, destination)
    except MappingError:
        return None  # their plan says why


def _entries_to_read(
    state: PersonState, destination: Destination, growths: Sequence[Growth]
) -> list[tuple[Filed, set[str]]]:
    try:
        return list(entries_to_read(state, destination, growths))
    except MappingError:
        return []  # their plan says why


def _found_to_read(state: PersonState, destination: Destination) -> list[tuple[Standing, set[str]]]:
    try:
        return list(found_to_read(state, destination))
    except MappingError:
        return []  # their plan says why


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
    found = list(sink.find(asked)) if asked else []
    with runtime.database.read() as c:
        apart = kept_apart(c, connection, {match.key: match.ids for match in found if match.ids})
    for match in found:
        creation = creations.get(match.key)
        unanswered.discard(match.key)
        match = replace(match, ids=[one for one in match.ids if one not in apart.get(match.key, ())])
        if creation is None or not match.ids:
            continue
        others = [action for action in planned.actions if action.person_id != match.key]
        if len(match.ids) == 1:
            planned.adopted.add(match.key)
            if not dry:
                assert creation.write is not None
                there = Adopted(person_id=match.key, key=creation.write.key, contact_id=match.ids[0])
                adopt(runtime, connection, there)
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


def _take_over_contacts(
    runtime: Runtime, connection: Connection, states: Sequence[PersonState], planned: Planned, *, dry: bool
) -> None:
    """
    Use contacts that an older store made: their marker is what ties them to a person without any address.

    One that absorbed another may be a person's, which keeps the marker of ours that was merged into it: it is
    used, and does not count as of our making.
    """
    by_id = {state.person_id: state for state in states}
    for action in [one for one in planned.actions if one.kind == "adopt" and one.slot == CONTACT_SLOT]:
        assert action.standing is not None
        planned.adopted.add(action.person_id)
        if dry:
            continue
        key = connection.node_key(connection.spec.contact_stream, action.standing.ext_id)
        with runtime.database.read() as c:
            known = people.load_nodes(c, [key]).get(key)
            taken = entities.load_aliases(c, [taken_as(connection.account_key, action.standing.key)])
        ours = not (taken or action.standing.heir) and (known is None or not known.aliases)
        left = action.standing
        there = Adopted(
            person_id=action.person_id,
            key=left.key,
            contact_id=left.ext_id,
            ours=ours,
            senders=marked_senders(by_id[action.person_id].interactions, connection.account_key, left.key),
        )
        adopt(runtime, connection, there)
        planned.actions = [one for one in planned.actions if one.person_id != action.person_id]


def _person(person_id: str, nodes: Iterable[StoredNode]) -> Person:
    handles = {pair[0] for node in nodes for pair in node.handles.values()}
    phones = sorted({handle.value for handle in handles if handle.kind == "phone"})
    return Person(
        key=person_id,
        emails=tuple(sorted({handle.value for handle in handles if handle.kind == "email"})),
        phones=tuple(dict.fromkeys(spelling for phone in phones for spelling in spellings(phone))),
    )
