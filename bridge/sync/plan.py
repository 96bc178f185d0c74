"""
The plan: what should stand in a CRM about one person, compared with what we wrote and what it shows.

A pure function from state to small actions; nothing here reads or writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, cast

from bridge.config import Push
from bridge.journey.interaction import Interaction as Body
from bridge.journey.keys import marker
from bridge.journey.text import Style, is_shown
from bridge.mapping import Mapping as MappingFile
from bridge.mapping import OwnedValue, PushInteraction
from bridge.model import Json, Link, Write
from bridge.store.entities import Interaction
from bridge.store.ledger import CONTACT_SLOT, ENTRY_SLOT, FIELDS_SLOT, LINK_SLOT, FieldState, Filed
from bridge.sync.entries import Entry, group_entries, group_of, is_told, link_key

Kind = Literal["create_contact", "entry", "link", "fields", "adopt", "skip", "hold", "moved"]

EMPTY: tuple[Json, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A deal of a contact: open from `created_at` until `closed_at` (None: still open or unknown)."""

    id: str
    created_at: datetime | None
    closed_at: datetime | None
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """
    A CRM account that may be written to, with the rules of its mapping.

    `lacking` are contact fields that the mapping owns and the CRM does not have yet.
    """

    account_pk: int
    account_key: str
    contact_stream: str
    deal_stream: str
    push: Push
    mapping: MappingFile
    style: Style
    lacking: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the CRM shows under one of our markers, `key`, that is not in the books; `contacts` are those it is on."""

    key: str
    entity_id: str
    stream: str
    ext_id: str
    contacts: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonState:
    """
    One person as a destination's plan needs to know them.

    `contacts` are the ids of their contacts there, `candidates` those they might be when
    nothing decides, `pending` the key of a contact being created. `entry_of` names the entry
    each interaction already stands in, `filed` where an entry was filed, `standing` what stands
    there unfiled, by marker. `shared` are, for an interaction with others, their contacts.
    `present` are the CRM's values now, None while unread.
    """

    person_id: str
    name: str
    contacts: tuple[str, ...]
    candidates: tuple[str, ...] = ()
    pending: str | None = None
    interactions: tuple[Interaction, ...] = ()
    entry_of: Mapping[str, str] = field(default_factory=dict)
    filed: Mapping[str, Filed] = field(default_factory=dict)
    standing: Mapping[str, Standing] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    view: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, FieldState] = field(default_factory=dict)
    present: Mapping[str, Json] | None = None
    deals: tuple[Deal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field of a planned write: what it shows now and what it will show."""

    field: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """
    One line of the plan.

    `write` is None where nothing will be written (adopt, skip, hold, moved) and `reason` says why.
    `entity_ids` are the interactions it is about, `standing` is what is adopted.
    """

    kind: Kind
    person_id: str
    name: str
    write: Write | None = None
    slot: str = ""
    entity_ids: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    title: str = ""
    reason: str = ""
    standing: Standing | None = None


def markers_of(interactions: Iterable[Interaction], account_key: str) -> Iterator[str]:
    """Yield every marker under which something may stand that was made for one of these interactions."""
    for one in interactions:
        yield marker(account_key, one.entity_id, ENTRY_SLOT)
        yield marker(account_key, one.entity_id, CONTACT_SLOT)


def fields_to_read(state: PersonState, destination: Destination) -> tuple[str, ...]:
    """Return the contact fields whose present values the plan must know; empty when nothing changed."""
    if len(state.contacts) != 1:
        return ()
    return tuple(sorted(_differing(state, destination)))


def plan_person(state: PersonState, destination: Destination) -> list[Action]:
    """
    Return what is to be done for one person at one destination, contact first, then entries by time.

    What others took part in whose contacts are known goes with them where this person has none yet;
    it is put on this person's contact as well once that stands.
    """
    actions: list[Action] = []
    new: list[Interaction] = []
    elsewhere: list[Interaction] = []
    rules = destination.mapping.push_interaction
    if destination.push.timeline and rules is not None:
        for interaction in sorted(state.interactions, key=_order):
            if interaction.entity_id in state.entry_of:
                if _is_elsewhere(state, interaction):
                    elsewhere.append(interaction)
                continue
            reason = _why_not(interaction, destination)
            if reason:
                actions.append(_nothing("skip", state, (interaction,), reason))
            else:
                new.append(interaction)
        adopted = _adopted(state, destination, rules, new)
        actions += adopted
        taken = {entity_id for action in adopted for entity_id in action.entity_ids}
        new = [one for one in new if one.entity_id not in taken]
    target, contact_action, hold = _target(state, destination, sorted([*new, *elsewhere], key=_order))
    if contact_action is not None:
        actions.append(contact_action)
    if len(state.contacts) == 1:
        actions += _placed(state, destination)
    else:
        new = [one for one in new if not state.shared.get(one.entity_id)]
    if hold:
        if new:
            actions.append(_nothing("hold", state, new, hold))
        return actions
    if rules is not None and new and target:
        entries = group_entries(
            new,
            rules,
            style=replace(destination.style, customer=state.name),
            account_key=destination.account_key,
            first=min(state.interactions, key=_order).entity_id,
        )
        actions += [_entry_action(state, destination, rules, entry, target) for entry in entries]
    if contact_action is None:
        actions += _fields(state, destination)
    return actions


