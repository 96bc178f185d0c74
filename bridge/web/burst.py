"""How busy the receiver is, and how much of the time the steps behind it leave to it."""

from __future__ import annotations

import time
from collections.abc import Callable

BUSY = 500.0
"""Bodies a second from which the receiver goes first."""

SHARE = 5
"""In a burst the steps behind take one part in so many of the time."""

LONGEST_REST = 1.0
"""Seconds; a stop, and what was stored meanwhile, wait no longer for a batch."""


class Burst:
    """Counts the bodies that come in; `rest` is asked by one thread, between its batches."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count = 0
        self._asked = (0, clock(), 0.0)

    def came(self) -> None:
        """Count one body."""
        self._count += 1

    def rest(self) -> float:
        """
        Return how many seconds to leave the processor to the receiver before the next batch.

        Zero below `BUSY` bodies a second since it was asked last; else in proportion to how long the batch since then
        took, so that a burst is stored at once and read a little later.
        """
        count, asked, rested = self._asked
        now = self._clock()
        span = now - asked
        busy = span > 0 and (self._count - count) / span >= BUSY
        rest = min(LONGEST_REST, (SHARE - 1) * max(0.0, span - rested)) if busy else 0.0
        self._asked = (self._count, now, rest)
        return rest
