"""Stores for tests: empty ones copied from one that was made once, and engines that compile each statement once."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, event, text

from bridge.store.database import Database

_dialects: dict[str, tuple[Any, Any]] = {}


def create_engine(url: Any, **options: Any) -> Engine:
    """
    Create an engine that knows what was compiled for any other of the same database.

    A process has one store, and compiles its statements once; a test run has a thousand, each of which
    would compile them anew, a quarter of the whole time. Only a dialect that has connected is shared: until then
    it does not know the server's version.
    """
    engine = sqlalchemy.create_engine(url, query_cache_size=5_000, **options)
    key = f"{engine.dialect.name} {options.get('paramstyle')} {options.get('isolation_level')}"
    if key in _dialects:
        dialect, engine._compiled_cache = _dialects[key]
        engine.dialect = engine.pool._dialect = dialect
    else:

        def share(*_: Any) -> None:
            _dialects.setdefault(key, (engine.dialect, engine._compiled_cache))

        event.listen(engine, "connect", share, once=True)  # comes after SQLAlchemy's own, which asks
    return engine


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/store.db")
        database.migrate()
        database.close()
        return (Path(folder) / "store.db").read_bytes()


def fill(path: Path) -> None:
    """Put an empty store, its tables made, where there is no file yet."""
    if not path.exists():
        path.write_bytes(_empty())


class PostgresServer:
    """A private PostgreSQL on a Unix socket in `folder`; databases are named by number."""

    def __init__(self, folder: Path) -> None:
        self._url = f"postgresql+psycopg://postgres@/{{}}?host={folder}"
        self._admin = sqlalchemy.create_engine(self._url.format("postgres"), isolation_level="AUTOCOMMIT")
        self._count = 0
        self._template: str | None = None

    def wait(self) -> None:
        """Return once it answers; raises what connecting raises after two minutes."""
        until = time.monotonic() + 120
        while True:
            try:
                with self._admin.connect():
                    return
            except sqlalchemy.exc.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def new_database(self) -> str:
        """Create a database without tables and return its URL, as a configuration names it."""
        return self._create("template0")

    def new_store(self) -> str:
        """Create an empty store, its tables made, and return its URL."""
        if self._template is None:
            url = self.new_database()
            database = Database(url)
            database.migrate()
            database.close()
            self._template = f"store{self._count}"
        return self._create(self._template)

    def _create(self, template: str) -> str:
        self._count += 1
        name = f"store{self._count}"
        with self._admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
        return self._url.format(name).replace("postgresql+psycopg", "postgresql")

    def close(self) -> None:
        """Close the connection that creates databases."""
        self._admin.dispose()


def postgres_folder() -> Path | None:
    """Return where the newest PostgreSQL's programs are, None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


@contextmanager
def postgres(binaries: Path) -> Iterator[PostgresServer]:
    """Run a private PostgreSQL inside a `with` block; it forgets everything at its end, so it flushes nothing."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # short: a socket path may have 107 bytes
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    demote: dict[str, Any] = {}
    if os.getuid() == 0:
        demote = {"user": user, "group": user, "extra_groups": []}
        shutil.chown(folder, user, user)
    subprocess.run(
        [
            *(binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust"),
            *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **demote,
    )
    settings = {
        "listen_addresses": "",
        "max_connections": "200",
        "fsync": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "autovacuum": "off",  # would look into hundreds of databases, one after another, all the time
        "jit": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [binaries / "postgres", "-D", folder / "data", "-k", folder, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **demote,
    )
    found = PostgresServer(folder)
    try:
        found.wait()
        yield found
    finally:
        found.close()
        server.send_signal(signal.SIGINT)  # ends connections that a failed test left open
        server.wait(120)
        shutil.rmtree(folder, ignore_errors=True)
