"""What a test lends to a connector: a clock the test moves, capture rules, a session that never idles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from bridge.connector import Budget, Capture, Decision
from bridge.http import Budgets, MemoryTokens, Redactor, Session
from bridge.model import Detail

TIMEOUTS = (10.0, 60.0)


class Clock:
    """
    A clock that stands still until a test moves it; waiting moves it too and takes no real time.

    Calling it returns the present instant, aware, in UTC.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(UTC)
        self.elapsed = 0.0

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed)

    def seconds(self) -> float:
        """Return the seconds passed since the clock was made."""
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        """Move on by so many seconds."""
        self.elapsed += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowAll:
    """Capture rules that let everything through in full."""

    since: datetime | None = None

    def decide(self, *, at: datetime | None, addresses: Iterable[str], from_lead: bool = False) -> Decision:
        return Decision()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRules:
    """
    Capture rules for tests: what is before `since` or matches a pattern of `never` is skipped.

    `only_with` are patterns of which one must match, unless the message makes its sender a
    lead; empty asks for none. Patterns are as in a shell, `*@lawyer.example`.
    """

    since: datetime | None = None
    never: Sequence[str] = ()
    only_with: Sequence[str] = ()
    detail: Detail = "full"

    def decide(self, *, at: datetime | None, addresses: Iterable[str], from_lead: bool = False) -> Decision:
        """Decide as the configured rules of a connection would."""
        known = [address.lower() for address in addresses]
        if self.since is not None and at is not None and at < self.since:
            return Decision(rule="since")
        if _any_match(known, self.never):
            return Decision(rule="never")
        if self.only_with and not from_lead and not _any_match(known, self.only_with):
            return Decision(rule="only_with")
        return Decision(detail=self.detail)


@dataclass(slots=True, kw_only=True)
class TestContext:
    """A `Context` for tests; `clock` and `redactor` are for the test to use as well."""

    __test__ = False

    connection: str
    http: Session
    tokens: MemoryTokens
    capture: Capture
    clock: Clock
    redactor: Redactor
    region: str = "BR"
    own_domains: Sequence[str] = ("example.com",)

    def close(self) -> None:
        """Give back the session's sockets."""
        self.http.close()


def make_context(
    *,
    connection: str = "test",
    capture: Capture | None = None,
    clock: Clock | None = None,
    secrets: Iterable[str] = (),
    budgets: Sequence[Budget] = (),
    timeouts: tuple[float, float] = TIMEOUTS,
    region: str = "BR",
    own_domains: Sequence[str] = ("example.com",),
) -> TestContext:
    """
    Make a context for one connector under test.

    Waits (back-off, budgets) move `clock` and take no time; `timeouts` (connect, read) are real
    seconds. `secrets` are removed from the session's messages, as the engine does it.
    """
    clock = clock or Clock()
    redactor = Redactor(*secrets)
    return TestContext(
        connection=connection,
        http=Session(
            connection=connection,
            budgets=budgets,
            shared=Budgets(now=clock.seconds, sleep=clock.sleep, clock=lambda: clock().timestamp()),
            redactor=redactor,
            timeouts=timeouts,
            sleep=clock.sleep,
        ),
        tokens=MemoryTokens(redactor=redactor, now=clock.seconds),
        capture=capture or AllowAll(),
        clock=clock,
        redactor=redactor,
        region=region,
        own_domains=own_domains,
    )


def _any_match(addresses: Iterable[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(address, pattern.lower()) for address in addresses for pattern in patterns)
