"""The journey schemas and the validator that judges entities by them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.journey import schema as journey_schema
from bridge.journey.schema import ENTITIES, Validator, entity_schema, lint, resolved

CONTACT = {
    "display_name": "Ana Souza",
    "kind": "person",
    "owner_ref": "owners/77",
    "emails": ["ana@padarialima.com.br"],
    "phones": ["+5511973914862"],
    "handles": [{"kind": "whatsapp_id", "value": "5511973914862"}],
    "attribution": {"source": "ig", "click_ids": {"ctwa_clid": "x"}, "at": "2026-11-18T14:02:00Z"},
    "created_at": "2026-11-18T14:02:00.123Z",
    "custom": {"segment": "bakery"},
}
INTERACTION = {
    "kind": "message",
    "channel": "whatsapp",
    "direction": "inbound",
    "occurred_at": "2026-11-18T14:02:00Z",
    "participants": [{"role": "from", "handles": [{"kind": "whatsapp_id", "value": "5511973914862"}]}],
    "dedupe_keys": ["wamid:HBg"],
}


@pytest.mark.parametrize("name", ENTITIES)
def test_every_schema_is_valid_titled_and_in_the_portable_subset(name: str) -> None:
    schema = entity_schema(name)
    assert lint(schema) == []
    assert schema["$id"] == f"urn:crmbridge:journey:{journey_schema.SCHEMA_VERSION}:{name}"
    assert schema["additionalProperties"] is False
    assert schema["properties"]["custom"]["type"] == "object"
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["title"]
        for field, spec in part.get("properties", {}).items():
            assert spec.get("description", "").endswith("."), field


def test_a_definition_that_several_schemas_share_reads_the_same_in_each() -> None:
    seen: dict[str, Any] = {}
    for name in ENTITIES:
        for key, definition in entity_schema(name).get("$defs", {}).items():
            assert seen.setdefault(key, definition) == definition, (name, key)


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        ({"pattern": "^\\d+$", "not": {"pattern": "[\\r\\n]"}}, "\\d"),
        ({"pattern": "(?<name>a)"}, "look-around or a named group"),
        ({"pattern": "(?=a)"}, "look-around or a named group"),
        ({"pattern": "^a$"}, "line breaks"),
        ({"multipleOf": 0.01}, "multipleOf"),
        ({"format": "email"}, "format"),
        ({"enum": [1, 1.0]}, "enum"),
        ({"type": "text"}, "text"),
    ],
)
def test_the_lint_names_what_two_validators_could_judge_differently(
    keywords: dict[str, Any], fault: str
) -> None:
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": keywords}}}
    found = lint(schema)
    assert any(fault in line and "list" in line for line in found), found


@pytest.mark.parametrize(("name", "entity"), [("contact", CONTACT), ("interaction", INTERACTION)])
def test_a_full_entity_passes(name: str, entity: dict[str, Any]) -> None:
    assert Validator.for_entity(name).check(entity) == []


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        ({"nickname": "Aninha"}, "", "additionalProperties"),
        ({"kind": "robot"}, "kind", "enum"),
        ({"emails": ["ana at padaria"]}, "emails[0]", "pattern"),
        ({"emails": ["ana@padaria.example\n"]}, "emails[0]", "not"),
        ({"emails": "ana@padaria.example"}, "emails", "type"),
        ({"owner_ref": "77"}, "owner_ref", "pattern"),
        ({"handles": [{"kind": "email"}]}, "handles[0]", "required"),
        ({"created_at": "2026-11-18T14:02:00+01:00"}, "created_at", "pattern"),
        ({"created_at": "2026-11-18T14:02:00Z\n"}, "created_at", "not"),
        ({"created_at": 1763474520}, "created_at", "type"),
        ({"custom": ["x"]}, "custom", "type"),
        ({"display_name": None}, "display_name", "type"),
        ({"display_name": "\ud83d"}, "", "json"),
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_a_fault_is_named_by_path_and_rule(change: dict[str, Any], path: str, rule: str, fast: bool) -> None:
    problems = Validator(entity_schema("contact"), fast=fast).check(CONTACT | change)
    assert (path, rule) in [(problem.path, problem.rule) for problem in problems]


def test_a_message_says_what_was_expected_and_never_shows_a_long_value() -> None:
    [problem] = Validator.for_entity("contact").check({"emails": ["x" * 300]})
    assert "ana@example.com" in problem.message
    assert len(problem.message) < 300
    assert str(problem).startswith("emails[0]: ")


def test_an_instant_is_a_real_moment_of_a_real_day() -> None:
    schema = entity_schema("contact")
    validator = Validator({"$ref": "#/$defs/instant", "$defs": schema["$defs"]})
    day = date(1000, 1, 1)
    while day.year < 1005:
        assert validator.check(f"{day.isoformat()}T00:00:00Z") == []
        day += timedelta(days=1)
    for year in (1896, 1900, 1904, 2000, 2023, 2024, 2100, 2400, 9996):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        assert (validator.check(f"{year}-02-29T23:59:59.999Z") == []) is leap, year
    for wrong in (
        "0000-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:59:60Z",
        "2026-01-01T00:00:00.1Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01",
    ):
        assert validator.check(wrong), wrong


def test_one_accepted_entity_in_a_thousand_is_judged_again() -> None:
    validator = Validator(entity_schema("contact"))
    for _ in range(2 * journey_schema.RECHECK_EVERY):
        validator.check(CONTACT)
    assert validator.rechecked == 2
    assert validator.disagreements == 0


def test_the_reference_decides_and_a_disagreement_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    strict_in_rust_only = {"title": "Code", "type": "object", "properties": {"a": {"pattern": "^x$"}}}
    validator = Validator(strict_in_rust_only)
    assert validator.check({"a": "x\n"}) == []
    assert validator.disagreements == 1
    assert "disagree" in caplog.text
    assert "x\\n" not in caplog.text


def test_it_works_with_jsonschema_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journey_schema, "jsonschema_rs", None)
    validator = Validator(entity_schema("contact"))
    assert validator.check(CONTACT) == []
    assert validator.check({"zork": 1})
    assert (validator.rechecked, validator.disagreements) == (0, 0)


def _values(schema: Any, node: Any) -> st.SearchStrategy[Any]:
    """Values that mostly fit a schema node."""
    node = resolved(schema, node)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node.get("type") == "object":
        fields = {key: _values(schema, child) for key, child in node.get("properties", {}).items()}
        required = {key: fields.pop(key) for key in node.get("required", ())}
        return st.fixed_dictionaries(required, optional=fields)
    if node.get("type") == "array":
        return st.lists(_values(schema, node["items"]), max_size=2)
    if node.get("type") in ("number", "integer"):
        return st.integers(0, 1)
    if node.get("type") == "boolean":
        return st.booleans()
    samples = ["2026-02-28T10:00:00Z", "2026-02-28", "a@b.example", "BRL", "18400.00", "owners/7", "a:b"]
    return st.sampled_from([text for text in samples if jsonschema.Draft202012Validator(node).is_valid(text)])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _paths(child, (*path, key))


_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(
        ["", "\n", "a@b\n", "BRL\n", "٣", "2026-02-30T00:00:00Z", "x" * 400, "2026-02-28T10:00:00Z\n"]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)


@st.composite
def _entities(draw: st.DrawFn) -> tuple[str, Any]:
    """An entity that fits, or one with one value replaced, added or removed."""
    name = draw(st.sampled_from(ENTITIES))
    schema = entity_schema(name)
    entity = copy.deepcopy(draw(_values(schema, schema)))
    places = [path for path in _paths(entity) if path]
    if places and draw(st.booleans()):
        *parents, last = draw(st.sampled_from(places))
        target = entity
        for key in parents:
            target = target[key]
        if isinstance(target, dict) and draw(st.booleans()):
            del target[last]
        else:
            target[last] = draw(_ODD)
    return name, entity


@cache
def _both(name: str) -> tuple[Validator, jsonschema.Draft202012Validator]:
    return Validator(entity_schema(name)), jsonschema.Draft202012Validator(entity_schema(name))


@settings(max_examples=150)
@given(_entities())
def test_both_validators_give_the_same_verdict(sample: tuple[str, Any]) -> None:
    name, entity = sample
    validator, reference = _both(name)
    problems = validator.check(entity)
    assert bool(problems) is not reference.is_valid(entity)
    assert validator.disagreements == 0
    assert validator._fast is not None
    assert validator._fast(entity) is not bool(problems)
