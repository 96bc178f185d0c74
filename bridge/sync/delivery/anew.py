"""When everybody is planned anew for a CRM: it is new, or the rules by which it is written to have changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.config import HoldAbove, Push
from bridge.store import looks
from bridge.store.database import upsert
from bridge.store.tables import journey, meta
from bridge.store.writer import Priority
from bridge.sync.delivery.wanted import lacking_fields
from bridge.sync.runtime import Connection, Runtime


def people_due(c: Transaction, connection: Connection) -> list[str]:
    """Return everybody whom the next delivery will plan, without changing anything."""
    assert connection.account_pk is not None
    if not is_everybody_due(c, connection):
        return list(looks.next_touched(c, connection.account_pk, 1_000_000))
    return list(c.execute(select(journey.c.person_id).order_by(journey.c.person_id)).scalars())


def is_everybody_due(c: Transaction, connection: Connection) -> bool:
    """Tell whether the next delivery plans everybody, as it is the first or the rules have changed."""
    return _carried_out(c, connection) != rules_of(connection)


def queue_everybody(runtime: Runtime, connection: Connection) -> None:
    """Queue everybody for a CRM unless its rules are those by which they were last queued; cheap where they are."""
    account_pk = connection.account_pk
    assert account_pk is not None
    rules = rules_of(connection)
    with runtime.database.read() as c:
        if _carried_out(c, connection) == rules:
            return

    def work(c: Transaction) -> None:
        people = c.execute(select(journey.c.person_id)).scalars()
        looks.touch(c, account_pk, people, runtime.sequence())
        upsert(c, meta, [{"key": _key(connection), "value": rules}], conflict=["key"], update=["value"])

    runtime.writer.run(work, priority=Priority.RESOLVE)


def rules_of(connection: Connection) -> str:
    """Return a digest of what decides what is written: mapping, `push`, and the fields that the CRM lacks."""
    lacking = connection.lacking if connection.lacking is not None else lacking_fields(connection)
    told = repr((connection.mapping.digest, connection.config.push, sorted(lacking)))
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def told_of(push: Push | None) -> str:
    """Return what `push` says of what is written; how much of it may go at once is no part of that."""
    return repr(None if push is None else replace(push, hold_above=HoldAbove()))


def _carried_out(c: Transaction, connection: Connection) -> str | None:
    return c.execute(select(meta.c.value).where(meta.c.key == _key(connection))).scalar()


def _key(connection: Connection) -> str:
    return f"rules:{connection.account_pk}"
