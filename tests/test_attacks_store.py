"""Bad luck of the store: a full disk, a damaged file, a writer that dies; callers hear of it at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bridge.errors import StoreError
from bridge.store.database import Database
from bridge.store.tables import meta, reject
from bridge.store.traces import Traces
from bridge.store.writer import Priority, Writer
from tests.sync_world import World


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'store.db'}")
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    made = Writer(database)
    yield made
    made.close()


def put(c: Connection, key: str, size: int) -> None:
    c.execute(meta.insert().values(key=key, value="x" * size))


def fill_the_disk(c: Connection) -> None:
    pages = c.exec_driver_sql("PRAGMA page_count").scalar()
    c.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def together(writer: Writer, *works: Any) -> list[Future[Any]]:
    """Queue works so that they come into one transaction."""
    gate = threading.Event()
    writer.submit(lambda c: gate.wait(60), priority=Priority.LIVE)
    queued = [writer.submit(work, priority=Priority.LIVE) for work in works]
    gate.set()
    return queued


def test_a_disk_that_fills_up_in_a_later_piece_is_told_to_whoever_waits(
    writer: Writer,
) -> None:
    writer.run(fill_the_disk, priority=Priority.LIVE)
    queued = together(
        writer,
        lambda c: put(c, "one", 1),
        lambda c: put(c, "two", 2_000_000),
        lambda c: put(c, "three", 1),
    )
    told = [str(future.exception(60)) for future in queued]
    assert told[1] == "store: database or disk is full"
    assert set(told) <= {told[1], "None"}
    writer.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1073741823"), priority=Priority.LIVE)
    writer.run(put, "four", 1, priority=Priority.LIVE)


def test_a_writer_that_dies_answers_everybody_who_waits_and_whoever_comes_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(database)
    gate = threading.Event()

    def die(self: Connection) -> None:
        raise SystemError("the driver is gone")

    def work(c: Connection) -> None:
        gate.wait(60)
        monkeypatch.setattr(Connection, "rollback", die)
        monkeypatch.setattr(Connection, "commit", die)

    first = writer.submit(work, priority=Priority.LIVE)
    second = writer.submit(put, "one", 1, priority=Priority.LIVE)
    gate.set()
    for future in (first, second):
        with pytest.raises(StoreError):
            future.result(60)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="the driver is gone"):
        writer.run(put, "two", 1, priority=Priority.LIVE)
    writer.close()


def test_a_writer_without_a_database_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        raise OSError("the server is away")

    monkeypatch.setattr(database.writer, "connect", connect)
    writer = Writer(database)
    with pytest.raises(StoreError, match="the server is away"):
        writer.submit(put, "one", 1, priority=Priority.LIVE).result(60)
    writer.close()


def test_a_body_is_searched_for_people_in_time_and_never_by_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    search = Traces.in_bytes

    def watched(self: Traces, body: bytes) -> set[bytes]:
        threads.add(threading.current_thread().name)
        return search(self, body)

    monkeypatch.setattr(Traces, "in_bytes", watched)
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as world:
        world.webhook(b"no JSON " + (b"x" * 64 + b"@") * 20_000)
        world.message("m1 " + "a@" * 200_000, "5511973914862", at="never")
        began = time.process_time()
        world.collect()
        world.resolve()
        assert time.process_time() - began < 5.0
        assert len(world.rows(reject)) == 2
    assert threads and "store-writer" not in threads
