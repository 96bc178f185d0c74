"""Plugins that end the program or never end, vendors that ask for eternity, clocks that jump: the rest goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from bridge.engine.cycle import phases_due
from bridge.engine.local import Daemon
from bridge.errors import RateLimited, Unavailable
from bridge.http import Session
from bridge.model import Page
from bridge.refusals import LONGEST_WAIT
from bridge_memory import Memory
from tests.outside import until
from tests.sync_world import World

ANA = "5511973914862"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def test_a_pull_that_ends_the_program_ends_one_stream(world: World) -> None:
    def pull(memory: Memory, stream: str, *rest: Any) -> Iterator[Page]:
        if stream == "contacts":
            raise SystemExit(1)
        return Memory.pull(memory, stream, *rest)

    world.acts["chat"]["pull"] = pull
    world.message("m1", ANA)
    [error] = world.collect()
    assert "a fault of the connector memory: SystemExit" in error
    world.resolve()
    world.deliver()
    assert world.told() == {"m1": 1}


def test_a_pull_that_yields_nothing_for_ever_is_stopped(world: World) -> None:
    def pull(memory: Memory, stream: str, phase: Any, cursor: Any, fields: Any) -> Iterator[Page]:
        while stream == "owners":
            yield Page(records=[], cursor=cursor)
        yield from Memory.pull(memory, stream, phase, cursor, fields)

    world.acts["chat"]["pull"] = pull
    world.message("m1", ANA)
    [error] = world.collect()
    assert "empty pages without end at owners live" in error
    world.resolve()
    world.deliver()
    assert world.told() == {"m1": 1}


@pytest.mark.parametrize("step", ["find", "read", "check"])
def test_a_step_of_the_daemon_survives_a_plugin_that_ends_the_program(world: World, step: str) -> None:
    calls = []

    def end(*_: Any) -> Any:
        calls.append(step)
        raise SystemExit(1)

    def asked_again() -> bool:
        for name in ("collect:crm", "resolve", "deliver"):
            daemon.wake(name)
        return len(calls) > 1

    world.contact(name="", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.message("m2", "5521988123344", name="Bia")
    world.acts["crm"][step] = end
    daemon = Daemon(world.runtime)
    daemon.start()
    until(asked_again)
    assert daemon.alive() == []
    daemon.stop()


def test_a_clock_that_is_set_back_silences_no_stream(world: World) -> None:
    assert world.collect("chat") == []
    world.levers["chat"].error = Unavailable("away", wait=600.0)
    world.collect("chat")
    world.levers["chat"].error = None
    world.clock.sleep(-86_400.0)
    due = list(phases_due(world.runtime, world.chat, force=False))
    assert {stream for stream, _ in due} == {"owners", "contacts", "messages", "entries"}
    assert world.collect("chat") == []
    assert list(phases_due(world.runtime, world.chat, force=False)) == []


@pytest.mark.parametrize("error", [RateLimited("busy", wait=1e300), Unavailable("away", wait=float("inf"))])
def test_a_vendor_that_asks_for_eternity_is_asked_again(world: World, error: Any) -> None:
    world.levers["chat"].error = error
    assert all("busy" in said or "away" in said for said in world.collect("chat"))
    world.levers["chat"].error = None
    world.clock.sleep(LONGEST_WAIT + 1)
    assert len(list(phases_due(world.runtime, world.chat, force=False))) == 4


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "9" * 5000},
        {"X-RateLimit-Reset": "9" * 5000},
        {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
        {"Retry-After": "Mon, 01 Jan 99999 00:00:00 +999999"},
        {"Retry-After": "-5"},
    ],
)
def test_no_header_of_a_vendor_breaks_a_refusal(headers: dict[str, str]) -> None:
    session = Session(connection="crm")
    with responses.RequestsMock() as wire:
        wire.get("https://vendor.example/x", status=429, headers=headers)
        with pytest.raises(RateLimited) as caught:
            session.request("GET", "https://vendor.example/x")
    assert 0 <= caught.value.wait <= LONGEST_WAIT
    session.close()
