"""What a company has set up in Pipedrive: custom fields by name, activity types, its time zone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge import AuthError, Created, Field, Json, Rejected, Unavailable
from bridge_pipedrive.client import Client, Row
from bridge_pipedrive.words import (
    ACTIVITY_TYPES,
    FIELD_TYPES,
    KINDS,
    ME,
    OTHER_TYPE,
    PAGE,
    TYPES,
)

_KNOWN_FOR = timedelta(minutes=15)
_NEW_FIELD = timedelta(minutes=1)
"""How often at most a code without a name makes us ask for the fields again; some are hidden from the key's user."""

_CODE = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """A field of a company's own: `code` is its 40 hexadecimal digits, `options` are labels by id."""

    name: str
    code: str
    type: str
    options: Mapping[str, str]


class Setup:
    """Describes and creates the fields of one account, and turns codes into names and back."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[datetime, list[Row]]] = {}
        self._zone: ZoneInfo | None = None

    def describe(self, stream: str) -> list[Field]:
        """
        Return the fields of persons, organizations and deals; the other streams have none of their own.

        They are as they were at most a quarter of an hour ago: asking takes 10 tokens of the company's day.
        """
        kind = KINDS.get(stream)
        if kind is None or not kind.fields or kind.old:
            return []
        rows = self._fields(kind.fields)
        custom = {one.code: one for one in _named(rows)}
        return [_field(row, custom.get(str(row["field_code"]))) for row in rows]

    def custom(self, stream: str) -> list[Custom]:
        """Return a stream's custom fields, as they were at most a quarter of an hour ago; each name comes once."""
        path = KINDS[stream].fields
        return _named(self._fields(path)) if path else []

    def translated(self, stream: str, rows: Sequence[Row]) -> list[Row]:
        """
        Return records with `custom_fields` by the fields' names, options as their labels.

        Version 1 has them beside the other fields, version 2 below `custom_fields`. A code without a
        field stays as it is.
        """
        if not KINDS[stream].fields:
            return list(rows)
        codes = {code for row in rows for code in _customs(row)}
        if codes and codes - {one.code for one in self.custom(stream)}:
            self._forget(KINDS[stream].fields, known_for=_NEW_FIELD)
        by_code = {one.code: one for one in self.custom(stream)} if codes else {}
        found = []
        for row in rows:
            plain = {name: value for name, value in row.items() if not _CODE.fullmatch(name)}
            plain["custom_fields"] = {
                by_code[code].name if code in by_code else code: _labelled(by_code.get(code), value)
                for code, value in _customs(row).items()
            }
            found.append(plain)
        return found

    def activity_type(self, word: str) -> str:
        """
        Return the key of the activity type that an account has for a channel or word.

        One that is called so; else the built-in one for it; else the plain task, or the first there is.
        """
        rows = [row for row in self._rows(TYPES, self._read_types) if row.get("active_flag", True)]
        keys = [str(row.get("key_string")) for row in rows]
        for wanted in (word, *ACTIVITY_TYPES.get(word, ()), OTHER_TYPE):
            for key, row in zip(keys, rows, strict=True):
                if wanted.casefold() in (key.casefold(), str(row.get("name")).casefold()):
                    return key
        if not keys:
            raise Rejected("Pipedrive has no active activity type; add one under Settings > Company settings")
        return keys[0]

    def zone(self) -> ZoneInfo:
        """Return the time zone of the key's user, in which Pipedrive's days are; UTC where it names none."""
        if self._zone is None:
            self.know_zone(self._client.get(ME).record.get("timezone_name"))
        assert self._zone is not None
        return self._zone

    def know_zone(self, name: Json) -> None:
        """Take note of the user's time zone."""
        try:
            self._zone = ZoneInfo(str(name))
        except (ZoneInfoNotFoundError, ValueError):
            self._zone = ZoneInfo("UTC")

    def create(self, stream: str, fields: Sequence[Field]) -> Created:
        """
        Create the fields that are missing.

        No field can be made unique (OpenAPI description, read 2026-11-22). Where the key's user may not
        create fields, the steps come back as text.
        """
        kind = KINDS[stream]
        self._forget(kind.fields)
        there = {field.name for field in self.describe(stream)}
        created: list[str] = []
        manual: list[str] = []
        for field in fields:
            if field.name in there:
                continue
            try:
                self._client.send("POST", kind.fields, _definition(field))
            except (Rejected, AuthError) as error:
                if isinstance(error, AuthError) and not error.missing_scopes:
                    raise
                manual.append(_by_hand(kind.entity, field, error))
            else:
                created.append(field.name)
        self._forget(kind.fields)
        existing = [field.name for field in fields if field.name in there]
        return Created(created=tuple(created), existing=tuple(existing), manual=tuple(manual))

    def _forget(self, path: str, *, known_for: timedelta = timedelta(0)) -> None:
        """Read a list anew the next time, if it has been known for at least so long."""
        with self._lock:
            until, _ = self._known.get(path, (None, []))
            if until is not None and self._clock() >= until - _KNOWN_FOR + known_for:
                del self._known[path]

    def _rows(self, path: str, read: Callable[[], list[Row]]) -> list[Row]:
        with self._lock:
            until, rows = self._known.get(path, (None, []))
            if until is None or self._clock() >= until:
                rows = read()
                self._known[path] = (self._clock() + _KNOWN_FOR, rows)
            return rows

    def _fields(self, path: str) -> list[Row]:
        return self._rows(path, lambda: self._read(path))

    def _read(self, path: str) -> list[Row]:
        rows = [row for answer in self._client.pages(path, {"limit": PAGE}) for row in answer.rows]
        if all(isinstance(row.get("field_code"), str) for row in rows):
            return rows
        raise Unavailable(
            f"Pipedrive answered GET {path} with a field without code; the next sync asks again"
        )

    def _read_types(self) -> list[Row]:
        return self._client.get(TYPES).records


