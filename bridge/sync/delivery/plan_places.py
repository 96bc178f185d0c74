"""On which contacts the entries of a person stand, and which of them stand there for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bridge.journey.keys import is_marker, marker
from bridge.model import Link, Op, Write
from bridge.store.holds import DELETED, EDITED, MOVED
from bridge.store.intents import LINK_SLOT, UNLINK_SLOT
from bridge.store.ledger import Filed
from bridge.sync.delivery.entries import link_key
from bridge.sync.delivery.plan_deals import deals_on_a_move
from bridge.sync.delivery.plan_doubles import archived, doubled
from bridge.sync.delivery.plan_values import (
    Action,
    Correction,
    Destination,
    PersonState,
    Shown,
    Standing,
    no_write,
)

WITH_IT = timedelta(seconds=10)
"""How long before a contact is gone by a merge its entries may have gone to the other."""


def placed(state: PersonState, destination: Destination) -> list[Action]:
    """
    Put entries on the contacts of those who took part, and take them off others'.

    An entry moves in two steps, so that it is never on no contact: onto the new one, and off the old
    one once that stands; likewise from the deal of the one to that of the other. What a person in the CRM
    moved stays where they put it.
    """
    doubles = doubled(state, destination)
    actions = [action for key in doubles for action in archived(state, destination, key)]
    if state.yielding:
        ours, theirs = ", ".join(sorted(state.yielding)), state.contacts[0]
        reason = (
            f"contact {ours}, made by crmbridge, and contact {theirs} are one person; merge it into {theirs}"
        )
        actions.append(no_write("propose", state, (), reason))
    heirs = _heirs(state)
    for key, filed in sorted(state.filed.items()):
        followed = _followed(state, destination, key, filed, heirs)
        if followed is not None:
            actions.append(followed)
            continue
        if len(state.contacts) != 1:
            continue
        as_it_should = _is_in_place(state, filed) and key not in state.shown
        if filed.contacts and not as_it_should and may_move(state, key) and key not in doubles:
            actions += _onto_and_off(state, destination, key, filed)
        elif key in state.shown and is_moved_again(state, key):
            actions += _corrected(state, destination, key, filed, state.shown[key])
    return actions


def moving(state: PersonState) -> Iterator[Filed]:
    """Yield the entries that are about to move, or were shown elsewhere, whose contacts the plan must know."""
    for key, filed in state.filed.items():
        if (key in state.seen and may_move(state, key)) or is_moved_again(state, key):
            yield filed
        elif len(state.contacts) != 1 or _is_in_place(state, filed) or not may_move(state, key):
            continue
        elif filed.contacts and (
            filed.contacts - _parties(state, key) or state.contacts[0] not in filed.contacts
        ):
            yield filed


def stranded(state: PersonState) -> Iterator[str]:
    """Yield the entries of somebody without a contact that others' plans take off a contact of nobody in them."""
    for key, filed in state.filed.items() if not state.contacts else ():
        if (
            may_move(state, key)
            and filed.contacts & _others(state, key)
            and filed.contacts - _parties(state, key)
        ):
            yield key


def _heirs(state: PersonState) -> dict[str, str]:
    """Return the contact that each contact which is gone was merged into: where most of what stood on it stands now."""
    found: dict[str, Counter[str]] = {}
    for key, filed in state.filed.items():
        lost, heirs = _lost(state, key, filed), _came_to(state, key, filed)
        if len(lost) == len(heirs) == 1 and not any(map(is_marker, lost)):
            found.setdefault(min(lost), Counter()).update(heirs)
    ranked = {lost: counts.most_common(2) for lost, counts in found.items()}
    return {lost: some[0][0] for lost, some in ranked.items() if len(some) == 1 or some[0][1] > some[1][1]}


def _lost(state: PersonState, key: str, filed: Filed) -> frozenset[str]:
    """
    Return the contacts that an entry left, if all of these are gone and it did not leave before.

    Their CRM took it from there as it merged them, unless we gave them up for the other.
    """
    shown = state.shown.get(key)
    if shown is None or not shown.contacts or key in state.changing:
        return frozenset()
    lost = filed.contacts - shown.contacts
    if not lost <= state.gone.keys():
        return frozenset()
    ends = [at for one in lost if (at := state.gone[one]) is not None]
    if shown.at is not None and any(shown.at < at - WITH_IT for at in ends):
        return frozenset()
    return lost


def _came_to(state: PersonState, key: str, filed: Filed) -> frozenset[str]:
    """Return the contacts to which an entry came, but for those of others who took part."""
    shown = state.shown.get(key)
    here = shown.contacts if shown is not None and shown.contacts is not None else frozenset()
    return here - filed.contacts - _others(state, key)


