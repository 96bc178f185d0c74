"""
Who is named in bodies, as salted hashes: for finding everything about a person, and for keeping out who was erased.

Found are e-mail addresses, numbers in every usual spelling, and the ids of platforms that have a form of their
own, where they stand in the clear.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, select

from bridge.journey.handles import spellings
from bridge.store.database import Database, micros, upsert
from bridge.store.tables import mention, suppression

_EMAIL = re.compile(rb"(?<![\w.%+'\x80-\xff-])[\w.%+'\x80-\xff-]{1,64}@[\w\x80-\xff-]+(?:\.[\w\x80-\xff-]+)+")
_NUMBER = re.compile(rb"\+?\(?[0-9][0-9 ().\-]{5,22}[0-9]")
_DIGITS = re.compile(rb"[0-9]{7,40}")
_OPAQUE = re.compile(rb"\b[A-Z]{2}\.[A-Za-z0-9]{4,128}\b")
"""What WhatsApp calls a person without a number: a country and an id."""

_SHORTEST = 7
"""Digits below which a number is nobody's."""


class Traces:
    """Salted hashes of addresses, numbers and ids; the salt lies in the store, so hashes of two stores differ."""

    def __init__(self, database: Database) -> None:
        self._salt = database.value("salt").encode()

    def hash(self, text: str) -> bytes:
        """Return the salted hash of an address, an id, or the digits of a number."""
        return hashlib.blake2b(text.strip().lower().encode(), key=self._salt, digest_size=16).digest()

    def in_bytes(self, body: bytes) -> set[bytes]:
        """Return the hashes of everybody who is named in a body in the clear."""
        found = {match.decode(errors="replace") for match in _EMAIL.findall(body)}
        found |= {match.decode() for match in (*_DIGITS.findall(body), *_OPAQUE.findall(body))}
        numbers = (re.sub(rb"[^0-9]", b"", match).decode() for match in _NUMBER.findall(body))
        found |= {digits for digits in numbers if len(digits) >= _SHORTEST}
        return {self.hash(text) for text in found}

    def of_handles(self, values: Iterable[str]) -> set[bytes]:
        """Return the hashes under which handles may be mentioned: as they are, a number by all its spellings."""
        found = set()
        for value in values:
            found.add(self.hash(value))
            digits = re.sub(r"[^0-9]", "", value)
            if "@" not in value and not re.search(r"[A-Za-z]", value) and len(digits) >= _SHORTEST:
                forms = (digits, *spellings(f"+{digits}"))
                found |= {self.hash(re.sub(r"[^0-9]", "", form)) for form in forms}
        return found


def add_mentions(c: Connection, hashes: Iterable[bytes], kind: str, refs: Iterable[int]) -> None:
    """Index these people as named in some records or deliveries; `kind` says which."""
    rows = [{"handle_hash": found, "kind": kind, "ref": ref} for found in sorted(hashes) for ref in refs]
    upsert(c, mention, rows, conflict=["handle_hash", "kind", "ref"])


def suppress(c: Connection, traces: Traces, values: Iterable[str], now: datetime) -> None:
    """Keep a person out from now on: collect skips what names one of these handles."""
    rows = [{"handle_hash": found, "added_at": micros(now)} for found in sorted(traces.of_handles(values))]
    upsert(c, suppression, rows, conflict=["handle_hash"])


def suppressed(c: Connection) -> frozenset[bytes]:
    """Return the hashes of everybody who must not be collected."""
    return frozenset(c.execute(select(suppression.c.handle_hash)).scalars())