def _is_elsewhere(state: PersonState, interaction: Interaction) -> bool:
    """Tell whether the entry of an interaction stands on contacts of others who took part, and only there."""
    filed = state.filed.get(state.entry_of[interaction.entity_id])
    others = set(state.shared.get(interaction.entity_id, ()))
    return filed is not None and bool(filed.contacts & others) and not filed.contacts & set(state.contacts)


def _adopted(
    state: PersonState, destination: Destination, rules: PushInteraction, new: Sequence[Interaction]
) -> list[Action]:
    """Return the entries that stand in the CRM for some of these interactions, written by an older store."""
    if not state.standing:
        return []
    starts: list[tuple[int, Standing]] = []
    for index, one in enumerate(new):
        left = state.standing.get(marker(destination.account_key, one.entity_id, ENTRY_SLOT))
        if left is not None:
            starts.append((index, left))
    firsts = {index for index, _ in starts}
    actions: list[Action] = []
    for index, left in starts:
        name = group_of(new[index], rules, destination.style)
        members = [new[index]]
        for later in range(index + 1, len(new)):
            if later not in firsts and group_of(new[later], rules, destination.style) == name:
                if not is_told(new[later], left.text, destination.style):
                    break
                members.append(new[later])
        actions.append(
            replace(
                _nothing("adopt", state, members, "stands in the CRM already, written before a backup"),
                slot=ENTRY_SLOT,
                standing=left,
            )
        )
    return actions


def _order(interaction: Interaction) -> tuple[str, str]:
    return interaction.body.get("occurred_at", ""), interaction.entity_id


def _why_not(interaction: Interaction, destination: Destination) -> str:
    """Return why an interaction gets no entry, or an empty text."""
    body = interaction.body
    streams = destination.mapping.push_interaction.streams if destination.mapping.push_interaction else ()
    if any(
        account_pk == destination.account_pk and (stream in streams or body.get("contact_refs"))
        for account_pk, stream, _ in interaction.parts
    ):
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


def _target(
    state: PersonState, destination: Destination, interactions: Sequence[Interaction]
) -> tuple[str, Action | None, str]:
    """Return (contact id or key of its creation, the action that creates it, why the entries are held)."""
    if len(state.contacts) == 1:
        return state.contacts[0], None, ""
    if state.contacts:
        return "", None, f"contacts {', '.join(state.contacts)} are one person; merge them in the CRM"
    if state.pending is not None:
        return state.pending, None, ""
    if state.candidates:
        return "", None, f"could be {' or '.join(state.candidates)}; decide which"
    if not interactions:
        return "", None, ""
    because = _may_create(state, destination.push)
    if because:
        return "", None, because
    for one in interactions:
        left = state.standing.get(marker(destination.account_key, one.entity_id, CONTACT_SLOT))
        if left is not None:
            reason = "stands in the CRM already, made before a backup"
            found = replace(_nothing("adopt", state, (), reason), slot=CONTACT_SLOT, standing=left)
            return "", found, ""
    key = marker(destination.account_key, interactions[0].entity_id, CONTACT_SLOT)
    values = {
        name: owned.value for name, owned in _owned(state, destination).items() if owned.value not in EMPTY
    }
    write = Write(key=key, op="create", stream=destination.contact_stream, fields=values)
    action = Action(
        kind="create_contact",
        person_id=state.person_id,
        name=state.name,
        write=write,
        slot=CONTACT_SLOT,
        changes=tuple(Change(field=name, before=None, after=value) for name, value in sorted(values.items())),
        title=state.name,
    )
    return key, action, ""


def _may_create(state: PersonState, push: Push) -> str:
    """Return an empty text when a rule lets this person become a contact, else what is missing."""
    waits = False
    for interaction in state.interactions:
        rule = push.create.get(interaction.body.get("channel", ""), "never")
        if rule == "first_message" and interaction.body.get("direction") == "inbound":
            return ""
        if rule == "after_we_replied":
            waits = True
            if interaction.body.get("direction") == "outbound" and not interaction.body.get("is_automated"):
                return ""
    if waits:
        return "not in the CRM; becomes a contact once we replied"
    return "not in the CRM; no rule in push.create makes a contact of this channel"


