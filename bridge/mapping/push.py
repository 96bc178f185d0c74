"""Reading the push sections of a mapping: timeline entries, the fields of the CRM's contact, and its tasks."""

from __future__ import annotations

from collections.abc import Collection

from bridge.mapping.compile import Compiler
from bridge.mapping.modifiers import Faults
from bridge.mapping.paths import Make, getter, keys_text, parse_path
from bridge.mapping.rules import GROUPS, OWNS, Choice, OwnedField, PushContact, PushInteraction, PushTask
from bridge.mapping.steps import constant, plain
from bridge.mapping.targets import ANYTHING
from bridge.mapping.values import shown
from bridge.mapping.views import ANSWER_FIELDS, ENTRY_VIEW, PERSON_VIEW, TASK_VIEW, View, view_fault
from bridge.model import Json
from bridge.yaml_file import YamlPath


def read_push_interaction(section: Json, at: YamlPath, faults: Faults) -> PushInteraction | None:
    """Read `push.interaction`; None where it is no map."""
    if not isinstance(section, dict):
        faults.add(at, "expected `to:`, `group:` and `fields:`.")
        return None
    faults.keys(section, at, ("to", "group", "fields"))
    streams = section.get("fields")
    if not isinstance(streams, dict) or not streams:
        faults.add((*at, "fields"), "expected the fields of each stream: `notes: {hs_note_body: text}`.")
        streams = {}
    compiler = Compiler(faults, view=ENTRY_VIEW, streams=())
    makes: dict[str, Make] = {}
    lines: dict[tuple[str, str], int] = {}
    for stream, fields in streams.items():
        here = (*at, "fields", stream)
        makes[stream] = compiler.fields(fields, here, ANYTHING, always=True)
        for name in fields if isinstance(fields, dict) else ():
            lines[stream, name] = faults.document.line((*here, name))
    to = _choice(section.get("to"), (*at, "to"), streams, "stream with fields here", faults)
    group = _choice(section.get("group", "message"), (*at, "group"), GROUPS, "way to group", faults)
    for stream in streams:
        if stream not in (*to.table.values(), to.otherwise):
            faults.add((*at, "fields", stream), "nothing is written there.", "Name it in `to`, or remove it.")
    return PushInteraction(streams=tuple(streams), to=to, group=group, makes=makes, lines=lines)


def _choice(section: Json, at: YamlPath, known: Collection[str], what: str, faults: Faults) -> Choice:
    """Read one word, or `{by: field, map: {value: word}, else: word}`."""
    nothing = constant(None)
    if isinstance(section, str):
        faults.word(section, at, known, what)
        return Choice(by=nothing, table={}, otherwise=section)
    if not isinstance(section, dict) or not section.keys() >= {"by", "map", "else"}:
        faults.add(at, "expected one word, or {by: field, map: {value: word}, else: word}.")
        return Choice(by=nothing, table={}, otherwise="")
    faults.keys(section, at, ("by", "map", "else"))
    table = section["map"]
    if not isinstance(table, dict):
        faults.add((*at, "map"), "expected lines such as `whatsapp: notes`.")
        table = {}
    for value, word in table.items():
        faults.word(word, (*at, "map", value), known, what)
    faults.word(section["else"], (*at, "else"), known, what)
    return Choice(
        by=_field_of(ENTRY_VIEW, section["by"], (*at, "by"), faults),
        table={value: str(word) for value, word in table.items()},
        otherwise=str(section["else"]),
    )


def _field_of(view: View, text: Json, at: YamlPath, faults: Faults) -> Make:
    try:
        path = parse_path(text if isinstance(text, str) else "")
        fault = view_fault(view, path.keys)
    except ValueError as error:
        fault = str(error)
    if fault is not None:
        faults.add(at, f"{shown(text)} is nothing that can be read here.", fault)
        return constant(None)
    return getter(path)


def read_push_contact(section: Json, at: YamlPath, faults: Faults) -> PushContact | None:
    """Read `push.contact`; None where it is no map with a stream."""
    if not isinstance(section, dict) or not isinstance(section.get("to"), str):
        faults.add(at, "expected `to:` with the stream of the CRM's contacts, and `fields:`.")
        return None
    faults.keys(section, at, ("to", "fields"))
    specs = section.get("fields")
    if not isinstance(specs, dict) or not specs:
        faults.add(
            (*at, "fields"), "expected fields such as `firstname: {from: given_name, owns: if_empty}`."
        )
        return None
    owned = {name: _owned(name, spec, (*at, "fields", name), faults) for name, spec in specs.items()}
    return PushContact(stream=section["to"], owned=owned)


def _owned(name: str, spec: Json, at: YamlPath, faults: Faults) -> OwnedField:
    source, owns, clear = spec, None, False
    if isinstance(spec, dict):
        source = {key: value for key, value in spec.items() if key not in ("owns", "clear")}
        owns, clear = spec.get("owns"), spec.get("clear", False)
    if owns is None:
        remedy = f"Add `owns:` with one of {', '.join(OWNS)}."
        faults.add(at, "does not say whose word counts in this field.", remedy)
    elif owns not in OWNS:
        faults.add((*at, "owns"), f"{shown(owns)} is no rule of ownership.", f"Use one of {', '.join(OWNS)}.")
    if not isinstance(clear, bool):
        faults.add((*at, "clear"), f"expected true or false, not {shown(clear)}.")
    elif clear and owns != "always":
        faults.add(
            (*at, "clear"), "would empty a field that is not ours.", "It goes only with `owns: always`."
        )
    compiler = Compiler(faults, view=PERSON_VIEW, streams=())
    make = plain(compiler.spec(source, at, ANYTHING.field(name)))
    return OwnedField(
        make=make,
        reads=frozenset(keys[0] for keys in compiler.reads if keys),
        owns=owns if owns in OWNS else "never",
        clear=clear is True,
        place=faults.place(at, name),
    )


def read_push_task(section: Json, at: YamlPath, faults: Faults) -> PushTask | None:
    """Read `push.task`; None where it is no map with a stream."""
    if not isinstance(section, dict) or not isinstance(section.get("to"), str):
        faults.add(at, "expected `to:` with the stream of the CRM's tasks, `fields:` and `answer:`.")
        return None
    faults.keys(section, at, ("to", "fields", "answer"))
    written = Compiler(faults, view=TASK_VIEW, streams=())
    make = written.fields(section.get("fields"), (*at, "fields"), ANYTHING, always=True)
    answer = section.get("answer")
    if not isinstance(answer, dict) or not answer.keys() >= {"text", "done"}:
        faults.add((*at, "answer"), "expected where `text:` and `done:` of a task are read, and `by:`.")
        return None
    faults.keys(answer, (*at, "answer"), tuple(ANSWER_FIELDS))
    read = Compiler(faults, view=None, streams=())
    found = read.fields(answer, (*at, "answer"), ANYTHING, always=True)
    return PushTask(
        stream=section["to"],
        make=make,
        answer=found,
        fields_read=tuple(sorted(keys_text(keys) for keys in read.reads if keys)),
    )
