"""One parameter for many keys, and the indexes that the queries for waiting work rely on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Select, event, select

from bridge.store.among import among
from bridge.store.database import Database, upsert
from bridge.store.deliveries import used_keys
from bridge.store.entities import load_entities
from bridge.store.mass import with_news
from bridge.store.tables import (
    DELIVERY_SPLIT,
    DELIVERY_WAITS,
    RECORD_WAITS,
    delivery,
    meta,
    record,
    touched,
)


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Connection]:
    database = Database(url, blobs=folder / "blobs")
    database.migrate()
    with database.writer.connect() as connection:
        yield connection
    database.close()


@pytest.fixture
def c(store_url: str, tmp_path: Path) -> Iterator[Connection]:
    with opened(store_url, tmp_path) as connection:
        yield connection


def plan_of(c: Connection, query: Select[Any]) -> str:
    compiled = query.compile(dialect=c.dialect)
    return "; ".join(row[3] for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", compiled.params))


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Connection]:
    with opened(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as connection:
        yield connection


def found(c: Connection, keys: list[str]) -> list[str]:
    return sorted(c.execute(select(meta.c.key).where(among(meta.c.key, keys))).scalars())


def put(c: Connection, *keys: str) -> None:
    upsert(c, meta, [{"key": key, "value": ""} for key in keys], conflict=["key"], update=["value"])


def test_texts_are_found_whatever_is_in_them(c: Connection) -> None:
    odd = ["plain", 'quo"te', "back\\slash", "linha\nnova", "São", "😀", "[1, 2]", "%s", ":k", ""]
    put(c, *odd)
    assert found(c, odd) == sorted(odd)
    assert found(c, ["quote", "sao", "Sã"]) == []


def test_thousands_of_keys_are_one_statement(c: Connection) -> None:
    keys = [f"k{number}" for number in range(5_000)]
    put(c, *keys[::2])
    assert found(c, keys) == sorted(keys[::2])


def test_no_keys_find_nothing(c: Connection) -> None:
    put(c, "some")
    assert found(c, []) == []


def test_numbers_are_found_as_numbers(c: Connection) -> None:
    rows = [{"target": number, "person_id": "p", "seq": 2**53 + number} for number in range(4)]
    upsert(c, touched, rows, conflict=["target", "person_id"])
    query = select(touched.c.target).where(among(touched.c.seq, [2**53 + 1, 2**53 + 3, 7]))
    assert sorted(c.execute(query).scalars()) == [1, 3]


def test_a_key_with_a_nul_is_no_shorter_key(sqlite: Connection) -> None:
    put(sqlite, "a\0b")
    assert found(sqlite, ["a\0b"]) == ["a\0b"]
    assert found(sqlite, ["a"]) == []


def test_waiting_work_is_found_through_its_index(sqlite: Connection) -> None:
    records = select(record.c.pk).where(record.c.account_pk == 1, record.c.stream == "s", RECORD_WAITS)
    deliveries = select(delivery.c.pk).where(delivery.c.connection == "c", DELIVERY_WAITS)
    past = select(delivery.c.pk).where(delivery.c.connection == "c", DELIVERY_SPLIT)
    found = ((records, "record_waiting"), (deliveries, "delivery_waiting"), (past, "delivery_split"))
    for query, index in found:
        plan = plan_of(sqlite, query.order_by("pk"))
        assert index in plan
        assert "TEMP B-TREE" not in plan


def test_used_idempotency_keys_are_found_through_their_index(sqlite: Connection) -> None:
    assert "USING INDEX delivery_once" in plan_of(sqlite, used_keys("whatsapp", "", ["k1", "k2"]))


def test_the_records_of_interactions_are_looked_up_by_their_ids(sqlite: Connection) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(
        sqlite, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: asked.append((sql, values))
    )
    load_entities(sqlite, {"e1": ["n1"]})
    with_news(sqlite, ["p1"], 0)
    plans = [
        "; ".join(row[3] for row in sqlite.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))
        for sql, values in list(asked)
        if "entity.type" in sql
    ]
    assert len(plans) == 2
    assert all("entity_by_id" in plan for plan in plans)
