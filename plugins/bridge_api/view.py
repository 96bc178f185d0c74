"""The flat view of a stored interaction that the mapping reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bridge import Json
from bridge_api.words import CUSTOMER_SIDE, ROLES


def mapping(value: Json) -> Mapping[str, Json]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def instant(value: Json) -> datetime | None:
    """Return an RFC 3339 text with an offset as an aware instant in UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC) if moment.utcoffset() is not None else None
    except (ValueError, OverflowError):
        return None


def customer(interaction: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the person an interaction is about, as the caller wrote it."""
    return mapping(interaction.get(CUSTOMER_SIDE.get(str(interaction.get("direction")), "from")))


def view(stored: Mapping[str, Json]) -> dict[str, Any]:
    """
    Return what the mapping reads: the interaction with our names, its people and files as lists.

    `interaction` is the caller's own JSON, for custom fields. Pure; whatever the stored JSON
    holds, it raises nothing.
    """
    told = mapping(stored.get("interaction"))
    source = stored.get("source")
    result = {
        **{name: told.get(name) for name in _AS_IT_IS},
        "channel_account": source,
        "channel": told.get("channel", "api"),
        "occurred_at": _utc(told.get("occurred_at")),
        "ended_at": _utc(told.get("ended_at")),
        "participants": _participants(told, source),
        "thread_id": _scoped(source, told.get("thread")),
        "attachments": _attachments(told.get("attachments")),
        "visibility": stored.get("detail"),
        "is_automated": told.get("automated"),
        "automated_by": "app" if told.get("automated") is True else None,
        "attribution": _attribution(told),
        "dedupe_keys": _keys(told),
        "interaction": dict(told),
    }
    return {name: value for name, value in result.items() if value not in (None, [], {}, "")}


_AS_IT_IS = (
    "kind",
    "direction",
    "duration_s",
    "subject",
    "text",
    "html",
    "language",
    "in_reply_to",
    "state",
    "outcome",
    "custom",
)


def _participants(told: Mapping[str, Json], source: Json) -> list[Json]:
    direction = str(told.get("direction"))
    speaks, hears = ROLES.get(str(told.get("kind")), ("from", "to"))
    found: list[Json] = []
    for name, role in (("from", speaks), ("to", hears)):
        side = "customer" if CUSTOMER_SIDE.get(direction) == name else "team"
        if told.get(name):
            found.append(_person(mapping(told.get(name)), role, side, source))
    if told.get("agent"):
        found.append(
            _person(mapping(told.get("agent")), hears if direction == "inbound" else speaks, "team", source)
        )
    return found


def _person(person: Mapping[str, Json], role: str, side: str, source: Json) -> Json:
    handles: list[Json] = []
    if identifier := person.get("id"):
        handles.append({"kind": "external", "value": identifier, "scope": source})
    if email := person.get("email"):
        handles.append({"kind": "email", "value": email})
    if isinstance(phone := person.get("phone"), str):
        digits = "".join(letter for letter in phone if letter in "0123456789")
        handles.append({"kind": "phone", "value": f"+{digits}"})
    told = {"role": role, "side": side, "display_name": person.get("name"), "handles": handles}
    return {name: value for name, value in told.items() if value}


def _attachments(files: Json) -> list[Json]:
    """Return files as links; their bytes stay where the caller keeps them."""
    found = []
    for file in files if isinstance(files, list) else []:
        told = mapping(file)
        kept = {
            name: told[name] for name in ("content_type", "size", "duration_s", "is_voice") if name in told
        }
        links = {"id": told.get("url"), "ref": told.get("url"), "filename": told.get("name")}
        found.append({**kept, **{name: value for name, value in links.items() if value}, "state": "skipped"})
    return found


def _attribution(told: Mapping[str, Json]) -> Json:
    known = mapping(told.get("attribution"))
    return {**known, "at": _utc(told.get("occurred_at"))} if known else None


def _keys(told: Mapping[str, Json]) -> list[str]:
    message_id = told.get("message_id")
    bare = message_id.strip().strip("<>") if isinstance(message_id, str) else ""
    return [f"message-id:{bare}"] if bare else []


def _scoped(source: Json, thread: Json) -> str | None:
    return f"{source}:{thread}" if thread else None


def _utc(value: Json) -> str | None:
    moment = instant(value)
    if moment is None:
        return None
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
