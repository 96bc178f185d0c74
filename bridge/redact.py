"""Keeps secrets out of sight: knows every secret value and removes it from messages and log records."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from bridge.model import Json

MASK = "[secret]"
SHORTEST = 4


class Redactor(logging.Filter):
    """
    Removes known secret values from text; as a logging filter, from records.

    Add it to handlers, not to loggers: a logger's filter does not see its children's records.
    Values shorter than 4 characters are not removed, since they would shred ordinary words.
    """

    def __init__(self, *values: str) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(*values)

    def __repr__(self) -> str:
        return "Redactor()"

    def add(self, *values: str) -> None:
        """Remember secret values, each with the spellings it takes in URLs, JSON and Basic headers."""
        with self._lock:
            for value in values:
                if len(value) >= SHORTEST:
                    self._values.update(_spellings(value))
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def clean(self, text: str) -> str:
        """Return the text with every known secret replaced by `[secret]`."""
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record in place, its traceback and its extra fields too; never drops one."""
        try:
            record.msg = record.getMessage()
        except (TypeError, ValueError):  # wrong arguments: logging would print them, secrets included
            record.msg = f"{record.msg} (its arguments do not fit)"
        record.args = ()
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        for name, value in list(vars(record).items()):
            if isinstance(value, str):
                setattr(record, name, self.clean(value))
        return True


def secrets_in(schema: Mapping[str, Json], settings: Json) -> Iterator[str]:
    """Yield the values of `settings` that the JSON Schema marks `writeOnly`, at any depth."""
    if schema.get("writeOnly"):
        yield from _texts(settings)
    elif isinstance(settings, dict):
        properties = schema.get("properties", {})
        rest = schema.get("additionalProperties")
        for name, value in settings.items():
            below = properties.get(name, rest)
            if isinstance(below, dict):
                yield from secrets_in(below, value)
    elif isinstance(settings, list) and isinstance(schema.get("items"), dict):
        for value in settings:
            yield from secrets_in(schema["items"], value)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _spellings(value: str) -> set[str]:
    return {
        value,
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        repr(value)[1:-1],
        base64.b64encode(value.encode()).decode(),
    }
