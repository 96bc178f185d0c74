"""The command that compares source, store, journeys and CRM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bridge.cli import output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, carry_out, opened
from bridge.engine import commands
from bridge.engine.opening import need_secrets

COLUMNS = ("source", "stored", "mapped", "skipped", "rejected", "waiting", "deleted")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(reconcile)


def reconcile(
    connection: Annotated[
        str | None, typer.Argument(help="The connection to compare; all of them when left out.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what is surely ours; never what a person did.")
    ] = False,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """
    Compare source, store, journeys and CRM.

    What the source has, what is stored, what the journeys hold, what stands in the CRM: numbers that add up. Every
    entry and contact that was written is read in the CRM; nothing is changed there.
    """
    with opened(config) as runtime:
        known = list(runtime.connections)
        if connection is not None and connection not in known:
            output.warn(f"{connection}: there is no such connection. Configured: {', '.join(known)}.")
            output.stop(output.USAGE)
        compared = [one for name, one in runtime.connections.items() if connection in (None, name)]
        need_secrets(one for one in compared if one.spec.contact_stream)
        if not repair:
            result = commands.compare(runtime, {"connection": connection})
    if repair:
        arguments = {"connection": connection, "repair": True}
        result, _ = carry_out(config, "reconcile", arguments, connections=known)
    if as_json:
        output.emit(result)
    else:
        for found in result["connections"]:
            _show(found, repair=repair)
        for error in result["errors"]:
            output.warn(error)
    if result["errors"] or not all(found["sound"] for found in result["connections"]):
        output.stop(output.PARTIAL)


def _show(found: Mapping[str, Any], *, repair: bool) -> None:
    output.say(f"{found['connection']} ({found['account']})")
    _table(found["streams"])
    for name, one in found["sums"].items():
        parts = sorted(one["parts"].items(), key=lambda part: (-part[1], part[0]))
        made = " + ".join(f"{count:,} {word}" for word, count in parts) or "0"
        output.say(f"  {name} {one['total']:,} = {made}")
    for drift in found["drifts"]:
        examples = ", ".join(drift["examples"])
        more = ", ..." if drift["count"] > len(drift["examples"]) else ""
        output.say(f"  ! {drift['what']}: {drift['count']:,} ({examples}{more})")
        output.say(f"    {drift['remedy']}")
    for line in found["repaired"]:
        output.say(f"  repaired: {line}")
    if repair and found["drifts"] and not found["repaired"]:
        output.say("  Nothing here is surely ours to repair.")


def _table(streams: Sequence[Mapping[str, Any]]) -> None:
    """Print the streams: source = stored but for what is named behind it, stored = the four states."""
    rows = [("", *COLUMNS, "")]
    for one in streams:
        if not any(one[name] for name in (*COLUMNS, "note", "unread", "ours")):
            continue
        rules = [f"{count:,} {rule}" for rule, count in sorted(one["rules"].items())]
        words = (("merged", "merged"), ("archived", "archived by us"), ("ours", "ours, to be read back"))
        notes = [f"{one[name]:,} {word}" for name, word in words if one[name]]
        notes += [f"{len(one[word]):,} {word}" for word in ("unread", "vanished") if one[word]]
        notes += [f"skipped: {', '.join(rules)}"] if rules else []
        notes += [one["note"]] if one["note"] else []
        numbers = ["-" if one[name] is None else f"{one[name]:,}" for name in COLUMNS]
        rows.append((one["name"], *numbers, "; ".join(notes)))
    if len(rows) == 1:
        return
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS) + 1)]
    for name, *numbers, note in rows:
        cells = [f"{text:>{width}}" for text, width in zip(numbers, widths[1:], strict=True)]
        output.say(f"  {name:<{widths[0]}}  {'  '.join(cells)}  {note}".rstrip())
