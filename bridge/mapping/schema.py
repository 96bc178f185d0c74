"""The JSON Schema of mapping files, for completion in editors; `load` is what judges a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson

from bridge.journey.schema import ENTITIES, entity_schema
from bridge.mapping.compile import SOURCES
from bridge.mapping.rules import GROUPS, OWNS
from bridge.mapping.transforms import TRANSFORMS
from bridge.mapping.views import ANSWER_FIELDS, ENTRY_VIEW, PERSON_VIEW, TASK_VIEW, View
from bridge.model import Json

SCHEMA_FILE = Path(__file__).with_name("mapping.schema.json")

_MEANING = {
    "from": 'The path of the value: a.b, a.0.b, a["x.y"], $.a from the whole record, . for the item itself.',
    "const": "A value that is always the same.",
    "first": "Several paths or specs; the first that has a value counts.",
    "template": "Text with paths in braces: {first} {last}. Write {{ for a brace.",
    "each": "A list: of the items at a path, or of the values of several paths.",
    "object": "An object made of fields.",
    "using": "Transforms, applied in order.",
    "map": "Their word: our word.",
    "else": "What a word without a rule becomes; keep leaves it as it is.",
    "default": "What stands where the value is missing or empty.",
    "ref": "The stream whose record the value names.",
    "fields": "What each item of the list becomes; paths start at the item.",
    "owns": "Whose word counts in this field of the CRM.",
    "clear": "Whether the field is emptied where the value is missing.",
}
_OWNS_MEANING = (
    "always: ours; if_empty: filled only where empty; newest: the later change counts; never: not written."
)


def mapping_schema() -> dict[str, Json]:
    """Build the schema; draft 7, which the language servers of editors know best."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "crmbridge mapping",
        "description": "How a vendor's records become entities, and how journeys are written to its CRM.",
        **_closed(
            {
                "version": {"const": 1},
                "connector": {"type": "string", "description": "The connector this mapping is for."},
                "pull": {
                    "description": "One rule for each stream that is read.",
                    "type": "object",
                    "additionalProperties": {"$ref": "#/definitions/pull"},
                },
                "push": {
                    "description": "What is written to the CRM.",
                    **_closed({name: _ref(name) for name in ("interaction", "contact", "task")}),
                },
                "properties": {
                    "description": "Custom fields that setup creates, for each stream of the vendor.",
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": _ref("property")},
                },
                "tests": {"type": "array", "items": _ref("test")},
            },
            required=("version", "connector"),
        ),
        "definitions": {
            "spec": _spec(),
            "using": _using(),
            "pull": _pull(),
            "interaction": _interaction(),
            "contact": _contact(),
            "task": _task(),
            "property": _closed(
                {
                    "name": {"type": "string"},
                    "label": {"type": "string"},
                    "type": {"type": "string"},
                    "unique": {"type": "boolean"},
                    "options": {"type": "array", "items": {"type": "string"}},
                },
                required=("name",),
            ),
            "test": _closed(
                {
                    "name": {"type": "string", "description": "What is shown, as a sentence."},
                    "stream": {"type": "string", "description": "Which pull rule is tested."},
                    "push": {"enum": ["interaction", "contact", "task"]},
                    "given": {"description": "A record, or a view for push."},
                    "expect": {"type": "object", "description": "The whole result."},
                    "to": {"type": "string", "description": "Which stream an entry should go to."},
                    "group": {"enum": list(GROUPS)},
                },
                required=("name", "given", "expect"),
            ),
        },
    }


def schema_text() -> str:
    """Return the schema as the text of mapping.schema.json."""
    return orjson.dumps(mapping_schema(), option=orjson.OPT_INDENT_2).decode() + "\n"


def _ref(name: str) -> dict[str, Json]:
    return {"$ref": f"#/definitions/{name}"}


def _closed(properties: Mapping[str, Json], *, required: Iterable[str] = ()) -> dict[str, Json]:
    needs = {"required": list(required)} if required else {}
    return {"type": "object", "additionalProperties": False, **needs, "properties": dict(properties)}


