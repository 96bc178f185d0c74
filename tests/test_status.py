"""Status: how every connection stands, in numbers that add up, and silence seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.report import finish_sync
from bridge.engine import commands
from bridge.engine.opening import learn_account
from bridge.errors import AuthError, Rejected, Unavailable
from bridge.model import Receipt
from bridge.sync.views.status import overview
from tests.sync_world import World

ANA, BIA = "5511973914862", "5511973914863"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path, capture={"never": [f"+{BIA}"]}) as made:
        yield made


def shown(world: World, name: str) -> dict[str, Any]:
    (found,) = [one for one in overview(world.runtime)["connections"] if one["name"] == name]
    return found


def body(number: int) -> bytes:
    thing = {"id": f"w{number}", "text": "Oi", "at": "2026-11-20T11:00:00Z", "from": ANA}
    return json.dumps({"events": [{"stream": "messages", "object": thing}]}).encode()


def test_every_stream_of_every_connection_adds_up(world: World) -> None:
    world.message("m1", ANA)
    world.message("m2", BIA)
    world.put("chat", "messages", **{"text": "m3", "from": BIA, "at": "2026-11-20T11:00:00Z"})
    world.message("m4", ANA, at="no time")
    world.webhook(body(1))
    world.settled()
    world.message("m5", ANA)
    world.collect()
    world.webhook(body(2))
    found = overview(world.runtime)
    assert datetime.fromisoformat(found["at"]) == world.clock()
    for connection in found["connections"]:
        for stream in connection["streams"]:
            states = (stream[state] for state in ("mapped", "skipped", "rejected", "waiting"))
            assert stream["read"] == sum(states), (connection["name"], stream["name"])
            assert sum(stream["rules"].values()) == stream["skipped"]
    (messages,) = [one for one in shown(world, "chat")["streams"] if one["name"] == "messages"]
    assert (messages["read"], messages["rules"], messages["rejected"]) == (6, {"private": 1}, 1)
    (webhook,) = [one for one in shown(world, "chat")["streams"] if one["name"] == "webhook"]
    assert (webhook["read"], webhook["waiting"]) == (1, 1)


def test_a_run_counts_what_it_read_and_says_by_arithmetic_how_it_went(world: World) -> None:
    world.message("m1", ANA)
    world.settled()
    good = finish_sync(world.runtime, world.run, writes=3, written={"entry": 1}, errors=())
    assert (good["outcome"], good["read"], good["mapped"]) == (
        "ok",
        good["read"],
        good["read"] - good["skipped"],
    )
    world.start()
    world.message("m2", ANA, at="no time")
    world.collect()
    world.resolve()
    part = finish_sync(world.runtime, world.run, writes=0, written={}, errors=())
    assert (part["outcome"], part["read"], part["rejected"]) == ("partial", 1, 1)
    world.start()
    world.webhook(b"<html>")
    waits = finish_sync(world.runtime, world.run, writes=0, written={}, errors=())
    assert (waits["outcome"], waits["read"], waits["waiting"]) == ("partial", 1, 1)
    world.clock.sleep(1)
    world.start()
    world.resolve()
    refused = finish_sync(world.runtime, world.run, writes=0, written={}, errors=())
    assert (refused["outcome"], refused["read"], refused["rejected"]) == ("partial", 1, 1)
    world.clock.sleep(1)
    world.start()
    nothing = finish_sync(world.runtime, world.run, writes=0, written={}, errors=())
    assert (nothing["outcome"], nothing["read"]) == ("ok", 0)
    lost = finish_sync(world.runtime, world.run, writes=0, written={}, errors=("crm: away", "chat: away"))
    assert lost["outcome"] == "failed"


def test_a_body_that_is_tried_again_is_counted_once(world: World) -> None:
    world.webhook(b"<html>")
    world.resolve()
    commands.replay(world.runtime, {"group": None})
    (webhook,) = [one for one in shown(world, "chat")["streams"] if one["name"] == "webhook"]
    assert (webhook["read"], webhook["waiting"], webhook["rejected"]) == (1, 1, 0)


def test_writes_that_wait_are_shown_by_what_they_wait_for(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.settled()
    assert (shown(world, "crm")["written"], shown(world, "crm")["writes"]) == (1, {})
    world.message("m2", ANA, thread="t2")
    world.acts["crm"]["push"] = lambda memory, writes: iter(
        [Receipt(key=write.key, error=Rejected("no", code="NO")) for write in writes]
    )
    world.sync()
    assert shown(world, "crm")["writes"]["rejected"] >= 1
    assert shown(world, "chat")["writes"] == {}


def test_a_quiet_connection_shows_since_when(world: World) -> None:
    assert shown(world, "chat")["last_event_at"] is None
    world.message("m1", ANA)
    world.sync()
    heard = world.clock()
    world.clock.sleep(86_400)
    world.sync()
    found = shown(world, "chat")
    assert datetime.fromisoformat(found["last_event_at"]) == heard
    assert world.stream("messages")["age_seconds"] == 0.0
    world.clock.sleep(60)
    assert world.stream("messages")["age_seconds"] == 60.0
    world.webhook(body(1))
    assert datetime.fromisoformat(shown(world, "chat")["last_event_at"]) == world.clock()


def test_a_connection_in_trouble_says_what_and_since_when_until_it_is_well(world: World) -> None:
    began = world.clock()
    for error in (AuthError("the key was revoked"), Unavailable("the folder is away")):
        world.levers["chat"].error = error
        assert learn_account(world.runtime, world.chat) is error
        found = shown(world, "chat")
        assert str(error) in found["error"]
        assert datetime.fromisoformat(found["error_since"]) == began
        world.clock.sleep(600)
    world.levers["chat"].error = None
    assert learn_account(world.runtime, world.chat) is None
    found = shown(world, "chat")
    assert (found["error"], found["error_since"]) == (None, None)
