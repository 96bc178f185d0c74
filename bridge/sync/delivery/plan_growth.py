"""What entries take in after they were written: later messages of their day, edits, removals, a failed delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bridge.journey.keys import marker
from bridge.mapping import PushInteraction
from bridge.model import Json, Write
from bridge.store.entities import Interaction
from bridge.store.holds import DELETED, EDITED
from bridge.store.intents import GROWTH_SLOT
from bridge.store.ledger import Filed
from bridge.sync.delivery.entries import Entry, entries_of, group_of, is_unconfirmed, told_of
from bridge.sync.delivery.plan_doubles import doubled
from bridge.sync.delivery.plan_values import Action, Change, Destination, PersonState, Shown, no_write
from bridge.sync.delivery.told import Told, read_back

UNDER_WAY = ("open", "uncertain")
"""States of an intent whose entry nobody touches until its receipt is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """An entry that tells less than it should: `joined` is what came since, `rest` what no longer fits in."""

    key: str
    filed: Filed
    members: tuple[Interaction, ...]
    joined: tuple[Interaction, ...]
    part: int
    entry: Entry
    rest: tuple[Entry, ...]
    changed: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """The actions on entries that stand, `rest` the entries that follow them, `new` what belongs to none of them."""

    actions: tuple[Action, ...]
    rest: tuple[Entry, ...]
    new: tuple[Interaction, ...]


def find_growths(
    state: PersonState, destination: Destination, new: Sequence[Interaction]
) -> Iterator[Growth]:
    """
    Yield the entries that no longer tell what is known of their interactions.

    What came since joins the last entry of its group, unless a person in the CRM edited, deleted or
    moved that one. An entry that also holds somebody else's interactions is left as it is.
    """
    rules = destination.mapping.push_interaction
    if rules is None or not state.filed:
        return
    style = destination.style_of(state)
    doubles = doubled(state, destination)
    for name, entries in groups_told(state, rules, destination).items():
        *_, last = entries
        for place, (key, inside) in enumerate(entries.items(), 1):
            if key in state.held or key in state.changing or key in doubles:
                continue
            filed = state.filed[key]
            if is_unconfirmed(filed.told) and state.candidates and state.unconfirmed is None:
                continue
            joined = _joining(new, name, rules, destination) if key == last else ()
            members = sorted((*inside, *joined), key=_order)
            told = told_of(members, style)
            if told == filed.told or not filed.fields or (filed.told is None and not joined):
                continue
            found = _written(state, destination, rules, members, part=place, key=key)
            if not found:
                continue
            values = rules.fields(filed.stream, found[0].view)
            changed = {name: value for name, value in values.items() if value != filed.fields.get(name)}
            if changed:
                told_there = frozenset(found[0].entity_ids)
                yield Growth(
                    key=key,
                    filed=filed,
                    members=tuple(inside),
                    part=place,
                    joined=tuple(one for one in joined if one.entity_id in told_there),
                    entry=found[0],
                    rest=tuple(found[1:]),
                    changed=changed,
                )


def grow(
    state: PersonState, destination: Destination, new: Sequence[Interaction], *, but: Collection[str] = ()
) -> Grown:
    """
    Return how entries that stand, `but` these, are brought up to date, and which of `new` is left for their own.

    An entry that a person edited or deleted in the CRM stays as they left it; what came since goes into
    a new one. What belongs to an entry that is being written waits for its receipt.
    """
    actions: list[Action] = []
    rest: list[Entry] = []
    busy = {key for key, now in state.changing.items() if now in UNDER_WAY}
    taken = _waiting(state, destination, new, busy)
    if taken:
        actions.append(no_write("later", state, (), "an entry of the same day is being written"))
    theirs = {key for key, filed in state.filed.items() if filed.contacts & state.apart}
    stays = [one for one in new if one.entity_id in _waiting(state, destination, new, theirs - busy) - taken]
    if stays:
        apart = ", ".join(sorted(state.apart))
        said = (
            f"its entry stands on contact {apart}, which is somebody else; it moves once they have their own"
        )
        actions.append(no_write("hold", state, stays, said))
        taken |= {one.entity_id for one in stays}
    for growth in find_growths(state, destination, [one for one in new if one.entity_id not in taken]):
        if growth.key in but:
            continue
        joining = {entity_id for entry in (growth.entry, *growth.rest) for entity_id in entry.entity_ids}
        if rests(growth.filed, destination):
            actions.append(
                replace(
                    no_write("later", state, growth.joined, "waits for more to come"),
                    entry=growth.key,
                    title=growth.entry.title,
                )
            )
            taken |= joining
            continue
        shown = state.shown.get(growth.key)
        reason = _why_kept(growth, shown)
        if shown is None:
            actions.append(no_write("hold", state, growth.joined, "its entry could not be read"))
            taken |= joining
        elif reason:
            place = f"{growth.filed.stream} {growth.filed.ext_id}"
            said = f"entry {growth.key} in {place} was {reason} by a person; it stays so"
            group = sorted((*growth.members, *growth.joined), key=_order)
            told = read_back(state, destination, group, shown.fields, growth.key)
            ours = (
                own_text(state, destination, growth.key, growth.changed, shown, told)
                if reason == EDITED
                else None
            )
            there = [one for one in told.members if one in growth.joined]
            kept = replace(no_write("keep", state, there, said), entry=growth.key, hold=reason)
            actions.append(ours or kept)
            taken |= joining if ours else {one.entity_id for one in there}
        else:
            actions.append(_growing(state, destination, growth))
            rest += growth.rest
            taken |= joining
    return Grown(
        actions=tuple(actions),
        rest=tuple(rest),
        new=tuple(one for one in new if one.entity_id not in taken),
    )


