"""The mapping engine: what a spec makes, what a file is refused for, and that it always ends."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import yaml_file
from bridge.errors import ConfigError, MappingError, Problem
from bridge.journey.schema import Validator
from bridge.mapping import Mapping, OwnedValue, compile_mapping, coverage, load_mapping
from bridge.mapping.schema import mapping_schema, schema_text
from bridge.mapping.views import ENTRY_VIEW, PERSON_VIEW
from bridge.model import Field

ROOT = Path(__file__).parent.parent
HEAD = "version: 1\nconnector: acme\n"


def compiled(text: str, **options: Any) -> Mapping:
    document = yaml_file.parse(HEAD + textwrap.dedent(text).lstrip(), file="acme.yaml")
    return compile_mapping(document, connector="acme", **options)


def refused(text: str, **options: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        compiled(text, **options)
    return list(caught.value.problems)


def contact(fields: str, **options: Any) -> Mapping:
    """A mapping whose one rule makes contacts from `fields`, a YAML flow map."""
    return compiled(f"pull: {{people: {{to: contact, fields: {fields}}}}}\n", **options)


def made(spec: str, data: Any) -> Any:
    """What a spec makes of a record, in a field where anything may stand."""
    rule = contact(f"{{custom: {{object: {{x: {spec}, seen: {{const: true}}}}}}, status: always}}").pull[
        "people"
    ]
    return rule.map(data).get("custom", {}).get("x")


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


BROKEN_FIELDS = [
    ("emial: a", "emial", "Did you mean emails?"),
    ("status: 5", "status", "not 5"),
    ("status: ", "status", "not null"),
    ("status: {}", "status", "expected a path"),
    ("status: {from: a, const: b}", "status", "from and const stand together"),
    ("status: {using: lower}", "status", "no source"),
    ("status: {form: a}", "status.form", "Did you mean from?"),
    ("status: a..b", "status", "is no path"),
    ("status: 'a[0]'", "status", "`a.0`"),
    ("status: a b", "status", "is no path"),
    ("status: ''", "status", "is no path"),
    ("status: {from: 'a.'}", "status.from", "is no path"),
    ("status: {from: a, using: lowercase}", "status.using", "Did you mean lower?"),
    ("status: {from: a, using: [strip, 5]}", "status.using[1]", "name of a transform"),
    ("status: {from: a, using: truncate}", "status.using", "{truncate: [length]}"),
    ("status: {from: a, using: {truncate: [0]}}", "status.using", "not 0"),
    ("status: {from: a, using: {lower: [1]}}", "status.using", "no arguments"),
    ("created_at: {from: a, using: {instant: [Brasil]}}", "created_at.using", "no time zone"),
    ("kind: {const: fax}", "kind.const", "Known: person"),
    ("kind: {const: persn}", "kind.const", "Did you mean person?"),
    ("kind: {const: null}", "kind.const", "no value"),
    ("tags: {const: a}", "tags.const", "not of type 'array'"),
    ("kind: {from: a, map: {x: robot}}", "kind.map.x", "robot"),
    ("kind: {from: a, map: {x: bot}, else: robot}", "kind.else", "robot"),
    ("kind: {from: a, default: robot}", "kind.default", "robot"),
    ("kind: {from: a, map: []}", "kind.map", "their word: our word"),
    ("kind: {from: a, else: bot}", "kind.else", "only with `map`"),
    ("status: {each: a}", "status.each", "status is text, but this makes a list"),
    ("emails: {template: '{a}'}", "emails.template", "each: [...]"),
    ("status: {object: {a: b}}", "status.object", "makes an object"),
    ("status: {template: plain}", "status.template", "const"),
    ("status: {template: '{a'}", "status.template", "single brace"),
    ("status: {template: '{a b}'}", "status.template", "is no path"),
    ("status: {first: a}", "status.first", "a list of paths"),
    ("tags: {each: []}", "tags.each", "a list of paths"),
    ("status: {from: a, fields: {b: c}}", "status.fields", "only with `each`"),
    ("handles: {each: a, fields: {valeu: b, kind: c}}", "handles.fields.valeu", "Did you mean value?"),
    ("handles: {each: a, fields: {kind: c}}", "handles.fields", '"value" is missing, which handles'),
    ("owner_ref: {from: a, ref: ownres}", "owner_ref.ref", "no stream"),
]
BROKEN_FILES = [
    ("pull: {p: {to: contakt, fields: {a: a}}}", "pull.p.to", "Did you mean contact?"),
    ("pull: {p: {to: contact, fields: {}}}", "pull.p.fields", "expected fields"),
    ("pull: {p: {to: contact}}", "pull.p.fields", "expected fields"),
    ("pull: {p: {to: contact, feilds: {}}}", "pull.p.feilds", "Did you mean fields?"),
    ("pull: {p: 5}", "pull.p", "expected `to:`"),
    ("pull: 5", "pull", "not 5"),
    ("pusch: {}", "pusch", "Did you mean push?"),
    ("tests: []", "", "maps nothing"),
    (
        "pull: {p: {to: interaction, fields: {kind: a, channel: b, direction: c}}}",
        "pull.p.fields",
        '"occurred_at" is missing',
    ),
    ("push: {contact: {to: c, fields: {a: {from: email}}}}", "push.contact.fields.a", "if_empty"),
    ("push: {contact: {to: c, fields: {a: email}}}", "push.contact.fields.a", "whose word counts"),
    (
        "push: {contact: {to: c, fields: {a: {from: email, owns: mine}}}}",
        "push.contact.fields.a.owns",
        "always",
    ),
    (
        "push: {contact: {to: c, fields: {a: {from: email, owns: newest, clear: true}}}}",
        "push.contact.fields.a.clear",
        "not ours",
    ),
    (
        "push: {contact: {to: c, fields: {a: {from: email, owns: always, clear: 1}}}}",
        "push.contact.fields.a.clear",
        "true or false",
    ),
    (
        "push: {contact: {to: c, fields: {a: {from: e_mail, owns: always}}}}",
        "push.contact.fields.a.from",
        "Did you mean email?",
    ),
    ("push: {contact: {to: c, fields: {}}}", "push.contact.fields", "firstname"),
    ("push: {contact: {fields: {a: {from: email, owns: always}}}}", "push.contact", "expected `to:`"),
    ("push: {deal: {}}", "push.deal", "Known: interaction, contact"),
    (
        "push: {interaction: {to: notes, fields: {notes: {a: txt}}}}",
        "push.interaction.fields.notes.a",
        "Did you mean text?",
    ),
    (
        "push: {interaction: {to: notes, fields: {notes: {a: from.mail}}}}",
        "push.interaction.fields.notes.a",
        "Did you mean email?",
    ),
    (
        "push: {interaction: {to: notes, fields: {notes: {a: to.email}}}}",
        "push.interaction.fields.notes.a",
        "each",
    ),
    (
        "push: {interaction: {to: notes, fields: {notes: {a: key.b}}}}",
        "push.interaction.fields.notes.a",
        'There is no "b"',
    ),
    (
        "push: {interaction: {to: nots, fields: {notes: {a: text}}}}",
        "push.interaction.to",
        "Did you mean notes?",
    ),
    ("push: {interaction: {fields: {notes: {a: text}}}}", "push.interaction.to", "expected one word"),
    (
        "push: {interaction: {to: {by: channel, map: {}}, fields: {notes: {a: text}}}}",
        "push.interaction.to",
        "else: word",
    ),
    (
        "push: {interaction: {to: {by: chanel, map: {x: notes}, else: notes}, fields: {notes: {a: text}}}}",
        "push.interaction.to.by",
        "Did you mean channel?",
    ),
    (
        "push: {interaction: {to: notes, group: day, fields: {notes: {a: text}}}}",
        "push.interaction.group",
        "thread_day",
    ),
    (
        "push: {interaction: {to: notes, fields: {notes: {a: text}, calls: {a: text}}}}",
        "push.interaction.fields.calls",
        "nothing is written there",
    ),
    ("push: {interaction: {to: notes}}", "push.interaction.fields", "notes: {hs_note_body: text}"),
    ("push: {interaction: 5}", "push.interaction", "expected `to:`"),
    ("properties: {c: [{label: x}]}", "properties.c[0]", "`name`"),
    ("properties: {c: [{name: x, unique: 1}]}", "properties.c[0].unique", "true or false"),
    ("properties: {c: [{name: x, typ: 1}]}", "properties.c[0].typ", "Did you mean type?"),
    ("properties: {c: {name: x}}", "properties.c", "a list of fields"),
    ("tests: 5", "tests", "a list of tests"),
    ("pull: {p: {to: contact, fields: {status: a}}}\ntests: [{name: x, given: {}}]", "tests[0]", "`name`"),
    (
        "pull: {p: {to: contact, fields: {status: a}}}\ntests: [{name: x, stream: q, given: {}, expect: {}}]",
        "tests[0].stream",
        "no pull rule",
    ),
    (
        "pull: {p: {to: contact, fields: {status: a}}}\ntests: [{name: x, push: contact, given: {}, expect: {}}]",
        "tests[0].push",
        "no push rule",
    ),
    (
        "pull: {p: {to: contact, fields: {status: a}}}\ntests: [{name: x, to: q, given: {}, expect: {}}]",
        "tests[0].to",
        "only with `push: interaction`",
    ),
]
BROKEN = [
    *(
        (f"pull: {{p: {{to: contact, fields: {{{fields}}}}}}}", f"pull.p.fields.{path}", words)
        for fields, path, words in BROKEN_FIELDS
    ),
    *BROKEN_FILES,
]


@pytest.mark.parametrize(("text", "path", "words"), BROKEN)
def test_a_broken_mapping_is_refused_with_path_place_and_words(text: str, path: str, words: str) -> None:
    found = {problem.path: problem for problem in refused(text)}
    problem = found[path]
    assert words in str(problem)
    assert problem.file == "acme.yaml"
    assert problem.line >= 1
    assert problem.column >= 1


def test_every_problem_of_a_file_is_listed_at_its_line_in_one_go() -> None:
    found = refused("""
        pull:
          people:
            to: contact
            fields:
              emial: a
              kind: {const: robot}
              created_at: {from: a, using: instnt}
        push:
          contact:
            to: contacts
            fields:
              lead: {from: source}
        """)
    assert [(problem.line, problem.path) for problem in found] == [
        (7, "pull.people.fields.emial"),
        (8, "pull.people.fields.kind.const"),
        (9, "pull.people.fields.created_at.using"),
        (14, "push.contact.fields.lead"),
    ]
    assert str(found[0]) == (
        "acme.yaml:7:7 pull.people.fields.emial: there is no such field. Did you mean emails?"
    )


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("connector: acme\n", "expected `version: 1`"),
        ("version: 2\nconnector: acme\n", "expected `version: 1`, not 2"),
        ("version: 1\n", "expected `connector: name`"),
        ("version: 1\nconnector: other\n", "is for other, but acme is asked for"),
    ],
)
def test_version_and_connector_must_fit(head: str, words: str) -> None:
    document = yaml_file.parse(f"{head}pull: {{p: {{to: contact, fields: {{status: a}}}}}}", file="f.yaml")
    with pytest.raises(ConfigError, match=words):
        compile_mapping(document, connector="acme")


def test_streams_of_the_connector_are_known_to_pull_and_ref() -> None:
    text = "pull: {people: {to: contact, fields: {owner_ref: {from: o, ref: owners}}}}"
    assert compiled(text, streams=("people", "owners")).pull["people"].map({"o": 1}) == {
        "owner_ref": "owners/1"
    }
    [problem] = refused("pull: {peple: {to: contact, fields: {status: a}}}", streams=("people",))
    assert "Did you mean people?" in str(problem)


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


PUSH = """
    push:
      interaction:
        to: {by: channel, map: {whatsapp: communications, email: emails}, else: notes}
        group: {by: channel, map: {whatsapp: thread_day}, else: message}
        fields:
          communications:
            hs_communication_body: {from: text, using: text_to_html}
            hs_timestamp: {from: occurred_at, using: instant_to_epoch_ms}
          emails:
            hs_email_to: {each: to, fields: {email: email, name: name}, using: json_text}
            hs_email_direction:
              from: direction
              map: {inbound: INCOMING_EMAIL, outbound: EMAIL}
              else: EMAIL
          notes:
            hs_note_body: text
      contact:
        to: contacts
        fields:
          waiting_since: {from: waiting_since, owns: always, clear: true}
          firstname: {from: given_name, owns: if_empty}
          lead_source: {first: [source, {const: unknown}], owns: newest}
    properties:
      contacts:
        - {name: waiting_since, label: Waiting since, type: datetime}
        - {name: size, type: enumeration, options: [small, large], unique: true}
