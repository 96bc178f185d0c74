"""Budgets: no more turns than the vendor gives, in any span, for all threads together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge import Budget, RateLimited
from bridge.budgets import Budgets


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_no_more_turns_than_the_budget_has_in_any_span(time: Time) -> None:
    shared = Budgets(now=time, sleep=time.sleep)
    shared.declare("a", [Budget(name="burst", calls=7, seconds=2.0)])
    turns = []
    for _ in range(60):
        shared.acquire("a", "burst")
        turns.append(time.now)
        time.now += 0.07
    for start in turns:
        assert sum(start <= turn < start + 2.0 for turn in turns) <= 7
    assert turns[-1] - turns[0] < 60 / 7 * 2.0 * 1.1


def test_a_daily_budget_counts_every_call_and_is_not_sat_out(time: Time) -> None:
    shared = Budgets(now=time, sleep=time.sleep)
    budgets = [Budget(name="burst", calls=9, seconds=1), Budget(name="daily", calls=2, seconds=86400)]
    shared.declare("a", budgets)
    shared.acquire("a", "burst")
    shared.acquire("a", None)
    with pytest.raises(RateLimited, match='the budget "daily" of account a is used up') as caught:
        shared.acquire("a", "burst")
    assert caught.value.wait == pytest.approx(86400, rel=0.03)
    assert time.slept == []


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
