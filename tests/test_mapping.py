"""The mapping engine: what a spec makes, which words and paths it counts, and that it always ends."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import MappingError
from bridge.journey.schema import Validator
from bridge.mapping import coverage
from tests.mapping_cases import PUSH, compiled, contact, made


@pytest.mark.parametrize(
    ("spec", "data", "expected"),
    [
        ("a", {"a": "x"}, "x"),
        ("a", {}, None),
        ("a", {"a": None}, None),
        ("a", {"a": ""}, ""),
        ("a", {"a": 0}, 0),
        ("a", {"a": False}, False),
        ("a", ["a"], None),
        ("a.b.c", {"a": {"b": {"c": 1}}}, 1),
        ("a.b", {"a": "text"}, None),
        ("a.0.b", {"a": [{"b": 1}]}, 1),
        ("a.1.b", {"a": [{"b": 1}]}, None),
        ("a.0", {"a": {"0": 1}}, 1),
        ("a.0", {"a": []}, None),
        ("a.b", {"a": [{"b": 1}]}, None),
        ("'a[\"x.y\"].b'", {"a": {"x.y": {"b": 1}}}, 1),
        ("'[\"x y\"]'", {"x y": 1}, 1),
        ("'$.a'", {"a": 1}, 1),
        ("{from: a}", {"a": {"b": [1]}}, {"b": [1]}),
        ("{const: 7}", {}, 7),
        ("{first: [a, b]}", {"b": 2}, 2),
        ("{first: [a, b]}", {"a": "", "b": 2}, 2),
        ("{first: [a, {const: c}]}", {"a": None}, "c"),
        ("{first: [a, {from: b, using: upper}]}", {"b": "x"}, "X"),
        ("{template: '{a} {b.c}'}", {"a": "Ana", "b": {"c": 7}}, "Ana 7"),
        ("{template: '{a} {b}'}", {"b": "Souza"}, "Souza"),
        ("{template: '{a} {b}'}", {"a": "", "c": 1}, None),
        ("{template: '{{{a}}}'}", {"a": True}, "{true}"),
        ("{each: a}", {"a": [1, None, 2]}, [1, 2]),
        ("{each: a}", {"a": 1}, [1]),
        ("{each: a}", {"a": []}, None),
        ("{each: [a, b, {const: z}]}", {"a": "x", "b": ["y", "w"]}, ["x", "y", "w", "z"]),
        ("{each: a, using: upper}", {"a": ["x", "y"]}, ["X", "Y"]),
        ("{each: a, using: split_semicolon}", {"a": "x; ;y;"}, ["x", "y"]),
        ("{each: [a, b], using: [split_semicolon, upper]}", {"a": "x;y", "b": "z"}, ["X", "Y", "Z"]),
        ("{each: a, fields: {k: b.c, r: $.t}}", {"a": [{"b": {"c": 1}}], "t": 2}, [{"k": 1, "r": 2}]),
        ("{each: a, fields: {v: .}}", {"a": ["p", "q"]}, [{"v": "p"}, {"v": "q"}]),
        ("{each: a, fields: {k: {const: z}, v: b}}", {"a": [{"b": 1}, {"c": 1}]}, [{"k": "z", "v": 1}]),
        ("{each: a, fields: {k: {const: z}, v: b}}", {"a": [{"c": 1}]}, None),
        ("{each: a, fields: {k: {const: z}}}", {"a": [5]}, [{"k": "z"}]),
        (
            "{each: a, fields: {b: {each: b, fields: {c: c}}}}",
            {"a": [{"b": [{"c": 1}]}]},
            [{"b": [{"c": 1}]}],
        ),
        ("{object: {k: a, z: {const: [1]}}}", {"a": 5}, {"k": 5, "z": [1]}),
        ("{object: {k: a, z: {const: 1}}}", {}, None),
        ("{from: a, using: [strip, lower]}", {"a": " X "}, "x"),
        ("{from: a, using: {truncate: [3]}}", {"a": "abcdef"}, "ab…"),
        ("{from: a, using: [strip, {truncate: 3}]}", {"a": " abcdef"}, "ab…"),
        ("{from: a, using: join}", {"a": ["x", 1]}, "x, 1"),
        ("{from: a, using: {join: ['-']}}", {"a": "x"}, "x"),
        ("{from: a, using: not_empty}", {"a": " "}, None),
        ("{from: a, map: {x: y}}", {"a": "x"}, "y"),
        ("{from: a, map: {1: y, true: z}}", {"a": 1}, "y"),
        ("{from: a, map: {1: y, true: z}}", {"a": True}, "z"),
        ("{from: a, map: {x: y}}", {"a": "q"}, None),
        ("{from: a, map: {x: y}, else: w}", {"a": "q"}, "w"),
        ("{from: a, map: {x: y}, else: w}", {}, None),
        ("{from: a, map: {x: y}, else: keep}", {"a": "q"}, "q"),
        ("{from: a, map: {x: null}, else: keep}", {"a": "x"}, None),
        ("{from: a, map: {x: y}, else: w}", {"a": ["x", "q"]}, ["y", "w"]),
        ("{from: a, using: lower, map: {x: y}}", {"a": "X"}, "y"),
        ("{from: a, default: d}", {}, "d"),
        ("{from: a, default: d}", {"a": ""}, "d"),
        ("{from: a, default: d}", {"a": 0}, 0),
        ("{from: a, map: {x: y}, default: d}", {"a": "q"}, "d"),
        ("{from: a, ref: people}", {"a": 77}, "people/77"),
        ("{each: a, ref: people}", {"a": [1, "2"]}, ["people/1", "people/2"]),
        ("{from: a, ref: people}", {"a": ""}, None),
        ("{from: a, default: 5, ref: people}", {}, "people/5"),
    ],
)
def test_a_spec_makes(spec: str, data: Any, expected: Any) -> None:
    assert made(spec, data) == expected


def test_missing_values_are_left_out_and_empty_text_is_kept() -> None:
    rule = contact("{given_name: a, family_name: b, job_title: c, tags: {each: d}}").pull["people"]
    assert rule.map({"a": "", "b": None, "d": []}) == {"given_name": ""}
    assert rule.map({}) == {}
    assert rule.map("no object at all") == {}


def test_a_constant_list_is_made_anew_for_each_record() -> None:
    rule = contact("{tags: {const: [a]}, language: {const: pt}}").pull["people"]
    rule.map({})["tags"].append("b")
    assert rule.map({}) == {"tags": ["a"], "language": "pt"}


def test_a_refused_value_names_field_line_and_value_but_not_all_of_it() -> None:
    rule = compiled("""
        pull:
          people:
            to: contact
            fields:
              given_name: name
              handles:
                each: ids
                fields:
                  kind: {const: form_id}
                  value: {from: at, using: instant}
        """).pull["people"]
    with pytest.raises(MappingError) as caught:
        rule.map({"ids": [{"at": "yesterday" * 100}]})
    error = caught.value
    assert (error.field, error.line) == ("handles.value", 12)
    assert error.hint
    assert "acme.yaml:12 pull.people.fields.handles.fields.value: " in str(error)
    assert "yesterdayyesterday" in str(error)
    assert len(str(error)) < 250


def test_a_word_without_a_rule_becomes_unknown_and_is_counted() -> None:
    rule = contact("{lifecycle_stage: {from: s, map: {lead: lead}}, status: {from: t, map: {n: new}}}").pull[
        "people"
    ]
    for word in ("lead", "vip", "vip", "x" * 500):
        rule.map({"s": word})
    assert rule.map({"s": "vip", "t": "q"}) == {"lifecycle_stage": "unknown"}
    assert rule.unknown_words == {
        ("lifecycle_stage", "vip"): 3,
        ("lifecycle_stage", "x" * 80): 1,
        ("status", "q"): 1,
    }


def test_unknown_words_are_counted_with_else_unknown_but_not_with_another_else() -> None:
    rule = contact("{lifecycle_stage: {from: s, map: {a: lead}, else: unknown}}").pull["people"]
    assert rule.map({"s": "z"}) == {"lifecycle_stage": "unknown"}
    assert rule.unknown_words == {("lifecycle_stage", "z"): 1}
    rule = contact("{lifecycle_stage: {from: s, map: {a: lead}, else: other}}").pull["people"]
    assert rule.map({"s": "z"}) == {"lifecycle_stage": "other"}
    assert not rule.unknown_words


def test_a_word_that_a_field_does_not_know_becomes_unknown_without_a_map_too() -> None:
    rule = compiled("""
        pull:
          messages:
            to: interaction
            fields:
              kind: kind
              channel: channel
              direction: {from: direction, using: lower}
              occurred_at: at
              participants:
                each: people
                fields: {role: {const: from}, side: side}
        """).pull["messages"]
    data = {"kind": "fax", "channel": "fax", "direction": "IN", "at": "x", "people": [{"side": "left"}]}
    assert rule.map(data) == {
        "kind": "unknown",
        "channel": "other",
        "direction": "unknown",
        "occurred_at": "x",
        "participants": [{"role": "from", "side": "unknown"}],
    }
    assert rule.unknown_words[("participants.side", "left")] == 1


def test_the_count_of_unknown_words_does_not_grow_without_end() -> None:
    rule = contact("{lifecycle_stage: {from: s, map: {a: lead}}}").pull["people"]
    for number in range(1500):
        rule.map({"s": f"word {number}"})
    assert len(rule.unknown_words) == 1000


def test_fields_read_names_every_path_from_the_top_of_the_record() -> None:
    rule = compiled("""
        pull:
          people:
            to: contact
            fields:
              given_name: properties.firstname
              display_name: {template: "{properties.firstname} {properties.lastname}"}
              emails: {each: [properties.email, properties.more], using: split_semicolon}
              status: {first: [id, "a[\\"x.y\\"]"]}
              handles:
                each: ids
                fields: {kind: {const: form_id}, value: v.0, scope: $.portal}
        """).pull["people"]
    assert rule.fields_read == (
        'a["x.y"]',
        "id",
        "ids",
        "ids.*.v.0",
        "portal",
        "properties.email",
        "properties.firstname",
        "properties.lastname",
        "properties.more",
    )


def test_a_rule_knows_the_line_of_a_path_of_its_entity() -> None:
    rule = compiled("""
        pull:
          people:
            to: contact
            fields:
              given_name: name
              emails: {each: mail}
        """).pull["people"]
    assert (rule.line("emails[0]"), rule.line("given_name"), rule.line("tags")) == (8, 7, 0)


def test_the_digest_changes_with_what_maps_and_with_nothing_else() -> None:
    text = (
        "pull: {p: {to: contact, fields: {status: a, tags: {each: b}}}, q: {to: user, fields: {name: n}}}\n"
    )
    first = compiled(text)
    same = compiled(
        "# a comment\ntests: [{name: t, stream: q, given: {}, expect: {}}]\n"
        "pull: {q: {fields: {name: n}, to: user}, p: {to: contact, fields: {tags: {each: b}, status: a}}}\n"
    )
    other = compiled(text.replace("status: a", "status: c"))
    assert first.digest == same.digest
    assert first.digest != other.digest
    assert first.pull["p"].digest != other.pull["p"].digest
    assert first.pull["q"].digest == other.pull["q"].digest


def test_a_mapping_runs_its_own_tests_and_says_what_differs() -> None:
    mapping = compiled(
        textwrap.dedent(PUSH)
        + textwrap.dedent("""
        pull:
          people:
            to: contact
            fields: {given_name: name, emails: {each: mail}, created_at: {from: at, using: instant}}
        tests:
          - {name: good, stream: people, given: {name: Ana}, expect: {given_name: Ana}}
          - {name: differs, given: {name: Ana, mail: a@b.c}, expect: {given_name: Eva, tags: [x]}}
          - {name: not valid, given: {mail: none}, expect: {emails: [none]}}
          - {name: refuses, given: {at: soon}, expect: {}}
          - {name: entry, push: interaction, given: {text: x}, to: emails, group: message, expect: {hs_note_body: y}}
          - name: contact
            push: contact
            given: {given_name: Ana}
            expect: {firstname: Ana, waiting_since: "", lead_source: unknown}
        """)
    )
    results = {result.name: result for result in mapping.run_tests()}
    assert [name for name, result in results.items() if result.ok] == ["good", "contact"]
    assert results["differs"].difference == (
        'given_name: expected "Eva", got "Ana"; tags: expected ["x"], got nothing; '
        'emails: expected nothing, got ["a@b.c"]'
    )
    assert "emails[0]: 'none' does not fit" in results["not valid"].difference
    assert "soon" in results["refuses"].difference
    assert 'to: expected "emails", got "notes"' in results["entry"].difference
    assert 'hs_note_body: expected "y", got "x"' in results["entry"].difference
    assert results["good"].line < results["differs"].line


def test_coverage_lists_what_no_rule_reads_most_frequent_first() -> None:
    mapping = compiled("""
        pull:
          people:
            to: contact
            fields:
              given_name: properties.firstname
              status: owner.0.name
              custom: {object: {all: raw}}
              handles: {each: ids, fields: {kind: {const: form_id}, value: v}}
        """)
    records: list[Any] = [
        {"properties": {"firstname": "Ana", "city": "Santos", "zip": None, "x.y": 1}, "raw": {"a": 1}},
        {
            "properties": {"city": "Santos"},
            "ids": [{"v": 1, "w": 2}, {"w": 3}],
            "owner": [{"name": "R", "id": 1}],
        },
        "no object",
    ]
    assert coverage(mapping, "people", records) == {
        "properties.city": 2,
        "": 1,
        "ids.*.w": 1,
        "owner.*.id": 1,
        'properties["x.y"]': 1,
    }


EVERYTHING = """
    pull:
      people:
        to: interaction
        fields:
          kind: {from: a, map: {x: call}}
          channel: {first: [b, a.b, {from: a.0, using: lower}]}
          direction: {from: a, using: [text, lower], map: {x: inbound}, else: keep}
          occurred_at: {from: b, using: instant}
          duration_s: {from: b, using: ms_to_s}
          subject: {template: "{a} {b.a}"}
          body_text: {from: a, using: html_to_text}
          participants:
            each: [a, b.a]
            fields:
              role: {from: a, map: {x: to}, else: from}
              handles: {each: b, fields: {kind: {const: phone}, value: {from: ., using: e164}}}
          references: {each: [a, b], using: {split: [a]}}
          contact_refs: {each: a, ref: people}
          custom: {object: {j: {from: a, using: json_text}, u: {each: b, using: [unique, join]}, r: $}}
"""


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["x", "1e999", "2026-11-21T10:00:00Z", "0001-01-01T00:00:00+14:00", "\ud800", "+5511973914862"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0", ""]), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=200)
@given(json_values)
def test_a_mapping_ends_on_any_json_with_an_entity_or_a_mapping_error(data: Any) -> None:
    rule = compiled(EVERYTHING).pull["people"]
    refusal: MappingError | None = None
    entity: dict[str, Any] = {}
    try:
        entity = rule.map(data)
    except MappingError as error:
        refusal = error
    if refusal is not None:
        assert refusal.line > 5
        assert len(str(refusal)) < 400
    else:
        assert None not in entity.values()
        Validator.for_entity("interaction").check(entity)


@settings(max_examples=100)
@given(json_values)
def test_mapping_twice_gives_the_same_and_leaves_the_record_as_it_was(data: Any) -> None:
    rule = contact("{given_name: a.b, tags: {each: [a, b]}, custom: {object: {x: a, y: {const: [1]}}}}").pull[
        "people"
    ]
    before = json.dumps(data)
    assert json.dumps(rule.map(data)) == json.dumps(rule.map(data))
    assert json.dumps(data) == before
