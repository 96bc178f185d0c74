"""What one process may call now: short budgets counted in memory, long ones by leases out of the book."""

from __future__ import annotations

import sys
from collections import deque

from bridge.budgets.book import TOLD_HOLDS, Ask, Book, Row, Span, Told, span_of
from bridge.connector import Budget

SLOTS = 50
LONGEST_WAIT = 3600
"""Seconds after which a spent budget is looked at again: our share of it, or the plan, may be larger by then."""

CHUNK = 100
"""The largest lease, and what a crash can lose; a hundredth of what a busy account calls in a quarter of an hour."""

KEPT_FOR_NEWS = 0.2
"""The part of our share of a long budget that reading the past leaves to news and writes."""


class ShortWindow:
    """Turns given lately, counted in slots of a fiftieth of the span; rounds up, never down."""

    def __init__(self, budget: Budget, share: float) -> None:
        self.budget = budget
        self.blocked_until = float("-inf")
        self.urgent = 0
        """How many wait for a turn that reading the past must not take."""
        self.used = 0
        self._share = share
        self._allowed = budget.calls
        self._slot = budget.seconds / SLOTS
        self._slots: deque[tuple[float, int]] = deque()

    def wait(self, now: float, *, past: bool) -> float:
        """Return the seconds until there is a turn, 0 when there is one now."""
        self._forget(now)
        full = 0.0
        if self.used >= max(1, int(self._allowed * self._share)):
            full = self._end(self._slots[0][0]) - now
        elif past and self.urgent:
            full = self._slot
        return max(full, self.blocked_until - now)

    def take(self, now: float, turns: int = 1) -> None:
        """Use up turns."""
        if turns <= 0:
            return
        self.used += turns
        if self._slots and now < self._slots[-1][0] + self._slot:
            start, count = self._slots.pop()
            self._slots.append((start, count + turns))
        else:
            self._slots.append((now, turns))

    def learn(self, now: float, allowed: int | None, left: int | None) -> None:
        """Count what others used, as the vendor tells what it allows and what is left."""
        self._allowed = allowed or self._allowed
        if left is not None:
            self._forget(now)
            self.take(now, self._allowed - left - self.used)

    def _forget(self, now: float) -> None:
        while self._slots and self._end(self._slots[0][0]) <= now:
            self.used -= self._slots.popleft()[1]

    def _end(self, start: float) -> float:
        return start + self._slot + self.budget.seconds


class LongWindow:
    """
    What one process may still call of a long budget: a lease out of the book, taken in chunks.

    What is leased counts as used, so that a crash loses at most one lease, and to the safe side.
    Instants are whole seconds since 1970.
    """

    def __init__(self, account: str, budget: Budget, share: float, zone: str | None, book: Book) -> None:
        self.budget = budget
        self.spent = 0
        self._account = account
        self._share = share
        self._zone = zone
        self._book = book
        self._row = Row()
        self._slot = -1
        self._rest = 0
        self._told: Told | None = None

    def wait(self, at: int, cost: int, *, past: bool) -> float:
        """Return 0 when `cost` may be taken now, else the seconds after which to ask again."""
        span = span_of(self.budget, self._zone, at)
        limit = our_limit(self.budget, self._share, self._told, at, since=span.since, past=past)
        if self._row.blocked_until <= at:
            used = span.used(self._row) - self._rest
            if self._slot == span.slot and self._rest >= cost and used + cost <= limit:
                return 0.0
            debt = max(0, -self._rest)
            chunk = max(cost, min(CHUNK, limit // 200))
            self._lease(span, Ask(span=span, need=cost + debt, want=chunk + debt, limit=limit))
        if self._row.blocked_until > at:
            return float(self._row.blocked_until - at)
        if self._rest >= cost:
            return 0.0
        return float(min(max(1, span.wait(self._row, at)), LONGEST_WAIT))

    def take(self, cost: int) -> None:
        """Use up what `wait` granted; what was used before the account was known becomes a debt."""
        self._rest -= cost
        self.spent += cost

    def is_blocked(self, at: int) -> bool:
        """Tell whether the vendor refused a call and its wait is not over."""
        return self._row.blocked_until > at

    def block(self, at: int, seconds: float) -> None:
        """Take nothing before so many seconds have passed, in no process."""
        span = span_of(self.budget, self._zone, at)
        self._lease(span, Ask(span=span, blocked_until=at + int(seconds)))

    def learn(self, at: int, allowed: int | None, left: int | None) -> None:
        """Count what others used, as the vendor tells what it allows everybody and what is left."""
        if left is None:
            return
        ours = span_of(self.budget, self._zone, at).used(self._row) - self._rest
        allowed = allowed or (self._told.allowed if self._told else self.budget.calls)
        self._told = Told(allowed=allowed, others=max(0, allowed - left - ours), at=at)

    def give_back(self, at: int) -> None:
        """Return what is leased and not used, and enter what is owed."""
        if self._rest:
            span = span_of(self.budget, self._zone, at)
            debt = max(0, -self._rest)
            self._lease(span, Ask(span=span, want=debt, limit=sys.maxsize))

    def _lease(self, span: Span, ask: Ask) -> None:
        """Give the old lease back and take a new one."""
        debt = min(0, self._rest)
        back = (self._slot, self._rest) if self._rest > 0 else None
        entered = Ask(
            span=ask.span,
            need=ask.need,
            want=ask.want,
            limit=ask.limit,
            back=back,
            told=self._told,
            blocked_until=ask.blocked_until,
        )
        self._row, granted = self._book.lease(self._account, self.budget.name, entered)
        self._rest, self._slot, self._told = granted + debt, span.slot, self._row.told


def our_limit(
    budget: Budget, share: float, told: Told | None, at: int, *, since: int, past: bool = False
) -> int:
    """
    Return how much all processes of this store may use: their share, less what others used as the vendor tells.

    The vendor's word holds for an hour, and not beyond the window, which began at `since`. Reading the past may use
    less, so that some is left for news and writes.
    """
    ours = int((told.allowed if told else budget.calls) * share)
    if past:
        ours -= int(ours * KEPT_FOR_NEWS)
    others = told.others if told and told.at >= max(since, at - TOLD_HOLDS + 1) else 0
    return max(0, ours - others)