def _named(rows: Iterable[Row]) -> list[Custom]:
    """Return the custom fields; of those with the same name all but the first have their code behind it."""
    found: dict[str, Custom] = {}
    for row in rows:
        if not row.get("is_custom_field", _CODE.fullmatch(row["field_code"]) is not None):
            continue
        name = str(row.get("field_name") or row["field_code"])
        if name in found:
            name = f"{name} ({row['field_code']})"
        options = {str(option.get("id")): str(option.get("label")) for option in row.get("options") or ()}
        found[name] = Custom(
            name=name, code=row["field_code"], type=str(row.get("field_type")), options=options
        )
    return list(found.values())


def _customs(row: Row) -> dict[str, Json]:
    below = row.get("custom_fields")
    beside = {name: value for name, value in row.items() if _CODE.fullmatch(name)}
    return {**(below if isinstance(below, dict) else {}), **beside}


def _labelled(field: Custom | None, value: Json) -> Json:
    """Return a value with the labels of its options; those come as ids, or with their label beside them."""
    if field is None or not field.options or value is None:
        return value
    if isinstance(value, list):
        return [_labelled(field, one) for one in value]
    if isinstance(value, dict):
        return value.get("label")
    words = [word.strip() for word in str(value).split(",")] if field.type == "set" else [str(value)]
    labels = [field.options.get(word, word) for word in words]
    return labels if field.type == "set" and len(labels) > 1 else labels[0]


def _field(row: Row, custom: Custom | None) -> Field:
    options = row.get("options") or ()
    return Field(
        name=custom.name if custom else row["field_code"],
        label=str(row.get("field_name") or row["field_code"]),
        type=str(row.get("field_type") or "varchar"),
        writable=custom is not None,
        options=tuple(str(option.get("label")) for option in options),
    )


def _definition(field: Field) -> dict[str, Json]:
    definition: dict[str, Json] = {
        "field_name": field.name,
        "field_type": FIELD_TYPES.get(field.type, field.type),
    }
    if field.options:
        definition["options"] = [{"label": option} for option in field.options]
    return definition


def _by_hand(entity: str, field: Field, error: AuthError | Rejected) -> str:
    options = f", options {', '.join(field.options)}" if field.options else ""
    kind = FIELD_TYPES.get(field.type, field.type)
    return (
        f'Pipedrive > Settings > Data fields > {entity.capitalize()} > Add custom field: name "{field.name}",'
        f" type {kind}{options} ({error})"
    )
