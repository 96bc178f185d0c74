"""Reading a mapping file: its sections, and every problem in them at once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from collections.abc import Mapping as ReadOnly
from pathlib import Path
from typing import Any

import orjson

from bridge import yaml_file
from bridge.errors import ConfigError
from bridge.journey.schema import ENTITIES
from bridge.mapping.compile import Compiler
from bridge.mapping.loaded import Mapping, MappingTest
from bridge.mapping.modifiers import Faults
from bridge.mapping.paths import keys_text
from bridge.mapping.push import read_push_contact, read_push_interaction, read_push_task
from bridge.mapping.rules import PullRule
from bridge.mapping.targets import Target
from bridge.mapping.values import shown
from bridge.model import Field, Json
from bridge.yaml_file import Document, YamlPath, did_you_mean

FORMAT_VERSION = 1
ENGINE_VERSION = 1
"""Part of every digest: raised when the same file would map differently than before."""

_SECTIONS = ("version", "connector", "pull", "push", "properties", "tests")
_FIELD_KEYS = ("name", "label", "type", "unique", "options")
_TEST_KEYS = ("name", "stream", "push", "given", "expect", "to", "group")


def load_mapping(path: Path, *, connector: str | None, streams: Collection[str] | None = None) -> Mapping:
    """
    Read, check and compile a mapping file.

    `connector` is the one it must be for, None for any; `streams` are the connector's, None if not
    known. Raises ConfigError with every problem in the file.
    """
    return compile_mapping(yaml_file.load(path), connector=connector, streams=streams)


def compile_mapping(
    document: Document,
    *,
    connector: str | None,
    streams: Collection[str] | None = None,
    installed: Collection[str] | None = None,
) -> Mapping:
    """
    Check and compile a mapping that was read already, as `load_mapping` does.

    `installed` are the connectors that it may be for, None if not known.
    """
    top = document.value
    faults = Faults(document)
    faults.keys(top, (), _SECTIONS)
    _check_head(top, connector, installed, faults)
    pull = _read_pull(_map_at(top, ("pull",), faults), streams, faults)
    push = _map_at(top, ("push",), faults)
    faults.keys(push, ("push",), ("interaction", "contact", "task"))
    interaction = contact = task = None
    if "interaction" in push:
        interaction = read_push_interaction(push["interaction"], ("push", "interaction"), faults)
    if "contact" in push:
        contact = read_push_contact(push["contact"], ("push", "contact"), faults)
    if "task" in push:
        task = read_push_task(push["task"], ("push", "task"), faults)
    if not pull and not push:
        faults.add((), "maps nothing.", "Add `pull:` or `push:`.")
    properties = _read_properties(_map_at(top, ("properties",), faults), faults)
    tests = _read_tests(top.get("tests"), pull, push, faults)
    if faults.problems:
        raise ConfigError(faults.problems)
    return Mapping(
        file=document.file,
        connector=top["connector"],
        digest=_digest({key: top.get(key) for key in ("connector", "pull", "push")}),
        pull=pull,
        push_interaction=interaction,
        push_contact=contact,
        push_task=task,
        properties=properties,
        tests=tests,
    )


def _digest(content: Json) -> str:
    text = orjson.dumps([ENGINE_VERSION, content], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:32]


def _map_at(value: ReadOnly[str, Json], at: YamlPath, faults: Faults) -> dict[str, Json]:
    """Return the section at the last key of `at`, empty where there is none."""
    section = value.get(str(at[-1]), {})
    if isinstance(section, dict):
        return section
    faults.add(at, f"expected `key: value` lines, not {shown(section)}.")
    return {}


def _check_head(
    top: dict[str, Json], connector: str | None, installed: Collection[str] | None, faults: Faults
) -> None:
    version, named = top.get("version"), top.get("connector")
    if version != FORMAT_VERSION:
        at: YamlPath = ("version",) if "version" in top else ()
        faults.add(at, f"expected `version: {FORMAT_VERSION}`, not {shown(version)}.")
    if not isinstance(named, str) or not named:
        faults.add(("connector",) if "connector" in top else (), "expected `connector: name`.")
    elif connector is not None and named != connector:
        faults.add(("connector",), f"is for {named}, but {connector} is asked for.", "Name the right file.")
    elif installed is not None and named not in installed:
        faults.add(("connector",), f"no connector {named} is installed.", did_you_mean(named, installed))


def _read_pull(
    section: dict[str, Json], streams: Collection[str] | None, faults: Faults
) -> dict[str, PullRule]:
    known = {*section, *(streams or ())}
    rules: dict[str, PullRule] = {}
    for stream, value in section.items():
        at = ("pull", stream)
        if streams is not None and stream not in streams:
            faults.add(at, "the connector has no such stream.", did_you_mean(stream, streams))
        if not isinstance(value, dict):
            faults.add(at, "expected `to:` and `fields:`.")
            continue
        faults.keys(value, at, ("to", "fields"))
        entity: Any = value.get("to")
        if not faults.word(entity, (*at, "to"), ENTITIES, "entity"):
            continue
        compiler = Compiler(faults, view=None, streams=known)
        fields = value.get("fields")
        make = compiler.fields(fields, (*at, "fields"), Target.entity(entity), always=True)
        rules[stream] = PullRule(
            stream=stream,
            entity=entity,
            fields_read=tuple(sorted(keys_text(keys) for keys in compiler.reads if keys)),
            keys_read=frozenset(compiler.reads - compiler.opened),
            digest=_digest(value),
            lines={
                field: faults.document.line((*at, "fields", field))
                for field in (fields if isinstance(fields, dict) else ())
            },
            make=make,
            unknown=compiler.unknown,
        )
    return rules


def _read_properties(section: dict[str, Json], faults: Faults) -> dict[str, tuple[Field, ...]]:
    properties: dict[str, tuple[Field, ...]] = {}
    for stream, entries in section.items():
        at = ("properties", stream)
        if not isinstance(entries, list):
            faults.add(at, "expected a list of fields, each with a name.")
            continue
        fields = [_read_field(entry, (*at, index), faults) for index, entry in enumerate(entries)]
        properties[stream] = tuple(field for field in fields if field is not None)
    return properties


def _read_field(entry: Json, at: YamlPath, faults: Faults) -> Field | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        faults.add(at, "expected a field with a `name`.")
        return None
    faults.keys(entry, at, _FIELD_KEYS)
    for key in ("label", "type"):
        if not isinstance(entry.get(key, ""), str):
            faults.add((*at, key), f"expected text, not {shown(entry[key])}.")
    if not isinstance(entry.get("unique", False), bool):
        faults.add((*at, "unique"), f"expected true or false, not {shown(entry['unique'])}.")
    options = entry.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        faults.add((*at, "options"), "expected a list of texts.")
        options = []
    return Field(
        name=entry["name"],
        label=str(entry.get("label", entry["name"])),
        type=entry.get("type", "string"),
        unique=entry.get("unique", False),
        options=tuple(options),
    )


def _read_tests(
    section: Json, pull: ReadOnly[str, PullRule], push: ReadOnly[str, Json], faults: Faults
) -> tuple[MappingTest, ...]:
    if section is None:
        return ()
    if not isinstance(section, list):
        faults.add(("tests",), "expected a list of tests.")
        return ()
    tests = [_read_test(entry, ("tests", index), pull, push, faults) for index, entry in enumerate(section)]
    return tuple(test for test in tests if test is not None)


def _read_test(
    entry: Json, at: YamlPath, pull: ReadOnly[str, PullRule], push: ReadOnly[str, Json], faults: Faults
) -> MappingTest | None:
    if not isinstance(entry, dict):
        faults.add(at, "expected a test with `name`, `stream` or `push`, `given` and `expect`.")
        return None
    faults.keys(entry, at, _TEST_KEYS)
    name, expect = entry.get("name"), entry.get("expect")
    if not isinstance(name, str) or "given" not in entry or not isinstance(expect, dict):
        faults.add(at, "needs a `name`, what is `given`, and the fields to `expect`.")
        return None
    found = len(faults.problems)
    stream, subject = entry.get("stream", ""), entry.get("push", "pull")
    if "push" in entry and "stream" in entry:
        faults.add(at, "has both `stream` and `push`.", "Test one of them.")
    elif "push" in entry:
        faults.word(subject, (*at, "push"), push, "push rule of this mapping")
    else:
        if "stream" not in entry and len(pull) == 1:
            [stream] = pull
        faults.word(stream, (*at, "stream"), pull, "pull rule of this mapping")
    for key in ("to", "group"):
        if key in entry and subject != "interaction":
            faults.add((*at, key), "goes only with `push: interaction`.")
    if len(faults.problems) > found:
        return None
    return MappingTest(
        name=name,
        line=faults.document.line(at),
        subject=subject,
        stream=stream,
        given=entry["given"],
        expect=expect,
        to=entry.get("to"),
        group=entry.get("group"),
    )
