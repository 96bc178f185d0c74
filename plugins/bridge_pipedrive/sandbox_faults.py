"""What can go wrong at Pipedrive, on demand: levers, faults aimed at single calls, budgets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bridge.testing.faults import Faults
from bridge_pipedrive.sandbox_answers import Answer, Refusal

_WINDOW = timedelta(seconds=2)
_BLOCKED = timedelta(seconds=60)
_BASE = 30_000
# pipedrive.readme.io, rate limiting, read 2026-11-22: multiplier, burst of an API token, burst of an OAuth app.
_PLANS = {"lite": (1, 20, 80), "growth": (2, 40, 160), "premium": (5, 100, 400), "ultimate": (7, 120, 480)}
_SEARCHES = 10
CLOUDFLARE = (
    "<!DOCTYPE html><html><head><title>Access denied | api.pipedrive.com used Cloudflare to restrict access"
    "</title></head><body><h1>Error 1015</h1><p>You are being rate limited</p><p>This error is produced by "
    "Cloudflare.</p></body></html>"
)


@dataclass(slots=True, kw_only=True)
class Levers(Faults):
    """
    Switches for everything that Pipedrive does to a client; as made, only `touches` is on.

    `index_lag`: seconds until search sees a change. `daily`: tokens a day; `burst`, `search_burst`:
    calls in two seconds; None for no limit, `subscribe` sets all three as a plan does. `patience`:
    refused calls in a row until an API token gets Cloudflare's page. `expired`: every call answers
    401. `missing_scopes`: what a bearer token lacks. `admin`: the token's user may change the
    settings. `pace`: real seconds every answer takes. `touches`: a new activity or note moves the
    update time of what it is on. `deleted_in_lists`: lists of version 2 show what was deleted.
    """

    index_lag: float = 0.0
    daily: int | None = None
    burst: int | None = None
    search_burst: int | None = None
    patience: int = 20
    expired: bool = False
    missing_scopes: set[str] = field(default_factory=set)
    admin: bool = True
    pace: float = 0.0
    touches: bool = True
    deleted_in_lists: bool = False

    def subscribe(self, plan: str, *, seats: int = 1, oauth: bool = False) -> None:
        """Limit calls as a plan does: lite, growth, premium or ultimate."""
        multiplier, by_key, by_app = _PLANS[plan]
        self.daily = _BASE * multiplier * seats
        self.burst = by_app if oauth else by_key
        self.search_burst = _SEARCHES


class Meter:
    """Counts what calls cost against the day's tokens and the rolling two seconds."""

    def __init__(self, levers: Levers, clock: Callable[[], datetime]) -> None:
        self._levers = levers
        self._clock = clock
        self._recent: deque[datetime] = deque()
        self._searches: deque[datetime] = deque()
        self._day = clock().astimezone(UTC).date()
        self._refused = 0
        self._blocked_until: datetime | None = None
        self.spent = 0
        self.writes = 0

    def refuse(self, cost: int, *, search: bool, by_key: bool) -> Answer | None:
        """Count a call, or return the 429 (or Cloudflare's 403) it gets; a refused call costs nothing."""
        now = self._clock()
        self._roll(now)
        if self._blocked_until is not None:
            if now < self._blocked_until:
                return Answer(status=403, body=CLOUDFLARE)
            self._blocked_until = None
        levers = self._levers
        window, burst = (self._searches, levers.search_burst) if search else (self._recent, levers.burst)
        daily = levers.daily is not None and self.spent + cost > levers.daily
        if daily or (burst is not None and len(window) >= burst):
            self._refused += 1
            if by_key and self._refused > levers.patience:
                self._blocked_until = now + _BLOCKED
                self._refused = 0
            message = "Daily API token budget exhausted" if daily else "request over limit"
            return Refusal(429, message).answer()
        self._refused = 0
        window.append(now)
        self.spent += cost
        return None

    def headers(self, *, search: bool, by_key: bool, write: bool) -> dict[str, str]:
        """Return the headers of the burst limit; nothing tells what is left of the day's tokens."""
        levers = self._levers
        window, allowed = (self._searches, levers.search_burst) if search else (self._recent, levers.burst)
        usual = _SEARCHES if search else _PLANS["growth"][1 if by_key else 2]
        most = usual if allowed is None else allowed
        oldest = window[0] if window else self._clock()
        found = {
            "x-ratelimit-limit": str(most),
            "x-ratelimit-remaining": str(max(0, most - len(window))),
            "x-ratelimit-reset": str(max(1, math.ceil((oldest + _WINDOW - self._clock()).total_seconds()))),
        }
        if write and by_key:
            self.writes += 1
            found["x-daily-requests-left"] = str(max(0, 10_000 - self.writes))
        return found

    def _roll(self, now: datetime) -> None:
        for window in (self._recent, self._searches):
            while window and now - window[0] >= _WINDOW:
                window.popleft()
        day = now.astimezone(UTC).date()
        if day != self._day:
            self._day, self.spent, self.writes = day, 0, 0
