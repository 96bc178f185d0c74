"""Call budgets per vendor account: who may call now, who must wait, and what is kept for news."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from bridge.budgets.book import Book, MemoryBook
from bridge.budgets.windows import LongWindow, ShortWindow
from bridge.connector import Budget
from bridge.errors import PluginError, RateLimited

PATIENCE = 30.0
LONG = 3600.0
BESIDE = 0.1
"""The part of a short budget for a process beside the one that writes; it comes out of the headroom."""

UNLIMITED = Budget(name="calls", calls=1_000_000_000, seconds=1.0)

_past: ContextVar[bool] = ContextVar("past", default=False)


@contextmanager
def reading_the_past(past: bool = True) -> Iterator[None]:
    """Mark this thread's calls as ones that news and writes overtake."""
    token = _past.set(past)
    try:
        yield
    finally:
        _past.reset(token)


class Budgets:
    """
    Shares the budgets of each account among all sessions, and the long ones with all who share the `book`.

    In no span of a budget is more than our share of it given. A call is charged one turn of the budget it
    names, or of the account's first one; budgets of an hour or more are charged the `cost` of every call of
    the account. Safe for use by many threads. `beside` says that another process writes to the store: then
    this one takes a small part of the short budgets. `clock` tells seconds since 1970.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        book: Book | None = None,
        beside: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._clock = clock
        self._book = book or MemoryBook()
        self._beside = beside
        self._patience = patience
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    def declare(
        self,
        account: str,
        budgets: Sequence[Budget],
        *,
        share: float = 1.0,
        zone: str | None = None,
        known: bool = True,
    ) -> None:
        """
        Make these budgets known for an account; one that is known already keeps its count.

        `share` is our part of each, `zone` the account's time zone. What is not a `known` account but a name
        for it is counted in memory.
        """
        book = self._book if known else MemoryBook()
        of = self._account(account)
        with of.lock:
            for budget in budgets:
                if budget.seconds >= LONG:
                    of.long.setdefault(budget.name, LongWindow(account, budget, share, zone, book))
                else:
                    part = min(share, BESIDE) if self._beside else share
                    of.short.setdefault(budget.name, ShortWindow(budget, part))
                of.names.setdefault(budget.name)

    def move(self, name: str, account: str) -> None:
        """Charge to an account what was counted under a name for it."""
        before, of = self._account(name), self._account(account)
        with before.lock, of.lock:
            for title in before.short.keys() & of.short.keys():
                of.short[title].take(self._now(), before.short[title].used)
            for title in before.long.keys() & of.long.keys():
                of.long[title].take(before.long[title].spent)
                before.long[title].spent = 0

    def acquire(self, account: str, name: str | None, *, cost: int = 1) -> None:
        """
        Wait for a turn and take it.

        Raises RateLimited at once when the wait would be longer than `patience` seconds, and
        PluginError when the account has no budget of this name.
        """
        of = self._account(account)
        past = _past.get()
        while (wait := self._try(of, account, name, cost, past)) > 0.0:
            try:
                self._sleep(wait)
            finally:
                if not past:
                    of.urgent(name, -1)

    def _try(self, of: _Account, account: str, name: str | None, cost: int, past: bool) -> float:
        """Take a turn and return 0, or return how long to wait; who has no time to lose is noted as waiting."""
        with of.lock:
            short, long = of.charged(name)
            now, at = self._now(), int(self._clock())
            waits = [(window.wait(now, past=past), window.budget) for window in short]
            if all(wait <= 0.0 for wait, _ in waits):
                waits = [(window.wait(at, cost, past=past), window.budget) for window in long]
            wait, budget = max(waits, key=lambda one: one[0], default=(0.0, UNLIMITED))
            if wait <= 0.0:
                for window in short:
                    window.take(now)
                for longer in long:
                    longer.take(cost)
                return 0.0
            if wait <= self._patience:
                if not past:
                    of.urgent(name, 1)
                return wait
        if any(longer.is_blocked(at) for longer in long):
            raise RateLimited(
                f"account {account} is refused by its vendor for now, as one of its processes was told;"
                f" it may be asked again in {wait:.0f} s",
                wait=wait,
                budget=budget.name,
            )
        kept = ", but for what is kept for news and writes," if past and budget.seconds >= LONG else ""
        raise RateLimited(
            f'our share of the budget "{budget.name}" of account {account}{kept} is used up; it may be asked again in'
            f" {wait:.0f} s",
            wait=wait,
            budget=budget.name,
        )

    def block(self, account: str, name: str | None, seconds: float) -> None:
        """
        Give no turn of this budget for so many seconds: the vendor said it is used up.

        A wait beyond the budget's own span can only mean a longer budget: then no call of the account starts.
        """
        of = self._account(account)
        with of.lock:
            short, long = of.charged(name)
            for window in short:
                window.blocked_until = max(window.blocked_until, self._now() + seconds)
            if not short or seconds > short[0].budget.seconds:
                for longer in long:
                    longer.block(int(self._clock()), seconds)

    def learn(self, account: str, name: str | None, headers: Mapping[str, str]) -> None:
        """Take in what the headers of an answer tell of the budgets of its call: other apps call too."""
        of = self._account(account)
        with of.lock:
            short, long = of.charged(name)
            for window in short:
                window.learn(self._now(), *_told(window.budget, headers))
            for longer in long:
                longer.learn(int(self._clock()), *_told(longer.budget, headers))

    def close(self) -> None:
        """Give back to the book what was leased and not used."""
        for of in list(self._accounts.values()):
            with of.lock:
                for window in of.long.values():
                    window.give_back(int(self._clock()))

    def _account(self, account: str) -> _Account:
        with self._lock:
            return self._accounts.setdefault(account, _Account())


class _Account:
    """The windows of one account; `names` keeps the order in which they were declared."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.names: dict[str, None] = {}
        self.short: dict[str, ShortWindow] = {}
        self.long: dict[str, LongWindow] = {}

    def charged(self, name: str | None) -> tuple[list[ShortWindow], list[LongWindow]]:
        """Return what a call is charged to: at most one short window, and every long one."""
        if name is None and not self.names:
            self.names["calls"] = None
            self.short["calls"] = ShortWindow(UNLIMITED, 1.0)
        named = next(iter(self.names)) if name is None else name
        if named not in self.names:
            known = ", ".join(self.names) or "none"
            raise PluginError(
                f'the budget "{name}" is not declared in the connector\'s spec; declared: {known}'
            )
        return [self.short[named]] if named in self.short else [], list(self.long.values())

    def urgent(self, name: str | None, change: int) -> None:
        """Note that somebody who goes before the past began or ended to wait for a short budget."""
        with self.lock:
            for window in self.charged(name)[0]:
                window.urgent += change


def _told(budget: Budget, headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return what a vendor says it allows, and what it says is left; None where it does not say."""
    limit, left = headers.get(budget.limit_header or "", ""), headers.get(budget.left_header or "", "")
    return int(limit) if limit.isdecimal() else None, int(left) if left.isdecimal() else None
