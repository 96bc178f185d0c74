"""The folder's own words: which fields each stream has, and which field holds which link."""

from __future__ import annotations

from collections.abc import Mapping

from bridge import Field

FIELDS: Mapping[str, tuple[Field, ...]] = {
    "owners": (
        Field(name="id", writable=False),
        Field(name="name"),
        Field(name="email"),
        Field(name="modified", type="instant", writable=False),
    ),
    "contacts": (
        Field(name="id", writable=False),
        Field(name="name"),
        Field(name="email"),
        Field(name="phone"),
        Field(name="owner", type="owners id"),
        Field(name="key", unique=True),
        Field(name="modified", type="instant", writable=False),
    ),
    "messages": (
        Field(name="id", writable=False),
        Field(name="from"),
        Field(name="to"),
        Field(name="text"),
        Field(name="at", type="instant"),
        Field(name="channel"),
        Field(name="thread"),
        Field(name="modified", type="instant", writable=False),
    ),
    "entries": (
        Field(name="id", writable=False),
        Field(name="key", unique=True),
        Field(name="text"),
        Field(name="at", type="instant"),
        Field(name="channel"),
        Field(name="contact", type="contacts id"),
        Field(name="modified", type="instant", writable=False),
    ),
    "tasks": (
        Field(name="id", writable=False),
        Field(name="key", unique=True),
        Field(name="subject"),
        Field(name="text"),
        Field(name="due"),
        Field(name="done", type="boolean"),
        Field(name="owner", type="owners id"),
        Field(name="contact", type="contacts id"),
        Field(name="changed_by", type="owners id", writable=False),
        Field(name="modified", type="instant", writable=False),
    ),
}

LINKS: Mapping[str, str] = {"contacts": "contact", "owners": "owner"}
"""The field that holds a link, by the stream it points to."""

SEVERAL = frozenset({"contact"})
"""Link fields that may hold a list of ids."""
