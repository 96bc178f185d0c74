"""
How the records of one interaction become one: its copies, and what came later about it.

Each record's own entity is kept, and an interaction is folded from all of them every time: so the
order in which they came and how they were batched can't matter, and taking one away is folding the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bridge.journey.fold_lists import are_folded, fold_attachments, fold_participants, fold_reactions
from bridge.journey.interaction import Interaction

_TELLS = {"whole": 0, "edit": 1, "status": 2, "reaction": 3, "removal": 4}
_VISIBILITY = {"full": 0, "subject": 1, "metadata": 2}
_STATES = (
    *("unknown", "scheduled", "queued", "sent", "received", "cancelled", "failed", "missed"),
    *("delivered", "read", "completed"),
)
"""
Later wins: a status moves only forward, and messages out of order don't move it back.

Failed comes after sent, as it ends it, and before delivered, which shows that it did arrive.
"""
_BODY = ("body_text", "body_full", "body_html")
_UNIONS = ("dedupe_keys", "contact_refs", "company_refs", "deal_refs", "captured_by")
_RULED = frozenset(
    (
        *(*_BODY, *_UNIONS, "participants", "attachments", "reactions", "custom", "tells", "occurred_at"),
        *("state", "is_automated", "automated_by", "visibility", "edited_at", "deleted_at"),
    )
)
"""Fields with a rule of their own; the others come from the preferred record that has them."""
_ABOUT = frozenset({"kind", "channel", "channel_account", "direction", "thread_id"})
"""What a status, edit, removal or reaction says of the message it speaks of, rather than of itself."""

_SEVERAL = frozenset({"reactions", "attachments", "custom"})
"""What is never taken as it comes."""

_Entities = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one record says of an interaction: an interaction entity; `record_key` is unique in the store."""

    record_key: str
    entity: Mapping[str, Any]


def fold(parts: Sequence[Part]) -> Interaction:
    """
    Return the one interaction that several records speak of; depends on the set of parts only.

    Of several copies the direct one wins over one from a mailing list, then the one kept in most detail,
    then the longest text, then the least record key; it lacks nothing that another copy has. The text
    is that of the latest edit. Statuses, removals and reactions apply whenever they came. A message
    known only by its status becomes an outbound one with `custom.text_unknown`, unless it is a template; a
    call known only so stays what it is.
    Raises ValueError without parts, or when two different ones have one record key.
    """
    if len(parts) == 1 and _is_plain(entity := parts[0].entity):
        return cast(Interaction, {**entity, "tells": "whole"})
    by_key: dict[str, Part] = {}
    for part in parts:
        if by_key.setdefault(part.record_key, part) != part:
            raise ValueError(f"record {part.record_key}: two different versions; pass only the newest")
    if not by_key:
        raise ValueError("an interaction has at least one record; got none")
    entities = [part.entity for part in sorted(by_key.values(), key=_preference)]
    best = _tells(entities[0])
    folded: dict[str, Any] = {}
    for entity in entities:
        about_only = best == "whole" and _tells(entity) != "whole"
        for field, value in entity.items():
            if field in _RULED or (about_only and field not in _ABOUT):
                continue
            if folded.get(field, "unknown") == "unknown":
                folded[field] = value
    folded["tells"] = best
    occurred = (entity["occurred_at"] for entity in entities)
    folded["occurred_at"] = next(occurred) if best == "whole" else min(occurred, key=_comparable)
    _fold_text(folded, entities)
    _fold_state(folded, entities)
    _fold_lists(folded, entities, best)
    if best == "status" and folded.get("kind", "unknown") in ("message", "email", "unknown"):
        _suppose_a_message(folded)
    return cast(Interaction, folded)


def _is_plain(entity: Mapping[str, Any]) -> bool:
    """
    Tell whether one record alone says all of an interaction, and nothing of it twice: folding would copy it.

    Most are so: measured, this takes a tenth of the time.
    """
    return (
        entity.get("tells", "whole") == "whole"
        and bool(entity.get("body_text"))
        and entity.get("automated_by") != "template"
        and _SEVERAL.isdisjoint(entity)
        and all(len(entity[field]) == 1 for field in _UNIONS if field in entity)
        and ("participants" not in entity or are_folded(entity["participants"]))
        and ("deleted_at" not in entity or bool(entity["deleted_at"]))
        and ("edited_at" not in entity or bool(entity["edited_at"]))
    )


