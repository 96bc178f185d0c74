"""Commands that show who is who: who, why, why-not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import Annotated, Any

import typer

from bridge.cli import meant, output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, opened
from bridge.journey.text_format import in_zone
from bridge.sync.identity import who as facts
from bridge.sync.identity.reasons import KINDS

GRADES = {
    "certain": "nothing but the word of platforms and people joins them",
    "strong": "addresses or numbers join them, and their names agree",
    "probable": "an address or number joins records whose names do not tell",
}

Who = Annotated[
    str,
    typer.Argument(
        help="A name, e-mail address, phone number, CRM contact id (7, or hubspot:7), record key or person id."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(who)
    app.command()(why)
    app.command(name="why-not")(why_not)


def who(who: Who, config: ConfigPath = DEFAULT, as_json: AsJson = False) -> None:
    """
    Show who somebody is, and whom else they could be.

    With their records, what joins them, what people decided of them, and what became of them: when they were joined
    with somebody, or split.
    """
    with opened(config) as runtime:
        person_id = meant.person(runtime, text(who), code=output.PARTIAL, as_json=as_json)
        found = facts.who(runtime, person_id)
        if as_json:
            output.emit(found)
            return
        for line in _lines(found, runtime.config.company.zone):
            output.say(line)


def text(argument: str) -> str:
    """Return an argument as text, whatever the encoding of the terminal that sent it."""
    return argument.encode("utf-8", "replace").decode()


def _lines(found: Mapping[str, Any], zone: tzinfo) -> Iterator[str]:
    yield f"{found['name']}  ({found['person_id']})"
    if len(found["records"]) > 1:
        yield f"  {found['grade'].capitalize()}: {GRADES[found['grade']]}"
    if found["earlier_ids"]:
        yield f"  Earlier ids: {', '.join(found['earlier_ids'])}"
    for record in found["records"]:
        yield ""
        yield from _record_lines(record, zone)
    for title, key, line_of in _LISTS:
        if found[key]:
            yield ""
            yield title
            for one in found[key]:
                yield f"  {line_of(one)}"
    if found["events"]:
        yield ""
        yield "WHAT BECAME OF THEM"
        for one in found["events"]:
            yield f"  {in_zone(one['at'], zone):%Y-%m-%d %H:%M}: {_event(one)}"


def _record_lines(record: Mapping[str, Any], zone: tzinfo) -> Iterator[str]:
    name = f'  "{record["name"]}"' if record["name"] else ""
    yield f"{record['label']}{name}"
    yield f"  key {record['key']}"
    since = f"made {_day(record['since'], zone)}" if record["kind"] == "contact" and record["since"] else ""
    if record["first_at"]:
        times = f"from {_day(record['first_at'], zone)} to {_day(record['last_at'], zone)}"
        seen = f"{output.plural(record['interactions'], 'interaction')} {times}"
    else:
        seen = ""
    if since or seen:
        yield f"  {', '.join(part for part in (since, seen) if part)}"
    for handle in record["handles"]:
        written = f", written {handle['seen']!r}" if handle["seen"] != handle["value"] else ""
        counts = "" if handle["counts"] else ", joins nobody"
        kind = KINDS.get(handle["kind"], handle["kind"])
        yield f"  {kind} {handle['value']}: {handle['provenance']}{written}{counts}"
    for former in record["former_handles"]:
        yield f"  until {_day(former['ended_at'], zone)}: {former['says']}"


def _day(at: str, zone: tzinfo) -> str:
    local = in_zone(at, zone)
    return f"{local.day} {local:%b %Y}"


def _candidate(one: Mapping[str, Any]) -> str:
    because = f": {'; '.join(one['says'])}" if one["says"] else ""
    return f"{one['name'] or 'somebody'} ({one['label']}){because}"


def _joined(one: Mapping[str, Any]) -> str:
    return f"{one['tier']}: {one['says']}"


def _decision(one: Mapping[str, Any]) -> str:
    return f"{one['id']} {one['says']}{' (overruled by a newer one)' if one['state'] == 'overruled' else ''}"


_LISTS: tuple[tuple[str, str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("JOINED BY", "joined", _joined),
    ("COULD BE", "candidates", _candidate),
    ("DECISIONS", "decisions", _decision),
)


def _event(one: Mapping[str, Any]) -> str:
    by = f": {'; '.join(one['says'])}" if one["says"] else ""
    if one["kind"] == "merged":
        return f"{' and '.join(one['before'])} became {one['after'][0]}{by}"
    return f"{one['before'][0]} became {' and '.join(one['after'])}{by}"


def why(
    a: Who,
    b: Who,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """
    Show why two records are one person.

    That is the strongest chain of evidence between them.
    """
    _between(a, b, config, as_json, wanted=True)


def why_not(
    a: Who,
    b: Who,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """
    Show why two records are not one person.

    That is what points from one to the other, and why it does not count.
    """
    _between(a, b, config, as_json, wanted=False)


def _between(a: str, b: str, config: Any, as_json: bool, *, wanted: bool) -> None:
    with opened(config) as runtime:
        one = meant.records(runtime, text(a), code=output.PARTIAL, as_json=as_json)
        other = meant.records(runtime, text(b), code=output.PARTIAL, as_json=as_json)
        if [stored.key for stored in one] == [stored.key for stored in other]:
            raise typer.BadParameter(f"{a!r} and {b!r} are the same record")
        found = facts.between(runtime, one, other)
    if as_json:
        output.emit(found)
    elif found["one_person"]:
        _show_chain(found, asked_why_not=not wanted)
    else:
        _show_reasons(found, asked_why=wanted)
    if found["one_person"] is not wanted:
        output.stop(output.PARTIAL)


def _show_chain(found: Mapping[str, Any], *, asked_why_not: bool) -> None:
    name, id = found["people"][0]["name"], found["people"][0]["person_id"]
    output.say(f"They are one person, {name} ({id}){', as' if asked_why_not else ':'}")
    for step in found["chain"] or ():
        output.say(f"  {step['from']} and {step['to']}")
        output.say(f"    {step['tier']}: {step['says']}")


def _show_reasons(found: Mapping[str, Any], *, asked_why: bool) -> None:
    names = " and ".join(f"{one['name']} ({one['person_id']})" for one in found["people"])
    output.say(f"{names} are two people{', as' if asked_why else ':'}")
    said = [one["says"] for one in (*found["withheld"], *found["decisions"])]
    for line in said or ["they share no address, number or id, and nobody linked them"]:
        output.say(f"  {line}")
