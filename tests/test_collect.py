"""Collecting: nothing lost, nothing leaked, and counts that add up, whatever the source does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection as Transaction

from bridge.engine import cycle
from bridge.errors import AuthError, RateLimited, Unavailable
from bridge.model import Hint, Json, Page, Phase, Record
from bridge.store import collected, cursors, traces
from bridge.store.blobs import THRESHOLD
from bridge.store.tables import account, cursor, delivery, record
from bridge.store.writer import Priority, Writer
from bridge.sync.intake.collect import ERASED_RULE, collect
from bridge.sync.views.status import overview
from bridge_memory import SPEC, Memory
from tests.sync_world import MAPPING, START, World, dies, party

ANA, BIA = "5511973914862", "5511973914863"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path, page_size=3) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, page_size=3) as made:
        yield made


def adds_up(stream: dict[str, Any]) -> bool:
    return bool(
        stream["read"] == sum(stream[state] for state in ("mapped", "skipped", "rejected", "waiting"))
    )


def counts(stream: dict[str, Any]) -> dict[str, int]:
    return {state: stream[state] for state in ("read", "mapped", "skipped", "rejected", "waiting")}


def seed(world: World, numbers: Sequence[int]) -> None:
    for number in numbers:
        world.message(f"m{number}", ANA, thread=f"t{number}")


def test_the_counts_of_each_stream_and_run_add_up(world: World) -> None:
    world.levers["chat"].twice = True
    seed(world, range(7))
    world.message("m7", ANA, at="no time")
    world.message("m8", ANA, automated_by="list", automated=True, channel="email", kind="email")
    world.collect()
    shown = world.stream("messages")
    assert counts(shown) == {"read": 9, "mapped": 0, "skipped": 0, "rejected": 0, "waiting": 9}
    world.resolve()
    shown = world.stream("messages")
    assert counts(shown) == {"read": 9, "mapped": 7, "skipped": 1, "rejected": 1, "waiting": 0}
    assert shown["rules"] == {"newsletters": 1}
    first = world.run
    world.start()
    world.levers["chat"].twice = False
    world.message("m9", ANA)
    world.sync()
    shown = world.stream("messages")
    assert adds_up(shown)
    assert shown["read"] == 10
    by_run = {
        run: sum(row["count"] for row in collected.tally(world.runtime.database, run=run))
        for run in (first, world.run)
    }
    assert by_run[first] == 9
    assert (
        by_run[world.run]
        == 1 + world.stream("contacts", "crm")["read"] + world.stream("entries", "crm")["read"]
    )


def test_the_same_version_read_again_is_not_counted_again(small: World) -> None:
    seed(small, range(3))
    small.sync()
    account_pk = small.chat.account_pk
    assert account_pk is not None
    small.runtime.writer.run(
        lambda c: cursors.save_cursor(
            c, account_pk, "messages", "live", value=None, fields=[], now=small.clock()
        ),
        priority=Priority.LIVE,
    )
    small.sync()
    assert counts(small.stream("messages"))["read"] == 3
    assert small.told() == {"m0": 1, "m1": 1, "m2": 1}


def test_pages_with_nothing_new_share_one_write_of_the_cursor(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(small, range(12))
    small.sync()
    account_pk = small.chat.account_pk
    assert account_pk is not None

    def start_over(c: Transaction) -> None:
        cursors.save_cursor(c, account_pk, "messages", "live", value=None, fields=[], now=small.clock())

    small.runtime.writer.run(start_over, priority=Priority.LIVE)
    small.message("m12", ANA, thread="t12")
    written: list[Priority] = []
    run = Writer.run

    def counted(writer: Writer, work: Any, *arguments: Any, priority: Priority, durable: bool = False) -> Any:
        written.append(priority)
        return run(writer, work, *arguments, priority=priority, durable=durable)

    monkeypatch.setattr(Writer, "run", counted)
    found = collect(small.runtime, small.chat, "messages", "live", run=small.run)
    assert (found.pages, found.records, found.finished) == (5, 13, True)
    assert written == [Priority.LIVE, Priority.LIVE]  # the new record, and the end of the pull
    (place,) = [row for row in small.rows(cursor) if (row.account_pk, row.stream) == (account_pk, "messages")]
    assert json.loads(place.value) == {"offset": (small.home / "chat" / "messages.jsonl").stat().st_size}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
def test_no_cursor_passes_a_record_that_is_not_stored(tmp_path: Path, at: int, after: bool) -> None:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, page_size=2) as world:
        seed(world, range(7))
        with dies(world, at=at, after=after):
            world.collect("chat")
        (place,) = [row for row in world.rows(cursor) if row.stream == "messages"] or [None]
        lines = (tmp_path / "chat" / "messages.jsonl").read_bytes()
        read = json.loads(place.value)["offset"] if place is not None and place.value else 0
        stored = {row.ext_id for row in world.rows(record) if row.stream == "messages"}
        assert {json.loads(line)["id"] for line in lines[:read].splitlines()} <= stored
        world.collect("chat")
        stored = {row.ext_id for row in world.rows(record) if row.stream == "messages"}
        assert len(stored) == 7


def test_a_source_that_dies_between_two_pages_goes_on_where_it_was(world: World) -> None:
    seed(world, range(8))
    asked: list[Json] = []

    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        asked.append(place)
        for number, page in enumerate(Memory.pull(memory, stream, phase, place, fields)):
            if number == 1 and stream == "messages" and len(asked) < 9:
                raise Unavailable("gone in the middle")
            yield page

    world.acts["chat"]["pull"] = pull
    (error,) = world.collect("chat")
    assert "gone in the middle" in error
    shown = world.stream("messages")
    assert shown["read"] == 3
    assert "gone in the middle" in shown["error"]
    del world.acts["chat"]["pull"]
    world.clock.sleep(31)
    assert world.collect("chat") == []
    shown = world.stream("messages")
    assert (shown["read"], shown["error"]) == (8, None)


def test_a_stream_rests_after_an_outage_and_its_neighbours_go_on(small: World) -> None:
    calls: list[str] = []

    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        calls.append(stream)
        if stream == "contacts":
            raise RateLimited("too many calls", wait=50.0)
        return Memory.pull(memory, stream, phase, place, fields)

    small.acts["chat"]["pull"] = pull
    seed(small, range(2))
    (error,) = small.collect("chat")
    assert "too many calls" in error
    assert small.stream("messages")["read"] == 2
    calls.clear()
    small.collect("chat")
    assert "contacts" not in calls
    small.clock.sleep(51)
    small.collect("chat")
    assert "contacts" in calls


def test_a_refused_key_ends_the_round(small: World) -> None:
    calls: list[str] = []

    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        calls.append(stream)
        raise AuthError("the key was revoked")

    small.acts["chat"]["pull"] = pull
    (error,) = small.collect("chat")
    assert "the key was revoked" in error
    assert len(calls) == 1


def test_an_outage_is_dated_from_its_beginning(small: World) -> None:
    small.levers["chat"].error = Unavailable("down")
    small.collect("chat")
    since = small.stream("messages")["error_since"]
    small.clock.sleep(3600)
    small.collect("chat")
    assert small.stream("messages")["error_since"] == since
    small.levers["chat"].error = None
    small.clock.sleep(3600)
    small.collect("chat")
    shown = small.stream("messages")
    assert (shown["error"], shown["error_since"]) == (None, None)
    small.levers["chat"].error = Unavailable("down again")
    small.collect("chat")
    assert small.stream("messages")["error_since"] != since


def test_a_watermark_never_passes_our_clock_less_the_look_back(store_url: str, tmp_path: Path) -> None:
    streams = tuple(
        replace(stream, lookback=120.0) if stream.name == "messages" else stream for stream in SPEC.streams
    )
    with World(store_url, tmp_path, spec={"streams": streams}) as world:

        def pull(
            memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]
        ) -> Iterator[Page]:
            yield Page(records=(), cursor={"offset": 0}, watermark=START + timedelta(hours=1))

        world.acts["chat"]["pull"] = pull
        world.collect("chat")
        marks = {row.stream: row.watermark for row in world.rows(cursor)}
        limit = int((START - timedelta(seconds=120)).timestamp() * 1_000_000)
        assert marks["messages"] == limit
        assert marks["owners"] == limit + 120_000_000


def test_a_void_cursor_is_read_again_from_the_start(small: World) -> None:
    seed(small, range(4))
    small.sync()
    lines = (small.home / "chat" / "messages.jsonl").read_bytes().splitlines(keepends=True)
    (small.home / "chat" / "messages.jsonl").write_bytes(b"".join(lines[2:]))
    small.message("m8", ANA, thread="t8")
    small.sync()
    small.sync()
    assert small.told() == {"m0": 1, "m1": 1, "m2": 1, "m3": 1, "m8": 1}
    assert small.stream("messages")["read"] == 5


def test_the_past_is_read_again_when_the_mapping_reads_a_field_never_asked_for(
    store_url: str, tmp_path: Path
) -> None:
    streams = tuple(replace(stream, phases=("live", "backfill")) for stream in SPEC.streams)
    asked: list[tuple[Phase, Json, bool]] = []

    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        if stream != "contacts":
            return
        asked.append((phase, place, "job" in fields))
        data = {"id": "1", "name": "Ana", "job": "baker"}
        shown = {name: data[name] for name in ("id", "name", "job") if name in {"id", *fields}}
        for number in range(2) if phase == "backfill" else ():
            item = Record(
                stream=stream, id="1", version=f"1-{len(shown)}-{number}", modified_at=START, data=shown
            )
            yield Page(records=[item], cursor=number)

    with World(store_url, tmp_path, spec={"streams": streams}) as world:
        world.acts["crm"]["pull"] = pull
        world.sync()
        world.sync()
        assert [one for one in asked if one[0] == "backfill"] == [("backfill", None, False)]
        asked.clear()
        world.remap_to(MAPPING.replace("display_name: name\n", "display_name: name\n      job_title: job\n"))
        world.start()
        world.sync()
        world.sync()
        assert [one for one in asked if one[0] == "backfill"] == [("backfill", None, True)]
        assert b"baker" in b"".join(row.body for row in world.rows(record) if row.body)


def test_a_backfill_that_was_cut_off_goes_on_with_the_fields_it_was_begun_for(tmp_path: Path) -> None:
    streams = tuple(replace(stream, phases=("backfill",)) for stream in SPEC.streams)
    asked: list[Json] = []

    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        if stream != "contacts":
            return
        asked.append(place)
        for number in range(place + 1 if place is not None else 0, 4):
            if number == 2 and len(asked) == 1:
                raise Unavailable("down")
            yield Page(records=(), cursor=number)

    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, spec={"streams": streams}) as world:
        world.acts["crm"]["pull"] = pull
        world.collect("crm")
        assert world.stream("contacts", "crm")["complete"] is False
        world.clock.sleep(31)
        world.collect("crm")
        assert asked == [None, 1]
        assert world.stream("contacts", "crm")["complete"] is True


class Odd:
    """No JSON at all."""


@pytest.mark.parametrize(
    "data",
    [
        {"id": "x", "big": 2**80},
        {"id": "x", "text": "half \ud800 a character"},
        {"id": "x", "number": float("nan")},
        {"id": "x", "big": 2**80, "number": float("inf"), "text": "\ud800"},
        {"id": "x", 5: "five", "at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"id": "x", "odd": Odd()},
        None,
    ],
    ids=["too big a number", "half a character", "no number", "all of it", "python", "an object", "nothing"],
)
def test_a_record_that_is_no_json_does_not_hold_up_its_stream(small: World, data: Json) -> None:
    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        if stream == "messages":
            odd = Record(stream=stream, id="x", version="1", modified_at=None, data=data)
            yield Page(records=[odd], cursor=0)
        yield from Memory.pull(memory, stream, phase, None, fields)

    seed(small, range(2))
    small.acts["chat"]["pull"] = pull
    assert small.collect("chat") == []
    small.resolve()
    shown = small.stream("messages")
    assert counts(shown) == {"read": 3, "mapped": 2, "skipped": 0, "rejected": 1, "waiting": 0}


def test_a_body_that_is_not_split_yet_is_one_waiting(small: World) -> None:
    body = json.dumps({"events": [{"stream": "messages", "object": {"id": "w1"}}]}).encode()
    small.webhook(body)
    small.webhook(body + b" ")
    shown = small.stream("webhook")
    assert (shown["read"], shown["waiting"]) == (2, 2)
    small.resolve()
    assert "webhook" not in streams_of(small)


def streams_of(world: World) -> list[str]:
    (chat,) = [one for one in overview(world.runtime)["connections"] if one["name"] == "chat"]
    return [stream["name"] for stream in chat["streams"]]


def test_a_body_that_cannot_be_read_is_one_rejected_and_kept(world: World) -> None:
    world.webhook(b"<html>")
    world.resolve()
    shown = world.stream("webhook")
    assert (shown["read"], shown["rejected"], shown["waiting"]) == (1, 1, 0)
    (row,) = world.rows(delivery)
    assert row.body == b"<html>"


def large(text: str) -> bytes:
    """Return a webhook body that is stored as a file."""
    thing = {"id": "w1", "text": text, "at": "2026-11-20T10:00:00Z", "from": ANA, "pad": "x" * THRESHOLD}
    return json.dumps({"events": [{"stream": "messages", "object": thing}]}).encode()


def files(world: World) -> list[Path]:
    return [path for path in (world.home / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_body_that_capture_rules_do_not_allow_to_keep_is_gone_after_the_split(
    store_url: str, tmp_path: Path, size: str
) -> None:
    body = large("hello") if size == "large" else large("hello").replace(b"x" * THRESHOLD, b"x")
    with World(store_url, tmp_path, capture={"never": [f"+{ANA}"]}) as world:
        world.webhook(body)
        assert len(files(world)) == (1 if size == "large" else 0)
        world.resolve()
        assert world.stream("messages")["rules"] == {"private": 1}
        (row,) = world.rows(delivery)
        assert not row.body
        assert files(world) == []
        assert b"hello" not in b"".join(one.body or b"" for one in world.rows(record))


def test_a_body_is_kept_where_everything_may_be(small: World) -> None:
    small.webhook(large("hello"))
    small.resolve()
    assert len(files(small)) == 2, "the body, and the record in it"


def test_newsletters_are_skipped_and_kept_where_they_are_wanted(tmp_path: Path) -> None:
    for number, rule in enumerate(("skip", "keep")):
        home = tmp_path / str(number)
        home.mkdir()
        capture = {"newsletters": rule}
        with World(f"sqlite:///{home / 'store.db'}", home, capture=capture) as world:
            world.mail("m1", party("from", "news@shop.com"), direction="inbound", automated_by="list")
            world.mail("m2", party("from", "ana@x.com"), direction="inbound", automated_by="auto_reply")
            world.sync()
            assert world.stream("messages")["rules"] == ({"newsletters": 1} if rule == "skip" else {})


def erase(world: World, *handles: str) -> None:
    world.runtime.writer.run(
        lambda c: traces.suppress(c, world.runtime.traces, handles, world.clock()), priority=Priority.LIVE
    )


@pytest.mark.parametrize(
    ("handle", "shown"),
    [
        ("ana@padaria.com", "Ana@Padaria.com"),
        (f"+{ANA}", "(11) 97391-4862"),
        (f"+{ANA}", "+55 11 97391-4862"),
        (f"+{ANA}", ANA),
        ("BR.13491208655302741918", "BR.13491208655302741918"),
        ("17841400008460056", "17841400008460056"),
    ],
)
@pytest.mark.parametrize("way", ["pull", "webhook"])
def test_whoever_was_erased_does_not_come_back(small: World, handle: str, shown: str, way: str) -> None:
    erase(small, handle)
    thing: dict[str, Json] = {
        "text": "m1",
        "at": "2026-11-20T10:00:00Z",
        "people": [{"role": "from", "handles": [{"kind": "external", "value": shown}]}],
        "pad": "x" * THRESHOLD,
    }
    if way == "pull":
        small.put("chat", "messages", **thing)
        small.put("chat", "messages", **{**thing, "people": [], "text": "m2"})
    else:
        events = [
            {"stream": "messages", "object": {"id": "1", **thing}},
            {"stream": "messages", "object": {"id": "2", **thing, "people": [], "text": "m2"}},
        ]
        small.webhook(json.dumps({"events": events}).encode())
    small.collect()
    small.resolve()
    assert small.stream("messages")["rules"] == {ERASED_RULE: 1}
    kept = b"".join(one.body or b"" for one in [*small.rows(record), *small.rows(delivery)])
    kept += b"".join(path.read_bytes() for path in files(small))
    assert b'"m2"' in kept
    assert shown.encode() not in kept


def test_a_hint_makes_its_stream_due_at_once(world: World) -> None:
    world.collect("chat")
    seed(world, [1])
    world.webhook(json.dumps({"events": [{"stream": "messages", "id": "1"}]}).encode())
    world.resolve()
    found = cycle.pull(world.runtime, world.chat, run=world.run)
    assert found.errors == []
    assert world.stream("messages")["read"] == 1
    world.clock.sleep(5)
    seed(world, [2])
    cycle.pull(world.runtime, world.chat, run=world.run)
    assert world.stream("messages")["read"] == 1, "pulled although nothing was due"


def test_a_hint_that_names_no_stream_of_ours_is_passed_over(small: World) -> None:
    small.acts["chat"]["split"] = lambda memory, body: iter([Hint(stream="nothing")])
    small.webhook(b"{}")
    small.resolve()
    assert "webhook" not in streams_of(small)


def test_two_connections_to_one_account_collect_once(small: World) -> None:
    assert len(small.rows(account)) == 2
    seed(small, range(3))
    small.sync()
    small.start()
    small.sync()
    assert len(small.rows(account)) == 2
    assert small.stream("messages")["read"] == 3
