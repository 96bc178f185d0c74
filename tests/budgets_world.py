"""A day's budget and a process that calls within it, with nothing imported that it does not need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from bridge import Budget
from bridge.budgets import Budgets
from bridge.store.budgets import StoreBook
from bridge.store.database import Database
from bridge.store.writer import Writer

DAY = Budget(
    name="daily", calls=1000, seconds=86_400, midnight="UTC", limit_header="X-Limit", left_header="X-Left"
)
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()


@contextmanager
def process(url: str) -> Iterator[Budgets]:
    """Open a store as a process of its own does, and end without a goodbye, as a crash does."""
    database = Database(url)
    database.migrate()
    writer = Writer(database)
    try:
        budgets = Budgets(now=lambda: 0.0, clock=lambda: NOON, book=StoreBook(writer), patience=0.0)
        budgets.declare("hub:1", [DAY])
        yield budgets
    finally:
        writer.close()
        database.close()
