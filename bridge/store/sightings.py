"""Entries of ours that a CRM showed on other contacts than the books, to be looked at; and what was decided by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, delete, select

from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.tables import meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """When the vendor says that the entry was changed, microseconds UTC, and by whom, as far as it says."""

    at: int
    by: str | None = None


def add_sightings(c: Connection, account_pk: int, found: Mapping[str, Sighting]) -> None:
    """Note that entries, by key, were shown elsewhere; the last word counts."""
    rows = [
        {"key": _start(account_pk) + key, "value": orjson.dumps([one.at, one.by]).decode()}
        for key, one in found.items()
    ]
    upsert(c, meta, rows, conflict=["key"], update=["value"])


def sightings(c: Connection, account_pk: int) -> dict[str, Sighting]:
    """Return the entries that are to be looked at."""
    start = _start(account_pk)
    query = select(meta.c.key, meta.c.value).where(meta.c.key > start, meta.c.key < start + "~")
    found = {row.key.removeprefix(start): orjson.loads(row.value) for row in c.execute(query)}
    return {key: Sighting(at=at, by=by) for key, (at, by) in found.items()}


def forget_sightings(c: Connection, account_pk: int, keys: Iterable[str]) -> None:
    """Take entries that were looked at off the list."""
    names = [_start(account_pk) + key for key in keys]
    if names:
        c.execute(delete(meta).where(among(meta.c.key, names)))


def add_correction(c: Connection, account_pk: int, key: str, decision_ids: Iterable[str]) -> None:
    """Note which decisions were made by moving an entry."""
    rows = [{"key": f"moved:{id}", "value": f"{account_pk}:{key}"} for id in decision_ids]
    upsert(c, meta, rows, conflict=["key"])


def corrected_by(c: Connection, decision_id: str) -> tuple[int, str] | None:
    """Return account and key of the entry by whose move a decision was made; None for any other decision."""
    found = c.execute(select(meta.c.value).where(meta.c.key == f"moved:{decision_id}")).scalar()
    if found is None:
        return None
    account_pk, _, key = found.partition(":")
    return int(account_pk), key


def _start(account_pk: int) -> str:
    return f"seen:{account_pk}:"
