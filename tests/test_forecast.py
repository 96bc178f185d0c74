"""Forecast: what was used of a day's calls, what is left, until when what waits, and no number that nobody told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.budgets.book import Ask, Told, span_of
from bridge.cli.forecast import forecast_lines
from bridge.config import load_config
from bridge.engine.opening import learn_account, open_runtime
from bridge.store.budgets import StoreBook
from bridge.store.database import micros
from bridge.store.looks import touch
from bridge.store.tables import receipt
from bridge.store.writer import Priority
from bridge.sync.runtime import Runtime
from bridge.sync.views.status import overview
from bridge.testing.context import Clock
from bridge.web.metrics import Metrics
from bridge_hubspot import SPEC
from bridge_hubspot.sandbox import HubSpotSandbox
from tests.sync_world import World

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = next(budget for budget in SPEC.budgets if budget.name == "daily")


class Account:
    """One CRM of a store, and a clock that the test moves."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self.runtime = runtime
        self.clock = clock
        self.crm = runtime.connections["crm"]
        assert self.crm.account is not None and self.crm.account_pk is not None
        self.zone = self.crm.account.time_zone
        self.pk = self.crm.account_pk

    def use(self, calls: int, *, others: int | None = None, blocked: int = 0) -> None:
        at = int(self.clock().timestamp())
        told = Told(allowed=250_000, others=others, at=at) if others is not None else None
        StoreBook(self.runtime.writer).lease(
            self.crm.account_key,
            "daily",
            Ask(
                span=span_of(DAY, self.zone, at),
                want=calls,
                limit=10**9,
                told=told,
                blocked_until=at + blocked if blocked else 0,
            ),
        )

    def write(self, person: str) -> None:
        values: dict[str, Any] = {
            column.name: b"{}" if column.name in ("fields", "before", "links", "entity_ids") else "x"
            for column in receipt.columns
            if not column.nullable and column.name != "pk"
        }
        values |= {"account_pk": self.pk, "run": 1, "person_id": person, "at": micros(self.clock())}
        self.runtime.writer.run(
            lambda c: c.execute(receipt.insert().values(**values)), priority=Priority.LIVE
        )

    def queue(self, people: int) -> None:
        names = [f"p{number}" for number in range(people)]
        self.runtime.writer.run(lambda c: touch(c, self.pk, names, 1), priority=Priority.LIVE)

    def shown(self) -> dict[str, Any]:
        (found,) = overview(self.runtime)["connections"]
        json.dumps(found)
        assert isinstance(found, dict)
        return found

    def daily(self) -> dict[str, Any]:
        (one,) = self.shown()["budgets"]
        assert isinstance(one, dict)
        return one

    def lines(self) -> list[str]:
        return list(forecast_lines(self.shown(), UTC))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    clock = Clock(NOON)
    with HubSpotSandbox(portal="123456", token="token") as hub:
        (tmp_path / "config.yaml").write_text(
            f'connections: {{crm: {{connector: hubspot, settings: {{base_url: "{hub.url}", token: "${{file:token}}"}},'
            " push: {timeline: true}}}\n"
        )
        (tmp_path / "token").write_text("token")
        with open_runtime(load_config(tmp_path / "config.yaml"), lock_as="test", clock=clock) as runtime:
            assert learn_account(runtime, runtime.connections["crm"]) is None
            yield Account(runtime, clock)


def test_the_calls_of_today_are_shown_of_what_the_vendor_allows(account: Account) -> None:
    account.use(90_000, others=12_500)
    found = account.daily()
    assert (found["used"], found["by_others"], found["limit"], found["ours"]) == (
        102_500,
        12_500,
        250_000,
        225_000,
    )
    assert found["waits"] == []
    ends = datetime.fromisoformat(found["begins_anew"]).astimezone(ZoneInfo(account.zone or "UTC"))
    assert (ends.hour, ends.minute) == (0, 0)
    assert account.lines()[0].startswith(
        "daily: 102,500 of 250,000 calls used (41 %), 12,500 of them by other apps; we stop at 225,000"
    )


