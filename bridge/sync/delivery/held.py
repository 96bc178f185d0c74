"""What is held, as it is shown to people: whose it is, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.store import people
from bridge.store.among import among
from bridge.store.holds import ROUNDS, Hold
from bridge.store.tables import journey, ledger
from bridge.store.tables import receipt as history
from bridge.sync.delivery.rounds import trail
from bridge.sync.reversal.undo import first_line
from bridge.sync.runtime import Runtime


def told(c: Transaction, runtime: Runtime, found: Sequence[Hold]) -> list[dict[str, Any]]:
    """Return for each hold: key, connection, reason, run, since, person, name, title, trail; in the given order."""
    keys = {one.key for one in found}
    rows = {
        (row.account_pk, row.key): row for row in c.execute(select(ledger).where(among(ledger.c.key, keys)))
    }
    wrote: dict[tuple[int, str], str] = {}
    columns = (history.c.account_pk, history.c.key, history.c.entry, history.c.person_id)
    named = among(history.c.key, keys) | among(history.c.entry, keys)
    for who in c.execute(select(*columns).where(named)):
        wrote |= {(who.account_pk, one): who.person_id for one in (who.key, who.entry) if one in keys}
    shown = []
    for one in found:
        connection = runtime.of_account(one.account_pk)
        row = rows.get((one.account_pk, one.key))
        person: Any = row.person_id if row is not None else wrote.get((one.account_pk, one.key))
        title = "what was not written yet"
        if row is not None:
            line = first_line(orjson.loads(row.fields), one.key)
            title = f"{row.stream} {row.ext_id}" + (f", {line}" if line else "")
            title += ", found after a backup" if row.run == 0 else ""
        elif one.field is not None:
            stream, ext_id, name = one.field
            title = f"{name} of {stream} {ext_id}"
            if connection is not None:
                node = connection.node_key(stream, ext_id) if connection.account is not None else ""
                person = people.persons_at(c, [node]).get(node)
        elif person is not None:
            title = "what an entry took in"
        person = people.current_person(c, person) if person else None
        called = (
            c.execute(select(journey.c.name).where(journey.c.person_id == person)).scalar()
            if person
            else None
        )
        shown.append(
            {
                "key": one.key,
                "connection": connection.name if connection is not None else "a connection that is gone",
                "reason": one.reason,
                "run": one.run,
                "since": one.since,
                "person": person,
                "name": called or "",
                "title": title,
                "trail": trail(c, runtime, one) if one.reason == ROUNDS else [],
            }
        )
    return shown
