"""What stays in a CRM as it is, by a person's decision, until somebody releases it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, select

from bridge.store.among import among
from bridge.store.database import micros, upsert
from bridge.store.tables import hold

EDITED, DELETED, MOVED, UNDONE = "edited", "deleted", "moved", "undone"
"""Why: a person in the CRM edited, deleted or moved what we wrote, or a run was undone."""


def field_key(stream: str, ext_id: str, field: str) -> str:
    """Return the key under which one field of a contact is held."""
    return f"{stream}/{ext_id}/{field}"


def add_holds(
    c: Connection, account_pk: int, keys: Iterable[str], reason: str, now: datetime, *, run: int | None = None
) -> None:
    """Hold these keys; what is held already keeps its reason."""
    rows = [
        {"account_pk": account_pk, "key": key, "reason": reason, "since": micros(now), "run": run}
        for key in keys
    ]
    upsert(c, hold, rows, conflict=["account_pk", "key"])


def held(c: Connection, account_pk: int, keys: Iterable[str]) -> dict[str, str]:
    """Return why each of these keys is held; those that are not are left out."""
    query = select(hold.c.key, hold.c.reason).where(hold.c.account_pk == account_pk, among(hold.c.key, keys))
    return {row.key: row.reason for row in c.execute(query)}


def release(c: Connection, account_pk: int, keys: Iterable[str]) -> int:
    """Let go of these keys and return how many were held."""
    return c.execute(delete(hold).where(hold.c.account_pk == account_pk, among(hold.c.key, keys))).rowcount
