"""What is wrong with settings, judged by their JSON Schema and worded for the person who wrote them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.journey.schema import surely_fits
from bridge.model import Json
from bridge.yaml_file import YamlPath, did_you_mean

if TYPE_CHECKING:
    import jsonschema

_KINDS = {
    "object": "`key: value` lines are expected",
    "array": "a list is expected",
    "string": "text is expected",
    "integer": "a whole number is expected",
    "number": "a number is expected",
    "boolean": "true or false is expected",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One fault: where it stands, what it is, and what to write instead.

    `here` says that the value at `path` is wrong, not that something beside it is missing.
    """

    path: YamlPath
    message: str
    remedy: str = ""
    here: bool = True


def faults(rules: Mapping[str, Any], value: Json, at: YamlPath = ()) -> Iterator[Fault]:
    """
    Yield every fault of a value that stands at `at`, and none twice.

    A value is shown only where neither it nor anything that belongs there is a secret (`writeOnly`).
    """
    if surely_fits(rules, value):
        return
    import jsonschema  # here, as most settings are fine and to import it takes a tenth of the start of a command

    seen = set()
    for error in jsonschema.Draft202012Validator(rules).iter_errors(value):
        for fault in _told(error, at):
            if fault not in seen:
                seen.add(fault)
                yield fault


def remove(value: Json, path: YamlPath) -> None:
    """Take out what stands at a path, the whole list where it is in one; what is gone already is gone."""
    *above, last = itertools.takewhile(lambda key: isinstance(key, str), path)
    for key in above:
        value = value[key] if isinstance(value, dict) and key in value else None
    if isinstance(value, dict):
        value.pop(last, None)


def _told(error: jsonschema.ValidationError, at: YamlPath) -> Iterator[Fault]:
    path: YamlPath = (*at, *error.absolute_path)
    rules: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    limit: Any = error.validator_value
    instance: Any = error.instance
    about = str(rules.get("description", ""))
    if error.validator == "additionalProperties":
        known = list(rules.get("properties", {}))
        for name in instance:
            if name not in known:
                yield Fault(
                    path=(*path, name), message="there is no such setting.", remedy=did_you_mean(name, known)
                )
    elif error.validator == "required":
        for name in limit:
            if name not in instance:
                told = rules.get("properties", {}).get(name, {}).get("description", "")
                yield Fault(path=path, message=f"`{name}` is missing.", remedy=_sentence(told), here=False)
    elif "propertyNames" in error.absolute_schema_path:
        # the instance is the key itself, so what stands beside `propertyNames` is not at hand
        yield Fault(
            path=(*path, str(error.instance)), message="this name cannot stand here.", remedy=_name(error)
        )
    elif error.validator in ("oneOf", "anyOf"):
        yield Fault(path=path, message=_alternatives(error), remedy=_sentence(about), here=False)
    elif error.validator == "type":
        yield Fault(path=path, message=_type(error), remedy=_quotes(error) or _sentence(about))
    elif error.validator == "enum":
        words = [str(word) for word in limit]
        message = f"{_shown(error)} is not one of {', '.join(words)}."
        yield Fault(path=path, message=message, remedy=_nearest(str(instance), words))
    elif error.validator in ("minProperties", "minItems"):
        yield Fault(path=path, message="is empty.", remedy=_sentence(about))
    else:
        yield Fault(path=path, message=_worded(error), remedy=_sentence(about))


def _worded(error: jsonschema.ValidationError) -> str:
    shown = _shown(error)
    limit: Any = error.validator_value
    match error.validator:
        case "pattern":
            return f"{shown} does not have the right form."
        case "minimum" | "exclusiveMinimum":
            return f"{shown} is too small; the least is {limit}."
        case "maximum" | "exclusiveMaximum":
            return f"{shown} is too large; the most is {limit}."
        case "minLength":
            return f"{shown} is too short; it has at least {limit} character{'s' if limit != 1 else ''}."
        case "maxLength":
            return f"{shown} is too long; it has at most {limit} characters."
        case "uniqueItems":
            return "something stands twice in this list."
    return f"{shown} is not allowed here ({error.validator})."


def _type(error: jsonschema.ValidationError) -> str:
    wanted: Any = error.validator_value
    kinds = [wanted] if isinstance(wanted, str) else list(wanted)
    expected = " or ".join(_KINDS.get(kind, f"{kind} is expected") for kind in kinds)
    if error.instance is None:
        return f"is empty; {expected}."
    # a bare value where a block belongs may be a secret that lost its name
    shown = "the value" if {"object", "array"} & set(kinds) else _shown(error)
    return f"{shown} stands where {expected}."


def _quotes(error: jsonschema.ValidationError) -> str:
    number = isinstance(error.instance, int | float)
    return "Put it in quotes." if error.validator_value == "string" and number else ""


def _alternatives(error: jsonschema.ValidationError) -> str:
    """Word the alternatives that only differ in what they require, as `password` or `token`."""
    options: Any = error.validator_value
    sets = [option.get("required", []) for option in options if isinstance(option, dict)]
    if not all(sets) or not isinstance(error.instance, dict):
        return "fits none of its forms."
    choice = " or ".join(" and ".join(f"`{name}`" for name in names) for names in sets)
    there = [names for names in sets if set(names) <= error.instance.keys()]
    return f"write {choice}, not both." if len(there) > 1 else f"{choice} is missing."


def _shown(error: jsonschema.ValidationError) -> str:
    if isinstance(error.instance, dict | list) or _holds_secret(error.schema):
        return "the value"
    return json.dumps(error.instance, ensure_ascii=False)[:60]


def _holds_secret(rules: Any) -> bool:
    if isinstance(rules, dict):
        return bool(rules.get("writeOnly")) or any(map(_holds_secret, rules.values()))
    return isinstance(rules, list) and any(map(_holds_secret, rules))


def _name(error: jsonschema.ValidationError) -> str:
    limit: Any = error.validator_value
    if error.validator == "enum":
        return _nearest(str(error.instance), [str(word) for word in limit])
    told = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    return _sentence(told) or f"Names have the form {limit}."


def _nearest(word: str, words: list[str]) -> str:
    near = did_you_mean(word, words)
    return near if near.startswith("Did") else ""


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!", ")")) else f"{text}."