def test_where_the_vendor_does_not_tell_of_other_apps_no_number_of_theirs_is_shown(account: Account) -> None:
    account.use(100)
    assert account.daily()["by_others"] is None
    assert "other apps" not in account.lines()[0]


def test_what_waits_and_until_when_is_told_when_the_day_is_spent(account: Account) -> None:
    account.use(225_000)
    found = account.daily()
    assert (found["waits"], found["waits_until"]) == (["news", "writes", "past"], found["begins_anew"])
    assert "! daily: no news, no writes, no reading of the past before" in account.lines()[1]


def test_the_past_waits_alone_while_the_last_fifth_is_kept_for_news(account: Account) -> None:
    account.use(180_000)
    found = account.daily()
    assert (found["waits"], found["waits_until"]) == (["past"], found["begins_anew"])


def test_a_vendor_s_no_is_shown_with_its_end(account: Account) -> None:
    account.use(1, blocked=600)
    found = account.daily()
    assert found["waits"] == ["news", "writes", "past"]
    assert datetime.fromisoformat(found["waits_until"]).timestamp() == NOON.timestamp() + 600


def test_what_others_used_up_is_looked_at_again_after_an_hour(account: Account) -> None:
    account.use(1, others=249_999)
    found = account.daily()
    assert datetime.fromisoformat(found["waits_until"]).timestamp() == NOON.timestamp() + 3600


def test_what_is_left_takes_as_long_as_the_last_hour_s_pace_says(account: Account) -> None:
    account.queue(600)
    for number in range(20):
        account.write(f"d{number}")
        account.use(500)
        account.clock.sleep(120)
    left = account.shown()["left"]
    assert left["people"] == 600
    assert left["estimate"]["hours"] == 30.0
    assert left["estimate"]["budgets"]["daily"] == {"calls": 300_000, "part": 1.2}
    assert account.lines()[-1] == (
        "at the last hour's pace at most 30 h for the people, 300,000 calls (120 % of daily)"
    )


def test_no_estimate_is_made_of_work_that_has_only_begun(account: Account) -> None:
    account.queue(600)
    for number in range(20):
        account.write(f"d{number}")
        account.use(500)
        account.clock.sleep(60)
    assert account.shown()["left"]["estimate"] is None
    assert account.daily()["last_hour"] is None
    assert "pace" not in "\n".join(account.lines())


def test_a_past_that_is_being_read_says_what_was_read_so_far_and_invents_no_total(account: Account) -> None:
    left = account.shown()["left"]
    assert {"stream": "contacts", "read": 0} in left["past"]
    assert {key for one in left["past"] for key in one} == {"stream", "read"}
    assert "the past of contacts (0 read so far)" in account.lines()[-1]


def test_where_nothing_may_be_written_nobody_is_left_to_look_at(account: Account) -> None:
    account.queue(600)
    assert any(line.startswith("left: 600 people to look at") for line in account.lines())
    account.crm.config = replace(account.crm.config, push=None)
    assert (account.shown()["push"], account.shown()["left"]["people"]) == (False, 0)
    assert "nothing is written to it: it has no `push` in the configuration" in account.lines()
    assert "people" not in "".join(account.lines())


def test_what_has_no_budget_of_a_day_shows_none(small: World) -> None:
    assert [one["budgets"] for one in overview(small.runtime)["connections"]] == [[], []]


def test_the_numbers_are_metrics_too(account: Account) -> None:
    account.use(180_000, others=45_000)
    account.queue(3)
    shown = Metrics(account.runtime, list).exposition().decode()
    for line in (
        'crmbridge_budget_used{budget="daily",connection="crm"} 225000.0',
        'crmbridge_budget_limit{budget="daily",connection="crm"} 250000.0',
        'crmbridge_budget_waits{budget="daily",connection="crm"} 1.0',
        'crmbridge_people_queued{connection="crm"} 3.0',
    ):
        assert line in shown
