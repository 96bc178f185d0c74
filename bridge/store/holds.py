"""What stays in a CRM as it is, by a person's decision, until somebody releases it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from bridge.store.among import among
from bridge.store.database import instant, micros, upsert
from bridge.store.tables import hold, meta

EDITED, DELETED, MOVED, UNDONE = "edited", "deleted", "moved", "undone"
ROUNDS = "back and forth"
TAKEN = "another contact has it"
"""
Why: a person in the CRM edited, deleted or moved what we wrote, a run was undone, another program changes it too,
the CRM refuses a value since another contact has it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One thing that is held: an entry's, link's or contact's key, or `<stream>/<id>/<field>`."""

    account_pk: int
    key: str
    reason: str
    since: datetime
    run: int | None

    @property
    def field(self) -> tuple[str, str, str] | None:
        """The field of a contact that is held, as stream, vendor id and name; None for a key."""
        stream, _, rest = self.key.partition("/")
        ext_id, _, name = rest.rpartition("/")
        return (stream, ext_id, name) if name else None


def field_key(stream: str, ext_id: str, field: str) -> str:
    """Return the key under which one field of a contact is held."""
    return f"{stream}/{ext_id}/{field}"


def add_holds(
    c: Connection, account_pk: int, keys: Iterable[str], reason: str, now: datetime, *, run: int | None = None
) -> None:
    """Hold these keys; what is held already keeps its reason, unless a person edited or moved what is deleted now."""
    found = list(keys)
    if reason == DELETED and found:
        same = (hold.c.account_pk == account_pk, among(hold.c.key, found))
        c.execute(delete(hold).where(*same, hold.c.reason.in_((EDITED, MOVED))))
    rows = [
        {"account_pk": account_pk, "key": key, "reason": reason, "since": micros(now), "run": run}
        for key in found
    ]
    upsert(c, hold, rows, conflict=["account_pk", "key"])


def hold_undone(c: Connection, account_pk: int, keys: Iterable[str], now: datetime, *, run: int) -> None:
    """Hold what a run has just taken back, whatever it was held for before."""
    found = list(keys)
    release(c, account_pk, found)
    add_holds(c, account_pk, found, UNDONE, now, run=run)


def all_holds(c: Connection) -> list[Hold]:
    """Return everything that is held, the latest last."""
    found = []
    for row in c.execute(select(hold).order_by(hold.c.since, hold.c.key)):
        since = instant(row.since)
        assert since is not None
        found.append(
            Hold(account_pk=row.account_pk, key=row.key, reason=row.reason, since=since, run=row.run)
        )
    return found


def any_undone(c: Connection, account_pk: int) -> bool:
    """Tell whether anything that was taken back is held in an account."""
    query = select(hold.c.key).where(hold.c.account_pk == account_pk, hold.c.reason == UNDONE).limit(1)
    return c.execute(query).first() is not None


def held(c: Connection, account_pk: int, keys: Iterable[str]) -> dict[str, str]:
    """Return why each of these keys is held; those that are not are left out."""
    query = select(hold.c.key, hold.c.reason).where(hold.c.account_pk == account_pk, among(hold.c.key, keys))
    return {row.key: row.reason for row in c.execute(query)}


def release(c: Connection, account_pk: int, keys: Iterable[str]) -> int:
    """Let go of these keys and return how many were held."""
    return c.execute(delete(hold).where(hold.c.account_pk == account_pk, among(hold.c.key, keys))).rowcount


def note_released(c: Connection, account_pk: int, keys: Iterable[str], now: datetime) -> None:
    """Remember that somebody let go of what went back and forth, or of what was undone: it counts from then on."""
    rows = [{"key": f"released:{account_pk}:{key}", "value": str(micros(now))} for key in keys]
    upsert(c, meta, rows, conflict=["key"], update=["value"])


def released_at(c: Connection, account_pk: int, key: str) -> datetime | None:
    """Return when somebody last let go of what went back and forth, or was undone, under a key."""
    found = c.execute(select(meta.c.value).where(meta.c.key == f"released:{account_pk}:{key}")).scalar()
    return instant(int(found)) if found else None
