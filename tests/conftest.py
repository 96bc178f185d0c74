"""Fixtures for all tests: stores on both databases, offices to call commands in, and a quiet logging setup."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.outside import Office
from tests.sync_world import World


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def _postgres_folder() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A private PostgreSQL on a Unix socket; its URL without a database."""
    binaries = _postgres_folder()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed; remedy: apt-get install -y postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # short: a socket path may have 107 bytes
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    demote = {"user": user, "group": user, "extra_groups": []} if os.getuid() == 0 else {}
    if demote:
        shutil.chown(folder, user, user)
    subprocess.run(
        [
            binaries / "initdb",
            "-D",
            folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **demote,
    )
    server = subprocess.Popen(
        [
            binaries / "postgres",
            "-D",
            folder / "data",
            "-k",
            folder,
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=200",
            "-c",
            "fsync=off",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **demote,
    )
    url = f"postgresql+psycopg://postgres@/{{}}?host={folder}"
    engine = create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
    until = time.monotonic() + 30
    while True:
        try:
            with engine.connect():
                break
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
    engine.dispose()
    yield url
    server.send_signal(signal.SIGINT)  # ends connections that a failed test left open
    server.wait(30)
    shutil.rmtree(folder, ignore_errors=True)


_numbers = iter(range(1_000_000))


def new_postgres_database(server: str) -> str:
    """Create an empty database and return its URL, as a configuration names it."""
    name = f"store{next(_numbers)}"
    engine = create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.format(name).replace("postgresql+psycopg", "postgresql")


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store on each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return new_postgres_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A company on this machine that has collected nothing yet."""
    return Office(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def synced_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an office where Ana, whom the CRM knows, and somebody it does not know have written."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        office = Office(tmp_path_factory.mktemp("template"), monkeypatch)
        rui = office.put("crm", "owners", name="Rui Costa", email="rui@example.com")
        office.put(
            "crm",
            "contacts",
            name="Ana Souza",
            email="ana@padaria.example",
            phone="(11) 97391-4862",
            owner=rui,
        )
        office.message("Dá para parcelar em 12x?", "+5511973914862", hours=2)
        office.message("Qual o preço?", "+5521988123344")
        assert office.run("sync").code == 0
        return office.home


@pytest.fixture
def synced(synced_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy of the office that has synced once."""
    shutil.copytree(synced_home, tmp_path, dirs_exist_ok=True)
    return Office(tmp_path, monkeypatch)


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    """Folders and a store on each database, worked on by the steps themselves."""
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made
