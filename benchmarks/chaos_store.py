"""What happens to the store of the chaos run: a backup is put back, and a power failure takes what was not flushed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text

from bridge.store.writer import Writer
from tests.sync_world import CrashingWriter


class Backup:
    """A copy of the store, made and put back while no process runs; `known` are the words of each entry in it."""

    def __init__(self, store: str, home: Path, known: Mapping[tuple[str, str], set[str]]) -> None:
        self._url = make_url(store)
        self._copy = home / "backup.db"
        self.known = known
        if self._url.get_backend_name() == "sqlite":
            _copy(Path(self._url.database or ""), self._copy)
        else:
            self._ask(f"{self._url.database}_copy", str(self._url.database))

    def restore(self) -> None:
        if self._url.get_backend_name() == "sqlite":
            put(self._copy, Path(self._url.database or ""))
        else:
            self._ask(str(self._url.database), f"{self._url.database}_copy")

    def _ask(self, name: str, template: str) -> None:
        url = self._url.set(drivername="postgresql+psycopg", database="postgres")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        engine.dispose()


class Snapshots(CrashingWriter):
    """The writer on a disk that keeps only what was flushed; the power fails at its n-th transaction."""

    def __init__(self, writer: Writer, store: str, copy: Path) -> None:
        super().__init__(writer, at=0, after=False)
        self._store, self._copy = Path(store), copy
        _copy(self._store, self._copy)

    def run(self, *arguments: Any, **more: Any) -> Any:
        result = super().run(*arguments, **more)
        if more.get("durable"):
            _copy(self._store, self._copy)
        return result


def _copy(store: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    with sqlite3.connect(store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()


def put(copy: Path, store: Path) -> None:
    for end in ("-wal", "-shm"):
        store.with_name(store.name + end).unlink(missing_ok=True)
    shutil.copy(copy, store)
