"""Long budgets in the store: shared by processes, kept over restarts and crashes, on both databases."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge import RateLimited
from bridge.budgets.book import Row, Told
from bridge.config import load_config
from bridge.engine.opening import learn_account, open_runtime, recall_accounts
from bridge.store.budgets import load_rows
from bridge.store.database import Database, Lock
from bridge_hubspot.sandbox import HubSpotSandbox
from tests.budgets_world import NOON, process


def row(url: str) -> Row:
    database = Database(url)
    with database.read() as c:
        found = load_rows(c)["hub:1", "daily"]
    database.close()
    return found


def test_processes_share_the_budget_of_a_day(store_url: str) -> None:
    with ExitStack() as stack:
        all_of_them = [stack.enter_context(process(store_url)) for _ in range(3)]
        given = 0
        for budgets in all_of_them * 150:
            for _ in range(3):
                try:
                    budgets.acquire("hub:1", "daily")
                except RateLimited:
                    continue
                given += 1
    assert given == 1000
    assert sum(row(store_url).slots.values()) == 1000


def test_a_count_survives_a_crash_and_a_lease_at_most_is_lost(store_url: str) -> None:
    with process(store_url) as first:
        for _ in range(101):
            first.acquire("hub:1", "daily")
    assert 101 <= sum(row(store_url).slots.values()) <= 101 + 5
    with process(store_url) as second:
        for _ in range(4):
            second.acquire("hub:1", "daily", cost=200)
        with pytest.raises(RateLimited):
            second.acquire("hub:1", "daily", cost=100)


def test_what_is_not_used_is_given_back_at_the_end(store_url: str) -> None:
    with process(store_url) as budgets:
        budgets.acquire("hub:1", "daily", cost=3)
        budgets.acquire("hub:1", "daily", cost=1)
        budgets.close()
    assert sum(row(store_url).slots.values()) == 4


def test_a_vendor_s_no_and_its_word_on_other_apps_are_kept(store_url: str) -> None:
    with process(store_url) as first:
        first.acquire("hub:1", "daily")
        first.learn("hub:1", "daily", {"X-Limit": "2000", "X-Left": "500"})
        first.block("hub:1", "daily", 600)
    told = Told(allowed=2000, others=1499, at=int(NOON))
    assert (row(store_url).told, row(store_url).blocked_until) == (told, NOON + 600)
    with process(store_url) as second, pytest.raises(RateLimited) as caught:
        second.acquire("hub:1", "daily")
    assert caught.value.wait == 600


def test_whether_somebody_writes_is_seen_without_keeping_them_from_it(store_url: str) -> None:
    database = Database(store_url)
    database.migrate()
    looks, holds = Lock(database), Lock(database)
    assert not looks.held()
    holds.acquire("crmbridge run")
    assert looks.held()
    holds.release()
    assert not looks.held()
    holds.acquire("crmbridge run")
    holds.release()
    database.close()


def test_a_command_beside_a_daemon_takes_little_of_the_burst_and_one_alone_all(tmp_path: Path) -> None:
    with HubSpotSandbox(portal="123456", token="token") as hub:
        (tmp_path / "config.yaml").write_text(
            f"connections: {{crm: {{connector: hubspot, budget: {{share: 0.8}},"
            f' settings: {{base_url: "{hub.url}", token: "${{file:token}}"}}}}}}\n'
        )
        (tmp_path / "token").write_text("token")
        config = load_config(tmp_path / "config.yaml")
        with open_runtime(config, lock_as="test") as daemon:
            assert learn_account(daemon, daemon.connections["crm"]) is None
            with open_runtime(config, lock_as=None) as beside:
                recall_accounts(beside)
                session = beside.connections["crm"].session
                assert session is not None
                assert session.account == "hubspot:123456"
                assert _bursts(session) == 10
        with open_runtime(config, lock_as=None) as alone:
            recall_accounts(alone)
            session = alone.connections["crm"].session
            assert session is not None
            assert _bursts(session) == 80


def _bursts(session: object) -> int:
    """Count the turns of a burst that one process is given at once."""
    budgets = session._shared  # type: ignore[attr-defined]
    budgets._patience = 0.0
    for number in range(1000):
        try:
            budgets.acquire("hubspot:123456", "burst")
        except RateLimited:
            return number
    return 1000


PROGRAM = """
import sys
from tests.budgets_world import process
from bridge import RateLimited
given = 0
with process(sys.argv[1]) as budgets:
    for _ in range(600):
        try:
            budgets.acquire("hub:1", "daily")
        except RateLimited:
            continue
        given += 1
print(given)
"""


def test_real_processes_that_call_at_the_same_time_share_a_day(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with process(url):
        pass
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    given = [int(one.communicate(timeout=120)[0]) for one in running]
    assert sum(given) == 1000
