"""The closures a field spec is composed of; each makes one value and says None for nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.errors import MappingError
from bridge.mapping.paths import Make, Path, getter
from bridge.mapping.values import BadValue, Function, Takes, as_text
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """A value read by name from a parent object, and what is made of it or of each of its items."""

    parent: Path
    name: str
    function: Function | None = None

    def then(self, function: Function) -> Direct:
        """Return this step with one more function after it."""
        before = self.function
        if before is None:
            return replace(self, function=function)

        def both(value: Json) -> Json:
            between = before(value)
            if isinstance(between, list):
                return spread(function, between)
            return None if between is None else function(between)

        return replace(self, function=both)


Step = Make | Direct


def read(path: Path) -> Step:
    """The value at a path."""
    if not path.keys or path.keys[-1].isdecimal():
        return getter(path)
    return Direct(parent=replace(path, keys=path.keys[:-1]), name=path.keys[-1])


def plain(step: Step) -> Make:
    """A step as a function."""
    if not isinstance(step, Direct):
        return step
    fetch = getter(replace(step.parent, keys=(*step.parent.keys, step.name)))
    function = step.function
    if function is None:
        return fetch

    def run(item: Json, whole: Json) -> Json:
        value = fetch(item, whole)
        if value is None:
            return None
        return spread(function, value) if isinstance(value, list) else function(value)

    return run


def is_empty(value: Json) -> bool:
    """Tell whether a value is missing or empty, as `first` and `default` see it."""
    return value is None or value == "" or value == [] or value == {}


def constant(value: Json) -> Make:
    """Always the same value; a list or an object is made anew each time."""
    if isinstance(value, list | dict):
        return lambda item, whole: copy.deepcopy(value)
    return lambda item, whole: value


def first_of(steps: Sequence[Step]) -> Make:
    """The first value that is not missing or empty."""
    makes = [plain(step) for step in steps]

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


def list_of(steps: Sequence[Step]) -> Make:
    """One list of all values; lists among them are opened, missing ones left out."""
    makes = [plain(step) for step in steps]

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
    steps: Sequence[tuple[str, Step]],
    constants: Mapping[str, Json],
    places: Mapping[str, Place],
    *,
    always: bool,
) -> Make:
    """
    An object of the fields that have a value.

    Constants alone say nothing, so that an object whose other fields are all missing is
    left out, unless `always`. Fields read straight from one parent are taken out of it
    together, which saves two calls for each.
    """
    nested = any(isinstance(value, list | dict) for value in constants.values())
    always = always or not steps
    parents: dict[Path, list[tuple[str, str, Function | None]]] = {}
    others: list[tuple[str, Make]] = []
    for key, step in steps:
        if isinstance(step, Direct):
            parents.setdefault(step.parent, []).append((key, step.name, step.function))
        else:
            others.append((key, step))
    groups = tuple((getter(parent), tuple(children)) for parent, children in parents.items())

    def run(item: Json, whole: Json) -> Json:
        made: dict[str, Json] = {}
        key = ""
        try:
            for parent, children in groups:
                holder = parent(item, whole)
                if not isinstance(holder, dict):
                    continue
                for key, name, function in children:
                    value = holder.get(name)
                    if value is not None and function is not None:
                        value = spread(function, value) if isinstance(value, list) else function(value)
                    if value is not None:
                        made[key] = value
            for key, step in others:
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


def transformed(step: Step, function: Function, takes: Takes) -> Step:
    """What a transform makes of a value, of each item of a list, or of a list as a whole."""
    if isinstance(step, Direct) and takes == "one":
        return step.then(function)
    make = plain(step)

    def run(item: Json, whole: Json) -> Json:
        value = make(item, whole)
        if value is None:
            return None
        if takes == "one":
            return spread(function, value) if isinstance(value, list) else function(value)
        return function([value] if takes == "list" and not isinstance(value, list) else value)

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


def defaulted(step: Step, default: Json) -> Make:
    """A value, or the default where it is missing or empty."""
    make, fresh = plain(step), constant(default)

    def run(item: Json, whole: Json) -> Json:
        value = make(item, whole)
        return fresh(item, whole) if is_empty(value) else value

    return run


def reference(stream: str) -> Function:
    """The reference to a record of a stream, `owners/77`."""
    return lambda value: f"{stream}/{text}" if (text := as_text(value)) else None
