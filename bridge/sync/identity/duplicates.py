"""Which of two contacts of a CRM to keep when somebody merges them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.store import entities
from bridge.store.people import StoredNode
from bridge.store.tables import participation
from bridge.sync.runtime import DEALS, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """The contact to keep, and why."""

    contact_id: str
    because: str

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"contact_id": self.contact_id, "because": self.because}


def survivor(c: Transaction, runtime: Runtime, one: StoredNode, other: StoredNode) -> Survivor | None:
    """
    Return which of two contacts of a CRM to keep: with an open deal, else the one people used last, else the older.

    None where nothing tells, or their CRM is no more in the configuration.
    """
    connection = None if one.contact_of is None else runtime.of_account(one.contact_of)
    if connection is None or connection.account_pk is None:
        return None
    refs = {f"{connection.spec.contact_stream}/{stored.contact_id}": stored for stored in (one, other)}
    deals = entities.referring(c, connection.account_pk, refs, DEALS)
    open_ones = [
        refs[ref] for ref, found in deals.items() if any(deal.get("status") == "open" for deal in found)
    ]
    if len(open_ones) == 1:
        return Survivor(contact_id=str(open_ones[0].contact_id), because="it has an open deal")
    query = select(participation.c.node_key, func.max(participation.c.occurred_at))
    query = query.where(participation.c.node_key.in_([one.key, other.key]))
    last = {row[0]: row[1] for row in c.execute(query.group_by(participation.c.node_key))}
    used = sorted((one, other), key=lambda stored: (last.get(stored.key) or 0, stored.key))
    if last.get(used[0].key) != last.get(used[1].key):
        return Survivor(contact_id=str(used[1].contact_id), because="somebody worked with it last")
    dated = [stored for stored in (one, other) if stored.since is not None]
    if len(dated) == 2 and one.since != other.since:
        older = min(dated, key=lambda stored: stored.since or 0)
        return Survivor(contact_id=str(older.contact_id), because="it is the older one")
    return None
