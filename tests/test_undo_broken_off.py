"""Undo refused, broken off, unanswered or killed, and syncs and undos in any order: nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.engine import undo
from bridge.errors import AuthError, ConfigError, RateLimited, Rejected
from bridge.store.tables import hold, intent, member
from bridge.store.tables import run as run_table
from tests.sync_world import SETTLE, World, dies
from tests.undo_world import (
    ANA,
    BIA,
    busy,
    crm,
    refusing,
    synced,
    undone,
)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def test_what_the_crm_refuses_to_take_back_is_told_and_stays(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    run = synced(small)
    small.acts["crm"]["push"] = refusing(
        Rejected("locked by a workflow"), lambda write: write.op == "archive"
    )
    result = undone(small, run)
    assert result["refused"] == ["locked by a workflow"]
    assert small.told() == {"m1": 1}
    del small.acts["crm"]["push"]
    assert small.pending() == {}
    assert synced(small) and small.told() == {"m1": 1}
    assert undone(small, run)["left"] == 0
    assert small.told() == {}


def test_an_undo_that_was_broken_off_goes_on_before_anything_is_written(small: World) -> None:
    busy(small)
    before = crm(small)
    run = synced(small)
    small.acts["crm"]["push"] = refusing(RateLimited("slow down", wait=900.0), lambda write: True)
    result = undone(small, run)
    assert not result["finished"]
    small.message("m9", ANA, thread="t9")
    assert small.sync().wait == 900.0
    del small.acts["crm"]["push"]
    small.start()
    synced(small)
    assert small.told() == {"m9": 1}
    assert [row.outcome for row in small.rows(run_table) if row.kind == "undo"] == ["ok"]
    assert undone(small, small.run)["left"] == 0
    assert crm(small)["contacts"] == before["contacts"]


def test_a_refused_key_stops_an_undo_and_nothing_is_lost(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    run = synced(small)
    small.acts["crm"]["push"] = refusing(AuthError("the key was revoked"), lambda write: True)
    with pytest.raises(AuthError):
        undone(small, run)
    del small.acts["crm"]["push"]
    result = undone(small, run)
    assert (result["finished"], result["left"]) == (True, 0)
    assert small.told() == {}
    assert len([row for row in small.rows(run_table) if row.kind == "undo"]) == 1


@pytest.mark.parametrize("fault", ["lose", "late"])
def test_an_undo_whose_answers_are_lost_takes_everything_back_once(small: World, fault: str) -> None:
    busy(small)
    before = crm(small)
    run = synced(small)
    setattr(small.levers["crm"], fault, 2)
    undone(small, run)
    small.clock.sleep(SETTLE + 1)
    synced(small)
    assert crm(small) == before
    assert small.rows(intent) == []


def undo_and_die(home: Path, at: int, after: bool) -> bool:
    home.mkdir()
    with World(f"sqlite:///{home}/store.db", home) as world:
        busy(world)
        before = crm(world)
        run = synced(world)
        world.message("m5", ANA, at="2026-11-20T11:05:00Z")
        with dies(world, at=at, after=after) as writer:
            undone(world, run)
        lived = writer.left > 0
        synced(world)
        shown = world.told()
        begun = any(row.kind == "undo" and row.outcome == "ok" for row in world.rows(run_table))
        if begun:
            assert shown == {"m5": 1}
        else:
            assert shown == {"m1": 1, "m2": 1, "m3": 1, "m4": 1, "m5": 1}, "something was taken back, not all"
            undone(world, world.run)
            undone(world, run)
            synced(world)
            assert world.told() == {}
        assert world.rows(intent) == []
        assert len(crm(world)["contacts"]) >= len(before["contacts"])
        return lived


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_may_die_at_any_transaction_of_an_undo(tmp_path: Path, after: bool) -> None:
    at = 2 if after else 1
    while not undo_and_die(tmp_path / str(at), at, after):
        at += 3
    assert at > 4, "the undo was too small to die in"


MOVES = st.sampled_from(["sync", "message", "undo", "redo", "release", "restart"])


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(MOVES, min_size=3, max_size=8))
def test_whatever_is_synced_and_undone_stands_at_most_once(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str]
) -> None:
    home = tmp_path_factory.mktemp("moves")
    with World(f"sqlite:///{home}/store.db", home) as world:
        world.contact(name="Ana", phone=f"+{ANA}")
        world.message("m1", ANA)
        world.message("m2", BIA, name="Bia")
        numbers = [synced(world)]
        count = 2
        for move in moves:
            if move == "message":
                count += 1
                minute = f"2026-11-20T11:{count:02}:00Z"
                world.message(f"m{count}", ANA if count % 2 else BIA, at=minute)
            elif move == "restart":
                world.start()
            elif move == "release":
                undo.release(world.runtime, {"crm": [row.key for row in world.rows(hold)]})
            elif move == "sync":
                numbers.append(synced(world))
            elif numbers:
                number = numbers.pop(-1 if move == "undo" else len(numbers) // 2)
                try:
                    result = undone(world, number)
                except ConfigError:
                    continue
                if result["undo"] is not None:
                    numbers.append(result["undo"])
            told = world.told()
            assert all(times == 1 for times in told.values()), (move, told)
        undo.release(world.runtime, {"crm": [row.key for row in world.rows(hold)]})
        synced(world)
        assert world.told() == {f"m{number}": 1 for number in range(1, count + 1)}
        names = [one["name"] for one in world.there("contacts")]
        assert sorted(names) == ["Ana", "Bia"]
        claimed = Counter(row.entity_id for row in world.rows(member))
        assert set(claimed.values()) == {1}
