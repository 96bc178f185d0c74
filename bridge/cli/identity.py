"""The command that says what the rules of identity would change before they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from bridge.cli import output
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, opened
from bridge.sync.identity.rules_effect import SHOWN, rules_effect

_TITLES = (
    ("become_one", "would become one person", "would become one person each"),
    ("become_several", "person would become several", "people would become several each"),
    ("become_undecided", "person would be undecided", "people would be undecided"),
)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="The rules of who is who.", no_args_is_help=True)
    group.command(name="explain-config")(explain_config)
    app.add_typer(group, name="identity")


def explain_config(config: ConfigPath = DEFAULT, as_json: AsJson = False) -> None:
    """
    Show what the rules in the configuration would change.

    It changes nothing itself. What identity.block, caps, bridge_on_claims and default_region say is held against
    how people stand in the store.
    """
    with opened(config) as runtime:
        found = rules_effect(runtime)
    if as_json:
        output.emit(found)
        return
    for kind, one, many in _TITLES:
        _show(found[kind], kind, one, many)
    if not any(found[kind]["count"] for kind, *_ in _TITLES):
        output.say("The rules of identity in the configuration change nobody.")


def _show(found: Mapping[str, Any], kind: str, one: str, many: str) -> None:
    count = found["count"]
    if not count:
        return
    if kind == "become_one":
        output.say(f"{output.plural(count, 'group', 'groups')} of people {one if count == 1 else many}")
    else:
        output.say(output.plural(count, one, many))
    for change in found["first"]:
        output.say(f"  {' and '.join(before['name'] for before in change['before'])}")
        for after in change["after"] if kind == "become_several" else ():
            output.say(f"    {after['person_id']}: {', '.join(after['says'])}")
        for candidate in change["could_be"]:
            output.say(f"    could be {candidate['says']}")
        for said in change["says"]:
            output.say(f"    because of {said}")
    if count > SHOWN:
        output.say(f"  and {count - SHOWN:,} more")
