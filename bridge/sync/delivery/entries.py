"""From interactions to timeline entries: which belong together, and what the mapping may read of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast

import orjson

from bridge.journey.interaction import Interaction as Body
from bridge.journey.keys import marker
from bridge.journey.text import Style, chat_entries, entry_text
from bridge.journey.text_format import in_zone
from bridge.mapping import PushInteraction
from bridge.store.entities import Interaction
from bridge.store.intents import ENTRY_SLOT, LINK_SLOT

TITLE_LENGTH = 100

UNCONFIRMED = "?"
"""Ends the digest of an entry that says it is not known whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One timeline entry: the interactions in it, and the view that the push mapping reads.

    `told` is the digest of what they say.
    """

    key: str
    entity_ids: tuple[str, ...]
    occurred_at: datetime
    title: str
    view: Mapping[str, Any]
    told: str


def group_entries(
    interactions: Sequence[Interaction],
    rules: PushInteraction,
    *,
    style: Style,
    account_key: str,
    first: str,
    earlier: Mapping[tuple[str, ...], int] = MappingProxyType({}),
) -> list[Entry]:
    """
    Put interactions (in order of time) together as the mapping says; each becomes part of one entry.

    A chat is grouped by thread and local day, and split where it grows too long. `first` is the
    person's first interaction ever, whose entry says where they came from. `earlier` counts the entries
    that a group has already. A group in which there is nothing to read, such as a reaction to a message
    nobody saw, has no entry.
    """
    groups: dict[tuple[str, ...], list[Interaction]] = {}
    for one in interactions:
        groups.setdefault(group_of(one, rules, style), []).append(one)
    return [
        entry
        for name, found in groups.items()
        for entry in entries_of(
            found, rules, style=style, account_key=account_key, first=first, part=earlier.get(name, 0) + 1
        )
    ]


def entries_of(
    found: Sequence[Interaction],
    rules: PushInteraction,
    *,
    style: Style,
    account_key: str,
    first: str,
    part: int = 1,
    key: str | None = None,
) -> list[Entry]:
    """
    Write one group of interactions, in order of time; `key` is that of their entry where it stands already.

    `part` numbers the first entry within its group.
    """
    keys = [marker(account_key, one.entity_id, ENTRY_SLOT) for one in found]
    keys[0] = key or keys[0]
    is_first = found[0].entity_id == first
    if len(group_of(found[0], rules, style)) == 1:
        text = entry_text(_body(found[0]), style=style, key=keys[0], is_first_contact=is_first)
        return [_entry(found, keys[0], text, style)]
    return [
        _entry(found[entry.start : entry.stop], keys[entry.start], entry.text, style)
        for entry in chat_entries(
            [_body(one) for one in found],
            style=style,
            key_of=keys.__getitem__,
            is_first_contact=is_first,
            part=part,
        )
    ]


def told_of(found: Sequence[Interaction], style: Style) -> str:
    """Return the digest of what interactions say, in order: an entry that tells the same needs no look."""
    told: list[Any] = [(one.entity_id, one.body) for one in found]
    if style.unconfirmed is not None:
        told.append(style.unconfirmed)
    said = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.blake2b(said, digest_size=12).hexdigest()
    return digest if style.unconfirmed is None else digest + UNCONFIRMED


def is_unconfirmed(told: str | None) -> bool:
    """Tell whether an entry, by its digest, says that it is not known whose it is."""
    return told is not None and told.endswith(UNCONFIRMED)


def group_of(one: Interaction, rules: PushInteraction, style: Style) -> tuple[str, ...]:
    """Return what an interaction shares with those of its entry: channel, thread and local day, or itself alone."""
    if rules.group_for(one.body) != "thread_day":
        return (one.entity_id,)
    day = in_zone(one.body["occurred_at"], style.zone).date().isoformat()
    return one.body.get("channel", ""), one.body.get("thread_id", ""), day


def link_key(account_key: str, entry_key: str, contact_id: str) -> str:
    """Return the key of putting an entry on one more contact."""
    return marker(account_key, f"{entry_key}/{contact_id}", LINK_SLOT)


def _body(one: Interaction) -> Body:
    return cast(Body, one.body)


def _entry(found: Sequence[Interaction], key: str, text: str, style: Style) -> Entry:
    first = found[0]
    text = "\n".join(filter(None, (style.first_line, text)))
    body = first.body
    view = {
        "key": key,
        "channel": body.get("channel"),
        "kind": body.get("kind"),
        "direction": body.get("direction"),
        "occurred_at": body.get("occurred_at"),
        "subject": body.get("subject"),
        "text": text,
        "body_text": body.get("body_text"),
        **_parties(body),
        "duration_ms": int(body["duration_s"] * 1000) if body.get("duration_s") is not None else None,
        "outcome": body.get("outcome"),
        "state": body.get("state"),
        "message_id": _message_id(body),
        "owner_id": (body.get("owner_ref") or "").partition("/")[2] or None,
        "count": len(found),
    }
    return Entry(
        key=key,
        entity_ids=tuple(one.entity_id for one in found),
        occurred_at=_at(first),
        title=_title(body, text),
        view={name: value for name, value in view.items() if value is not None},
        told=told_of(found, style),
    )


def _title(body: Mapping[str, Any], text: str) -> str:
    """Return one line by which a person recognises the entry in a plan."""
    line = text.split("\n", 1)[0]
    subject = body.get("subject")
    return (f"{subject}: {line}" if subject else line)[:TITLE_LENGTH]


def _at(one: Interaction) -> datetime:
    return datetime.fromisoformat(one.body["occurred_at"])


def _message_id(body: Mapping[str, Any]) -> str | None:
    for key in body.get("dedupe_keys", ()):
        if key.startswith("message-id:"):
            return str(key.partition(":")[2])
    return None


def _parties(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return from, to and cc as a CRM's e-mail and call objects want them."""
    found: dict[str, list[dict[str, str]]] = {"from": [], "to": [], "cc": []}
    for participant in body.get("participants", ()):
        slot = {"caller": "from", "author": "from", "callee": "to"}.get(
            participant["role"], participant["role"]
        )
        if slot in found:
            handles = {handle["kind"]: handle["value"] for handle in participant.get("handles", ())}
            party = {
                "email": handles.get("email"),
                "phone": handles.get("phone"),
                "name": participant.get("display_name"),
            }
            found[slot].append({name: value for name, value in party.items() if value})
    return {"from": found["from"][0] if found["from"] else None, "to": found["to"], "cc": found["cc"]}
