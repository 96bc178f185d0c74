"""The command `crmbridge`: puts the groups together and turns errors into a line and an exit code."""

from __future__ import annotations

import io
import logging
import signal
import sys
from typing import Annotated

import typer

import bridge
from bridge.cli import (
    approve,
    decide,
    identity,
    look,
    mappings,
    output,
    reconcile,
    rejects,
    review,
    setup,
    undo,
    who,
    work,
)
from bridge.errors import BridgeError

app = typer.Typer(
    name="crmbridge",
    help="One journey per customer from every channel, written back into the CRM you already use.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        output.say(f"crmbridge {bridge.__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


setup.add_to(app)
work.add_to(app)
look.add_to(app)
who.add_to(app)
decide.add_to(app)
review.add_to(app)
identity.add_to(app)
approve.add_to(app)
reconcile.add_to(app)
rejects.add_to(app)
undo.add_to(app)
mappings.add_to(app)


class _Stopped(BaseException):
    """Ctrl-C; a class of our own, as the one of Python ends in the library that reads the command line."""


def _stop(*_: object) -> None:
    raise _Stopped


def main() -> None:
    """Run the command line; every error becomes a clear message and an exit code."""
    signal.signal(signal.SIGINT, _stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter gets ? for it
            stream.reconfigure(errors="replace")
    try:
        app()
    except BridgeError as error:
        output.warn(str(error))
        sys.exit(output.exit_code(error))
    except _Stopped:
        output.warn("Stopped. Run the same command again: it goes on where it was.")
        sys.exit(130)
    except Exception as error:  # ours by definition: whoever sees it must know what to do with it
        logging.getLogger("crmbridge").critical("a fault of crmbridge, please report it", exc_info=True)
        output.warn(f"{type(error).__name__}: {error}")
        output.warn("This is a fault of crmbridge; what was stored is safe. Report it with the lines above.")
        sys.exit(output.FAULT)
