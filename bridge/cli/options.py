"""Options that several commands share, and opening what they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli import output
from bridge.config import Config, load_config
from bridge.engine import commands
from bridge.engine.cycle import PEOPLE
from bridge.engine.opening import open_runtime, recall_accounts
from bridge.errors import ConfigError, Problem, StoreError
from bridge.redact import Redactor
from bridge.sync.intake.project import project
from bridge.sync.runtime import Runtime

ConfigPath = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", envvar="CRMBRIDGE_CONFIG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to standard error.")]

DEFAULT = Path("config.yaml")

DIGITS = 19
"""No run has a number of that many digits."""


def run_number(text: str) -> int:
    """Read the number of a run from the command line."""
    if not (text.isascii() and text.isdecimal() and len(text) < DIGITS and int(text)):
        raise typer.BadParameter(f"{text!r} is no number of a run; those are listed by: crmbridge runs")
    return int(text)


def read_config(path: Path, *, secrets: bool = True) -> Config:
    """Load the configuration, as `load_config` does; a missing file names the command that writes one."""
    if not path.exists():
        raise ConfigError(
            [
                Problem(
                    path="",
                    file=str(path),
                    message="there is no such file.",
                    remedy="Write a starting one with: crmbridge init"
                    + (f" {path}" if path != DEFAULT else ""),
                )
            ]
        )
    config = load_config(path, secrets=secrets)
    for problem in config.left_out:
        output.warn(str(problem))
    return config


@contextmanager
def opened(
    path: Path, *, lock_as: str | None = None, verbose: bool = False, secrets: bool = False
) -> Iterator[Runtime]:
    """
    Open the runtime of a configuration; accounts are recalled from the store, nobody is asked.

    With `secrets` every connection's must be there, as where each is asked. Else what is not there is done without,
    and whoever asks a connection calls `need_secrets` first.
    """
    redactor = Redactor()
    output.start_logging(redactor, verbose=verbose)
    config = read_config(path, secrets=secrets)
    with open_runtime(config, lock_as=lock_as, redactor=redactor) as runtime:
        recall_accounts(runtime)
        yield runtime


def held_by_daemon(error: StoreError) -> bool:
    """Tell whether a store could not be had because a daemon works on it."""
    return "in use by crmbridge run" in str(error)


def carry_out(
    path: Path, name: str, arguments: dict[str, Any], *, connections: Iterable[str]
) -> tuple[dict[str, Any], bool]:
    """
    Carry out a command of the engine here, or let the daemon do it that holds the store.

    Here, the journeys that it touched are summarised at once, as the daemon does, so that a plan shows them. Returns
    its result and whether the daemon did it. A daemon that works with other mappings of these `connections` than
    the files hold now refuses it. Secrets that are not there are no hindrance: the caller made sure of those needed.
    """
    try:
        with opened(path, lock_as=f"crmbridge {name}") as runtime:
            result = commands.COMMANDS[name](runtime, arguments)
            while project(runtime, limit=PEOPLE):
                pass
            return result, False
    except StoreError as error:
        if not held_by_daemon(error):
            raise
    with opened(path) as runtime:
        known = runtime.connections
        digests = {one: known[one].mapping.digest for one in connections if one in known}
        return commands.hand_over(runtime, name, {**arguments, "mappings": digests}), True


def refuse_before(context: typer.Context) -> None:
    """Refuse options that stand before a command of a group, where they would do nothing."""
    given = [
        one.opts[0]
        for one in context.command.params
        if one.name is not None
        and (source := context.get_parameter_source(one.name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(
            f"write {' and '.join(given)} after {context.invoked_subcommand}, not before it"
        )
