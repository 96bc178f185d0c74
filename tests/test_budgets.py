"""Budgets: no more turns than our share, in any span, for all threads and processes together; news before the past."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import Budget, RateLimited
from bridge.budgets import Budgets, reading_the_past
from bridge.budgets.book import Ask, MemoryBook, Row, span_of

HEADERS = {"limit_header": "X-Limit", "left_header": "X-Left"}
DAY = Budget(name="daily", calls=1000, seconds=86_400, midnight="UTC", **HEADERS)
ROLLING = Budget(name="hourly", calls=50, seconds=3600)
BURST = Budget(name="burst", calls=10, seconds=10, **HEADERS)
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
NOTHING = Ask(span=span_of(DAY, None, int(NOON)))


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = NOON
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def process(time: Time, book: MemoryBook | None = None, **given: object) -> Budgets:
    """Return the budgets of one process; those that share a book share a store."""
    return Budgets(now=time, sleep=time.sleep, clock=time, book=book, **given)  # type: ignore[arg-type]


def turns(acquire: Callable[[], None], most: int = 5000) -> int:
    """Count the turns that are given until one is refused."""
    for number in range(most):
        try:
            acquire()
        except RateLimited:
            return number
    return most


def test_no_more_turns_than_the_budget_has_in_any_span(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [Budget(name="burst", calls=7, seconds=2.0)])
    given = []
    for _ in range(60):
        shared.acquire("a", "burst")
        given.append(time.now)
        time.now += 0.07
    for start in given:
        assert sum(start <= turn < start + 2.0 for turn in given) <= 7
    assert given[-1] - given[0] < 60 / 7 * 2.0 * 1.1


def test_threads_get_no_more_turns_than_the_budget_has() -> None:
    shared = Budgets(patience=0.0)
    shared.declare("a", [Budget(name="burst", calls=50, seconds=60)])

    def turn(_: int) -> bool:
        try:
            shared.acquire("a", "burst")
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(turn, range(200))) == 50


def test_a_daily_budget_counts_every_call_and_is_not_sat_out(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [BURST, Budget(name="daily", calls=2, seconds=86_400)])
    shared.acquire("a", "burst")
    shared.acquire("a", None)
    with pytest.raises(RateLimited, match='the budget "daily" of account a is used up') as caught:
        shared.acquire("a", "burst")
    assert (caught.value.budget, caught.value.wait) == ("daily", 3600)
    assert time.slept == []


def test_a_call_takes_its_cost_from_the_long_budgets_and_one_turn_of_the_short_one(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [BURST, DAY])
    for _ in range(5):
        shared.acquire("a", "burst", cost=190)
    assert time.slept == []
    with pytest.raises(RateLimited):
        shared.acquire("a", "burst", cost=51)
    shared.acquire("a", "burst", cost=50)


def test_a_budget_that_has_a_midnight_is_whole_again_then_and_not_before(time: Time) -> None:
    shared = process(time, patience=0.0)
    shared.declare("a", [DAY])
    assert turns(lambda: shared.acquire("a", "daily")) == 1000
    time.now = NOON + 12 * 3600 - 1
    with pytest.raises(RateLimited) as caught:
        shared.acquire("a", "daily")
    assert caught.value.wait == 1
    time.now += 1
    assert turns(lambda: shared.acquire("a", "daily")) == 1000


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-01", 24)])
def test_the_account_s_midnight_is_that_of_its_time_zone_also_when_the_clocks_change(
    day: str, hours: int
) -> None:
    budget = Budget(name="daily", calls=1, seconds=86_400, midnight="account")
    zone = ZoneInfo("America/New_York")
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zone)
    span = span_of(budget, zone.key, int(noon.timestamp()))
    assert span.ends is not None
    assert span.ends - span.since == hours * 3600
    assert datetime.fromtimestamp(span.since, zone).isoformat()[:16] == f"{day}T00:00"


def test_a_budget_without_midnight_rolls(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [ROLLING])
    given = []
    for _ in range(1000):
        if turns(lambda: shared.acquire("a", "hourly"), 1):
            given.append(time.now)
        time.now += 20
    for start in given:
        assert sum(start <= turn < start + 3600 for turn in given) <= 50
    assert len(given) > 250 * 0.9


def test_only_our_share_of_each_budget_is_taken(time: Time) -> None:
    shared = process(time, patience=0.0)
    shared.declare("a", [BURST], share=0.8)
    shared.declare("b", [DAY], share=0.8)
    assert turns(lambda: shared.acquire("a", "burst")) == 8
    assert turns(lambda: shared.acquire("b", "daily")) == 800


def test_calls_of_other_apps_count_as_the_vendor_tells_them(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [DAY], share=0.8)
    for _ in range(100):
        shared.acquire("a", "daily")
    shared.learn("a", "daily", {"X-Limit": "1000", "X-Left": "400"})
    assert turns(lambda: shared.acquire("a", "daily")) == 200


def test_a_larger_plan_is_used_once_the_vendor_tells_of_it(time: Time) -> None:
    shared = process(time, patience=0.0)
    shared.declare("a", [BURST], share=0.9)
    shared.acquire("a", "burst")
    shared.learn("a", "burst", {"X-Limit": "20", "X-Left": "19"})
    assert turns(lambda: shared.acquire("a", "burst")) == 17
    shared.learn("a", "burst", {"X-Limit": "twenty", "X-Left": "-1"})
    assert turns(lambda: shared.acquire("a", "burst")) == 0


def test_a_burst_that_others_used_up_is_waited_for(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [BURST])
    shared.acquire("a", "burst")
    shared.learn("a", "burst", {"X-Left": "0"})
    shared.acquire("a", "burst")
    assert sum(time.slept) == pytest.approx(10.2)


def test_what_others_used_holds_for_an_hour_then_one_call_asks_anew(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [DAY])
    shared.acquire("a", "daily")
    shared.learn("a", "daily", {"X-Left": "0"})
    with pytest.raises(RateLimited):
        shared.acquire("a", "daily")
    time.now += 3600
    shared.acquire("a", "daily")
    shared.learn("a", "daily", {"X-Left": "0"})
    assert turns(lambda: shared.acquire("a", "daily")) == 0


def test_reading_the_past_leaves_a_fifth_of_a_day_to_news_and_writes(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [DAY])

    def past() -> None:
        with reading_the_past():
            shared.acquire("a", "daily")

    assert turns(past) == 800
    with pytest.raises(RateLimited, match="kept for news and writes"):
        past()
    assert turns(lambda: shared.acquire("a", "daily")) == 200


def test_who_waits_for_a_burst_with_news_goes_before_the_past(time: Time) -> None:
    overtaken = []

    class StillWaits(Exception):
        """The past was told to wait."""

    def sleep(seconds: float) -> None:
        if inside:
            raise StillWaits
        time.sleep(seconds)
        inside.append(True)
        with reading_the_past(), pytest.raises(StillWaits):
            shared.acquire("a", "burst")
        inside.clear()
        overtaken.append(seconds)

    inside: list[bool] = []
    shared = Budgets(now=time, sleep=sleep, clock=time)
    shared.declare("a", [BURST])
    for _ in range(11):
        shared.acquire("a", "burst")
    assert overtaken == [pytest.approx(10.2)]
    with reading_the_past():
        shared.acquire("a", "burst")
    assert len(overtaken) == 1


def test_two_processes_together_get_no_more_of_a_day_than_one(time: Time) -> None:
    book = MemoryBook()
    one, two = process(time, book), process(time, book)
    for each in (one, two):
        each.declare("a", [DAY])
    given = sum(turns(lambda each=each: each.acquire("a", "daily"), 7) for each in (one, two) * 80)
    assert given == 1000


def test_a_restart_forgets_no_call_and_a_crash_counts_a_lease_at_most(time: Time) -> None:
    book = MemoryBook()
    first = process(time, book)
    first.declare("a", [Budget(name="daily", calls=100_000, seconds=86_400)])
    for _ in range(250):
        first.acquire("a", "daily")
    used = sum(book.lease("a", "daily", NOTHING)[0].slots.values())
    assert 250 <= used <= 250 + 100
    first.close()
    assert sum(book.lease("a", "daily", NOTHING)[0].slots.values()) == 250


def test_the_book_is_asked_once_for_many_calls(time: Time) -> None:
    class Counting(MemoryBook):
        leases = 0

        def lease(self, account: str, budget: str, ask: Ask) -> tuple[Row, int]:
            self.leases += 1
            return super().lease(account, budget, ask)

    book = Counting()
    shared = process(time, book)
    shared.declare("a", [Budget(name="daily", calls=250_000, seconds=86_400)])
    for _ in range(1000):
        shared.acquire("a", "daily")
    assert book.leases == 10


def test_what_was_called_before_the_account_was_known_is_charged_to_it(time: Time) -> None:
    book = MemoryBook()
    shared = process(time, book)
    shared.declare("crm", [BURST, DAY], known=False)
    for _ in range(3):
        shared.acquire("crm", "burst", cost=100)
    shared.declare("hub:1", [BURST, DAY])
    shared.move("crm", "hub:1")
    assert turns(lambda: shared.acquire("hub:1", "burst", cost=100)) == 7
    fresh = process(time, book)
    fresh.declare("hub:1", [BURST, DAY])
    assert turns(lambda: fresh.acquire("hub:1", "burst", cost=100)) == 0


def test_a_connection_that_only_asked_whose_account_it_is_leaves_its_calls_in_the_book(time: Time) -> None:
    book = MemoryBook()
    shared = process(time, book)
    shared.declare("crm", [DAY], known=False)
    shared.acquire("crm", "daily")
    shared.declare("hub:1", [DAY])
    shared.move("crm", "hub:1")
    shared.close()
    assert sum(book.lease("hub:1", "daily", NOTHING)[0].slots.values()) == 1


def test_a_process_beside_the_writing_one_takes_a_tenth_of_the_short_budgets_and_at_least_one(
    time: Time,
) -> None:
    beside = process(time, beside=True, patience=0.0)
    beside.declare(
        "a", [Budget(name="burst", calls=100, seconds=10), Budget(name="search", calls=5, seconds=1)]
    )
    assert turns(lambda: beside.acquire("a", "burst")) == 10
    assert turns(lambda: beside.acquire("a", "search")) == 1


def test_a_wait_beyond_the_burst_s_own_span_stops_every_call_of_the_account_in_every_process(
    time: Time,
) -> None:
    book = MemoryBook()
    one, two = process(time, book), process(time, book)
    for each in (one, two):
        each.declare("a", [BURST, Budget(name="search", calls=5, seconds=1), DAY])
    one.block("a", "burst", 3600)
    for each, name in ((one, "search"), (two, "burst")):
        with pytest.raises(RateLimited) as caught:
            each.acquire("a", name)
        assert caught.value.wait == 3600
    time.now += 3600
    one.acquire("a", "search")
    two.acquire("a", "burst")


def test_a_wait_within_the_burst_s_span_stops_only_that_budget(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [BURST, Budget(name="search", calls=5, seconds=1), DAY])
    shared.block("a", "burst", 10)
    shared.acquire("a", "search")
    assert time.slept == []
    shared.acquire("a", "burst")
    assert time.slept == [10]


def test_a_clock_that_was_far_ahead_and_was_set_back_does_not_use_up_the_day(time: Time) -> None:
    shared = process(time)
    shared.declare("a", [DAY])
    time.now += 365 * 86_400
    assert turns(lambda: shared.acquire("a", "daily")) == 1000
    time.now -= 365 * 86_400
    assert turns(lambda: shared.acquire("a", "daily")) == 1000


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(1, 30), st.sampled_from([0, 1, 100, 1800, 40_000]), st.booleans()
        ),
        max_size=80,
    ),
    st.booleans(),
)
def test_processes_that_call_crash_and_restart_never_get_more_than_the_budget(
    steps: list[tuple[int, int, int, bool]], rolls: bool
) -> None:
    time, book = Time(), MemoryBook()
    budget = Budget(name="day", calls=200, seconds=86_400, midnight=None if rolls else "UTC")

    def start() -> Budgets:
        made = process(time, book)
        made.declare("a", [budget])
        return made

    running = [start() for _ in range(3)]
    taken: list[tuple[float, int]] = []
    for number, cost, pause, crashes in steps:
        time.now += pause
        if crashes:
            running[number] = start()
        try:
            running[number].acquire("a", "day", cost=cost)
        except RateLimited:
            continue
        taken.append((time.now, cost))
    for at, _ in taken:
        since = at - 86_400 if rolls else span_of(budget, None, int(at)).since - 1
        assert sum(cost for when, cost in taken if since < when <= at) <= 200
