"""Every fault of a body: where it is, what is wrong with which value, and what to write instead."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs
import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from bridge import Json
from bridge_api.schema import COMPONENTS, body_schema

_SCHEMAS: Final = {name: body_schema(name) for name in ("Interaction", "Batch")}
_VERDICT: Final = {name: jsonschema_rs.Draft202012Validator(schema) for name, schema in _SCHEMAS.items()}
_REFERENCE: Final = {name: Draft202012Validator(schema) for name, schema in _SCHEMAS.items()}
_SHOWN = 60
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault: `path` is a JSON pointer (RFC 6901) into the body."""

    path: str
    message: str
    remedy: str


def problems_of(body: Json) -> list[Problem]:
    """Return the faults of a request's body, in its order, at most a thousand; none where it can be stored."""
    name = "Batch" if isinstance(body, dict) and "interactions" in body else "Interaction"
    if _VERDICT[name].is_valid(body):
        return list(_repeated(body.get("interactions", [])))
    found = (problem for error in _REFERENCE[name].iter_errors(body) for problem in _told(error))
    return sorted(dict.fromkeys(itertools.islice(found, _MOST)), key=lambda problem: _order(problem.path))


def _repeated(interactions: list[Json]) -> Iterator[Problem]:
    """Yield a problem for each id that stands twice: the later one would take the earlier one's place."""
    first: dict[str, int] = {}
    for position, interaction in enumerate(interactions):
        own = interaction.get("id")
        if own is not None and (before := first.setdefault(own, position)) != position:
            yield Problem(
                path=f"/interactions/{position}/id",
                message=f"{_shown(own)} is also the id of /interactions/{before}",
                remedy="give each interaction its own id",
            )


def _told(error: ValidationError) -> Iterator[Problem]:
    rule: Any = error.validator
    value: Any = error.instance
    wanted: Any = error.validator_value
    place = _pointer(error.absolute_path)
    schema: Any = error.schema
    if rule == "required":
        for name in wanted:
            if name not in value:
                yield Problem(path=f"{place}/{name}", message="is missing", remedy=_required(name))
    elif rule == "additionalProperties":
        known = list(schema.get("properties", {}))
        for name in value:
            if name not in known:
                yield Problem(
                    path=f"{place}/{_escaped(name)}",
                    message="is no field of this object",
                    remedy=_instead(name, known),
                )
    elif rule == "anyOf":
        yield Problem(
            path=place, message="names nobody", remedy='give at least one of "email", "phone", "id"'
        )
    else:
        message, remedy = _words(str(rule), value, wanted, schema)
        yield Problem(path=place, message=message, remedy=remedy)


def _words(rule: str, value: Json, wanted: Any, schema: Any) -> tuple[str, str]:
    """Return message and remedy for a value that breaks one rule of its schema."""
    shown = _shown(value)
    match rule:
        case "type":
            return f"{shown} is {_kind(value)}", f"give {_article(wanted)}"
        case "enum":
            near = _nearest(str(value), wanted)
            return f"{shown} is not known", f"{near}use one of {', '.join(wanted)}"
        case "pattern" | "not":
            example = schema.get("examples", [wanted])[0]
            meant = schema.get("description", "").rstrip(".")
            return f"{shown} does not fit: {meant[:1].lower()}{meant[1:]}", f'write it like "{example}"'
        case "minLength" | "minProperties" | "minItems":
            return "is empty", "fill it or leave it out"
        case "maxLength":
            return f"has {len(value)} characters", f"send at most {wanted}"
        case "maxItems":
            return f"has {len(value)} items", f"send at most {wanted} in one request"
        case "maxProperties":
            return f"has {len(value)} fields", f"send at most {wanted}"
        case "minimum":
            return f"{shown} is too small", f"give {wanted} or more"
        case _:
            return f"{shown} breaks the rule {rule} {wanted}", "see /v1/openapi.json"


def _required(name: str) -> str:
    properties = COMPONENTS["schemas"]["Interaction"]["properties"]
    schema = properties.get(name, {})
    if "enum" in schema:
        return f"add it: one of {', '.join(schema['enum'])}"
    if name in ("from", "to"):
        return 'add it: who it was, for example {"name": "Ana Souza", "phone": "+55 11 97391-4862"}'
    if example := schema.get("examples"):
        return f'add it, for example "{example[0]}"'
    return "add it"


def _instead(name: str, known: list[str]) -> str:
    near = _nearest(name, known)
    return f"{near}known: {', '.join(known)}" if known else "leave it out"


def _nearest(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f'did you mean "{found[0]}"? ' if found else ""


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{_escaped(str(part))}" for part in path)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _order(path: str) -> list[tuple[int, str]]:
    """Return a sort key that counts list positions as numbers: /interactions/9 before /interactions/10."""
    return [(int(part), "") if re.fullmatch("[0-9]{1,9}", part) else (-1, part) for part in path.split("/")]


def _shown(value: Json) -> str:
    written = orjson.dumps(value).decode()
    return written if len(written) <= _SHOWN else f"{written[: _SHOWN - 3]}..."


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", str: "text", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object")


def _article(wanted: Json) -> str:
    names = {
        "string": "text in quotes",
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "array": "a list",
        "object": "an object",
    }
    return names.get(wanted, str(wanted))
