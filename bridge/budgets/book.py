"""The book of long budgets: what was used when, what is leased to whom; pure, whoever keeps its rows."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.connector import Budget

SLOTS = 144
"""Parts of a long budget's span by which its use is kept, so that it rolls and shows its pace: ten minutes of a day."""

TOLD_HOLDS = 3600
"""Seconds for which the vendor's word on what others used holds; then one call asks anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the vendor said at `at`: what it allows everybody, and what others than this store used of it."""

    allowed: int
    others: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One budget of one account: use by the start of its slot, the vendor's word, and until when nothing may start."""

    slots: Mapping[int, int] = field(default_factory=dict)
    told: Told | None = None
    blocked_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    The window that counts at an instant: slots from `since` on, of which `slot` is the present one.

    `ends` is when all of it begins anew, None for a window that rolls; `length` is a slot's.
    """

    slot: int
    since: int
    ends: int | None
    length: int
    seconds: int

    def used(self, row: Row) -> int:
        """Return what is used of the window, leases included."""
        return sum(self.counted(row).values())

    def counted(self, row: Row) -> dict[int, int]:
        """Return the slots of the window; one far ahead was written by a clock that was set back since."""
        return {
            start: used
            for start, used in row.slots.items()
            if self.since <= start <= self.slot + self.seconds
        }

    def wait(self, row: Row, at: int) -> int:
        """Return the seconds until some of the window is free again."""
        if self.ends is not None:
            return self.ends - at
        oldest = min(self.counted(row), default=self.slot)
        return oldest + self.length + self.seconds - at


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    One entry in the book: `back` is (slot, unused) of an old lease, then `need` to `want` more, up to `limit` in all.

    `told` and `blocked_until` are noted beside it.
    """

    span: Span
    need: int = 0
    want: int = 0
    limit: int = 0
    back: tuple[int, int] | None = None
    told: Told | None = None
    blocked_until: int = 0


class Book(Protocol):
    """Where long budgets are counted for all who share it."""

    def lease(self, account: str, budget: str, ask: Ask) -> tuple[Row, int]:
        """Enter `ask`; return the row as it is now and how much was granted, 0 if less than needed is left."""


class MemoryBook:
    """The book of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], Row] = {}

    def lease(self, account: str, budget: str, ask: Ask) -> tuple[Row, int]:
        with self._lock:
            row, granted = enter(self._rows.get((account, budget), Row()), ask)
            self._rows[account, budget] = row
        return row, granted


def enter(row: Row, ask: Ask) -> tuple[Row, int]:
    """Return a row with `ask` entered, and how much was granted."""
    slots = ask.span.counted(row)
    if ask.back is not None and ask.back[0] in slots:
        slots[ask.back[0]] = max(0, slots[ask.back[0]] - ask.back[1])
    granted = min(ask.want, ask.limit - sum(slots.values()))
    granted = granted if granted >= max(ask.need, 1) else 0
    if granted:
        slots[ask.span.slot] = slots.get(ask.span.slot, 0) + granted
    told = max((one for one in (row.told, ask.told) if one), key=lambda one: one.at, default=None)
    found = replace(row, slots=slots, told=told, blocked_until=max(row.blocked_until, ask.blocked_until))
    return found, granted


def span_of(budget: Budget, zone: str | None, at: int) -> Span:
    """
    Return the window of a budget at an instant (seconds since 1970).

    `zone` is the account's, for a budget that begins anew at the account's own midnight; UTC where it is unknown.
    """
    seconds = int(budget.seconds)
    length = max(1, seconds // SLOTS)
    slot = at - at % length
    if budget.midnight is None:
        return Span(slot=slot, since=at - seconds - length + 1, ends=None, length=length, seconds=seconds)
    today = datetime.fromtimestamp(at, _zone(zone if budget.midnight == "account" else budget.midnight))
    midnight, next_one = (_midnight(today + timedelta(days=days)) for days in (0, 1))
    return Span(slot=max(slot, midnight), since=midnight, ends=next_one, length=length, seconds=seconds)


def _midnight(day: datetime) -> int:
    return int(datetime.combine(day.date(), time_of_day(), day.tzinfo).timestamp())


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
