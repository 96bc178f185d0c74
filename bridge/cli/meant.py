"""Whom a command's words mean: one person, or records of one person; else it says whom they could mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from bridge.cli import output
from bridge.store.people import StoredNode
from bridge.sync.identity.evidence import evidence_on
from bridge.sync.identity.reasons import Words
from bridge.sync.runtime import Runtime
from bridge.sync.views.history import LISTED, find_people, find_records


def person(runtime: Runtime, who: str, *, code: int, as_json: bool = False) -> str:
    """Return the id of the only person that a text means; else say so and end with `code`."""
    found = find_people(runtime, who)
    if len(found) != 1:
        if as_json:
            output.emit({"candidates": found})
        if not found:
            nobody(who, code)
        output.warn(f"{who!r} fits {len(found)} people; say which:")
        for one in found:
            output.warn(f"  {one['person_id']}  {one['name']}")
        output.stop(code)
    return found[0]["person_id"]


def records(runtime: Runtime, who: str, *, code: int, as_json: bool = False) -> list[StoredNode]:
    """Return the records that a text means, all of one person; else say so and end with `code`."""
    found = find_records(runtime, who)
    if len({stored.person_id for stored in found}) != 1:
        told = list(zip(found, labels(runtime, found), strict=True))[:LISTED]
        if as_json:
            output.emit({"candidates": [{"key": stored.key, "says": label} for stored, label in told]})
        if not found:
            nobody(who, code)
        output.warn(f"{who!r} fits {len(found)} records of several people; say which by its key:")
        for stored, label in told:
            output.warn(f"  {stored.key}  {label}")
        output.stop(code)
    return found


def nobody(who: str, code: int) -> NoReturn:
    """Say that nobody is meant, and end with `code`."""
    output.warn(f"{who!r}: nobody is known by that name, address, number or id.")
    output.stop(code)


def labels(runtime: Runtime, found: Sequence[StoredNode]) -> list[str]:
    """Return what records are, with their names."""
    with runtime.database.read() as c:
        words = Words(c, runtime, evidence_on(c, runtime.rules, ()))
        return [
            f"{stored.name} ({words.label_of(stored)})" if stored.name else words.label_of(stored)
            for stored in found
        ]
