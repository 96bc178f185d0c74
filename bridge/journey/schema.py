"""What a valid entity is: the journey schemas and a fast validator that agrees with jsonschema."""

from __future__ import annotations

import functools
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from bridge.model import Json

if TYPE_CHECKING:
    import jsonschema

try:
    import jsonschema_rs
except ImportError:  # an optional accelerator: the reference alone gives the same verdicts
    jsonschema_rs = None  # type: ignore[assignment]

ENTITIES = ("contact", "company", "user", "deal", "pipeline", "task", "interaction")
SCHEMA_VERSION = 1
RECHECK_EVERY = 1000
MAX_PROBLEMS = 20
MAX_MESSAGE = 240

_STRICT = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_LOG = logging.getLogger(__name__)
_KEYWORDS = frozenset(
    (
        *("$schema", "$id", "$defs", "$ref", "title", "description", "type", "enum", "required", "not"),
        *("properties", "additionalProperties", "items", "pattern", "minLength", "maxLength"),
        *("minimum", "maximum"),
    )
)
_ONE_LINE = {"pattern": "[\\r\\n]"}
_CLASS_ESCAPE = re.compile(r"\\[dDwWsSbBpPkAZzGQE1-9]")
_GROUP_EXTENSION = re.compile(r"\(\?(?!:)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaProblem:
    """What is wrong with one value of an entity: `path` as in `emails[0]`, `rule` the broken keyword."""

    path: str
    message: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@functools.cache
def entity_schema(name: str) -> Mapping[str, Json]:
    """Return the JSON Schema of one of ENTITIES, which nobody may change; KeyError if there is none."""
    if name not in ENTITIES:
        raise KeyError(name)
    schema: Mapping[str, Json] = json.loads(
        (files("bridge.journey") / "schema" / f"{name}.schema.json").read_bytes()
    )
    return schema


def resolved(schema: Mapping[str, Json], node: Mapping[str, Json]) -> Mapping[str, Json]:
    """Follow a `$ref` into the `$defs` of `schema`; a node without one is returned as it is."""
    reference = node.get("$ref")
    if reference is None:
        return node
    target: Mapping[str, Json] = schema["$defs"][reference.removeprefix("#/$defs/")]
    return target


def lint(schema: Mapping[str, Json]) -> list[str]:
    """
    List what in a schema could be judged differently by jsonschema and jsonschema-rs.

    The two differ on formats, `\\d` and `\\w` beyond ASCII, look-around, fractions in `multipleOf`,
    and on `$` before a last line break; a pattern that ends in `$` therefore needs
    `"not": {"pattern": "[\\\\r\\\\n]"}` beside it.
    """
    faults = [f"{path}: {fault}" for path, node in _subschemas("", schema) for fault in _faults(node)]
    import jsonschema

    judge = jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA)
    return faults or [f"{error.json_path}: {error.message}" for error in judge.iter_errors(schema)]


def _subschemas(path: str, node: Json) -> Iterator[tuple[str, Mapping[str, Json]]]:
    if not isinstance(node, dict):
        return
    yield path or "schema", node
    for keyword in ("properties", "$defs"):
        for name, child in node.get(keyword, {}).items():
            yield from _subschemas(f"{path}/{keyword}/{name}", child)
    for keyword in ("items", "additionalProperties", "not"):
        yield from _subschemas(f"{path}/{keyword}", node.get(keyword))


def _faults(node: Mapping[str, Json]) -> Iterator[str]:
    for keyword in node.keys() - _KEYWORDS:
        yield f"{keyword} is not in the portable subset"
    if any(not isinstance(word, str) for word in node.get("enum", ())):
        yield "enum holds something other than text"
    pattern = node.get("pattern", "")
    if found := _CLASS_ESCAPE.search(pattern):
        yield f"pattern uses {found.group()}; write the class out"
    if _GROUP_EXTENSION.search(pattern):
        yield "pattern uses look-around or a named group"
    if pattern.endswith("$") and node.get("not") != _ONE_LINE:
        yield "pattern ends in $ without excluding line breaks"


