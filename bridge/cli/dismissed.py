"""Commands on suggestions that were dismissed: listing them, and review reopen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli import output
from bridge.cli.decide import Author, DryRun, Reason, Yes, ask_for_answer, author_of, then
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, carry_out, opened
from bridge.cli.who import text
from bridge.errors import ConfigError
from bridge.sync.identity.dismissals import dismissals_json, to_take_back, told
from bridge.sync.identity.review import Kind


def show_dismissed(config: Path, kinds: Collection[Kind], *, limit: int, weak: bool, as_json: bool) -> None:
    """Print what was dismissed of these kinds, the newest first; with `weak` names are compared for it."""
    with opened(config) as runtime:
        found, more = dismissals_json(runtime, kinds, limit=limit, weak=weak)
    if as_json:
        output.emit({"dismissed": found, "more": more})
        return
    if not found:
        output.say("Nothing was dismissed.")
    for one in found:
        _show(one)
    if more:
        output.say(f"There are more: crmbridge review --dismissed --limit {limit * 5}")
    if any(one["state"] != "revoked" for one in found):
        output.say("To take one back: crmbridge review reopen KEY")


def _show(one: Mapping[str, Any]) -> None:
    output.say(f"{one['key']}  {one['title']}".rstrip())
    for line in one["says"]:
        output.say(f"  {line}")


def reopen(
    key: Annotated[str, typer.Argument(help="The suggestion; see: crmbridge review --dismissed")],
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    reason: Reason = None,
    author: Author = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Take back that a suggestion was dismissed.

    It is listed again, if its evidence still is there. Where a task that asked it in a CRM was deleted, or completed
    since it was dismissed, a new one asks it. Shows first what was dismissed, by whom and why.
    """
    ask_for_answer(as_json, dry_run, yes)
    by = author_of(author)
    with opened(config) as runtime, runtime.database.read() as c:
        try:
            found = told(c, runtime, to_take_back(c, text(key)))
        except ConfigError as error:
            output.warn(str(error))
            output.stop(output.USAGE)
    if not as_json:
        for one in found:
            _show(one)
    if dry_run:
        if as_json:
            output.emit({"reopened": None, "by_daemon": False})
        else:
            output.say("Nothing changed yet.")
        return
    if not yes and not output.agreed("Take this dismissal back?"):
        output.say("Nothing was changed.")
        output.stop(output.PARTIAL)
    arguments = {"key": found[0]["key"], "by": by, "reason": text(reason or "").strip()}
    result, by_daemon = carry_out(config, "reopen", arguments, connections=())
    if as_json:
        output.emit({**result, "by_daemon": by_daemon})
        return
    output.say(f"Taken back by {by}. {then(by_daemon)}")
