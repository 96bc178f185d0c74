"""Since when the journey says what it says of a person: the later of two values counts where the mapping says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from bridge.journey.text_format import one_line
from bridge.store.entities import Interaction
from bridge.sync.delivery.plan_values import PersonState

_NAMES = frozenset(("display_name", "given_name", "family_name"))
_INSTANTS = {
    "waiting_since": "waiting_since",
    "waiting_channel": "waiting_since",
    "waiting_text": "waiting_since",
    "last_inbound_at": "last_inbound_at",
    "last_outbound_at": "last_outbound_at",
    "first_seen_at": "first_seen_at",
    "source": "first_seen_at",
}
"""What a person offers that came with an event, and the field of the view that tells when that was."""

SKEW = timedelta(minutes=5)
"""How far a channel's clock may be ahead of ours before what it tells counts as yet to come."""


def said_since(state: PersonState, fields: Iterable[str], *, now: datetime | None = None) -> datetime | None:
    """
    Return since when these fields of a person's view, taken together, say what they say.

    None where that is not known of one of them: of a name or an address that only a CRM's contact tells. None as
    well where it is yet to come `now`, as a meeting, or a message of a clock that is wrong.
    """
    found = [_since(state, name) for name in fields if state.view.get(name) is not None]
    times = [at for at in found if at is not None]
    since = max(times) if found and len(times) == len(found) else None
    return None if since is not None and now is not None and since > now + SKEW else since


def _since(state: PersonState, name: str) -> datetime | None:
    if name in _INSTANTS:
        at = state.view.get(_INSTANTS[name])
        return datetime.fromisoformat(at) if at else None
    if name == "channels":
        return _last_new_channel(state.interactions)
    if name in ("email", "phone"):
        return _first_use(state, name, state.view[name])
    return _called_so_since(state) if name in _NAMES else None


def _last_new_channel(interactions: Iterable[Interaction]) -> datetime | None:
    first: dict[str, datetime] = {}
    for one in _in_order(interactions):
        first.setdefault(one.body.get("channel", "other"), _at(one))
    return max(first.values(), default=None)


def _first_use(state: PersonState, kind: str, value: str) -> datetime | None:
    """Return when the person first took part under an address or number."""
    for one in _in_order(state.interactions):
        for participant in _themselves(state, one):
            handles = participant.get("handles", ())
            if any(handle["kind"] == kind and handle["value"] == value for handle in handles):
                return _at(one)
    return None


def _called_so_since(state: PersonState) -> datetime | None:
    """Return since when the person calls themselves what the view calls them, None where they do not."""
    name, since = state.view.get("display_name"), None
    for one in _in_order(state.interactions):
        if one.body.get("direction") != "inbound":
            continue
        for called in (one_line(who.get("display_name", "")) for who in _themselves(state, one)):
            if called:
                since = None if called != name else since or _at(one)
    return since


def _themselves(state: PersonState, one: Interaction) -> Iterator[Mapping[str, Any]]:
    """Yield the participants of an interaction who are the person."""
    for participant in one.body.get("participants", ()):
        if any(handle["value"].casefold() in state.handles for handle in participant.get("handles", ())):
            yield participant


def _in_order(interactions: Iterable[Interaction]) -> list[Interaction]:
    return sorted(interactions, key=lambda one: (_at(one), one.entity_id))


def _at(one: Interaction) -> datetime:
    """Return when an interaction was, which its sender may say, and not after our own server took it in."""
    times = (one.body["occurred_at"], one.body.get("received_at"))
    return min(datetime.fromisoformat(at) for at in times if at)
