"""
The plan: what should stand in a CRM about one person, compared with what we wrote and what it shows.

A pure function from state to small actions; nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import cast

from bridge.journey.interaction import Interaction as Body
from bridge.journey.text import is_shown
from bridge.model import Link, Write
from bridge.store.entities import Interaction
from bridge.store.intents import ENTRY_SLOT
from bridge.store.ledger import Filed
from bridge.sync.delivery.entries import Entry, group_entries, is_unconfirmed
from bridge.sync.delivery.plan_contact import field_changes, target_of
from bridge.sync.delivery.plan_deals import deal_of
from bridge.sync.delivery.plan_doubles import doubled, is_logged, told_instead
from bridge.sync.delivery.plan_found import found_contact, taken_over
from bridge.sync.delivery.plan_growth import Growth, find_growths, grow, parts_told, rests
from bridge.sync.delivery.plan_places import may_move, placed
from bridge.sync.delivery.plan_siblings import grown_before, siblings
from bridge.sync.delivery.plan_values import Action, Destination, PersonState, no_write

MAIL_GRACE = timedelta(minutes=2)
"""How long the daemon leaves a mail to the CRM's own logger before it writes an entry for it."""


def growths_of(state: PersonState, destination: Destination) -> list[Growth]:
    """Return the entries that no longer tell what is known of their interactions."""
    if not state.filed or not destination.push.timeline:
        return []
    return list(find_growths(state, destination, _to_enter(state, destination)))


def entries_to_read(
    state: PersonState, destination: Destination, growths: Sequence[Growth]
) -> Iterator[tuple[Filed, set[str]]]:
    """Yield the entries whose present fields the plan must know, with those fields; none where nothing changed."""
    if state.filed and destination.push.timeline and destination.mapping.push_interaction is not None:
        for growth in growths:
            if not rests(growth.filed, destination):
                yield growth.filed, set(growth.changed)
        for one in siblings(state, destination, _to_enter(state, destination)):
            yield one.filed, set(one.filed.fields)
        for double in doubled(state, destination):
            for key in (double, *told_instead(state, double)):
                yield state.filed[key], set(state.filed[key].fields)


def _to_enter(state: PersonState, destination: Destination) -> list[Interaction]:
    """Return what stands in no entry and should, by time."""
    unwritten = [one for one in state.interactions if one.entity_id not in state.entry_of]
    return [one for one in sorted(unwritten, key=_order) if not _why_not(one, destination)]


def plan_person(state: PersonState, destination: Destination, *, settled: bool = False) -> list[Action]:
    """
    Return what is to be done for one person at one destination, contact first, then entries by time.

    What others took part in whose contacts are known goes with them where this person has none yet;
    it is put on this person's contact as well once that stands. With `settled` no
    entry of this very state tells less than it should, as was found before.
    """
    made_before = found_contact(state, destination)
    if made_before is not None:
        return [made_before]
    actions: list[Action] = []
    found_before: list[Action] = []
    if destination.push.timeline:
        state, found_before = taken_over(state, destination)
        actions += found_before
    new: list[Interaction] = []
    elsewhere: list[Interaction] = []
    following: Sequence[Entry] = ()
    rules = destination.mapping.push_interaction
    if destination.push.timeline and rules is not None:
        for interaction in sorted(state.interactions, key=_order):
            if interaction.entity_id in state.entry_of:
                if _is_elsewhere(state, interaction) or _is_apart(state, interaction):
                    elsewhere.append(interaction)
                continue
            reason = _why_not(interaction, destination)
            if reason:
                actions.append(no_write("skip", state, (interaction,), reason))
            elif _may_be_logged(interaction, destination):
                actions.append(
                    no_write("later", state, (interaction,), "the CRM may log this mail by itself")
                )
            else:
                new.append(interaction)
        if new or found_before or not settled:
            found, new = grown_before(state, destination, new)
            actions += found
            grown = grow(state, destination, new, but={action.entry for action in found if action.entry})
            actions += grown.actions
            new, following = list(grown.new), grown.rest
    target, contact_action, hold = target_of(state, destination, sorted([*new, *elsewhere], key=_order))
    if contact_action is not None:
        actions.append(contact_action)
    actions += placed(state, destination)
    if len(state.contacts) != 1:
        new = [one for one in new if not state.shared.get(one.entity_id)]
    if hold:
        for contact_id, some in _carried(state, new).items():
            entries = _entries(state, destination, some)
            actions += [_entry_action(state, destination, entry, contact_id) for entry in entries]
        rest = [one for one in new if one.entity_id not in state.carried]
        if rest:
            actions.append(no_write("hold", state, rest, hold))
        return actions
    if target and (new or following):
        entries = [*following, *_entries(state, destination, new)]
        actions += [_entry_action(state, destination, entry, target) for entry in entries]
    if contact_action is None:
        actions += field_changes(state, destination)
    return actions


