"""How the steps behind a receiver give way in a burst."""

from __future__ import annotations

from bridge.web.burst import BUSY, LONGEST_REST, Burst


class Clock:
    """Time that passes where a test says so, with bodies that come in while it does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.burst = Burst(clock=lambda: self.now)

    def passes(self, seconds: float, *, rate: float) -> None:
        self.now += seconds
        for _ in range(int(rate * seconds)):
            self.burst.came()

    def share_of_work(self, batch: float, *, rate: float, turns: int = 10) -> float:
        worked = rested = 0.0
        for _ in range(turns):
            self.passes(batch, rate=rate)
            worked += batch
            rest = self.burst.rest()
            self.passes(rest, rate=rate)
            rested += rest
        return worked / (worked + rested)


def test_in_a_burst_the_steps_behind_take_a_fifth_of_the_time_however_long_their_batches() -> None:
    for batch in (0.01, 0.1, 0.2):
        assert round(Clock().share_of_work(batch, rate=4 * BUSY), 2) == 0.2


def test_in_quiet_times_they_do_not_rest() -> None:
    assert Clock().share_of_work(0.1, rate=BUSY / 2) == 1.0


def test_they_rest_no_longer_than_a_second_and_no_more_once_the_burst_is_over() -> None:
    clock = Clock()
    clock.passes(5, rate=2 * BUSY)
    assert clock.burst.rest() == LONGEST_REST
    clock.passes(5, rate=0)
    assert clock.burst.rest() == 0.0