"""


def test_an_entry_is_written_to_the_stream_of_its_channel() -> None:
    push = compiled(PUSH).push_interaction
    assert push is not None
    view = {"channel": "whatsapp", "text": "a <b>\nc", "occurred_at": "2026-11-18T14:02:00Z"}
    assert (push.stream_for(view), push.group_for(view)) == ("communications", "thread_day")
    assert push.fields("communications", view) == {
        "hs_communication_body": "a &lt;b&gt;<br>c",
        "hs_timestamp": 1795010520000,
    }
    assert push.line("communications", "hs_timestamp") == 10
    mail = {"channel": "email", "direction": "outbound", "to": [{"email": "a@b.c"}, {"name": "Ana"}]}
    assert (push.stream_for(mail), push.group_for(mail)) == ("emails", "message")
    assert push.fields("emails", mail) == {
        "hs_email_to": '[{"email":"a@b.c"},{"name":"Ana"}]',
        "hs_email_direction": "EMAIL",
    }
    assert push.stream_for({"channel": "pigeon"}) == push.stream_for({}) == "notes"
    assert push.streams == ("communications", "emails", "notes")
    with pytest.raises(MappingError, match="hs_timestamp"):
        push.fields("communications", {"occurred_at": "soon"})


def test_a_contact_field_says_whose_word_counts_and_is_cleared_only_when_asked() -> None:
    push = compiled(PUSH).push_contact
    assert push is not None
    assert push.stream == "contacts"
    assert push.fields({"given_name": "Ana", "waiting_since": "2026-11-18T14:02:00Z"}) == {
        "waiting_since": OwnedValue(value="2026-11-18T14:02:00Z", owns="always", line=22),
        "firstname": OwnedValue(value="Ana", owns="if_empty", line=23),
        "lead_source": OwnedValue(value="unknown", owns="newest", line=24),
    }
    assert {name: owned.value for name, owned in push.fields({}).items()} == {
        "waiting_since": "",
        "lead_source": "unknown",
    }


def test_a_refused_contact_value_names_its_line() -> None:
    text = "push: {contact: {to: c, fields: {at: {from: waiting_since, using: date, owns: always}}}}"
    push = compiled(text).push_contact
    assert push is not None
    with pytest.raises(MappingError, match=r"acme.yaml:3 push.contact.fields.at: "):
        push.fields({"waiting_since": "now"})


def test_properties_are_the_fields_that_setup_creates() -> None:
    assert compiled(PUSH).properties == {
        "contacts": (
            Field(name="waiting_since", label="Waiting since", type="datetime"),
            Field(name="size", label="size", type="enumeration", unique=True, options=("small", "large")),
        )
    }


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


def test_load_mapping_reads_a_file_and_names_it_in_problems(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(HEAD + "pull: {people: {to: contact, fields: {status: a}}}\n")
    assert load_mapping(path, connector=None).connector == "acme"
    path.write_text(HEAD + "pull: {people: {to: contact, fields: {statsu: a}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path, connector="acme")
    assert str(caught.value).startswith(f"{path}:3:")


def test_the_schema_for_editors_is_up_to_date() -> None:
    written = (ROOT / "bridge/mapping/mapping.schema.json").read_text()
    assert written == schema_text(), (
        "run: python -m bridge.mapping.schema > bridge/mapping/mapping.schema.json"
    )


def test_the_schema_for_editors_accepts_what_the_engine_accepts() -> None:
    schema = mapping_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    judge = jsonschema.Draft7Validator(schema)
    for text in (
        PUSH,
        "pull: {p: {to: contact, fields: {tags: {each: [a, {from: b, using: {truncate: 3}}]}}}}",
    ):
        document = yaml_file.parse(HEAD + textwrap.dedent(text).lstrip(), file="acme.yaml")
        assert [error.message for error in judge.iter_errors(document.value)] == []
    refusals = [
        not judge.is_valid(yaml_file.parse(HEAD + text, file="acme.yaml").value) for text, _, _ in BROKEN
    ]
    assert sum(refusals) > len(BROKEN) // 2, "most faults show while typing"


def test_the_views_have_the_fields_that_delivery_offers() -> None:
    assert list(ENTRY_VIEW) == [
        *("key", "channel", "kind", "direction", "occurred_at", "subject", "text", "body_text", "from", "to"),
        *("cc", "duration_ms", "outcome", "state", "message_id", "owner_id", "count"),
    ]
    assert list(PERSON_VIEW) == [
        *("person_id", "display_name", "given_name", "family_name", "email", "phone", "waiting_since"),
        *(
            "waiting_channel",
            "waiting_text",
            "last_inbound_at",
            "last_outbound_at",
            "first_seen_at",
            "source",
        ),
        "channels",
    ]


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


@settings(deadline=None, max_examples=400)
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


@settings(deadline=None, max_examples=100)
@given(json_values)
def test_mapping_twice_gives_the_same_and_leaves_the_record_as_it_was(data: Any) -> None:
    rule = contact("{given_name: a.b, tags: {each: [a, b]}, custom: {object: {x: a, y: {const: [1]}}}}").pull[
        "people"
    ]
    before = json.dumps(data)
    assert json.dumps(rule.map(data)) == json.dumps(rule.map(data))
    assert json.dumps(data) == before
