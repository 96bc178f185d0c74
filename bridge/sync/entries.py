"""From interactions to timeline entries: which belong together, and what the mapping may read of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bridge.journey.keys import marker
from bridge.mapping import Mapping as MappingFile
from bridge.store.entities import Interaction
from bridge.store.ledger import ENTRY_SLOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How the company reads its timeline."""

    language: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One timeline entry: the interactions in it, and the view that the push mapping reads."""

    key: str
    entity_ids: tuple[str, ...]
    occurred_at: datetime
    title: str
    view: Mapping[str, Any]


def group_entries(
    interactions: Sequence[Interaction], style: Style, mapping: MappingFile, account_key: str
) -> list[Entry]:
    """Put interactions (in order of time) together as the mapping says; each becomes part of one entry."""
    rules = mapping.push_interaction
    if rules is None:
        return []
    groups: dict[tuple[str, ...], list[Interaction]] = {}
    name: tuple[str, ...]
    for one in interactions:
        if rules.group_for(one.body) == "thread_day":
            day = _at(one).astimezone(style.zone).date().isoformat()
            name = (one.body.get("channel", ""), one.body.get("thread_id", ""), day)
        else:
            name = (one.entity_id,)
        groups.setdefault(name, []).append(one)
    return [_entry(found, style, account_key) for found in groups.values()]


def _entry(found: Sequence[Interaction], style: Style, account_key: str) -> Entry:
    first = found[0]
    key = marker(account_key, first.entity_id, ENTRY_SLOT)
    body = first.body
    text = "\n".join(one.body.get("body_text", "") for one in found) + f"\ncrmbridge {key}"
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
        title=text.split("\n", 1)[0][:100],
        view={name: value for name, value in view.items() if value is not None},
    )


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
