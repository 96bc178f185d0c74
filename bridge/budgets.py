"""Call budgets per vendor account: who may call now, and who must wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from bridge.connector import Budget
from bridge.errors import PluginError, RateLimited

PATIENCE = 30.0
LONG = 3600.0
SLOTS = 50


class Budgets:
    """
    Shares the budgets of each account among all sessions of this process.

    In no span of `Budget.seconds` are more than `Budget.calls` turns given. A call is charged to
    the budget it names, or to the account's first one; a budget that spans an hour or more counts
    every call of the account. Safe for use by many threads.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._patience = patience
        self._lock = threading.Lock()
        self._accounts: dict[str, dict[str, _Window]] = {}

    def declare(self, account: str, budgets: Sequence[Budget]) -> None:
        """Make these budgets known for an account; one that is known already keeps its count."""
        with self._lock:
            windows = self._accounts.setdefault(account, {})
            for budget in budgets:
                windows.setdefault(budget.name, _Window(budget))

    def acquire(self, account: str, name: str | None) -> None:
        """
        Wait for a turn and take it.

        Raises RateLimited at once when the wait would be longer than `patience` seconds, and
        PluginError when the account has no budget of this name.
        """
        while True:
            with self._lock:
                windows = self._charged(account, name)
                now = self._now()
                waits = [(window.wait(now), window.budget.name) for window in windows]
                wait, short = max(waits, default=(0.0, ""))
                if wait <= 0.0:
                    for window in windows:
                        window.take(now)
                    return
            if wait > self._patience:
                raise RateLimited(
                    f'the budget "{short}" of account {account} is used up for {wait:.0f} s',
                    wait=wait,
                    budget=short,
                )
            self._sleep(wait)

    def block(self, account: str, name: str | None, seconds: float) -> None:
        """Give no turn of this budget for so many seconds: the vendor said it is used up."""
        with self._lock:
            for window in self._charged(account, name)[:1]:
                window.blocked_until = max(window.blocked_until, self._now() + seconds)

    def _charged(self, account: str, name: str | None) -> list[_Window]:
        windows = self._accounts.setdefault(account, {})
        if name is None:
            named = list(windows.values())[:1] or [windows.setdefault("calls", _Window(UNLIMITED))]
        elif name in windows:
            named = [windows[name]]
        else:
            known = ", ".join(windows) or "none"
            raise PluginError(
                f'the budget "{name}" is not declared in the connector\'s spec; declared: {known}'
            )
        return named + [w for w in windows.values() if w.budget.seconds >= LONG and w not in named]


class _Window:
    """Turns given lately, counted in slots of a fiftieth of the span; rounds up, never down."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.blocked_until = float("-inf")
        self._slot = budget.seconds / SLOTS
        self._slots: deque[tuple[float, int]] = deque()
        self._used = 0

    def wait(self, now: float) -> float:
        while self._slots and self._end(self._slots[0][0]) <= now:
            self._used -= self._slots.popleft()[1]
        full = self._end(self._slots[0][0]) - now if self._used >= self.budget.calls else 0.0
        return max(full, self.blocked_until - now)

    def take(self, now: float) -> None:
        self._used += 1
        if self._slots and now < self._slots[-1][0] + self._slot:
            start, count = self._slots.pop()
            self._slots.append((start, count + 1))
        else:
            self._slots.append((now, 1))

    def _end(self, start: float) -> float:
        return start + self._slot + self.budget.seconds


UNLIMITED = Budget(name="calls", calls=1_000_000_000, seconds=1.0)
