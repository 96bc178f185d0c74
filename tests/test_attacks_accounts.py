"""Accounts that are not what they were: one behind two connections, another behind the same name, a new one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.work import plan_all, sync_once
from bridge.config import parse_config
from bridge.engine.local import Daemon
from bridge.engine.opening import learn_account, open_runtime, recall_accounts
from bridge.errors import ConfigError
from bridge.sync.runtime import Runtime
from bridge.sync.views.status import overview
from tests.outside import until

PUSH = {"timeline": True, "create": {"whatsapp": "first_message"}}
Connections = Mapping[str, Mapping[str, Any] | None]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("the key of the folder")
    (tmp_path / "chat").mkdir()
    for number in range(3):
        thing = {"id": f"m{number}", "from": f"551197391486{number}", "text": f"message {number}"}
        thing |= {"channel": "whatsapp", "direction": "inbound", "thread": str(number)}
        with (tmp_path / "chat" / "messages.jsonl").open("a") as file:
            file.write(json.dumps(thing | {"at": "2026-11-18T17:02:00Z"}) + "\n")
    return tmp_path


@contextmanager
def opened(home: Path, connections: Mapping[str, tuple[str, Mapping[str, Any] | None]]) -> Iterator[Runtime]:
    """Open a company whose connections are named folders, some of which may be written to."""
    document: dict[str, Any] = {"store": "sqlite:///store.db", "connections": {}}
    for name, (folder, push) in {**connections, "chat": ("chat", None)}.items():
        block: dict[str, Any] = {"connector": "memory"}
        block["settings"] = {"directory": folder, "key": "${file:key}"}
        document["connections"][name] = block if push is None else {**block, "push": push}
    config = parse_config(json.dumps(document), file="config.yaml", folder=home)
    with open_runtime(config, lock_as="test") as runtime:
        recall_accounts(runtime)
        yield runtime


def entries(home: Path, folder: str) -> list[str]:
    file = home / folder / "entries.jsonl"
    return (
        [json.loads(line)["text"].splitlines()[1] for line in file.read_text().splitlines()]
        if file.exists()
        else []
    )


def test_one_account_behind_two_connections_is_written_to_once(home: Path) -> None:
    two = {"crm": ("crm", PUSH), "again": ("crm", PUSH)}
    for _ in range(2):
        with opened(home, two) as runtime:
            result = sync_once(runtime)
            [error] = result["errors"]
            assert "is the same account as" in error and "keep one of the two" in error
            assert sum(connection.account_pk is not None for connection in runtime.connections.values()) == 2
    assert len(entries(home, "crm")) == 3


def test_two_steps_that_learn_of_one_account_at_once_do_not_both_get_it(home: Path) -> None:
    with opened(home, {"crm": ("crm", PUSH), "again": ("crm", PUSH)}) as runtime:
        crm, again = runtime.connections["crm"], runtime.connections["again"]
        assert learn_account(runtime, again) is None
        assert isinstance(learn_account(runtime, crm), ConfigError)
        assert (crm.account_pk, crm.asked) == (None, False)
        told = {one["name"]: one["error"] for one in overview(runtime)["connections"]}
        assert "the same account as again" in told["crm"]


def test_nothing_is_written_before_the_account_behind_a_key_was_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(home, {"crm": ("old", None)}) as runtime:
        sync_once(runtime)
    with opened(home, {"crm": ("new", PUSH)}) as runtime:
        crm = runtime.connections["crm"]
        assert crm.account_pk is not None and not crm.asked
        delivered: list[str | None] = []

        def deliver(runtime: Runtime, connection: Any, **_: Any) -> Any:
            delivered.append(connection.account.name)
            raise ConfigError("that is all")

        monkeypatch.setattr("bridge.engine.cycle.deliver_all", deliver)
        daemon = Daemon(runtime)
        daemon.start()
        until(lambda: (daemon.wake("deliver"), delivered)[1])
        daemon.stop()
        assert delivered and set(delivered) == {str(home / "new")}


def test_a_crm_that_is_connected_later_gets_the_whole_history(home: Path) -> None:
    with opened(home, {"crm": ("old", PUSH)}) as runtime:
        assert sync_once(runtime)["written"] == {"contact": 3, "entry": 3}
    with opened(home, {"crm": ("new", PUSH)}) as runtime:
        assert sync_once(runtime)["written"] == {"contact": 3, "entry": 3}
        assert sync_once(runtime)["writes"] == 0
    assert sorted(entries(home, "new")) == sorted(entries(home, "old"))


def test_a_changed_rule_of_writing_counts_for_everybody(home: Path) -> None:
    with opened(home, {"crm": ("crm", {"timeline": True})}) as runtime:
        assert sync_once(runtime)["writes"] == 0
        assert sync_once(runtime)["writes"] == 0
    with opened(home, {"crm": ("crm", PUSH)}) as runtime:
        learn_account(runtime, runtime.connections["crm"])
        kinds = [action.kind for action in plan_all(runtime, runtime.connections["crm"])]
        assert kinds.count("create_contact") == kinds.count("entry") == 3
        assert sync_once(runtime)["written"] == {"contact": 3, "entry": 3}