def _tells(entity: Mapping[str, Any]) -> str:
    return cast(str, entity.get("tells", "whole"))


def _comparable(instant: str) -> str:
    """Without their final Z, instants with and without milliseconds compare as text."""
    return instant[:-1]


def _preference(part: Part) -> tuple[int, bool, int, int, int, str]:
    entity = part.entity
    return (
        _TELLS[_tells(entity)],
        entity.get("automated_by") == "list",
        _VISIBILITY[entity.get("visibility", "full")],
        -max(len(entity.get(field, "")) for field in ("body_text", "body_full")),
        -len(entity.get("attachments", ())),
        part.record_key,
    )


def _fold_text(folded: dict[str, Any], entities: _Entities) -> None:
    """Take the text of the latest edit in all its forms, which belong together."""
    speaking = [entity for entity in entities if _tells(entity) in ("whole", "edit")]
    latest: tuple[str, Mapping[str, Any]] | None = None
    for entity in speaking:
        edited_at = entity.get("edited_at") or (entity["occurred_at"] if _tells(entity) == "edit" else "")
        if not any(entity.get(field) for field in _BODY):
            continue
        if latest is None or _comparable(edited_at) > _comparable(latest[0]):
            latest = edited_at, entity
    if latest is not None:
        edited_at, chosen = latest
        folded |= {field: chosen[field] for field in _BODY if field in chosen}
        if edited_at:
            folded["edited_at"] = edited_at
    if any("visibility" in entity for entity in speaking):
        folded["visibility"] = min(
            (e.get("visibility", "full") for e in speaking), key=_VISIBILITY.__getitem__
        )


def _fold_state(folded: dict[str, Any], entities: _Entities) -> None:
    states = [entity["state"] for entity in entities if "state" in entity]
    if states:
        folded["state"] = max(states, key=_STATES.index)
    removed = [
        entity.get("deleted_at") or entity["occurred_at"]
        for entity in entities
        if "deleted_at" in entity or _tells(entity) == "removal"
    ]
    if removed:
        folded["deleted_at"] = min(removed, key=_comparable)
    # A status tells that its message was a template; what else it may tell, as that it is itself a
    # bounce, is of the status.
    best = entities[0]
    if any(entity.get("automated_by") == "template" for entity in entities):
        folded |= {"is_automated": True, "automated_by": "template"}
    elif _tells(best) == "whole":
        folded |= {field: best[field] for field in ("is_automated", "automated_by") if field in best}


def _fold_lists(folded: dict[str, Any], entities: _Entities, best: str) -> None:
    content = [entity for entity in entities if _tells(entity) in ("whole", "edit", "status", best)]
    lists: dict[str, list[Any]] = {
        "participants": fold_participants(p for entity in content for p in entity.get("participants", ())),
        "attachments": fold_attachments(entity.get("attachments", ()) for entity in content),
        "reactions": fold_reactions(
            (entity["occurred_at"], reaction)
            for entity in entities
            for reaction in entity.get("reactions", ())
        ),
    }
    for field in _UNIONS:
        lists[field] = sorted({value for entity in entities for value in entity.get(field, ())})
    folded |= {field: values for field, values in lists.items() if values}
    custom = {
        name: value for entity in reversed(entities) for name, value in entity.get("custom", {}).items()
    }
    if custom:
        folded["custom"] = custom


def _suppose_a_message(folded: dict[str, Any]) -> None:
    """A status whose message was never seen: the team sent it elsewhere, or it is a template."""
    folded["direction"] = "outbound"
    if folded.get("kind", "unknown") == "unknown":
        folded["kind"] = "message"
    if folded.get("automated_by") != "template":
        folded["custom"] = {**folded.get("custom", {}), "text_unknown": True}
