"""The bodies of writes: what a mapping says as Pipedrive takes it, and Pipedrive's answer as a mapping says it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from bridge import Json, Link, Rejected, Write
from bridge_pipedrive.client import Row
from bridge_pipedrive.setup import Custom, Setup
from bridge_pipedrive.words import (
    LABELS,
    NUMBERS,
    WRITABLE,
    clock_time,
    day,
    duration,
    instant,
    old_second,
)

_CHANNELS = ("emails", "phones")
_TEXTS = ("note", "content")
_TAGS = re.compile(r"<[^>]*>")
_LINK_FIELDS = {"deals": "deal_id", "organizations": "org_id", "leads": "lead_id"}


class Bodies:
    """Makes request bodies for one account."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def of(self, write: Write) -> dict[str, Json]:
        """Return the fields of a create or update. Raises Rejected for what Pipedrive has no field for."""
        stream, fields = write.stream, write.fields
        body: dict[str, Json] = {}
        custom: dict[str, Json] = {}
        by_name = self._custom(stream, fields)
        for name, value in fields.items():
            if name in WRITABLE[stream]:
                body[name] = self._value(stream, name, value)
            elif name in by_name:
                custom[by_name[name].code] = self._own(by_name[name], value)
            else:
                remedy = " Create it with `crmbridge setup crm --apply`." if stream == "persons" else ""
                raise Rejected(
                    f"Pipedrive has no field {name!r} on {LABELS[stream]} that can be written.{remedy}",
                    code="field",
                )
        if custom:
            body["custom_fields"] = custom
        return body

    def _custom(self, stream: str, names: Mapping[str, Json]) -> dict[str, Custom]:
        if names.keys() <= WRITABLE[stream]:
            return {}
        return {one.name: one for one in self._setup.custom(stream)}

    def _value(self, stream: str, name: str, value: Json) -> Json:
        if name in _CHANNELS:
            return channels(value)
        if name in NUMBERS:
            return int(value) if isinstance(value, str) and value.isdecimal() else value
        if stream == "notes":
            return old_second(value) if name == "add_time" else value
        if name == "type":
            return self._setup.activity_type(str(value))
        # An activity's date and time of day are in UTC, whatever its user's time zone.
        if name == "due_date":
            at = instant(value)
            return value if at is None else at.date().isoformat()
        if name == "due_time":
            return clock_time(value)
        return duration(value) if name == "duration" else value

    def _own(self, field: Custom, value: Json) -> Json:
        """Return the value of a custom field: days in the account's time zone, options as ids; empty clears it."""
        if value in (None, "", []):
            return None
        if field.type == "date":
            return day(value, self._setup.zone())
        if field.options:
            ids = {label.casefold(): id_ for id_, label in field.options.items()}
            words = value if isinstance(value, list) else [value]
            strange = [word for word in words if str(word).casefold() not in ids]
            if strange:
                raise Rejected(
                    f"Pipedrive's field {field.name!r} has no option {strange[0]!r};"
                    f" known: {', '.join(field.options.values())}",
                    code="option",
                )
            chosen = [_whole(ids[str(word).casefold()]) for word in words]
            return chosen if field.type == "set" else chosen[0]
        if field.type == "double":
            return float(value) if isinstance(value, str) else value
        if field.type == "monetary" or isinstance(value, dict | list):
            return value
        return str(value)

    def as_read(self, stream: str, row: Row, names: Sequence[str]) -> dict[str, Json]:
        """Return the values of these fields as Pipedrive shows them, under the names of the mapping."""
        [shown] = self._setup.translated(stream, [row])
        values = {**(shown.get("custom_fields") or {}), **shown}
        return {name: _plain_channels(values.get(name)) for name in names}

    def shows(self, write: Write, row: Row) -> bool:
        """Whether a record shows each value of a write, however Pipedrive spells it."""
        sent = self.of(write)
        own = row.get("custom_fields") or {}
        pairs = [(name, value, row.get(name)) for name, value in sent.items() if name != "custom_fields"]
        pairs += [(code, value, own.get(code)) for code, value in (sent.get("custom_fields") or {}).items()]
        return all(_alike(name, one, other) for name, one, other in pairs)


def linked(stream: str, links: Sequence[Link]) -> dict[str, Json]:
    """
    Return the fields that link a new entry to what it is about.

    An activity has many participants, the first of them primary; version 2 refuses `person_id`. A note
    belongs to one person. Raises Rejected for what cannot be linked.
    """
    body: dict[str, Json] = {}
    people = list(dict.fromkeys(link.to for link in links if link.stream == "persons"))
    if people and stream == "activities":
        body["participants"] = participants(people)
    elif people and stream == "notes":
        if len(people) > 1:
            raise Rejected(
                f"a note of Pipedrive belongs to one person, this one to {len(people)}: let `push.interaction.to`"
                " of the mapping make an activity of it",
                code="link",
            )
        body["person_id"] = _whole(people[0])
    elif people:
        raise Rejected(f"Pipedrive links no {LABELS[stream]} to a person", code="link")
    for link in links:
        if link.stream == "persons":
            continue
        name = _LINK_FIELDS.get(link.stream)
        if name is None or (stream == "persons" and name != "org_id"):
            raise Rejected(f"Pipedrive links no {LABELS[stream]} to {link.stream!r}", code="link")
        body.setdefault(name, _whole(link.to))
    return body


def participants(people: Sequence[str]) -> list[dict[str, Json]]:
    """Return people as an activity's participants, the first of them primary."""
    return [{"person_id": _whole(one), "primary": place == 0} for place, one in enumerate(people)]


def link_field(stream: str) -> str | None:
    """Return the field of an entry that names a record of this stream, None where there is none."""
    return _LINK_FIELDS.get(stream)


def channels(value: Json) -> Json:
    """Return addresses or numbers as Pipedrive keeps them, the first one primary; its own form stays."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, dict) for one in values):
        return values
    texts = [str(one) for one in values if one not in (None, "")]
    return [{"value": one, "primary": place == 0, "label": "work"} for place, one in enumerate(texts)]


def _plain_channels(value: Json) -> Json:
    """Return addresses or numbers as a mapping says them: one as text, several as a list; the rest stays."""
    if not isinstance(value, list) or not all(isinstance(one, dict) and "value" in one for one in value):
        return value
    texts = [one["value"] for one in value]
    return texts[0] if len(texts) == 1 else texts


def _alike(name: str, sent: Json, shown: Json) -> bool:
    if name in _TEXTS:
        return visible(sent) == visible(shown)
    if name in _CHANNELS or name == "participants":
        return _handles(sent) <= _handles(shown)
    if sent in (None, "") or shown in (None, ""):
        return (sent or None) == (shown or None)
    if isinstance(shown, dict) and not isinstance(sent, dict):
        shown = shown.get("id", shown.get("value"))
    at = instant(sent) if name == "add_time" else None
    if at is not None:
        return at == instant(shown)
    return str(sent) == str(shown) or (name in ("due_time", "duration") and str(shown).startswith(str(sent)))


def _handles(value: Json) -> set[str]:
    rows = value if isinstance(value, list) else []
    words = (row.get("value", row.get("person_id")) for row in rows if isinstance(row, dict))
    return {str(word).casefold() for word in words}


def visible(text: Json) -> str:
    """Return what a reader of HTML sees, in one line: enough to tell whether two texts say the same."""
    return " ".join(html.unescape(_TAGS.sub(" ", str(text or ""))).split())


def _whole(id_: str) -> Json:
    return int(id_) if id_.isdecimal() else id_
