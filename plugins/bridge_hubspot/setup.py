"""HubSpot's properties: which there are, and creating ours, with manual steps where the API refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bridge import AuthError, Created, Field, Json, Rejected
from bridge_hubspot.client import Client, Row
from bridge_hubspot.words import FIELD_TYPES, GROUP, KEY_PROPERTY, OBJECTS

_KNOWN_FOR = timedelta(minutes=15)


class Setup:
    """Describes and creates the properties of one account."""

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[str, tuple[datetime, dict[str, Field]]] = {}

    def describe(self, stream: str) -> list[Field]:
        """Return the properties of an object type; owners and pipelines have none."""
        if stream not in OBJECTS:
            return []
        rows = self._client.get(f"{self._client.properties}/{stream}").results
        return [_field(row) for row in rows if row.get("name")]

    def known(self, stream: str) -> dict[str, Field]:
        """
        Return the properties of an object type by name, as they were at most a quarter of an hour ago.

        Empty for a token that may not read properties: entries are then found by the marker in their text.
        """
        until, fields = self._known.get(stream, (None, {}))
        if until is None or self._clock() >= until:
            try:
                fields = {field.name: field for field in self.describe(stream)}
            except AuthError as error:
                if not error.missing_scopes:
                    raise
                fields = {}
            self._known[stream] = (self._clock() + _KNOWN_FOR, fields)
        return fields

    def key_field(self, stream: str) -> Field | None:
        """Return our key property of an object type, None where it was not created."""
        return self.known(stream).get(KEY_PROPERTY)

    def create(self, stream: str, fields: Sequence[Field]) -> Created:
        """
        Create the properties that are missing, in the group `crmbridge`.

        HubSpot does not promise unique properties on engagements and allows ten per type: one that
        is refused as unique is created plain. Without the scope, the steps come back as text.
        """
        self._known.pop(stream, None)
        created: list[str] = []
        existing: list[str] = []
        manual: list[str] = []
        try:
            there = {field.name for field in self.describe(stream)}
            existing = [field.name for field in fields if field.name in there]
            missing = [field for field in fields if field.name not in there]
            if missing:
                self._create_group(stream)
                created = self._create_together(stream, missing)
            for field in missing:
                if field.name not in created:
                    self._create_one(stream, field, created, manual)
        except AuthError as error:
            if not error.missing_scopes:
                raise
            done = {*created, *existing}
            manual = [_by_hand(stream, field, error) for field in fields if field.name not in done]
        return Created(created=tuple(created), existing=tuple(existing), manual=tuple(manual))

    def _create_group(self, stream: str) -> None:
        url = f"{self._client.properties}/{stream}/groups"
        if all(row.get("name") != GROUP for row in self._client.get(url).results):
            self._client.send(url, {"name": GROUP, "label": GROUP})

    def _create_together(self, stream: str, fields: Sequence[Field]) -> list[str]:
        """Create all in one call and return the names of those that were; a refusal says nothing of which."""
        inputs = [_definition(field, unique=field.unique) for field in fields]
        try:
            answer = self._client.send(f"{self._client.properties}/{stream}/batch/create", {"inputs": inputs})
        except Rejected:
            return []
        return [str(row.get("name")) for row in answer.results]

    def _create_one(self, stream: str, field: Field, created: list[str], manual: list[str]) -> None:
        url = f"{self._client.properties}/{stream}"
        for unique in (True, False) if field.unique else (False,):
            try:
                self._client.send(url, _definition(field, unique=unique))
            except Rejected as error:
                if not unique:
                    manual.append(_by_hand(stream, field, error))
            else:
                created.append(field.name)
                return


def _field(row: Row) -> Field:
    rules = row.get("modificationMetadata") or {}
    options = row.get("options") or ()
    return Field(
        name=str(row["name"]),
        label=str(row.get("label") or row["name"]),
        type=str(row.get("type") or "string"),
        writable=not (rules.get("readOnlyValue") or row.get("calculated")),
        unique=bool(row.get("hasUniqueValue")),
        options=tuple(str(option.get("value")) for option in options),
    )


def _definition(field: Field, *, unique: bool) -> dict[str, Json]:
    definition: dict[str, Json] = {
        "groupName": GROUP,
        "name": field.name,
        "label": field.label or field.name,
        "type": field.type,
        "fieldType": FIELD_TYPES.get(field.type, "text"),
    }
    if unique:
        definition["hasUniqueValue"] = True
    if field.options:
        definition["options"] = [
            {"label": option, "value": option, "displayOrder": order, "hidden": False}
            for order, option in enumerate(field.options)
        ]
    return definition


def _by_hand(stream: str, field: Field, error: AuthError | Rejected) -> str:
    kind = OBJECTS[stream].label if stream in OBJECTS else stream
    scopes = (
        f" (the token lacks {', '.join(error.missing_scopes)})"
        if isinstance(error, AuthError)
        else f" ({error})"
    )
    options = f", options {', '.join(field.options)}" if field.options else ""
    unique = ", require unique values" if field.unique else ""
    return (
        f"HubSpot > Settings > Properties > {kind} properties > Create property: label"
        f' "{field.label or field.name}", internal name {field.name}, field type'
        f" {FIELD_TYPES.get(field.type, 'text')}{options}{unique}{scopes}"
    )
