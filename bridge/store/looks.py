"""People to look at again, for the journey itself and for each CRM: a queue that swallows repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, delete, select

from bridge.store.database import upsert
from bridge.store.tables import touched


def touch(c: Connection, target: int, person_ids: Iterable[str], seq: int) -> None:
    """Ask for another look at these people; `seq` tells this wish from an earlier one that is being carried out."""
    upsert(
        c,
        touched,
        [{"target": target, "person_id": person_id, "seq": seq} for person_id in sorted(person_ids)],
        conflict=["target", "person_id"],
        update=["seq"],
    )


def next_touched(c: Connection, target: int, limit: int) -> dict[str, int]:
    """Return up to `limit` people of a target's queue, longest waiting first, each with the wish's seq."""
    query = (
        select(touched.c.person_id, touched.c.seq)
        .where(touched.c.target == target)
        .order_by(touched.c.seq)
        .limit(limit)
    )
    return dict(c.execute(query).all())


def untouch(c: Connection, target: int, wishes: Mapping[str, int]) -> None:
    """Take wishes off a queue, exactly those that were read: a newer one for the same person stays."""
    if wishes:
        rows = [{"t": target, "p": person_id, "s": seq} for person_id, seq in wishes.items()]
        c.execute(_UNTOUCH, rows)


_UNTOUCH = delete(touched).where(
    touched.c.target == bindparam("t"), touched.c.person_id == bindparam("p"), touched.c.seq == bindparam("s")
)
