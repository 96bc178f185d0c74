"""What stands in a CRM under markers of ours and not in the books: an older store wrote it, before a backup."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from bridge.store.entities import Interaction
from bridge.store.holds import DELETED, EDITED, MOVED
from bridge.store.intents import CONTACT_SLOT, ENTRY_SLOT
from bridge.store.ledger import Filed
from bridge.sync.delivery.entries import entries_of, group_of
from bridge.sync.delivery.names import contact_markers, entry_markers
from bridge.sync.delivery.plan_values import (
    Action,
    Change,
    Destination,
    PersonState,
    Shown,
    Standing,
    no_write,
)
from bridge.sync.delivery.told import Told, order, read_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry that stands unfiled: `owner` is whom its marker names, by the id `named`."""

    left: Standing
    owner: Interaction
    named: str


def found_entries(state: PersonState, destination: Destination) -> list[Found]:
    """Return the entries that stand unfiled and name an interaction of this person, by time."""
    rules = destination.mapping.push_interaction
    if not state.standing or rules is None:
        return []
    found: dict[str, Found] = {}
    for one in sorted(state.interactions, key=order):
        for key, named in entry_markers(one, destination.account_key).items():
            left = state.standing.get(key)
            if left is not None and left.stream in rules.streams:
                found.setdefault(key, Found(left=left, owner=one, named=named))
    return list(found.values())


def found_contact(state: PersonState, destination: Destination) -> Action | None:
    """Return how a contact that was made for this person is entered into the books."""
    for one in sorted(state.interactions, key=order) if state.standing else ():
        for key in contact_markers(one, destination.account_key, state.nodes):
            left = state.standing.get(key)
            if left is not None and left.stream == destination.contact_stream:
                reason = "stands in the CRM already, made before a backup"
                return replace(no_write("adopt", state, (), reason), slot=CONTACT_SLOT, standing=left)
    return _where_entries_went(state, destination)


def _where_entries_went(state: PersonState, destination: Destination) -> Action | None:
    """
    Return how a contact is entered as used for somebody without one, since all their entries stand there unfiled.

    The one that was made for them before a backup was merged into it, or a person moved the entries.
    """
    if state.contacts or state.candidates or state.pending is not None or state.taken_back:
        return None
    entries = [
        one for one in found_entries(state, destination) if state.nodes.issuperset(one.owner.node_keys)
    ]
    places = {one.left.contacts for one in entries}
    if len(places) != 1 or len(contacts := min(places)) != 1 or contacts[0] in state.apart:
        return None
    reason = "its entries of before a backup stand there"
    key = contact_markers(entries[0].owner, destination.account_key, state.nodes)[0]
    standing = replace(
        entries[0].left, key=key, stream=destination.contact_stream, ext_id=contacts[0], heir=contacts[0]
    )
    return replace(no_write("adopt", state, (), reason), slot=CONTACT_SLOT, standing=standing)


def found_to_read(state: PersonState, destination: Destination) -> Iterator[tuple[Standing, set[str]]]:
    """Yield the entries that stand unfiled, with the fields that would be written there."""
    rules = destination.mapping.push_interaction
    if rules is None:
        return
    for one in found_entries(state, destination):
        (entry, *_) = entries_of(
            [one.owner],
            rules,
            style=destination.style,
            account_key=destination.account_key,
            first="",
            key=one.left.key,
        )
        yield one.left, set(rules.fields(one.left.stream, entry.view))


def taken_over(state: PersonState, destination: Destination) -> tuple[PersonState, list[Action]]:
    """
    Return the state as it is once what stands unfiled is in the books, and how it is entered there.

    An entry that shows what we would have written at some time is ours as if nothing had happened. Any other
    may have been edited by a person, and one on a contact of nobody who took part may have been moved by one:
    these are held. One that only tells what stands in another entry is what is left of two that became one.
    """
    actions: list[Action] = []
    everything = found_entries(state, destination)
    owners = {one.owner.entity_id for one in everything}
    for found in everything:
        key, left = found.left.key, found.left
        shown = state.shown.get(key) or Shown(contacts=frozenset(left.contacts), fields={"": left.text})
        if shown.contacts is not None:
            left = replace(left, contacts=tuple(sorted(shown.contacts)))
        may_tell = _may_tell(state, destination, found, owners)
        told = read_back(state, destination, may_tell, shown.fields or {"": left.text}, key)
        is_double = found.owner.entity_id in state.entry_of
        inside = {one.entity_id for one in told.members} - state.entry_of.keys()
        action = _entered(state, destination, left, shown, told)
        named = {found.named} - {found.owner.entity_id} if is_double else set[str]()
        actions.append(replace(action, entity_ids=tuple(sorted(inside | named))))
        state = replace(
            state,
            entry_of={**state.entry_of, **dict.fromkeys(inside, key)},
            members={**state.members, key: frozenset(inside | {found.owner.entity_id})},
            filed={**state.filed, key: _filed(destination, left, action)},
            held={**state.held, key: action.hold} if action.hold else state.held,
            doubles=(*state.doubles, key) if named and not inside else state.doubles,
        )
    return state, actions


def _may_tell(
    state: PersonState, destination: Destination, found: Found, owners: Collection[str]
) -> list[Interaction]:
    """Return what an entry may tell, by time: of its group, without what others are named for or tell."""
    rules = destination.mapping.push_interaction
    assert rules is not None
    owner = found.owner.entity_id
    name = group_of(found.owner, rules, destination.style)
    elsewhere = {*state.entry_of, *owners} - {owner}
    return [
        one
        for one in sorted(state.interactions, key=order)
        if one.entity_id not in elsewhere and group_of(one, rules, destination.style) == name
    ]


def _entered(
    state: PersonState, destination: Destination, left: Standing, shown: Shown, told: Told
) -> Action:
    rules = destination.mapping.push_interaction
    assert rules is not None
    values = rules.fields(left.stream, told.entry.view) if told.entry is not None else {}
    return replace(
        no_write("adopt", state, (), "stands in the CRM already, written before a backup"),
        slot=ENTRY_SLOT,
        changes=tuple(
            Change(field=name, before=shown.fields.get(name), after=value)
            for name, value in sorted(values.items())
        ),
        title=f"{left.stream} {left.ext_id}",
        entry=left.key,
        told=told.entry.told if told.entry is not None else None,
        standing=left,
        hold=_why_held(state, left, shown, told),
    )


def _why_held(state: PersonState, left: Standing, shown: Shown, told: Told) -> str:
    if shown.gone:
        return DELETED
    known = {*state.contacts, *state.yielding}
    for one in told.members:
        known |= {*state.parties.get(one.entity_id, ()), *state.shared.get(one.entity_id, ())}
    if state.contacts and not set(left.contacts) <= known:
        return MOVED
    return EDITED if told.entry is None else ""


def _filed(destination: Destination, left: Standing, action: Action) -> Filed:
    return Filed(
        stream=left.stream,
        ext_id=left.ext_id,
        contacts=frozenset(left.contacts),
        fields={change.field: change.after for change in action.changes},
        as_read={change.field: change.before for change in action.changes},
        told=action.told,
        written_at=destination.now,
    )
