"""Text that both databases can hold: PostgreSQL takes no NUL, and keys only up to a length that its index bears."""

from __future__ import annotations

import hashlib
from typing import Any

LONGEST_KEY = 600
"""Bytes of one part of a key; three of them fit into an entry of PostgreSQL's index (2704 bytes)."""

_KEPT = 400
_SHORT = LONGEST_KEY // 4
NUL = b"\\u0000"
"""How JSON writes the character that PostgreSQL's text cannot hold."""


def key_text(text: str) -> str:
    """Return an id or key as it is stored: a long one as its beginning and a hash of it all; stable on its result."""
    if len(text) <= _SHORT and text.isascii() and "\0" not in text:
        return text
    raw = text.replace("\0", "\ufffd").encode("utf-8", "replace")
    if len(raw) <= LONGEST_KEY:
        return raw.decode()
    return f"{raw[:_KEPT].decode(errors='ignore')}~{hashlib.blake2b(raw, digest_size=16).hexdigest()}"


def without_nul(value: Any) -> Any:
    """Return a JSON value without the NULs in its texts."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(inner) for inner in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(inner) for name, inner in value.items()}
    return value
