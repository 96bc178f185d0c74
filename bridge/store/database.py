"""Opening a store: engines, migrations, the lock against a second daemon."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from bridge.errors import StoreError
from bridge.store import migrations, tables

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ADVISORY_LOCK = 0x63726D6272696467
EPOCH = "epoch"
LOOK_SECONDS = 0.02
_ADVISORY_HOLDER = text(
    "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database WHERE locktype = 'advisory'"
    " AND datname = current_database() AND classid = :high AND objid = :low AND granted"
)
Row = Mapping[str, Any]


def micros(value: datetime | None) -> int | None:
    """Return an aware instant as UTC microseconds since 1970."""
    if value is None:
        return None
    delta = value - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def instant(value: int | None) -> datetime | None:
    """Return the aware UTC instant of microseconds since 1970."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def dumps(value: Any) -> bytes:
    """Return a JSON value as bytes with sorted keys, so that equal values are equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


class LazyJson(Mapping[str, Any]):
    """A JSON object of the store that is parsed once somebody looks into it: most of what is read stays as it is."""

    __slots__ = ("_found", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._found: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._object()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._object())

    def __len__(self) -> int:
        return len(self._object())

    def _object(self) -> dict[str, Any]:
        if self._found is None:
            self._found = orjson.loads(self._text)
        return self._found


class Database:
    """
    One store: a reader engine for everybody, a writer engine for the one writer.

    `url` is an SQLAlchemy URL for SQLite (a file) or PostgreSQL. Raises StoreError when the
    store is newer than this program or cannot be opened.
    """

    def __init__(self, url: str, *, blobs: Path | None = None) -> None:
        parsed = make_url(url)
        self.dialect = parsed.get_backend_name()
        if self.dialect == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            tables.limit_on_postgresql()
            self.lock_path: Path | None = None
            self.blobs = blobs or Path("crmbridge-blobs")
            arguments: dict[str, Any] = {"pool_size": 8, "max_overflow": 16, "pool_pre_ping": True}
        elif self.dialect == "sqlite" and parsed.database:
            path = Path(parsed.database).absolute()
            if not path.parent.is_dir():
                raise StoreError(
                    f"store: the folder {path.parent} does not exist; create it,"
                    " or change `store:` in the configuration."
                )
            self.lock_path = path.with_name(path.name + ".lock")
            self.blobs = blobs or path.with_name(path.stem + "-blobs")
            parsed = parsed.set(database=str(path))
            arguments = {"paramstyle": "named", "pool_size": 8, "max_overflow": 16}
        else:
            raise StoreError(
                "store: use sqlite:///path/to/file.db or postgresql://user@host/database,"
                f" not {parsed.render_as_string(hide_password=True)!r}."
            )
        self.shown = parsed.render_as_string(hide_password=True)
        arguments["hide_parameters"] = True  # an error must not show what customers wrote
        snapshot = {"isolation_level": "REPEATABLE READ"} if self.dialect == "postgresql" else {}
        self.reader = create_engine(parsed, **arguments, **snapshot)
        self.writer = create_engine(parsed, **{**arguments, "pool_size": 1, "max_overflow": 0})
        if self.dialect == "sqlite":
            _prepare_sqlite(self.reader, begin="BEGIN", cache=2_000)
            _prepare_sqlite(self.writer, begin="BEGIN IMMEDIATE", cache=4_000)

    def migrate(self) -> None:
        """Bring the tables to this program's version; raises StoreError when the store is newer."""
        try:
            with self.writer.connect() as connection:
                found = migrations.current(connection)
                if found == migrations.HEAD:
                    return
                if not migrations.known(found):
                    raise StoreError(
                        f"store {self.shown}: written by a newer crmbridge (version {found} of its tables)."
                        " Nothing was changed. Install that crmbridge, or point `store:` at another store."
                    )
                if found is None:
                    migrations.create(connection)
                else:
                    migrations.upgrade(connection)
                _insert_missing(connection, "salt", secrets.token_hex(16))
                _insert_missing(connection, EPOCH, "0")
                connection.commit()
        except DBAPIError as error:
            raise StoreError(
                f"store {self.shown}: cannot be opened: {error.orig}. Check `store:` in the configuration."
            ) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """
        Lend a connection that sees one state of the store for as long as it is held.

        Raises StoreError when the database cannot be read.
        """
        try:
            with self.reader.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreError(
                f"store {self.shown}: cannot be read: {error.orig}. Nothing was changed. Check the disk, or restore"
                " the store from its backup."
            ) from error

    def value(self, key: str) -> str:
        """Return a value of the meta table; KeyError if there is none."""
        with self.read() as connection:
            found = connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == key)).scalar()
        if found is None:
            raise KeyError(key)
        return str(found)

    def close(self) -> None:
        """Close every connection."""
        self.reader.dispose()
        self.writer.dispose()


def _insert_missing(connection: Connection, key: str, value: str) -> None:
    exists = connection.execute(select(tables.meta.c.key).where(tables.meta.c.key == key)).first()
    if exists is None:
        connection.execute(tables.meta.insert().values(key=key, value=value))


