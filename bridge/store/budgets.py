"""The book of long call budgets in the store: one row for each, shared by every process and kept over restarts."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, select

from bridge.budgets.book import Ask, Row, Told, enter
from bridge.store.database import insert_new, upsert
from bridge.store.tables import budget
from bridge.store.writer import Priority, Writer

_SECOND = 1_000_000
_VALUES = ("used", "allowed", "others", "told_at", "blocked_until")


class StoreBook:
    """
    The book of every process of a store.

    An entry is on the disk before what it grants is used, so that no crash forgets a call.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def lease(self, account: str, name: str, ask: Ask) -> tuple[Row, int]:
        """Enter `ask` in a transaction of its own. Raises StoreError when the store cannot be written."""

        def work(c: Connection) -> tuple[Row, int]:
            row, granted = enter(_locked(c, account, name), ask)
            upsert(c, budget, [_values(account, name, row)], conflict=["account", "name"], update=_VALUES)
            return row, granted

        return self._writer.run(work, priority=Priority.DELIVERY, durable=True)


def load_rows(c: Connection) -> dict[tuple[str, str], Row]:
    """Return what is counted, by account key and budget."""
    return {(found.account, found.name): _row(found) for found in c.execute(select(budget))}


def _locked(c: Connection, account: str, name: str) -> Row:
    """Return a row that no other process changes before this transaction ends."""
    insert_new(c, budget, [_values(account, name, Row())])
    query = select(budget).where(budget.c.account == account, budget.c.name == name).with_for_update()
    return _row(c.execute(query).one())


def _row(found: Any) -> Row:
    told = None
    if found.told_at is not None:
        told = Told(allowed=found.allowed, others=found.others, at=found.told_at // _SECOND)
    return Row(
        slots={int(start): used for start, used in orjson.loads(found.used).items()},
        told=told,
        blocked_until=(found.blocked_until or 0) // _SECOND,
    )


def _values(account: str, name: str, row: Row) -> dict[str, Any]:
    return {
        "account": account,
        "name": name,
        "used": orjson.dumps({str(start): used for start, used in row.slots.items()}),
        "allowed": row.told.allowed if row.told else None,
        "others": row.told.others if row.told else None,
        "told_at": row.told.at * _SECOND if row.told else None,
        "blocked_until": row.blocked_until * _SECOND or None,
    }
