"""The command that releases a held mass change."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.cli import output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, carry_out, opened, run_number
from bridge.engine import commands


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(approve)


def approve(
    run: Annotated[int, typer.Argument(help="The number of the held run.", parser=run_number)],
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """
    Release a held mass change.

    Exactly what was counted is written, by the daemon at once, else by the next sync. What grows beyond it by
    more than the limit is held again.
    """
    with opened(config) as runtime:
        names = [connection.name for connection in runtime.destinations()]
        with runtime.database.read() as c:
            reason = commands.not_held(c, runtime, run)
    if reason:
        output.warn(reason)
        output.stop(output.USAGE)
    result, by_daemon = carry_out(config, "approve", {"run": run}, connections=names)
    if as_json:
        output.emit({**result, "by_daemon": by_daemon})
        return
    contacts = output.plural(result["contacts"], "contact")
    when = "the daemon writes it now" if by_daemon else "the next crmbridge sync writes it"
    output.say(f"Released run {run}: {contacts} of {result['connection']} will change; {when}.")