def _prepare_sqlite(engine: Engine, *, begin: str, cache: int) -> None:
    """Set up each new connection; `cache` is in KiB, and every one of many readers has its own."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
            "temp_store=MEMORY",
            f"cache_size=-{cache}",
            "wal_autocheckpoint=16000",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


@cache
def upsert_sql(dialect: str, table: Table, conflict: tuple[str, ...], update: tuple[str, ...]) -> str:
    """
    Return INSERT ... ON CONFLICT as driver SQL with positional parameters, one per column but `pk`.

    No `conflict` columns means any unique key, no `update` columns DO NOTHING. Used with
    `exec_driver_sql`, which spares the 3 to 5 microseconds a row that Core adds; named
    parameters would cost one more.
    """
    insert: Any = sqlite.insert
    dialect_type: Any = sqlite.dialect(paramstyle="qmark")
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # here, as it takes 50 ms and SQLite needs none of it

        insert = postgresql.insert
        dialect_type = postgresql.psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
    columns = _columns(table)
    statement = insert(table).values(dict.fromkeys(columns))
    if update:
        statement = statement.on_conflict_do_update(
            index_elements=list(conflict), set_={name: statement.excluded[name] for name in update}
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(conflict) or None)
    return str(statement.compile(dialect=dialect_type))


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "pk"]


@cache
def _values_of(table: Table) -> Callable[[Row], tuple[Any, ...]]:
    return itemgetter(*_columns(table))


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    *,
    conflict: Sequence[str],
    update: Sequence[str] = (),
) -> None:
    """Insert `rows` (each with every column but `pk`), updating the named columns where the key exists."""
    if not rows:
        return
    sql = upsert_sql(connection.dialect.name, table, tuple(conflict), tuple(update))
    connection.exec_driver_sql(sql, list(map(_values_of(table), rows)))


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """Insert those of `rows` (each with every column but `pk`) whose unique keys are free; return how many."""
    sql = upsert_sql(connection.dialect.name, table, (), ())
    return connection.exec_driver_sql(sql, list(map(_values_of(table), rows))).rowcount


class Lock:
    """
    The right to write to a store, held by one process.

    `acquire` raises StoreError that names the holder. SQLite: a locked file beside the database.
    PostgreSQL: an advisory lock, and an epoch that every transaction of the writer checks, so that a
    process that lost its lock with its connection cannot go on writing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file: IO[str] | None = None
        self._connection: Connection | None = None
        self.epoch = 0

    def acquire(self, what: str) -> None:
        """Take the lock for `what` (shown to whoever is refused)."""
        holder = f"{what}, process {os.getpid()} on {socket.gethostname()}"
        if self._database.lock_path is not None:
            self._acquire_file(self._database.lock_path, holder)
        else:
            self._acquire_advisory(holder)

    def _acquire_file(self, path: Path, holder: str) -> None:
        file = path.open("a+")
        if not _lock(file, fcntl.LOCK_EX):
            time.sleep(LOOK_SECONDS)  # somebody may only have looked whether it is held
            if not _lock(file, fcntl.LOCK_EX):
                file.seek(0)
                other = file.read().strip() or "another process"
                file.close()
                raise StoreError(_held(self._database.shown, other))
        file.seek(0)
        file.truncate()
        file.write(holder)
        file.flush()
        self._file = file

    def _acquire_advisory(self, holder: str) -> None:
        connection = self._database.reader.connect().execution_options(isolation_level="READ COMMITTED")
        taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}).scalar()
        if not taken:
            found = connection.execute(
                select(tables.meta.c.value).where(tables.meta.c.key == "holder")
            ).scalar()
            connection.close()
            raise StoreError(_held(self._database.shown, str(found or "another process")))
        current = connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == EPOCH)).scalar()
        self.epoch = int(current or 0) + 1
        for key, value in ((EPOCH, str(self.epoch)), ("holder", holder)):
            upsert(
                connection, tables.meta, [{"key": key, "value": value}], conflict=["key"], update=["value"]
            )
        connection.commit()
        self._connection = connection

    def held(self) -> bool:
        """Tell whether another process has the right to write just now."""
        if self._database.lock_path is None:
            key = {"high": ADVISORY_LOCK >> 32, "low": ADVISORY_LOCK & 0xFFFFFFFF}
            with self._database.read() as c:
                return c.execute(_ADVISORY_HOLDER, key).first() is not None
        if not self._database.lock_path.exists():
            return False
        with self._database.lock_path.open() as file:
            return not _lock(file, fcntl.LOCK_SH)

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None
        if self._connection is not None:
            self._connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
            self._connection.commit()
            self._connection.close()
            self._connection = None


def _lock(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(store: str, holder: str) -> str:
    return (
        f"store {store}: in use by {holder}. Nothing was started, so that nothing is written twice."
        " Stop that process, or let it do the work."
    )