def _followed(
    state: PersonState, destination: Destination, key: str, filed: Filed, heirs: Mapping[str, str]
) -> Action | None:
    """Return how an entry is entered where it stands now, if the contacts that it left are gone."""
    lost, came_to, shown = _lost(state, key, filed), _came_to(state, key, filed), state.shown.get(key)
    if not lost or shown is None or shown.contacts is None:
        return None
    known = {heirs[one] for one in lost if one in heirs}
    if known and came_to and not known & shown.contacts:
        as_merged = replace(filed, contacts=(filed.contacts - lost) | known)
        return _moved_on(state, destination, key, as_merged, shown)
    heir = next(iter(known)) if known and known == came_to else ""
    left, now = (", ".join(sorted(some)) for some in (lost, shown.contacts))
    return replace(
        no_write("adopt", state, (), f"contact {left} is gone, and it stands on contact {now}"),
        slot=LINK_SLOT,
        title=f"{filed.stream} {filed.ext_id}, on contact {now}",
        standing=Standing(
            key=key,
            entity_id="",
            stream=filed.stream,
            ext_id=filed.ext_id,
            contacts=tuple(sorted(shown.contacts)),
            lost=tuple(sorted(lost)),
            heir=heir,
        ),
        entry=key,
        correction=_correction(state, key, filed, shown) if heir else None,
    )


def _moved_on(
    state: PersonState, destination: Destination, key: str, as_merged: Filed, shown: Shown
) -> Action:
    """Keep an entry that a person moved after it had come to another contact with a merge."""
    for corrected in _corrected(state, destination, key, as_merged, shown):
        return corrected
    return _kept_there(state, key, shown)


def _kept_there(state: PersonState, key: str, shown: Shown) -> Action:
    there = ", ".join(sorted(shown.contacts or ())) or "none"
    said = f"entry {key} was moved to contact {there} by a person; it stays there"
    return replace(no_write("keep", state, (), said), entry=key, hold=MOVED)


def _is_in_place(state: PersonState, filed: Filed) -> bool:
    """Tell whether an entry stands on the person's only contact and nowhere else: most do."""
    return filed.contacts == frozenset(state.contacts)


def may_move(state: PersonState, key: str) -> bool:
    """Tell whether an entry goes with its people; one whose text a person edited does."""
    return state.held.get(key) in (None, EDITED) and key not in state.changing


def _parties(state: PersonState, key: str) -> set[str]:
    """Return the contacts of everybody who takes part in what an entry holds."""
    inside = [entity_id for entity_id, entry in state.entry_of.items() if entry == key]
    parties = {one for entity_id in inside for one in state.parties.get(entity_id, ())}
    return (parties | _others(state, key) | set(state.contacts)) - state.yielding


def _others(state: PersonState, key: str) -> set[str]:
    """Return the contacts of the others who take part in what an entry holds."""
    inside = (entity_id for entity_id, entry in state.entry_of.items() if entry == key)
    return {one for entity_id in inside for one in state.shared.get(entity_id, ())}


def _onto_and_off(state: PersonState, destination: Destination, key: str, filed: Filed) -> Iterator[Action]:
    here = state.contacts[0]
    strangers = filed.contacts - _parties(state, key)
    shared = filed.contacts - strangers
    shown = state.shown.get(key)
    leaves, joins = deals_on_a_move(state, key, shown)
    deals = [Link(stream=destination.deal_stream, to=one, role="move") for one in joins]
    if shown is not None and shown.gone:
        said = f"entry {key} in {filed.stream} {filed.ext_id} was deleted by a person; it stays so"
        yield replace(no_write("keep", state, (), said), entry=key, hold=DELETED)
    elif shown is not None and (
        _is_moved_already(state, key, filed, shown) or _is_on_more(state, filed, shown)
    ):
        yield replace(
            no_write("adopt", state, (), "was put there before, by a store that was put back since"),
            slot=LINK_SLOT,
            title=f"{filed.stream} {filed.ext_id}, on contact {', '.join(sorted(shown.contacts or ()))}",
            standing=Standing(
                key=key,
                entity_id="",
                stream=filed.stream,
                ext_id=filed.ext_id,
                contacts=tuple(sorted(shown.contacts or ())),
            ),
        )
    elif shown is not None and (corrected := list(_corrected(state, destination, key, filed, shown))):
        yield from corrected
    elif shown is not None and shown.contacts is not None and not _as_left(shown.contacts, filed, here):
        yield _kept_there(state, key, shown)
    elif here in state.gone:
        yield no_write("later", state, (), f"contact {here} is gone; who it is now is read first")
    elif here not in filed.contacts:
        title = f"{filed.stream} {filed.ext_id}, which others took part in"
        if not shared:
            title = f"{filed.stream} {filed.ext_id}, from contact {', '.join(sorted(filed.contacts))}"
        to = [Link(stream=destination.contact_stream, to=here, role="contact" if shared else "move")]
        yield _link(state, destination, key, filed, "link", [*to, *deals], title)
    elif strangers and deals:
        to = [Link(stream=destination.contact_stream, to=here, role="contact"), *deals]
        title = f"{filed.stream} {filed.ext_id}, with its deal {', '.join(joins)}"
        yield _link(state, destination, key, filed, "link", to, title)
    elif strangers:
        title = f"{filed.stream} {filed.ext_id}, now on contact {here}"
        off = [Link(stream=destination.contact_stream, to=one, role="move") for one in sorted(strangers)]
        off += [Link(stream=destination.deal_stream, to=one, role="move") for one in leaves]
        yield _link(state, destination, key, filed, "unlink", off, title)