def schema_fault(schema: Mapping[str, Json]) -> str:
    """Return why something is no JSON Schema, an empty text where it is one."""
    with suppress(Exception):  # whatever it cannot convert is for the reference to judge
        if jsonschema_rs is not None and jsonschema_rs.meta.is_valid(dict(schema)):
            return ""
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return str(error.message)
    return ""


def surely_fits(schema: Mapping[str, Json], value: Json) -> bool:
    """Tell whether jsonschema-rs accepts a value; where it does not, jsonschema decides, and says why."""
    with suppress(Exception):  # whatever it cannot convert is for the reference to judge
        return jsonschema_rs is not None and _fast(schema)(value)
    return False


def _fast(schema: Mapping[str, Json]) -> Callable[[Json], bool]:
    options = jsonschema_rs.RegexOptions()
    return jsonschema_rs.Draft202012Validator(dict(schema), pattern_options=options).is_valid


class Validator:
    """
    Judges entities of one schema.

    jsonschema-rs is asked first; what it refuses goes to jsonschema, whose verdict and message
    hold. One in RECHECK_EVERY accepted entities is judged by both. `disagreements` counts
    where they differed, either way.
    """

    def __init__(self, schema: Mapping[str, Json], *, fast: bool = True) -> None:
        self.disagreements = 0
        self.rechecked = 0
        self._name = schema.get("title", "entity")
        self._schema = schema
        self._accepted = itertools.count(1)
        self._fast = None
        if fast and jsonschema_rs is not None:
            self._fast = _fast(schema)

    @classmethod
    @functools.cache
    def for_entity(cls, name: str) -> Validator:
        """Return the one validator of an entity type; KeyError if there is no such type."""
        return cls(entity_schema(name))

    def check(self, entity: Json) -> list[SchemaProblem]:
        """Return what is wrong with an entity, nothing when it is fine."""
        try:
            as_json(entity)
        except TypeError as error:
            return [SchemaProblem(path="", message=f"cannot be written as JSON: {error}", rule="json")]
        return self.broken_rules(entity)

    def broken_rules(self, entity: Json) -> list[SchemaProblem]:
        """Return what is wrong with an entity that `as_json` has written already."""
        if self._fast is None:
            return self._judge(entity)
        try:
            accepted = self._fast(entity)
        except Exception:  # whatever it cannot convert is for the reference to judge
            accepted = False
        if accepted and next(self._accepted) % RECHECK_EVERY:
            return []
        self.rechecked += accepted
        problems = self._judge(entity)
        if accepted == bool(problems):
            self.disagreements += 1
            rule = problems[0].rule if problems else "none"
            _LOG.warning("%s: jsonschema-rs and jsonschema disagree (rule %s)", self._name, rule)
        return problems

    @functools.cached_property
    def _reference(self) -> Any:
        import jsonschema  # here, as a tenth of the start of a command goes there and most ask it nothing

        return jsonschema.Draft202012Validator(self._schema)

    def _judge(self, entity: Json) -> list[SchemaProblem]:
        errors = itertools.islice(self._reference.iter_errors(entity), MAX_PROBLEMS)
        problems = [
            SchemaProblem(
                path=error.json_path.removeprefix("$").removeprefix("."),
                message=_worded(error),
                rule=str(error.validator),
            )
            for error in errors
        ]
        return sorted(problems, key=lambda problem: (problem.path, problem.message))


def _worded(error: jsonschema.ValidationError) -> str:
    """Shorten the reference's message; where it would show a pattern, say what was expected instead."""
    message = str(error.message)
    if error.validator in ("pattern", "not") and isinstance(error.schema, dict):
        message = f"{_short(repr(error.instance), 80)} does not fit. {error.schema.get('description', '')}"
    return _short(message, MAX_MESSAGE)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 30]} … {text[-27:]}"


def as_json(entity: Json) -> bytes:
    """
    Write an entity with sorted keys, so that equal entities are equal bytes.

    Raises TypeError for what no JSON text can hold: half a surrogate pair, keys that are not text, endless nesting.
    """
    return orjson.dumps(entity, option=_STRICT)
