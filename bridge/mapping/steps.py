"""The closures a field spec is composed of; each makes one value and says None for nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.errors import MappingError
from bridge.mapping.paths import Make
from bridge.mapping.values import BadValue, Function, as_text
from bridge.model import Json

KEEP = object()
"""What `else: keep` stands for."""
ABSENT = object()
"""What a table says of a word it does not know; also: there is no `else`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the spec of a field stands, for the message when it refuses a value."""

    file: str
    line: int
    path: str
    field: str

    def error(self, cause: BadValue) -> MappingError:
        hint = "Change how this field is mapped, or leave it out; then replay the rejected records."
        return MappingError(
            f"{self.file}:{self.line} {self.path}: {cause}.", field=self.field, line=self.line, hint=hint
        )


def is_empty(value: Json) -> bool:
    """Tell whether a value is missing or empty, as `first` and `default` see it."""
    return value is None or value == "" or value == [] or value == {}


def constant(value: Json) -> Make:
    """Always the same value; a list or an object is made anew each time."""
    if isinstance(value, list | dict):
        return lambda item, whole: copy.deepcopy(value)
    return lambda item, whole: value


def first_of(makes: Sequence[Make]) -> Make:
    """The first value that is not missing or empty."""

    def run(item: Json, whole: Json) -> Json:
        for make in makes:
            value = make(item, whole)
            if not is_empty(value):
                return value
        return None

    return run


def template(parts: Sequence[str | Make]) -> Make:
    """Text with values in it; missing ones leave a gap, and nothing is made where all are missing."""

    def run(item: Json, whole: Json) -> Json:
        texts: list[str] = []
        found = False
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = part(item, whole)
            if not is_empty(value):
                texts.append(as_text(value))
                found = True
        return "".join(texts).strip() if found else None

    return run


def list_of(makes: Sequence[Make]) -> Make:
    """One list of all values; lists among them are opened, missing ones left out."""

    def run(item: Json, whole: Json) -> Json:
        values: list[Json] = []
        for make in makes:
            value = make(item, whole)
            if isinstance(value, list):
                values.extend(one for one in value if one is not None)
            elif value is not None:
                values.append(value)
        return values or None

    return run


def objects_of(items: Make, build: Make) -> Make:
    """Every item of a list turned into an object; items that give nothing are left out."""

    def run(item: Json, whole: Json) -> Json:
        values = items(item, whole)
        if values is None:
            return None
        return [made for value in values if (made := build(value, whole)) is not None] or None

    return run


def object_of(
    steps: Sequence[tuple[str, Make]],
    constants: Mapping[str, Json],
    places: Mapping[str, Place],
    *,
    always: bool,
) -> Make:
    """
    An object of the fields that have a value.

    Constants alone say nothing, so that an object whose other fields are all missing is
    left out, unless `always`.
    """
    nested = any(isinstance(value, list | dict) for value in constants.values())
    always = always or not steps

    def run(item: Json, whole: Json) -> Json:
        made: dict[str, Json] = {}
        key = ""
        try:
            for key, step in steps:
                value = step(item, whole)
                if value is not None:
                    made[key] = value
        except BadValue as error:
            raise places[key].error(error) from error
        if made or always:
            made.update(copy.deepcopy(constants) if nested else constants)
            return made
        return None

    return run


def transformed(make: Make, function: Function, takes: Literal["one", "list", "any"]) -> Make:
    """What a transform makes of a value, of each item of a list, or of a list as a whole."""
    if takes == "any":
        return lambda item, whole: None if (value := make(item, whole)) is None else function(value)
    if takes == "list":

        def run_list(item: Json, whole: Json) -> Json:
            value = make(item, whole)
            if value is None:
                return None
            return function(value if isinstance(value, list) else [value])

        return run_list

    def run(item: Json, whole: Json) -> Json:
        value = make(item, whole)
        if value is None:
            return None
        return spread(function, value) if isinstance(value, list) else function(value)

    return run


def spread(function: Function, values: list[Json]) -> Json:
    """Apply a function to each item; a list it returns is opened, and nothing is made of no items."""
    made: list[Json] = []
    for value in values:
        result = None if value is None else function(value)
        if isinstance(result, list):
            made.extend(result)
        elif result is not None:
            made.append(result)
    return made or None


def looked_up(
    table: Mapping[str, Json], otherwise: Json, unknown: Callable[[str], Json], *, counted: bool
) -> Function:
    """
    What a table says of a word; numbers and truth values are looked up by their text.

    `otherwise` is what `else` says: a value, KEEP, or ABSENT; `unknown` notes a word without a rule
    and returns what it becomes. `counted` has it noted although there is an `else`.
    """

    def run(value: Json) -> Json:
        word = value if isinstance(value, str) else as_text(value)
        found = table.get(word, ABSENT)
        if found is not ABSENT:
            return found
        if otherwise is KEEP:
            return value
        if otherwise is ABSENT:
            return unknown(word)
        if counted:
            unknown(word)
        return otherwise

    return run


def one_of(words: frozenset[str], unknown: Callable[[str], Json]) -> Function:
    """The word itself where the field knows it, what `unknown` makes of it where not."""
    return lambda value: value if not isinstance(value, str) or value in words else unknown(value)


def defaulted(make: Make, default: Json) -> Make:
    """A value, or the default where it is missing or empty."""
    fresh = constant(default)

    def run(item: Json, whole: Json) -> Json:
        value = make(item, whole)
        return fresh(item, whole) if is_empty(value) else value

    return run


def reference(stream: str) -> Function:
    """The reference to a record of a stream, `owners/77`."""
    return lambda value: f"{stream}/{text}" if (text := as_text(value)) else None
