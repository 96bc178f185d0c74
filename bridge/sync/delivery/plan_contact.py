"""The contact of a person: which one it is, whether one may be made, and which of its fields change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bridge.config import Push
from bridge.journey.keys import marker
from bridge.mapping import OwnedValue
from bridge.model import Json, Write
from bridge.store.entities import Interaction
from bridge.store.holds import field_key
from bridge.store.intents import CONTACT_SLOT, FIELDS_SLOT
from bridge.store.ledger import FieldState
from bridge.sync.delivery.names import contact_markers
from bridge.sync.delivery.plan_values import Action, Change, Destination, PersonState, no_write
from bridge.sync.delivery.since import said_since

EMPTY: tuple[Json, ...] = (None, "", [], {})
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def fields_to_read(state: PersonState, destination: Destination) -> tuple[str, ...]:
    """Return the contact fields whose present values the plan must know; empty when nothing changed."""
    if len(state.contacts) != 1:
        return ()
    return tuple(sorted({*_differing(state, destination), *_foreign(state, destination)}))


def target_of(
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
        could_be = f"could be {' or '.join(state.candidates)}; "
        if state.dismissed:
            return (
                "",
                None,
                f"{could_be}dismissed, to decide it after all: crmbridge review reopen {state.dismissed}",
            )
        return "", None, f"{could_be}decide which: crmbridge review"
    if not interactions:
        return "", None, ""
    if state.taken_back:
        return "", None, f"its contact was taken back; to make it again: crmbridge release {state.taken_back}"
    because = _may_create(state, destination.push)
    if because:
        return "", None, because
    key = contact_markers(interactions[0], destination.account_key, state.nodes)[0]
    if key in state.spent:
        key = marker(destination.account_key, f"{key}/{','.join(sorted(state.apart))}", CONTACT_SLOT)
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


def field_changes(state: PersonState, destination: Destination) -> list[Action]:
    """Return the update of a contact's fields, as their ownership allows, and what is left alone and why."""
    wanted = _differing(state, destination)
    foreign = _foreign(state, destination)
    if not (wanted or foreign) or len(state.contacts) != 1:
        return []
    if state.present is None:
        return [no_write("hold", state, (), "its present values could not be read")]
    contact_id = state.contacts[0]
    changes: list[Change] = []
    actions: list[Action] = []
    for name, owned in sorted(wanted.items()):
        now = state.present.get(name)
        if _as_shown(owned.value, now, destination) == now or (now in EMPTY and owned.value in EMPTY):
            continue
        fills = now in EMPTY or name in foreign or _is_placeholder(state, name, now, owned.value)
        if fills and name not in foreign and _was_emptied_later(state, destination, name, now, owned):
            fills = False
        if owned.owns in ("if_empty", "newest") and not (
            fills or _is_later(state, destination, name, now, owned)
        ):
            if owned.value not in EMPTY and not _same(now, owned.value):
                actions.append(_conflict(state, destination, name, now, owned))
            continue
        if str(owned.value).casefold() in state.taken:
            actions.append(_left_out(state, name, now, owned))
            continue
        changes.append(Change(field=name, before=now, after=owned.value))
    emptied = foreign - wanted.keys()
    for name in sorted(emptied - _named(state, destination) if emptied else ()):
        before, now = state.written[name], state.present.get(name)
        if now not in EMPTY and now in (before.sent, before.as_read):
            changes.append(Change(field=name, before=now, after=before.before))
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


def ages_to_ask(state: PersonState, destination: Destination) -> tuple[str, ...]:
    """Return the contact fields of which the plan must know since when they have their values, once these are read."""
    if len(state.contacts) != 1 or state.present is None or not destination.dated:
        return ()
    return tuple(
        name
        for name, owned in sorted(_differing(state, destination).items())
        if owned.owns == "newest"
        and owned.value not in EMPTY
        and not _is_unedited(state, name, now := state.present.get(name))
        and _as_shown(owned.value, now, destination) != now
        and said_since(state, owned.reads, now=destination.as_of) is not None
    )


def _is_later(state: PersonState, destination: Destination, name: str, now: Json, owned: OwnedValue) -> bool:
    """Tell whether the journey said later what it says than the CRM; asked of the store alone, whether it might."""
    if owned.owns != "newest":
        return False
    if _is_unedited(state, name, now):
        return True
    since = said_since(state, owned.reads, now=destination.as_of)
    if since is None or state.present_since is None:
        return since is not None and destination.dated
    there = state.present_since.get(name)
    return there is not None and since > there


def _was_emptied_later(
    state: PersonState, destination: Destination, name: str, now: Json, owned: OwnedValue
) -> bool:
    """Tell whether a field, of which the later value counts, was emptied after the journey said what it says."""
    if owned.owns != "newest" or now not in EMPTY or _is_unedited(state, name, now):
        return False
    since = said_since(state, owned.reads, now=destination.as_of)
    there = (state.present_since or {}).get(name)
    return since is not None and there is not None and since <= there


