"""What can go wrong at HubSpot, on demand: levers, faults aimed at single calls, rate limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bridge import Json
from bridge_hubspot.sandbox_answers import Answer

# Only a 477 always says when to come back: in seconds, up to a day.
_MIGRATION = 3_600


@dataclass(slots=True, kw_only=True)
class Fault:
    """
    What happens to the `nth` call that matches, and to the next ones up to `times`.

    `status` is answered in place of the true answer, with `retry_after` and `body` (a text is
    HTML, else JSON; default: what HubSpot says); `drop` hangs up instead; with neither, the
    true answer is sent.
    `delay` real seconds pass first. `commits` says what becomes of the call itself: None, it
    is not carried out; 0, at once; N, after N seconds of the stand-in's clock.
    """

    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    status: int | None = None
    drop: bool = False
    delay: float = 0.0
    commits: float | None = None
    retry_after: int | None = None
    body: Json = None
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a call and say whether this fault is for it."""
        if (self.method and self.method != method) or self.path not in path:
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times

    @property
    def spent(self) -> bool:
        return self.seen >= self.nth + self.times - 1


@dataclass(slots=True, kw_only=True)
class Levers:
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
    faults: list[Fault] = field(default_factory=list)

    def fail(
        self,
        status: int,
        *,
        method: str = "",
        path: str = "",
        nth: int = 1,
        times: int = 1,
        commits: float | None = None,
        retry_after: int | None = None,
        body: Json = None,
    ) -> None:
        """Answer `status` to matching calls; `commits=0` stores first: "500 after storing"."""
        if status == 477 and retry_after is None:
            retry_after = _MIGRATION
        self.faults.append(
            Fault(
                method=method,
                path=path,
                nth=nth,
                times=times,
                status=status,
                commits=commits,
                retry_after=retry_after,
                body=body,
            )
        )

    def drop(
        self,
        *,
        method: str = "",
        path: str = "",
        nth: int = 1,
        times: int = 1,
        commits: float | None = None,
        delay: float = 0.0,
    ) -> None:
        """Hang up on matching calls after `delay` seconds; past the client's patience that is a time-out."""
        self.faults.append(
            Fault(method=method, path=path, nth=nth, times=times, drop=True, commits=commits, delay=delay)
        )

    def slow(self, delay: float, *, method: str = "", path: str = "", nth: int = 1, times: int = 1) -> None:
        """Carry out matching calls at once but answer `delay` seconds later."""
        self.faults.append(Fault(method=method, path=path, nth=nth, times=times, delay=delay, commits=0.0))

    def struck(self, method: str, path: str) -> Fault | None:
        """Count a call against every fault, and return the first that is for it."""
        hits = [fault for fault in self.faults if fault.strikes(method, path)]
        self.faults = [fault for fault in self.faults if not fault.spent]
        return hits[0] if hits else None


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
