"""What transforms share: a value as text, a value in a message, and the error for a bad one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from bridge.model import Json

Function = Callable[[Json], Json]
"""From one value that is not None to another; None for "nothing". Raises BadValue, nothing else."""

Takes = Literal["one", "list", "any"]
"""What a function is given: each item of a list by itself, the list, or whatever there is."""

MAX_SHOWN = 60


class BadValue(ValueError):
    """The value cannot become what the mapping asks for; the message shows it, shortened."""


def shown(value: Json) -> str:
    """Write a value for a message, shortened."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**MAX_SHOWN:
        return f"a number of more than {MAX_SHOWN} digits"
    text = json.dumps(value[: MAX_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def as_text(value: Json) -> str:
    """Write text, a number or a truth value as text. Raises BadValue for objects and lists."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, int | float):
        try:
            return str(value)
        except ValueError as error:  # more digits than str() writes
            raise BadValue("a number of thousands of digits is no text") from error
    raise BadValue(f"{shown(value)} is no text")
