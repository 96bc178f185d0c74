"""How commands speak: text for people, one JSON object for programs, an exit code for both."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import orjson
import typer

from bridge.errors import AuthError, BridgeError, ConfigError, RateLimited, StoreError, Unavailable
from bridge.redact import Redactor

OK = 0
PARTIAL = 1
USAGE = 2
CONFIG = 3
STORE = 4
AUTH = 5
UNAVAILABLE = 6
"""Exit codes: all done; done in part (rejects, held writes, tests that fail); and why nothing was done."""


def say(text: str = "") -> None:
    """Print a line for people."""
    typer.echo(text)


def warn(text: str) -> None:
    """Print a line on standard error."""
    typer.echo(text, err=True)


def emit(value: Any) -> None:
    """Print one JSON value."""
    typer.echo(
        orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=_plain).decode()
    )


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def exit_code(error: BridgeError) -> int:
    """Return the exit code that tells a program what kind of error stopped a command."""
    kinds: tuple[tuple[type[BridgeError], int], ...] = (
        (ConfigError, CONFIG),
        (StoreError, STORE),
        (AuthError, AUTH),
        (RateLimited, UNAVAILABLE),
        (Unavailable, UNAVAILABLE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), PARTIAL)


def stop(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise typer.Exit(code)


def local_time(text: str | None, zone: Any) -> str:
    """Return an instant as `Fri 09:12`, or with its date when it is more than six days old."""
    if not text:
        return "never"
    at = datetime.fromisoformat(text).astimezone(zone)
    days = (datetime.now(zone) - at).days
    return at.strftime("%a %H:%M") if 0 <= days < 6 else at.strftime("%Y-%m-%d %H:%M")


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return `1 entry` or `2 entries`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def start_logging(redactor: Redactor, *, verbose: bool = False) -> None:
    """Send log lines to standard error, every secret removed."""
    sink = logging.StreamHandler(sys.stderr)
    sink.addFilter(redactor)
    sink.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [sink]
    root.setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextmanager
def progress(enabled: bool) -> Iterator[Callable[[str, int], None]]:
    """Lend a function that shows how far a step is, on a terminal's standard error only."""
    if not enabled or not sys.stderr.isatty():
        yield lambda step, count: None
        return
    totals: dict[str, int] = {}

    def show(step: str, count: int) -> None:
        totals[step] = totals.get(step, 0) + count
        sys.stderr.write(f"\r\x1b[2K{step}: {totals[step]:,}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
