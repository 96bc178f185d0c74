"""What can go wrong at HubSpot, on demand: levers, faults aimed at single calls, rate limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bridge.testing.faults import Faults
from bridge_hubspot.sandbox_answers import Answer

MIGRATION = 3_600
"""Seconds after which to come back, which only a 477 always says; up to a day."""


@dataclass(slots=True, kw_only=True)
class Levers(Faults):
    """
    Switches for everything that HubSpot does to a client; as made, none is on.

    `index_lag`: seconds until search sees a change. `ten_secondly`, `daily`, `search_secondly`:
    calls allowed, None for no limit. `expired`: every call answers 401. `missing_scopes`: what
    the token lacks. `required`: object type -> properties an admin requires on every write.
    `preserve_primary_id`: a merge keeps the primary record's id. `unique_on_engagements`:
    engagement types accept hasUniqueValue. `ignore_inline_links`: a create drops its
    associations without a word. `whole_upserts`: one bad row fails a whole upsert.
    `association_page`: links per record on one page.
    """

    index_lag: float = 0.0
    ten_secondly: int | None = None
    daily: int | None = None
    search_secondly: int | None = None
    expired: bool = False
    missing_scopes: set[str] = field(default_factory=set)
    required: dict[str, list[str]] = field(default_factory=dict)
    preserve_primary_id: bool = False
    unique_on_engagements: bool = False
    ignore_inline_links: bool = False
    whole_upserts: bool = False
    association_page: int = 500


class Meter:
    """Counts calls against the rolling limits, and makes the headers and refusals that tell of them."""

    def __init__(self, levers: Levers, clock: Callable[[], datetime], time_zone: str) -> None:
        self._levers = levers
        self._clock = clock
        self._zone = ZoneInfo(time_zone)
        self._recent: deque[datetime] = deque()
        self._searches: deque[datetime] = deque()
        self._day = clock().astimezone(self._zone).date()
        self.today = 0

    def refuse(self, *, search: bool) -> Answer | None:
        """Count a call, or return the 429 it gets; a refused call counts for nothing."""
        now = self._clock()
        self._roll(now)
        levers = self._levers
        if levers.daily is not None and self.today >= levers.daily:
            return self._refusal("DAILY", "You have reached your daily limit.", search)
        # Searches have a limit of their own and spend nothing of the burst.
        if search:
            if levers.search_secondly is not None and len(self._searches) >= levers.search_secondly:
                return self._refusal("SECONDLY", "You have reached your secondly limit.", search)
            self._searches.append(now)
        else:
            if levers.ten_secondly is not None and len(self._recent) >= levers.ten_secondly:
                message = "You have reached your ten_secondly_rolling limit."
                return self._refusal("TEN_SECONDLY_ROLLING", message, search)
            self._recent.append(now)
        self.today += 1
        return None

    def headers(self, *, search: bool) -> dict[str, str]:
        """Return the rate-limit headers of an answer; search answers carry none."""
        if search:
            return {}
        burst = self.burst
        return {
            "X-HubSpot-RateLimit-Max": str(burst),
            "X-HubSpot-RateLimit-Remaining": str(max(0, burst - len(self._recent))),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Daily": str(self.limit),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, self.limit - self.today)),
        }

    @property
    def burst(self) -> int:
        return 190 if self._levers.ten_secondly is None else self._levers.ten_secondly

    @property
    def limit(self) -> int:
        return 625_000 if self._levers.daily is None else self._levers.daily

    def resets_at(self) -> datetime:
        """Return the next midnight of the account's time zone."""
        tomorrow = self._clock().astimezone(self._zone) + timedelta(days=1)
        return tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)

    def _roll(self, now: datetime) -> None:
        while self._recent and now - self._recent[0] >= timedelta(seconds=10):
            self._recent.popleft()
        while self._searches and now - self._searches[0] >= timedelta(seconds=1):
            self._searches.popleft()
        day = now.astimezone(self._zone).date()
        if day != self._day:
            self._day, self.today = day, 0

    def _refusal(self, policy: str, message: str, search: bool) -> Answer:
        """Return a 429 as it was seen by many clients: errorType and policyName, but no category."""
        body = {
            "status": "error",
            "message": message,
            "errorType": "RATE_LIMIT",
            "correlationId": "00000000-0000-4000-8000-000000000429",
            "policyName": policy,
            "requestId": "00000000-0000-4000-8000-000000000430",
        }
        return Answer(status=429, body=body, headers=self.headers(search=search))