def _is_moved_already(state: PersonState, key: str, filed: Filed, shown: Shown) -> bool:
    """Tell whether an entry stands just where it should by now, though not where the books have it."""
    here, now = state.contacts[0], shown.contacts
    return now is not None and here in now and not _as_left(now, filed, here) and now <= _parties(state, key)


def _is_on_more(state: PersonState, filed: Filed, shown: Shown) -> bool:
    """Tell whether an entry stands, unknown to the books, on a contact of our making that yields to another."""
    return bool(((shown.contacts or frozenset()) & state.yielding) - filed.contacts)


def is_moved_again(state: PersonState, key: str) -> bool:
    """Tell whether an entry that a person moved was shown elsewhere since: they may have moved it on."""
    return key in state.seen and state.held.get(key) == MOVED and key not in state.changing


def _corrected(
    state: PersonState, destination: Destination, key: str, filed: Filed, shown: Shown
) -> Iterator[Action]:
    """
    Keep an entry that a person moved, and take their word for whose messages it holds.

    Of an entry that was written before a backup was put back nobody knows who moved it: it says nothing.
    """
    older = destination.older_until
    if older is not None and (filed.written_at is None or filed.written_at <= older):
        return
    move = _correction(state, key, filed, shown)
    if move is not None:
        said = f"entry {key} was moved to contact {move.put_on} by a person; so do its sender's other entries"
        yield replace(no_write("keep", state, (), said), entry=key, hold=MOVED, correction=move)


def _correction(state: PersonState, key: str, filed: Filed, shown: Shown) -> Correction | None:
    """Return what a person says who moved an entry of one sender from one contact to another; None where nothing."""
    inside = [one for one in state.interactions if state.entry_of.get(one.entity_id) == key]
    senders = {node for one in inside for node in one.node_keys if node in state.senders}
    strangers = {node for one in inside for node in one.node_keys} - state.nodes
    now = shown.contacts or frozenset()
    if len(filed.contacts) != 1 or len(now) != 1 or now & (_parties(state, key) | state.yielding):
        return None
    if len(senders) != 1 or strangers or len(inside) < len(state.members.get(key, ())):
        return None
    (sender,), (taken_off,), (put_on,) = senders, filed.contacts, now
    if taken_off == put_on:
        return None
    return Correction(sender=sender, taken_off=taken_off, put_on=put_on)


def _as_left(now: Collection[str], filed: Filed, here: str) -> bool:
    """Tell whether an entry stands where we left it, with or without what is on its way; more contacts are no move."""
    if here not in now and filed.contacts.isdisjoint(now):
        return False
    return filed.contacts - {here} <= set(now) or set(now) <= filed.contacts


def _link(
    state: PersonState,
    destination: Destination,
    key: str,
    filed: Filed,
    op: Op,
    links: Sequence[Link],
    title: str,
) -> Action:
    slot = LINK_SLOT if op == "link" else UNLINK_SLOT
    name = link_key(destination.account_key, key, links[0].to)
    if op == "unlink":
        name = marker(destination.account_key, f"{key}/{','.join(link.to for link in links)}", UNLINK_SLOT)
    write = Write(key=name, op=op, stream=filed.stream, id=filed.ext_id, links=tuple(links))
    return replace(
        no_write("link" if op == "link" else "unlink", state, (), ""),
        write=write,
        slot=slot,
        title=title,
        entry=None if op == "link" else key,
    )
