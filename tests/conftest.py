"""Fixtures for all tests: stores on both databases, offices to call commands in, and a quiet logging setup."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import EntryPoints
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from bridge.mapping import Mapping, load_mapping
from tests import stores
from tests.outside import Office
from tests.stores import PostgresServer
from tests.sync_world import World

# A slow machine is no fault and each run tries the same; `--hypothesis-profile=default` tries others.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that at the end no worker waits for another's."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _known_once() -> Iterator[None]:
    """Let what a process works out once, its statements, plugins and mappings, be worked out once for all tests."""
    found: dict[tuple[str, ...], EntryPoints] = {}
    loaded: dict[tuple[Any, ...], Mapping] = {}

    def load(path: Path, *, connector: str, streams: list[str]) -> Mapping:
        content = path.read_bytes() if path.is_file() else b""
        key = (path, content, connector, *streams)
        if key not in loaded:
            loaded[key] = load_mapping(path, connector=connector, streams=streams)
        return loaded[key]

    def entry_points(*, group: str) -> EntryPoints:
        key = (group, *sys.path)
        if key not in found:
            found[key] = metadata.entry_points(group=group)
        return found[key]

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("bridge.store.database.create_engine", stores.create_engine)
        monkeypatch.setattr("bridge.plugins.entry_points", entry_points)
        monkeypatch.setattr("bridge.engine.opening.load_mapping", load)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A private PostgreSQL."""
    binaries = stores.postgres_folder()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed; remedy: apt-get install -y postgresql")
    with stores.postgres(binaries) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store on each database, its tables made."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_server").new_store())
    path = tmp_path / "store.db"
    stores.fill(path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind without any table."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_server").new_database())
    return f"sqlite:///{tmp_path / 'store.db'}"


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
