"""What a refused write is about: the field that the CRM's words name, the mapping line behind it, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.model import Write
from bridge.sync.runtime import Connection

_QUOTED = re.compile(r"""["'`“‘]([^"'`”’\n]{1,80})["'`”’]""")
_NAME = re.compile(r"[A-Za-z][\w.-]*")


def field_named(connection: Connection, write: Write, message: str) -> str:
    """
    Return the vendor field that a refusal speaks of, an empty text where it names none.

    A field that was sent comes first, then one that the mapping knows, then the first name in quotes: that is
    how vendors speak of a field they miss.
    """
    quoted = [name for name in _QUOTED.findall(message) if _NAME.fullmatch(name)]
    words = {*quoted, *_NAME.findall(message)}
    sent = sorted(words & write.fields.keys())
    known = sorted(words & _lines(connection, write.stream).keys())
    return next(iter([*(name for name in sent if name in quoted), *known, *quoted, *sent]), "")


def field_taken(connection: Connection, write: Write, message: str) -> str:
    """
    Return the field whose value another contact has, as a refusal says; an empty text where it cannot be told.

    It is named, or its value is, or it is the only one with an address.
    """
    named = field_named(connection, write, message)
    if named in write.fields:
        return named
    values = {name: str(value) for name, value in write.fields.items() if "@" in str(value)}
    told = [name for name, value in values.items() if value.casefold() in message.casefold()] or list(values)
    return told[0] if len(told) == 1 else ""


def place_of(connection: Connection, stream: str, field: str) -> str:
    """Return the mapping line (file:line) that fills a field, or beside which it would stand."""
    lines = _lines(connection, stream)
    line = lines.get(field) or min(lines.values(), default=0)
    return f"{connection.mapping.file}:{line}" if line else ""


def hint_of(connection: Connection, write: Write, field: str) -> str:
    """Return what a person can do about a refusal."""
    place = place_of(connection, write.stream, field)
    title = connection.spec.title
    if not field:
        return f"Mend the cause in {title} or in the mapping."
    if field in write.fields:
        return f"Correct what is written into {field} at {place}, or the rule in {title}."
    return f"Fill {field} in {title}, or map it at {place}."


def _lines(connection: Connection, stream: str) -> dict[str, int]:
    """Return the mapping lines that fill the fields of a stream."""
    return dict(_fields(connection, stream))


def _fields(connection: Connection, stream: str) -> Iterator[tuple[str, int]]:
    contact, entries = connection.mapping.push_contact, connection.mapping.push_interaction
    if contact is not None and stream == connection.spec.contact_stream:
        yield from ((name, owned.place.line) for name, owned in contact.owned.items())
    elif entries is not None:
        yield from ((name, line) for (to, name), line in entries.lines.items() if to == stream)
