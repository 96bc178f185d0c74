"""Mapping files: what one is refused for, and that the schema for editors agrees."""

from __future__ import annotations

import textwrap
from pathlib import Path

import jsonschema
import pytest

from bridge import yaml_file
from bridge.errors import ConfigError
from bridge.mapping import compile_mapping, load_mapping
from bridge.mapping.schema import mapping_schema, schema_text
from tests.mapping_cases import HEAD, PUSH, ROOT, compiled, refused

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
        "push: {contact: {to: c, fields: {a: {from: email, owns: newer}}}}",
        "push.contact.fields.a.owns",
        "Use one of always, if_empty, newest, never.",
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
