"""Commands on rejects: what could not be used or written, why, and trying it again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bridge.cli import output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, carry_out, opened, refuse_before
from bridge.cli.refusals import grouped, is_refusal, refusal
from bridge.store import rejects as store
from bridge.sync.intake.interpret import UNREADABLE

SHOWN = 5
"""Records of a group that are named."""


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="What could not be used or written, and why.", invoke_without_command=True)
    group.callback()(listing)
    group.command()(replay)
    app.add_typer(group, name="rejects")


def listing(context: typer.Context, config: ConfigPath = DEFAULT, as_json: AsJson = False) -> None:
    """List the open rejects, grouped by cause."""
    if context.invoked_subcommand is not None:
        refuse_before(context)
        return
    with opened(config) as runtime, runtime.database.read() as c:
        groups = grouped(c)
        told = {group: refusal(runtime, c, group, rows) for group, rows in groups.items() if is_refusal(rows)}
    if as_json:
        output.emit(
            [
                {"group": group, "count": len(rows), "says": " ".join(told.get(group, ())), "rejects": rows}
                for group, rows in groups.items()
            ]
        )
        return
    if not groups:
        output.say("No rejects.")
    for group, rows in groups.items():
        if group in told:
            said, *more = told[group]
            output.say(f"{group}  {said}")
            for line in more:
                output.say(f"  {line}")
        else:
            _show(group, rows)


def _show(group: str, rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    place = first["place"]
    where = f" at {place}" if place and place not in first["message"] else ""
    count = output.plural(len(rows), "reject")
    output.say(f"{group}  {count} in step {first['step']}, {first['connection']} {first['stream']}{where}")
    told = rows[:SHOWN] if first["code"] == UNREADABLE else [first]
    for row in told:
        output.say(f"  {row['message']}")
    if first["hint"]:
        output.say(f"  {first['hint']}")
    shown = ", ".join(row["ext_id"] for row in rows[:SHOWN])
    output.say(f"  Records: {shown}{', ...' if len(rows) > SHOWN else ''}")
    if first["code"] != UNREADABLE:  # what was read of it stays as it is
        output.say(f"  Once mended: crmbridge rejects replay {group}")


def replay(
    group: Annotated[
        str | None, typer.Argument(help="A group such as R1A2B3; all of them when left out.")
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Put rejects back in their queues. They are tried again by the daemon at once, else by the next sync."""
    with opened(config) as runtime, runtime.database.read() as c:
        found = store.listed(c)
    groups = {row["group_key"] for row in found}
    if group is not None and group not in groups:
        shown = ", ".join(sorted(groups)) or "none"
        output.warn(f"{group}: there is no such group of rejects. Open groups: {shown}.")
        output.stop(output.USAGE)
    touched = {row["connection"] for row in found if group in (None, row["group_key"])}
    result, by_daemon = carry_out(config, "replay", {"group": group}, connections=touched)
    rejects = output.plural(result["replayed"], "reject")
    if as_json:
        output.emit({**result, "by_daemon": by_daemon})
    elif by_daemon:
        output.say(f"The daemon tries {rejects} again now. What fails again is listed by: crmbridge rejects")
    else:
        output.say(f"{rejects} will be tried again by the next: crmbridge sync")