def _spec(extra: Mapping[str, Json] | None = None, *, required: Iterable[str] = ()) -> dict[str, Json]:
    any_spec = _ref("spec")
    several = {"type": "array", "minItems": 1, "items": any_spec}
    keys: dict[str, Json] = {
        "from": {"type": "string"},
        "const": {},
        "first": several,
        "template": {"type": "string"},
        "each": {"anyOf": [{"type": "string"}, several, any_spec]},
        "object": {"type": "object", "additionalProperties": any_spec},
        "using": _ref("using"),
        "map": {"type": "object"},
        "else": {},
        "default": {},
        "ref": {"type": "string"},
        "fields": {"type": "object", "additionalProperties": any_spec},
        **(extra or {}),
    }
    described = {key: {"description": _MEANING[key], **node} for key, node in keys.items()}
    one = {"oneOf": [{"required": [source]} for source in SOURCES]}
    long = {**_closed(described, required=required), **one}
    if required:
        return long
    return {"anyOf": [{"type": "string", "description": _MEANING["from"]}, long]}


def _using() -> dict[str, Json]:
    named = [{"const": name, "description": one.summary} for name, one in TRANSFORMS.items()]
    with_arguments = _closed(
        {name: {"description": one.summary} for name, one in TRANSFORMS.items() if one.parameters}
    )
    one_use = {"anyOf": [*named, {**with_arguments, "minProperties": 1, "maxProperties": 1}]}
    return {"anyOf": [one_use, {"type": "array", "items": one_use}]}


def _pull() -> dict[str, Json]:
    fields = {"type": "object", "minProperties": 1}
    rules = [
        {
            "if": {"properties": {"to": {"const": name}}},
            "then": {"properties": {"fields": _entity_fields(name)}},
        }
        for name in ENTITIES
    ]
    known = {name: entity_schema(name)["description"] for name in ENTITIES}
    to = {
        "description": "What the records become.",
        "anyOf": [{"const": n, "description": d} for n, d in known.items()],
    }
    return {**_closed({"to": to, "fields": fields}, required=("to", "fields")), "allOf": rules}


def _entity_fields(name: str) -> dict[str, Json]:
    schema = entity_schema(name)
    fields = {
        key: {"description": node["description"], "allOf": [_ref("spec")]}
        for key, node in schema["properties"].items()
    }
    return _closed(fields, required=schema.get("required", ()))


def _choice(word: Mapping[str, Json]) -> dict[str, Json]:
    by = {"description": "The field of the entry that decides.", "enum": _names(ENTRY_VIEW)}
    table = {"type": "object", "additionalProperties": word}
    full = _closed({"by": by, "map": table, "else": word}, required=("by", "map", "else"))
    return {"anyOf": [dict(word), full]}


def _names(view: View) -> list[str]:
    return [name for name, meaning in view.items() if isinstance(meaning, str)]


def _interaction() -> dict[str, Json]:
    stream = {"type": "string", "description": "A stream of the CRM."}
    per_stream = {"type": "object", "additionalProperties": _ref("spec")}
    return _closed(
        {
            "to": _choice(stream),
            "group": _choice({"enum": list(GROUPS)}),
            "fields": {"type": "object", "minProperties": 1, "additionalProperties": per_stream},
        },
        required=("to", "fields"),
    ) | {"description": f"An entry of the timeline. It offers: {', '.join(ENTRY_VIEW)}."}


def _contact() -> dict[str, Json]:
    owned = _spec(
        {"owns": {"enum": list(OWNS), "description": _OWNS_MEANING}, "clear": {"type": "boolean"}},
        required=("owns",),
    )
    fields = {"type": "object", "minProperties": 1, "additionalProperties": owned}
    return _closed({"to": {"type": "string"}, "fields": fields}, required=("to", "fields")) | {
        "description": f"The CRM's contact of a person. A person offers: {', '.join(PERSON_VIEW)}."
    }


def _task() -> dict[str, Json]:
    fields = {"type": "object", "minProperties": 1, "additionalProperties": _ref("spec")}
    answer = _closed(
        {name: {"description": said, "allOf": [_ref("spec")]} for name, said in ANSWER_FIELDS.items()},
        required=("text", "done"),
    )
    closed = _closed(
        {"to": {"type": "string"}, "fields": fields, "answer": answer}, required=("to", "fields", "answer")
    )
    return closed | {
        "description": f"A task that asks something, and where its answer is. It offers: {', '.join(TASK_VIEW)}."
    }


if __name__ == "__main__":
    sys.stdout.write(schema_text())