def _entry_action(
    state: PersonState, destination: Destination, rules: PushInteraction, entry: Entry, target: str
) -> Action:
    stream = rules.stream_for(entry.view)
    others = {one for entity_id in entry.entity_ids for one in state.shared.get(entity_id, ())}
    links = [
        Link(stream=destination.contact_stream, to=one, role="contact")
        for one in [target, *sorted(others - {target})]
    ]
    deal = _deal_at(state.deals, entry.occurred_at)
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
    )


def _deal_at(deals: Sequence[Deal], at: datetime) -> str | None:
    """Return the only deal that was open at that time, None when there is none or more than one."""
    found = [
        deal.id
        for deal in deals
        if (deal.created_at is None or deal.created_at <= at)
        and (at <= deal.closed_at if deal.closed_at is not None else deal.is_open)
    ]
    return found[0] if len(found) == 1 else None


def _owned(state: PersonState, destination: Destination) -> dict[str, OwnedValue]:
    """Return the values the mapping wants in contact fields that exist and may be written."""
    rules = destination.mapping.push_contact
    if rules is None:
        return {}
    return {
        name: owned
        for name, owned in rules.fields(state.view).items()
        if owned.owns != "never" and name not in destination.lacking
    }


def _differing(state: PersonState, destination: Destination) -> dict[str, OwnedValue]:
    """Return the owned values that differ from what we last wrote."""
    if not destination.push.fields:
        return {}
    found = {}
    for name, owned in _owned(state, destination).items():
        before = state.written.get(name)
        if before is None and owned.value in EMPTY:
            continue
        if before is None or before.sent != owned.value:
            found[name] = owned
    return found


def _fields(state: PersonState, destination: Destination) -> list[Action]:
    wanted = _differing(state, destination)
    if not wanted or len(state.contacts) != 1:
        return []
    if state.present is None:
        return [_nothing("hold", state, (), "its present values could not be read")]
    contact_id = state.contacts[0]
    changes: list[Change] = []
    actions: list[Action] = []
    for name, owned in sorted(wanted.items()):
        now = state.present.get(name)
        if now == owned.value or (now in EMPTY and owned.value in EMPTY):
            continue
        if owned.owns == "if_empty" and now not in EMPTY:
            continue
        if owned.owns == "newest" and now not in EMPTY:
            actions.append(
                _nothing("skip", state, (), f"{name}: the CRM holds {now!r} and does not tell since when")
            )
            continue
        changes.append(Change(field=name, before=now, after=owned.value))
    if changes:
        values = {change.field: change.after for change in changes}
        digest = hashlib.blake2b(repr(sorted(values.items())).encode(), digest_size=8).hexdigest()
        write = Write(
            key=marker(
                destination.account_key,
                f"{destination.contact_stream}/{contact_id}",
                f"{FIELDS_SLOT}:{digest}",
            ),
            op="update",
            stream=destination.contact_stream,
            id=contact_id,
            fields=values,
        )
        actions.append(
            Action(
                kind="fields",
                person_id=state.person_id,
                name=state.name,
                write=write,
                slot=FIELDS_SLOT,
                changes=tuple(changes),
                title=state.name,
            )
        )
    return actions


def _placed(state: PersonState, destination: Destination) -> list[Action]:
    """
    Put entries of what others took part in on this person's contact too.

    One that stands where none of them is, because the person became another contact, is shown:
    moving it is a decision.
    """
    here = state.contacts[0]
    shared: dict[str, set[str]] = {}
    for entity_id, key in state.entry_of.items():
        shared.setdefault(key, set()).update(state.shared.get(entity_id, ()))
    actions: list[Action] = []
    for key, filed in sorted(state.filed.items()):
        if here in filed.contacts or not filed.contacts:
            continue
        if not filed.contacts & shared.get(key, set()):
            there = ", ".join(sorted(filed.contacts))
            reason = f"entry {key} stands on contact {there}, the person is now contact {here}; not moved"
            actions.append(_nothing("moved", state, (), reason))
            continue
        write = Write(
            key=link_key(destination.account_key, key, here),
            op="link",
            stream=filed.stream,
            id=filed.ext_id,
            links=(Link(stream=destination.contact_stream, to=here, role="contact"),),
        )
        title = f"{filed.stream} {filed.ext_id}, which others took part in"
        actions.append(replace(_nothing("link", state, (), ""), write=write, slot=LINK_SLOT, title=title))
    return actions


def _nothing(kind: Kind, state: PersonState, interactions: Sequence[Interaction], reason: str) -> Action:
    return Action(
        kind=kind,
        person_id=state.person_id,
        name=state.name,
        entity_ids=tuple(interaction.entity_id for interaction in interactions),
        reason=reason,
    )
