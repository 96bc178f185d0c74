"""The store: its writer, lock, migrations and bodies, on both databases."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, inspect, select, text

from bridge import Record, Request, Skip
from bridge.errors import StoreError
from bridge.store import collected, deliveries, ledger, looks, migrations
from bridge.store.blobs import THRESHOLD, Blobs
from bridge.store.database import Database, Lock, upsert
from bridge.store.intents import load_intents
from bridge.store.tables import meta, metadata, record
from bridge.store.writer import Priority, Writer

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    database = Database(database_url, blobs=tmp_path / "blobs")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    writer = Writer(database)
    yield writer
    writer.close()


def put(c: Connection, key: str, value: str = "") -> None:
    upsert(c, meta, [{"key": key, "value": value}], conflict=["key"], update=["value"])


def a_record(ext_id: str, version: str = "1", data: object = None) -> Record:
    return Record(stream="contacts", id=ext_id, version=version, modified_at=NOW, data=data or {"id": ext_id})


def store(writer: Writer, blobs: Blobs, *items: Record | Skip) -> None:
    rows = collected.record_rows(items, account_pk=1, run=1, now=NOW, blobs=blobs)
    writer.run(collected.insert_records, rows, priority=Priority.LIVE)


def test_a_new_store_has_the_declared_tables(database: Database) -> None:
    found = inspect(database.reader)
    assert set(found.get_table_names()) - {"alembic_version"} == set(metadata.tables)


def test_migrations_make_exactly_what_a_new_store_is_made_of(database: Database) -> None:
    made = shape(database)
    with database.writer.connect() as c:
        metadata.drop_all(c)
        c.exec_driver_sql("DROP TABLE alembic_version")
        assert not inspect(c).get_table_names()
        migrations.upgrade(c)
        assert migrations.current(c) == migrations.HEAD
        c.commit()
    assert shape(database) == made


def shape(database: Database) -> dict[str, list[str]]:
    """Return everything that the database itself says of its tables."""
    found = inspect(database.reader)
    said = {
        name: sorted(
            re.sub(r" at 0x\w+", "", repr(one))
            for part in (
                found.get_columns(name),
                found.get_indexes(name),
                found.get_unique_constraints(name),
                [found.get_pk_constraint(name)],
            )
            for one in part
        )
        for name in found.get_table_names()
    }
    if database.dialect == "sqlite":
        with database.read() as c:
            statements = c.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").scalars()
            said["sqlite_master"] = sorted(" ".join(one.split()) for one in statements)
    return said


def test_migrating_twice_changes_nothing(database: Database) -> None:
    salt = database.value("salt")
    database.migrate()
    assert database.value("salt") == salt


def test_a_store_of_a_newer_program_is_refused_and_left_alone(database: Database) -> None:
    with database.writer.connect() as c:
        c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        c.commit()
    with pytest.raises(StoreError, match="newer crmbridge"):
        database.migrate()


def test_a_second_daemon_is_told_who_holds_the_store(database: Database) -> None:
    first, second = Lock(database), Lock(database)
    first.acquire("crmbridge run")
    with pytest.raises(StoreError, match="in use by crmbridge run, process"):
        second.acquire("crmbridge sync")
    first.release()
    second.acquire("crmbridge sync")
    second.release()


def test_a_writer_that_lost_its_lock_writes_nothing_more(database: Database) -> None:
    if database.dialect != "postgresql":
        assert database.lock_path is not None  # a file lock cannot be lost while its process lives
        return
    first = Lock(database)
    first.acquire("crmbridge run")
    writer = Writer(database, epoch=first.epoch)
    writer.run(put, "before", priority=Priority.LIVE)
    first.release()
    second = Lock(database)
    second.acquire("crmbridge run")
    with pytest.raises(StoreError, match="took over"):
        writer.run(put, "after", priority=Priority.LIVE)
    with database.read() as c:
        assert c.execute(select(meta.c.key).where(meta.c.key == "after")).first() is None
    writer.close()
    second.release()


def test_a_piece_of_work_that_fails_takes_only_itself_back(database: Database, writer: Writer) -> None:
    gate = threading.Event()
    blocker = writer.submit(lambda c: gate.wait(60), priority=Priority.INBOX)

    def broken(c: Connection) -> None:
        put(c, "broken")
        raise ValueError("no")

    pieces = [
        writer.submit(put, "first", priority=Priority.LIVE),
        writer.submit(broken, priority=Priority.LIVE),
        writer.submit(put, "last", priority=Priority.LIVE),
    ]
    gate.set()
    blocker.result()
    with pytest.raises(ValueError, match="no"):
        pieces[1].result()
    pieces[0].result()
    pieces[2].result()
    with database.read() as c:
        keys = set(c.execute(select(meta.c.key)).scalars())
    assert {"first", "last"} <= keys
    assert "broken" not in keys


def test_a_reader_sees_one_state_of_the_store_as_long_as_it_holds_it(
    database: Database, writer: Writer
) -> None:
    count = select(func.count()).select_from(meta)
    with database.read() as c:
        before = c.execute(count).scalar_one()
        writer.run(lambda w: w.execute(insert(meta).values(key="later", value="1")), priority=Priority.LIVE)
        assert c.execute(count).scalar_one() == before
    with database.read() as c:
        assert c.execute(count).scalar_one() == before + 1


def test_the_inbox_goes_before_everything_that_waits(writer: Writer) -> None:
    order: list[str] = []
    gate = threading.Event()
    blocker = writer.submit(lambda c: gate.wait(60), priority=Priority.INBOX)
    waiting = [
        writer.submit(lambda c, name=priority.name: order.append(name), priority=priority)
        for priority in (
            Priority.BACKFILL,
            Priority.RESOLVE,
            Priority.LIVE,
            Priority.DELIVERY,
            Priority.INBOX,
        )
    ]
    gate.set()
    for piece in (blocker, *waiting):
        piece.result()
    assert order == ["INBOX", "DELIVERY", "LIVE", "RESOLVE", "BACKFILL"]


def test_a_closed_writer_says_that_nothing_was_written(database: Database) -> None:
    writer = Writer(database)
    writer.close()
    with pytest.raises(StoreError, match="nothing was written"):
        writer.run(put, "late", priority=Priority.LIVE)


def test_the_same_version_twice_is_one_record(database: Database, writer: Writer, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    store(writer, blobs, a_record("1"), a_record("2"), a_record("1"))
    store(writer, blobs, a_record("1"), a_record("1", version="2"))
    with database.read() as c:
        found = collected.next_waiting(c, 1, "contacts", after=0, limit=10, blobs=blobs)
    assert [(one.record.id, one.record.version) for one in found] == [("1", "1"), ("2", "1"), ("1", "2")]
    assert found[0].record == a_record("1")


def test_raw_bytes_come_back_as_they_were(database: Database, writer: Writer, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    small, large = b"From: a\x00\xff\r\n\r\nHi", b"\x00\xfe" * THRESHOLD
    store(writer, blobs, a_record("small", data=small), a_record("large", data=large))
    with database.read() as c:
        found = collected.next_waiting(c, 1, "contacts", after=0, limit=10, blobs=blobs)
        names = c.execute(select(record.c.blob).where(record.c.ext_id == "large")).scalar()
    assert [one.record.data for one in found] == [small, large]
    assert blobs.get(names) == large


def test_a_skip_keeps_the_rule_and_no_content(database: Database, writer: Writer, tmp_path: Path) -> None:
    store(writer, Blobs(tmp_path / "blobs"), Skip(stream="contacts", id="9", version="1", rule="private"))
    with database.read() as c:
        row = c.execute(select(record)).one()
    assert (row.state, row.rule, row.body) == (2, "private", None)


def a_request(body: bytes) -> Request:
    return Request(
        method="POST",
        url="https://bridge.example/hooks/x",
        query={},
        headers={"authorization": "Bearer secret", "content-type": "application/json"},
        body=body,
        received_at=NOW,
    )


def test_an_idempotency_key_stands_for_one_body(database: Database, writer: Writer, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")

    def deliver(body: bytes, key: str | None, sender: str = "n8n") -> bool:
        row = deliveries.delivery_row("inbound", a_request(body), blobs, sender=sender, key=key)
        return writer.run(deliveries.insert_deliveries, [row], priority=Priority.INBOX, durable=True)[0]

    assert deliver(b"one", "k1")
    assert deliver(b"one", "k1")
    assert not deliver(b"two", "k1")
    assert deliver(b"two", "k1", sender="phone-system")
    assert deliver(b"one", None)
    assert deliver(b"one", None)
    with database.read() as c:
        found = deliveries.next_deliveries(c, "inbound", limit=10, blobs=blobs)
    assert [delivery.body for _, delivery, _ in found] == [b"one", b"two", b"one", b"one"]


def test_headers_with_secrets_are_not_stored(database: Database, writer: Writer, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    row = deliveries.delivery_row("inbound", a_request(b"{}"), blobs, sender="", key=None)
    writer.run(deliveries.insert_deliveries, [row], priority=Priority.INBOX, durable=True)
    with database.read() as c:
        ((_, delivery, _),) = deliveries.next_deliveries(c, "inbound", limit=10, blobs=blobs)
    assert delivery.headers == {"content-type": "application/json"}


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist; create it"):
        Database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")


def test_other_databases_are_refused_without_showing_the_password() -> None:
    with pytest.raises(StoreError) as caught:
        Database("mysql://user:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_a_store_of_the_first_version_opens_with_everything_in_it(database: Database) -> None:
    ledger_row = {
        "account_pk": 1,
        "key": "QSZ23CA3DDJ3",
        "stream": "notes",
        "ext_id": "77",
        "contact_id": "7",
        "person_id": "p_1",
        "slot": "entry",
        "fields": b'{"text":"m1"}',
        "run": 1,
        "mapping": "digest",
        "written_at": 1_790_000_000_000_000,
    }
    intent_row = {
        **{
            name: ledger_row[name]
            for name in ("account_pk", "stream", "person_id", "slot", "fields", "run", "mapping")
        },
        "key": "4GDNCPBNHQQQ",
        "seq": 1,
        "op": "create",
        "links": b"[]",
        "created_at": 1_790_000_000_000_000,
        "attempts": 0,
        "state": "open",
    }
    with database.writer.connect() as c:
        metadata.drop_all(c)
        c.exec_driver_sql("DROP TABLE alembic_version")
        migrations.upgrade(c, to="0001")
        for table, row in (("ledger", ledger_row), ("intent", intent_row)):
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            c.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
        c.commit()
    database.migrate()
    with database.read() as c:
        assert migrations.current(c) == migrations.HEAD
        (intent,) = load_intents(c, 1)
        assert (intent.write.key, intent.entry, intent.told) == ("4GDNCPBNHQQQ", None, None)
        filed = ledger.filed_under(c, 1, ["QSZ23CA3DDJ3"])["QSZ23CA3DDJ3"]
        assert (filed.ext_id, dict(filed.fields), filed.told) == ("77", {"text": "m1"}, None)


def test_an_older_store_looks_once_more_at_whoever_may_be_held_back(database: Database) -> None:
    with database.writer.connect() as c:
        metadata.drop_all(c)
        c.exec_driver_sql("DROP TABLE alembic_version")
        migrations.upgrade(c, to="0007")
        c.execute(text("INSERT INTO meta (key, value) VALUES ('rules:7', 'x'), ('salt', 'y')"))
        for person_id, contacts in (("none", 0), ("queued", 0), ("one", 1), ("two", 2)):
            c.execute(
                text("INSERT INTO journey (person_id, body) VALUES (:id, :body)"),
                {"id": person_id, "body": b"{}"},
            )
            for at in range(contacts + 1):
                row = {"key": f"{person_id}{at}", "id": person_id, "of": 7 if at else None}
                c.execute(
                    text(
                        "INSERT INTO node (key, person_id, contact_of, legal) VALUES (:key, :id, :of, false)"
                    ),
                    row,
                )
        c.execute(text("INSERT INTO touched (target, person_id, seq) VALUES (7, 'queued', 5)"))
        c.commit()
    database.migrate()
    with database.read() as c:
        assert set(looks.next_touched(c, 7, 10)) == {"none", "queued", "two"}
