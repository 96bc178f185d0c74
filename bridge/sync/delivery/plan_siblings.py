"""Entries of one day beside the one that grows: a store put back to a backup may not know what another took in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bridge.store.entities import Interaction
from bridge.store.holds import EDITED
from bridge.store.ledger import Filed
from bridge.sync.delivery.entries import group_of
from bridge.sync.delivery.plan_doubles import doubled
from bridge.sync.delivery.plan_growth import groups_told, own_text, rests
from bridge.sync.delivery.plan_values import Action, Destination, PersonState, no_write
from bridge.sync.delivery.told import order, read_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """An entry with what the books have in it; `joining` is what would go into the last one of its group."""

    key: str
    filed: Filed
    members: tuple[Interaction, ...]
    joining: tuple[Interaction, ...]


def siblings(state: PersonState, destination: Destination, new: Sequence[Interaction]) -> Iterator[Sibling]:
    """Yield the entries to read before the last one of their group takes in what is new."""
    rules = destination.mapping.push_interaction
    if rules is None or not new:
        return
    settled = {*state.held, *state.changing, *doubled(state, destination)}
    for name, entries in groups_told(state, rules, destination).items():
        *others, last = entries
        joining = tuple(one for one in new if group_of(one, rules, destination.style) == name)
        if joining and others and not rests(state.filed[last], destination):
            for key in others:
                if key not in settled and state.filed[key].fields:
                    filed, members = state.filed[key], tuple(entries[key])
                    yield Sibling(key=key, filed=filed, members=members, joining=joining)


def grown_before(
    state: PersonState, destination: Destination, new: Sequence[Interaction]
) -> tuple[list[Action], list[Interaction]]:
    """Return how entries that tell something of `new` already are entered into the books, and what of it is left."""
    actions: list[Action] = []
    left = list(new)
    for one in siblings(state, destination, new):
        shown = state.shown.get(one.key)
        names = sorted(one.filed.fields)
        if (
            shown is None
            or shown.gone
            or all(shown.fields.get(name) == one.filed.shown(name) for name in names)
        ):
            continue
        group = sorted([*one.members, *(each for each in one.joining if each in left)], key=order)
        told = read_back(state, destination, group, shown.fields, one.key)
        there = [each for each in told.members if each in left]
        if there:
            said = f"entry {one.key} in {one.filed.stream} {one.filed.ext_id} was edited by a person; it stays so"
            kept = replace(no_write("keep", state, there, said), entry=one.key, hold=EDITED)
            ours = own_text(state, destination, one.key, names, shown, told)
            actions.append(ours or kept)
            left = [each for each in left if each not in there]
    return actions, left