def _is_unedited(state: PersonState, name: str, now: Json) -> bool:
    """Tell whether a field shows what we wrote there last."""
    before = state.written.get(name)
    if before is None:
        return False
    shown = before.sent if before.as_read is None else before.as_read
    return now in (before.sent, shown) or (now in EMPTY and shown in EMPTY)


def _conflict(
    state: PersonState, destination: Destination, name: str, now: Json, owned: OwnedValue
) -> Action:
    """Return how a field that the CRM fills otherwise is shown; which of the two counts is said in the mapping."""
    why = _why_not_later(state, destination, name, owned) if owned.owns == "newest" else "which keeps it"
    place = f"{destination.mapping.file}:{owned.line}"
    reason = f"{name}: the CRM holds {now!r}, {why}; the journey says {owned.value!r} (owns: {owned.owns}, {place})"
    return replace(
        no_write("conflict", state, (), reason), changes=(Change(field=name, before=now, after=owned.value),)
    )


def _why_not_later(state: PersonState, destination: Destination, name: str, owned: OwnedValue) -> str:
    since, there = said_since(state, owned.reads), (state.present_since or {}).get(name)
    if since is None:
        return "and nothing tells since when the journey says otherwise"
    if said_since(state, owned.reads, now=destination.as_of) is None:
        return f"and what the journey says is of {since:%Y-%m-%d %H:%M} UTC, which is yet to come"
    if there is None:
        return "which does not tell since when"
    return f"since {there:%Y-%m-%d %H:%M} UTC, the journey since {since:%Y-%m-%d %H:%M}"


def _left_out(state: PersonState, name: str, now: Json, owned: OwnedValue) -> Action:
    """
    Return how an address is shown that another contact carries.

    Many a CRM refuses an address on two contacts, and the rest of the update with it.
    """
    other = state.taken[str(owned.value).casefold()]
    reason = (
        f"{name}: {owned.value} is left out, as contact {other} carries it; merge the two in the CRM, or take it off"
        " that one"
    )
    return replace(
        no_write("conflict", state, (), reason), changes=(Change(field=name, before=now, after=owned.value),)
    )


def _is_written(value: Json, before: FieldState, destination: Destination) -> bool:
    """Tell whether a field got this value, or one of which the CRM shows the same."""
    shown = before.as_read
    return before.sent == value or (shown is not None and _as_shown(value, shown, destination) == shown)


def _as_shown(value: Json, shown: Json, destination: Destination) -> Json:
    """Return an instant as the CRM shows it where it shows a day: the day in its account's time zone."""
    if not isinstance(value, str) or not isinstance(shown, str) or not _DAY.fullmatch(shown):
        return value
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return value
    return at.astimezone(destination.zone).date().isoformat() if at.tzinfo else value


def _is_placeholder(state: PersonState, name: str, now: Json, wanted: Json) -> bool:
    """Tell whether a field still shows the number or address that we put there for want of a name."""
    if wanted in EMPTY or not _is_unedited(state, name, now):
        return False
    return str(now).casefold() in state.handles and str(wanted).casefold() not in state.handles


def _same(now: Json, wanted: Json) -> bool:
    """Tell whether two values differ in writing only, as a telephone number with and without blanks."""
    one, other = ("".join(filter(str.isalnum, str(value).casefold())) for value in (now, wanted))
    return one == other


def _differing(state: PersonState, destination: Destination) -> dict[str, OwnedValue]:
    """Return the owned values that differ from what we last wrote, without those that are held."""
    if not destination.push.fields or state.unconfirmed is not None:
        return {}
    found = {}
    contact_id = state.contacts[0] if state.contacts else ""
    for name, owned in _owned(state, destination).items():
        if field_key(destination.contact_stream, contact_id, name) in state.held:
            continue
        before = state.written.get(name)
        if before is None and owned.value in EMPTY:
            continue
        if before is None or not _is_written(owned.value, before, destination):
            found[name] = owned
    return found


def _foreign(state: PersonState, destination: Destination) -> set[str]:
    """Return the fields that hold somebody else's address or number since we wrote it there, and are ours to mend."""
    if not destination.push.fields or state.unconfirmed is not None or not state.contacts:
        return set()
    stream, contact_id = destination.contact_stream, state.contacts[0]
    return {name for name in state.foreign if field_key(stream, contact_id, name) not in state.held}


def _named(state: PersonState, destination: Destination) -> set[str]:
    """Return the fields for a name: an address only stands in for one there, speaks for nobody, and stays."""
    called = replace(state, view={**state.view, "display_name": state.person_id})
    as_it_is = _owned(state, destination)
    return {name for name, owned in _owned(called, destination).items() if owned != as_it_is.get(name)}


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