def _is_elsewhere(state: PersonState, interaction: Interaction) -> bool:
    """Tell whether the entry of an interaction stands on contacts of others who took part, and only there."""
    filed = state.filed.get(state.entry_of[interaction.entity_id])
    others = set(state.shared.get(interaction.entity_id, ()))
    return filed is not None and bool(filed.contacts & others) and not filed.contacts & set(state.contacts)


def _is_apart(state: PersonState, interaction: Interaction) -> bool:
    """Tell whether the entry of an interaction stands on a contact that is not theirs, as was decided since."""
    key = state.entry_of[interaction.entity_id]
    filed = state.filed.get(key)
    if filed is None or not may_move(state, key):
        return False
    return bool(filed.contacts & state.apart) or (is_unconfirmed(filed.told) and not state.candidates)


def _order(interaction: Interaction) -> tuple[str, str]:
    return interaction.body.get("occurred_at", ""), interaction.entity_id


def _why_not(interaction: Interaction, destination: Destination) -> str:
    """Return why an interaction gets no entry, or an empty text."""
    body = interaction.body
    if is_logged(interaction, destination):
        return "already in the CRM, logged by itself"
    if body.get("kind") == "system_event":
        return "system event"
    if body.get("kind") == "message" and not is_shown(cast(Body, body)):
        return "nothing in it to read"
    if body.get("deleted_at") and not body.get("body_text"):
        return "removed by its sender"
    if body.get("custom", {}).get("text_unknown") and not any(
        participant.get("side") == "customer" for participant in body.get("participants", ())
    ):
        return "status without a message"
    return ""


def _carried(state: PersonState, new: Sequence[Interaction]) -> dict[str, list[Interaction]]:
    """Return what is new by the one of a person's several contacts whose handle carried it."""
    found: dict[str, list[Interaction]] = {}
    for one in new:
        if one.entity_id in state.carried:
            found.setdefault(state.carried[one.entity_id], []).append(one)
    return found


def _may_be_logged(interaction: Interaction, destination: Destination) -> bool:
    """Tell whether a mail is so new that the CRM's own logger may not have entered it yet."""
    if destination.now is None or interaction.body.get("kind") != "email":
        return False
    at = datetime.fromisoformat(interaction.body["occurred_at"])
    return at <= destination.now < at + MAIL_GRACE


def _entries(state: PersonState, destination: Destination, new: Sequence[Interaction]) -> list[Entry]:
    rules = destination.mapping.push_interaction
    if rules is None or not new:
        return []
    return group_entries(
        new,
        rules,
        style=destination.style_of(state),
        account_key=destination.account_key,
        first=min(state.interactions, key=_order).entity_id,
        earlier=parts_told(state, destination),
    )


def _entry_action(state: PersonState, destination: Destination, entry: Entry, target: str) -> Action:
    rules = destination.mapping.push_interaction
    assert rules is not None
    stream = rules.stream_for(entry.view)
    others = {one for entity_id in entry.entity_ids for one in state.shared.get(entity_id, ())}
    links = [
        Link(stream=destination.contact_stream, to=one, role="contact")
        for one in [target, *sorted(others - {target})]
    ]
    deal = deal_of(state, entry.entity_ids, entry.occurred_at)
    if deal is not None:
        links.append(Link(stream=destination.deal_stream, to=deal, role="deal"))
    return Action(
        kind="entry",
        person_id=state.person_id,
        name=state.name,
        write=Write(
            key=entry.key,
            op="create",
            stream=stream,
            fields=rules.fields(stream, entry.view),
            links=tuple(links),
        ),
        slot=ENTRY_SLOT,
        entity_ids=entry.entity_ids,
        title=entry.title,
        told=entry.told,
    )