def parts_told(state: PersonState, destination: Destination) -> dict[tuple[str, ...], int]:
    """Return how many entries stand for each group of interactions."""
    rules = destination.mapping.push_interaction
    if rules is None:
        return {}
    return {name: len(entries) for name, entries in groups_told(state, rules, destination).items()}


def groups_told(
    state: PersonState, rules: PushInteraction, destination: Destination
) -> dict[tuple[str, ...], dict[str, list[Interaction]]]:
    """Return the entries that stand for each group of interactions, and what is in each, by time."""
    found: dict[tuple[str, ...], dict[str, list[Interaction]]] = {}
    for key, members in _standing(state).items():
        found.setdefault(group_of(members[0], rules, destination.style), {})[key] = members
    return found


def _standing(state: PersonState) -> dict[str, list[Interaction]]:
    """Return what stands in each entry, entries and members by time; only entries that hold nobody else's."""
    if not state.filed:
        return {}
    found: dict[str, list[Interaction]] = {}
    own = {one.entity_id for one in state.interactions}
    for one in sorted(state.interactions, key=_order):
        key = state.entry_of.get(one.entity_id)
        if key is not None and key in state.filed:
            found.setdefault(key, []).append(one)
    return {key: members for key, members in found.items() if state.members.get(key, frozenset()) <= own}


def _joining(
    new: Sequence[Interaction], name: tuple[str, ...], rules: PushInteraction, destination: Destination
) -> tuple[Interaction, ...]:
    if len(name) == 1:
        return ()
    return tuple(one for one in new if group_of(one, rules, destination.style) == name)


def _waiting(
    state: PersonState, destination: Destination, new: Sequence[Interaction], busy: Collection[str]
) -> set[str]:
    """Return what belongs to the group of an entry that can take nothing in right now."""
    rules = destination.mapping.push_interaction
    if rules is None or not busy:
        return set()
    names = {
        group_of(members[0], rules, destination.style)
        for key, members in _standing(state).items()
        if key in busy
    }
    return {one.entity_id for one in new if group_of(one, rules, destination.style) in names}


def rests(filed: Filed, destination: Destination) -> bool:
    """Tell whether an entry was written too recently to take in more."""
    if destination.now is None or filed.written_at is None:
        return False
    return filed.written_at <= destination.now < filed.written_at + timedelta(seconds=destination.rest)


def _why_kept(growth: Growth, shown: Shown | None) -> str:
    """Return what a person did to an entry since we wrote it, an empty text where they did nothing."""
    if shown is None:
        return ""
    if shown.gone:
        return DELETED
    same = all(shown.fields.get(name) == growth.filed.shown(name) for name in growth.changed)
    return "" if same else EDITED


def own_text(
    state: PersonState,
    destination: Destination,
    key: str,
    names: Iterable[str],
    shown: Shown,
    told: Told,
) -> Action | None:
    """
    Return how an entry is entered into the books that shows what we wrote at some time; None where a person did.

    So it is after a write whose answer was lost, and after a backup: what it does not tell yet joins it in
    the next round.
    """
    rules = destination.mapping.push_interaction
    assert rules is not None
    if told.entry is None:
        return None
    values = rules.fields(state.filed[key].stream, told.entry.view)
    return replace(
        no_write("adopt", state, (), "was written before, in a call without an answer or before a backup"),
        entity_ids=told.entry.entity_ids,
        slot=GROWTH_SLOT,
        entry=key,
        told=told.entry.told,
        changes=tuple(
            Change(field=name, before=shown.fields.get(name), after=values.get(name))
            for name in sorted(names)
        ),
    )


def _written(
    state: PersonState,
    destination: Destination,
    rules: PushInteraction,
    members: Sequence[Interaction],
    *,
    part: int,
    key: str,
) -> list[Entry]:
    """Write an entry that stands anew, and those that follow where it is full."""
    return entries_of(
        members,
        rules,
        style=destination.style_of(state),
        account_key=destination.account_key,
        first=min(state.interactions, key=_order).entity_id,
        part=part,
        key=key,
    )


def _growing(state: PersonState, destination: Destination, growth: Growth) -> Action:
    digest = hashlib.blake2b(repr(sorted(growth.changed.items())).encode(), digest_size=8).hexdigest()
    return Action(
        kind="grow",
        person_id=state.person_id,
        name=state.name,
        write=Write(
            key=marker(destination.account_key, growth.key, f"{GROWTH_SLOT}:{digest}"),
            op="update",
            stream=growth.filed.stream,
            id=growth.filed.ext_id,
            fields=growth.changed,
        ),
        slot=GROWTH_SLOT,
        entity_ids=tuple(one.entity_id for one in growth.joined),
        changes=tuple(
            Change(field=name, before=growth.filed.fields.get(name), after=value)
            for name, value in sorted(growth.changed.items())
        ),
        title=growth.entry.title,
        entry=growth.key,
        told=growth.entry.told,
    )


def _order(interaction: Interaction) -> tuple[str, str]:
    return interaction.body.get("occurred_at", ""), interaction.entity_id
