"""Entries for which another stands by now: archived, unless a person made something of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bridge.journey.keys import marker
from bridge.model import Write
from bridge.store.entities import Interaction
from bridge.store.holds import DELETED, EDITED, MOVED
from bridge.store.intents import DOUBLE_SLOT
from bridge.sync.delivery.plan_values import Action, Destination, PersonState, Shown, no_write
from bridge.sync.delivery.told import order, read_back


def is_logged(interaction: Interaction, destination: Destination) -> bool:
    """Tell whether a CRM has an interaction of its own accord, as mail that its logger caught."""
    if destination.account_pk not in interaction.accounts:
        return False
    rules = destination.mapping.push_interaction
    streams = rules.streams if rules else ()
    return any(
        account_pk == destination.account_pk and (stream in streams or interaction.body.get("contact_refs"))
        for account_pk, stream, _ in interaction.parts
    )


def doubled(state: PersonState, destination: Destination) -> list[str]:
    """Return the entries for which another stands by now: one of ours, or what the CRM logged by itself."""
    logged = {one.entity_id for one in state.interactions if is_logged(one, destination)}
    if not logged:
        return sorted(state.doubles)
    own = {
        key
        for entity_id, key in state.entry_of.items()
        if entity_id in logged and key in state.filed and state.members.get(key, frozenset()) <= logged
    }
    return sorted({*state.doubles, *own})


def archived(state: PersonState, destination: Destination, key: str) -> Iterator[Action]:
    """Archive an entry whose interactions stand elsewhere, unless a person made something of it."""
    filed, shown = state.filed[key], state.shown.get(key)
    if key in state.held or key in state.changing or shown is None:
        return
    there = f"{filed.stream} {filed.ext_id}"
    if shown.gone:
        yield replace(no_write("keep", state, (), f"{there} was deleted already"), entry=key, hold=DELETED)
        return
    keepers = told_instead(state, key)
    if keepers and all(_was_archived(state, destination, one) for one in keepers):
        for one in keepers:
            said = f"entry {one} is gone, archived by a store that was put back since"
            yield replace(no_write("keep", state, (), said), entry=one, hold=DELETED)
        said = f"{there} alone tells what entry {', '.join(keepers)} told; it stays"
        yield replace(no_write("keep", state, (), said), entry=key, hold=EDITED)
        return
    if keepers and all(one in state.shown and state.shown[one].gone for one in keepers):
        for one in [one for one in keepers if one not in state.held]:
            said = f"entry {one} was deleted by a person; {there} tells the same, and stays"
            yield replace(no_write("keep", state, (), said), entry=one, hold=DELETED)
        return
    if _was_moved(state, key, shown):
        said = f"{there} tells what stands elsewhere, but was moved by a person; it stays"
        yield replace(no_write("keep", state, (), said), entry=key, hold=MOVED)
        return
    if not _is_untouched(state, destination, key, shown):
        said = f"{there} tells what stands elsewhere, but was edited by a person; it stays"
        yield replace(no_write("keep", state, (), said), entry=key, hold=EDITED)
        return
    write = Write(
        key=marker(destination.account_key, key, DOUBLE_SLOT),
        op="archive",
        stream=filed.stream,
        id=filed.ext_id,
    )
    yield replace(
        no_write("archive", state, (), ""),
        write=write,
        slot=DOUBLE_SLOT,
        title=f"{there}, which tells what stands elsewhere",
        entry=key,
    )


def told_instead(state: PersonState, key: str) -> list[str]:
    """Return the entries in the books that tell what a double tells."""
    told = {state.entry_of[one] for one in state.members.get(key, ()) if one in state.entry_of}
    return sorted((told - {key}) & state.filed.keys())


def _was_archived(state: PersonState, destination: Destination, key: str) -> bool:
    """Tell whether an entry is gone that a store of before a backup may have archived, as a double of the other."""
    older, at, shown = destination.older_until, state.filed[key].written_at, state.shown.get(key)
    return older is not None and (at is None or at <= older) and shown is not None and shown.gone


def _was_moved(state: PersonState, key: str, shown: Shown) -> bool:
    """Tell whether an entry stands on none of the contacts where it was left, though these are there."""
    left = state.filed[key].contacts
    if not shown.contacts or not left or left <= state.gone.keys():
        return False
    return shown.contacts.isdisjoint(left.union(state.contacts))


def _is_untouched(state: PersonState, destination: Destination, key: str, shown: Shown) -> bool:
    """
    Tell whether an entry shows what we left there.

    What a CRM made of a write whose answer was lost is not known: then its text counts.
    """
    filed = state.filed[key]
    other = [name for name in filed.fields if shown.fields.get(name) != filed.shown(name)]
    if not other or not filed.fields:
        return bool(filed.fields)
    inside = state.members.get(key, frozenset())
    group = [one for one in sorted(state.interactions, key=order) if one.entity_id in inside]
    told = read_back(state, destination, group, shown.fields, key)
    return told.entry is not None and filed.as_read.keys().isdisjoint(other)
