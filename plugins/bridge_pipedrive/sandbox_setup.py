"""What a company has set up in Pipedrive: custom fields, activity types, who its users are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge import Json
from bridge_pipedrive import sandbox_values as values
from bridge_pipedrive.sandbox_answers import unfit
from bridge_pipedrive.sandbox_values import Check, record

BIRTH = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One custom field; `options` are (id, label)."""

    code: str
    name: str
    type: str
    options: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityType:
    id: int
    name: str
    key: str
    icon: str
    custom: bool
    added_at: datetime


_BUILT_IN = ("Call", "Meeting", "Task", "Deadline", "Email", "Lunch")
_PERIOD = {"until": values.text}
_ZONE: dict[str, Check] = {"timezone_name": values.text, "timezone_id": values.whole}
_FITS: Mapping[str, Check] = {
    "varchar": values.text,
    "text": values.text,
    "varchar_auto": values.text,
    "phone": values.text,
    "double": values.number,
    "date": values.day,
    "monetary": record({"value": values.number}, {"currency": values.filled}),
    "address": values.place,
    "daterange": record({"value": values.day, "until": values.day}, {}),
    "time": record({"value": values.clock_time}, _ZONE),
    "timerange": record({"value": values.clock_time, "until": values.clock_time}, _ZONE),
    "org": values.whole,
    "people": values.whole,
    "user": values.whole,
}
FIELD_TYPES = (*_FITS, "enum", "set")
FIELD_OWNERS = ("persons", "organizations", "deals")


class Setup:
    """Hold the settings of one company; `fields` are by the type of object and the field's code."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.fields: dict[str, dict[str, Field]] = {name: {} for name in FIELD_OWNERS}
        self.types: dict[str, ActivityType] = {}
        self._last_option = 10
        for name in _BUILT_IN:
            self.add_type(name, name.lower(), custom=False)

    def add_type(self, name: str, icon: str, *, custom: bool = True) -> ActivityType:
        """Add an activity type; its key is made from its name, and told apart by a number."""
        stem = "_".join(name.lower().split())
        key = stem
        while key in self.types:
            key = f"{stem}_{len(self.types) + 1}"
        made = ActivityType(
            id=len(self.types) + 1,
            name=name,
            key=key,
            icon=icon,
            custom=custom,
            added_at=self._clock() if custom else BIRTH,
        )
        self.types[key] = made
        return made

    def add_field(self, owner: str, name: str, type: str, labels: tuple[str, ...] = ()) -> Field:
        """Add a custom field; its code looks random and is the same whenever the same fields are added."""
        fields = self.fields[owner]
        code = hashlib.sha1(f"{owner} {len(fields)} {name}".encode(), usedforsecurity=False).hexdigest()
        options = []
        for label in labels:
            self._last_option += 1
            options.append((self._last_option, label))
        fields[code] = Field(code=code, name=name, type=type, options=tuple(options))
        return fields[code]

    def custom(self, owner: str, name: str, sent: Json) -> dict[str, Json]:
        """Return custom values as they are kept; None clears. Raises Refusal 400."""
        if not isinstance(sent, dict):
            raise unfit(name, "must be of type object")
        fields = self.fields[owner]
        found: dict[str, Json] = {}
        for code, value in sent.items():
            if code not in fields:
                raise unfit(f"{name}.{code}", f"Parameter '{code}' is not allowed for this request")
            found[code] = None if value is None else _fitting(fields[code], f"{name}.{code}", value)
        return found


def _fitting(field: Field, name: str, value: Json) -> Json:
    ids = [id for id, _ in field.options]
    if field.type == "enum":
        return values.one_of(*ids)(name, value)
    if field.type == "set":
        return values.each(values.one_of(*ids))(name, value)
    kept = _FITS[field.type](name, value)
    return None if kept == "" else kept
