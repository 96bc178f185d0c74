"""How commands speak: text for people, one JSON object for programs, an exit code for both."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import orjson
import typer

from bridge.errors import AuthError, BridgeError, ConfigError, RateLimited, StoreError, Unavailable
from bridge.journey.text_format import in_zone
from bridge.redact import Redactor

OK = 0
PARTIAL = 1
USAGE = 2
CONFIG = 3
STORE = 4
AUTH = 5
UNAVAILABLE = 6
FAULT = 7
"""
Exit codes. 0: all done. 1: done in part (rejects, held writes, tests that fail, nobody found). Nothing was done
because of 2: wrong usage, 3: the configuration or a mapping, 4: the store, 5: a refused key, 6: a vendor that cannot be
reached, 7: a fault of crmbridge itself.
"""

_CONTROLS = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " "),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
}
"""
What a terminal obeys, or what turns the rest of a line around: no customer may write such into their name. Marks
that only belong to a script (U+200E, U+200F) stay.
"""


class _Screen:
    """Which secrets must not be printed by the command that runs now."""

    redactor = Redactor()


def say(text: str = "") -> None:
    """Print one line for people; what customers wrote cannot begin another or move the cursor."""
    typer.echo(_printable(text))


def warn(text: str) -> None:
    """Print lines on standard error, in the same way."""
    for line in text.splitlines() or [""]:
        typer.echo(_printable(line), err=True)


def emit(value: Any) -> None:
    """Print one JSON value, its instants as `2026-11-18T17:02:00Z`; the control characters in it are escaped."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    text = orjson.dumps(value, option=options, default=_plain).decode()
    text = re.sub("[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)
    typer.echo(_Screen.redactor.clean(text))


class _LogFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record without what a terminal would obey."""
        return "\n".join(line.translate(_CONTROLS) for line in super().format(record).split("\n"))


def _printable(text: str) -> str:
    return _Screen.redactor.clean(text).translate(_CONTROLS)


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
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


def agreed(question: str) -> bool:
    """Ask on the terminal; where nobody is there, say what to add and end."""
    if not sys.stdin.isatty():
        warn("Nobody is there to ask: add --yes to do it, or --dry-run to look.")
        stop(USAGE)
    return typer.confirm(question)


def local_time(text: str | None, zone: Any) -> str:
    """Return an instant as `Fri 09:12`, or with its date when it is more than six days old."""
    if not text:
        return "never"
    at = in_zone(text, zone)
    days = (datetime.now(zone) - at).days
    return at.strftime("%a %H:%M") if 0 <= days < 6 else at.strftime("%Y-%m-%d %H:%M")


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return `1 entry` or `2 entries`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def start_logging(redactor: Redactor, *, verbose: bool = False) -> None:
    """Send log lines to standard error; from here on every secret is removed from them and from what is printed."""
    _Screen.redactor = redactor
    sink = logging.StreamHandler(sys.stderr)
    sink.addFilter(redactor)
    sink.setFormatter(_LogFormat("%(asctime)s %(levelname)s %(message)s"))
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
