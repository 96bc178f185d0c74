"""The command line when something is wrong: exit codes, and what is said."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from bridge.cli import output
from bridge.config import load_config
from bridge.engine.opening import open_runtime
from bridge.errors import (
    AuthError,
    BridgeError,
    ConfigError,
    CursorExpired,
    MappingError,
    PluginError,
    RateLimited,
    Rejected,
    StoreError,
    Unavailable,
)
from tests.outside import KEY, Office, until

ANA = "+5511973914862"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 3),
        (StoreError("x"), 4),
        (AuthError("x"), 5),
        (RateLimited("x", wait=1), 6),
        (Unavailable("x"), 6),
        (Rejected("x"), 1),
        (PluginError("x"), 1),
        (MappingError("x"), 1),
        (CursorExpired("x"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BridgeError, code: int) -> None:
    assert output.exit_code(error) == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["status", "--colour"], "No such option: --colour"),
        (["journey"], "Missing argument 'who'"),
        (["remap"], "Missing argument 'connection'"),
        (["remap", "nobody"], "nobody: there is no such connection. Configured: crm, chat."),
        (["rejects", "replay", "R000000"], "R000000: there is no such group of rejects. Open groups: none."),
        (["rejects", "--config", "x.yaml", "replay"], "write --config after replay, not before it"),
        (["rejects", "--json", "replay"], "write --json after replay, not before it"),
        (["init"], "config.yaml: exists already and was left alone. Move it away, or name another file."),
        (["init", "no/such/folder.yaml"], "no/such/folder.yaml: cannot be written: No such file or directory."),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(arguments: list[str], said: str, office: Office) -> None:
    found = office.run(*arguments)
    assert (found.code, found.out) == (2, "")
    assert said in " ".join(found.err.split())


@pytest.mark.parametrize("command", ["check", "status", "sync", "plan", "waiting", "run", "rejects"])
def test_a_missing_configuration_names_the_command_that_writes_one(command: str, office: Office) -> None:
    office.config.unlink()
    found = office.run(command)
    assert (found.code, found.out) == (3, "")
    assert found.err == "config.yaml: there is no such file. Write a starting one with: crmbridge init\n"
    other = office.run(command, "--config", "other.yaml")
    assert other.err.endswith("with: crmbridge init other.yaml\n")


def test_the_configuration_can_be_named_by_the_environment(
    synced: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMBRIDGE_CONFIG", str(synced.config.rename(synced.home / "mine.yaml")))
    assert synced.run("waiting").code == 0


def test_a_faulty_configuration_stops_every_command_with_all_its_faults(office: Office) -> None:
    office.connections["crm"]["conector"] = office.connections["crm"].pop("connector")
    office.more["web"] = {"listen": "everywhere"}
    office.write()
    for command in ("check", "sync", "status"):
        found = office.run(command)
        assert (found.code, found.out) == (3, "")
        lines = found.err.splitlines()
        assert len(lines) == 3
        assert all(re.match(r"config\.yaml:\d+:\d+ \S+: ", line) for line in lines)
        assert "Did you mean connector?" in found.err


def test_a_faulty_mapping_stops_before_anything_is_asked(office: Office) -> None:
    (office.home / "mine.yaml").write_text(
        "version: 1\nconnector: memory\npull:\n  contacts:\n    to: contact\n    fields: {nmae: name}\n"
    )
    office.connections["crm"]["mapping"] = "mine.yaml"
    office.write()
    found = office.run("sync")
    assert found.code == 3
    assert found.err.startswith("mine.yaml:6:14 pull.contacts.fields.nmae: ")
    assert not (office.home / "crm").exists()


def test_a_folder_of_the_store_that_is_not_there_ends_with_4(office: Office) -> None:
    office.more["store"] = "sqlite:///nowhere/crm.db"
    office.write()
    found = office.run("status")
    assert found.code == 4
    assert found.err == (
        f"store: the folder {office.home}/nowhere does not exist; create it, or change `store:` in the configuration.\n"
    )


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a letter" * 100, b"SQLite format 3\x00" + b"x" * 5000]
)
@pytest.mark.parametrize("command", ["status", "run"])
def test_a_store_that_is_no_database_ends_with_4(command: str, content: bytes, office: Office) -> None:
    (office.home / "crmbridge.db").write_bytes(content)
    found = office.run(command)
    assert (found.code, found.out) == (4, "")
    assert found.err.startswith(f"store sqlite:///{office.home}/crmbridge.db: cannot be opened: ")
    assert "`store:`" in found.err
    assert (office.home / "crmbridge.db").read_bytes() == content


def test_a_store_in_a_folders_place_ends_with_4(office: Office) -> None:
    (office.home / "crmbridge.db").mkdir()
    found = office.run("status")
    assert (found.code, found.out) == (4, "")
    assert "unable to open database file" in found.err


def test_a_store_damaged_within_ends_with_4_and_shows_no_content(synced: Office) -> None:
    with sqlite3.connect(synced.home / "crmbridge.db") as database:
        database.execute("PRAGMA writable_schema=ON")
        database.execute("DROP TABLE journey")
    database.close()
    found = synced.run("waiting")
    assert (found.code, found.out) == (4, "")
    assert "cannot be read: no such table: journey. Nothing was changed." in found.err


def test_a_store_of_a_newer_program_is_left_alone(synced: Office) -> None:
    with sqlite3.connect(synced.home / "crmbridge.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    found = synced.run("sync")
    assert found.code == 4
    assert "written by a newer crmbridge" in found.err


def test_an_unreachable_database_server_ends_with_4_and_hides_its_password(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "the-word-of-the-database")
    office.more["store"] = "postgresql://crm:${env:DB_PASSWORD}@127.0.0.1:1/crm"
    office.write()
    found = office.run("status")
    assert found.code == 4
    assert "postgresql+psycopg://crm:***@127.0.0.1:1/crm: cannot be opened: " in found.err
    assert "the-word-of-the-database" not in found.err


def test_a_fault_of_the_program_shows_its_trace_and_no_secret(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"never expected {KEY}")

    monkeypatch.setattr("bridge.cli.look.overview", broken)
    found = office.run("status")
    assert found.code == 7
    assert "Traceback" in found.err
    assert "RuntimeError: never expected [secret]\n" in found.err
    assert found.err.endswith(
        "This is a fault of crmbridge; what was stored is safe. Report it with the lines above.\n"
    )


def test_ctrl_c_ends_a_sync_after_the_page_at_hand_and_the_next_goes_on(office: Office) -> None:
    lines = office.talk_on()
    office.connections = {"chat": office.connections["chat"]}
    office.connections["chat"]["settings"]["page_size"] = 1
    office.write()
    command = [sys.executable, "-m", "bridge.cli", "sync"]
    sync = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: _read(office) > 5)
    sync.send_signal(signal.SIGINT)
    out, err = sync.communicate(timeout=60)
    assert (sync.returncode, out) == (130, "")
    assert err == "Stopped. Run the same command again: it goes on where it was.\n"
    stopped = _read(office)
    assert 5 < stopped < lines
    office.end_the_talk(after=stopped + 50)
    assert office.run("sync", "--json").json["outcome"] == "ok"
    assert _read(office) == stopped + 50


def _read(office: Office) -> int:
    database = office.home / "crmbridge.db"
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as reader:
        try:
            return int(reader.execute("SELECT count(*) FROM record").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_held_by_another_command_ends_with_4(
    kind: str, office: Office, request: pytest.FixtureRequest
) -> None:
    if kind == "postgresql":
        office.more["store"] = request.getfixturevalue("postgres_server").new_database()
        office.write()
    assert office.run("sync").code == 0
    config = load_config(office.config)
    with open_runtime(config, lock_as="crmbridge demo"):
        found = office.run("sync")
        assert (found.code, found.out) == (4, "")
        assert f"in use by crmbridge demo, process {os.getpid()} on " in found.err
        assert office.run("status").code == 0
    assert office.run("sync").code == 0


BROKEN = """
raise RuntimeError("no licence")
"""


def test_a_broken_plugin_is_named_by_every_command_and_the_rest_runs(
    office: Office, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path_factory.mktemp("site")
    (site / "acme_broken.py").write_text(BROKEN)
    described = site / "acme_shop-1.2.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-shop\nVersion: 1.2\n")
    (described / "entry_points.txt").write_text("[bridge.plugins]\nshop = acme_broken\n")
    monkeypatch.syspath_prepend(str(site))
    office.connections["till"] = {"connector": "shop", "settings": {"anything": 1}}
    office.write()
    named = 'connections.till.connector: connector "shop" from acme-shop 1.2 was left out: RuntimeError: no licence\n'
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    said = office.run("sync")
    assert said.code == 1
    assert "Read 1 = 1 mapped" in said.out
    assert said.err.count(named) == 1
    for words in (["status"], ["waiting"], ["plan"]):
        found = office.run(*words)
        assert (found.code, found.err.count(named)) == (0, 1)
    assert office.run("check").code == 1
    assert 'connector "shop" from acme-shop 1.2' in office.run("connectors").err
    office.connections["chat"]["capture"] = {"only_with": "contacts"}
    office.write()
    waits = office.run("sync").err
    assert "chat: waits until the contacts of till are read" in waits, "what was left out may be the CRM"
