"""The command line: what each command prints, its JSON, its exit code, and what it does when something is wrong."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from bridge.cli import app, output
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
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_memory import Memory
from tests.conftest import new_postgres_database
from tests.outside import KEY, Office, running, until

ANA = "+5511973914862"


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    return Office(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an office where Ana, whom the CRM knows, and somebody it does not know have written."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        office = Office(tmp_path_factory.mktemp("template"), monkeypatch)
        _fill(office)
        return office.home


@pytest.fixture
def synced(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy of the template."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Office(tmp_path, monkeypatch)


def _fill(office: Office) -> None:
    rui = office.put("crm", "owners", name="Rui Costa", email="rui@example.com")
    office.put(
        "crm", "contacts", name="Ana Souza", email="ana@padaria.example", phone="(11) 97391-4862", owner=rui
    )
    office.message("Dá para parcelar em 12x?", ANA, hours=2)
    office.message("Qual o preço?", "+5521988123344")
    assert office.run("sync").code == 0


# -- every command -------------------------------------------------------------------------------


def commands() -> Iterator[tuple[list[str], Any]]:
    """Yield every command that does something, with the words that call it."""
    rest: list[tuple[list[str], Any]] = [([], typer.main.get_command(app))]
    while rest:
        words, command = rest.pop()
        rest += [([*words, name], inner) for name, inner in getattr(command, "commands", {}).items()]
        if command.callback is not None and words:
            yield words, command


COMMANDS = sorted(commands(), key=lambda found: found[0])


def test_commands_are_found_at_every_depth() -> None:
    found = {" ".join(words) for words, _ in COMMANDS}
    assert {"check", "sync", "run", "rejects", "rejects replay", "setup crm", "mapping test"} <= found


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_every_command_says_in_one_sentence_what_it_does(
    words: list[str], command: Any, office: Office
) -> None:
    assert command.help is not None
    first = command.help.strip().splitlines()[0]
    assert re.match(r"[A-Z][^.]+\.", first)
    said = office.run(*words, "--help")
    assert said.code == 0
    assert first.split(".")[0] in " ".join(said.out.split())
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"


def test_the_list_of_commands_cuts_no_sentence_short(office: Office) -> None:
    said = office.run("--help")
    assert said.code == 0
    assert "..." not in said.out.replace("COMMAND [ARGS]...", "")
    assert office.run("--version").out.startswith("crmbridge 0.")


JSON_COMMANDS = [words for words, command in COMMANDS if any(p.name == "as_json" for p in command.params)]


def test_no_command_but_the_daemon_waits_for_the_web_server_to_load() -> None:
    show = "import sys, bridge.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    assert "bridge.cli.work" in loaded.split()
    assert not {"uvicorn", "starlette", "bridge.web"} & set(loaded.split())


def test_only_commands_that_talk_to_people_alone_have_no_json() -> None:
    assert [" ".join(words) for words, _ in COMMANDS if words not in JSON_COMMANDS] == ["init", "run"]


@pytest.mark.parametrize("words", JSON_COMMANDS, ids=" ".join)
def test_json_is_one_value_and_nothing_else(words: list[str], synced: Office) -> None:
    argument = {"journey": ["Ana"], "remap": ["chat"]}.get(words[0], [])
    said = synced.run(*words, *argument, "--json")
    assert said.code == 0
    assert isinstance(said.json, dict | list)
    assert said.err == ""


# -- exit codes ----------------------------------------------------------------------------------


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
    lines = 300
    office.message("Oi", ANA)
    with (office.home / "chat" / "messages.jsonl").open("a") as file:
        for number in range(lines):
            at = "2026-11-20T10:00:00Z"
            thing = {"id": f"n{number}", "from": ANA, "at": at, "channel": "whatsapp", "modified": at}
            file.write(json.dumps(thing) + "\n")
    office.connections = {"chat": office.connections["chat"]}
    office.connections["chat"]["settings"]["page_size"] = 1
    office.write()
    command = [sys.executable, "-m", "bridge.cli", "sync"]
    sync = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: _read(office) > 5)
    sync.send_signal(signal.SIGINT)
    out, err = sync.communicate(timeout=20)
    assert (sync.returncode, out) == (130, "")
    assert err == "Stopped. Run the same command again: it goes on where it was.\n"
    assert 5 < _read(office) < lines
    assert office.run("sync", "--json").json["outcome"] == "ok"
    assert _read(office) == lines + 1


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
        office.more["store"] = new_postgres_database(request.getfixturevalue("postgres_server"))
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


# -- init, check, connectors, setup, mapping test --------------------------------------------------


def test_init_writes_a_configuration_that_check_accepts_once_it_is_filled_in(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.config.unlink()
    said = office.run("init")
    assert (said.code, said.out) == (0, "Wrote config.yaml. Fill in your accounts, then: crmbridge check\n")
    schema = office.config.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert json.loads(Path(schema).read_text())["title"] == "crmbridge configuration"
    unfilled = office.run("check")
    assert unfilled.code == 3
    assert "${env:HUBSPOT_TOKEN} is not set. Set it: export HUBSPOT_TOKEN=..." in unfilled.err
    with HubSpotSandbox() as hubspot:
        for name in ("WA_SECRET", "WA_VERIFY", "WA_TOKEN"):
            monkeypatch.setenv(name, f"the value of {name}")
        monkeypatch.setenv("HUBSPOT_TOKEN", hubspot.token)
        text = office.config.read_text()
        mailbox = text[text.index("  sales-mailbox:") : text.index("  whatsapp:")]
        text = text.replace(mailbox, "").replace(
            '      token: "${env:HUBSPOT_TOKEN}"',
            f'      base_url: {hubspot.url}\n      token: "${{env:HUBSPOT_TOKEN}}"',
        )
        text = text.replace('      access_token: "${env:WA_TOKEN}"\n', "")
        office.config.write_text(text)
        said = office.run("check")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "config.yaml: valid",
        "crm: ok, hubspot account 123456 HubSpot 123456; is only read",
        "whatsapp: ok, whatsapp account 102290129340398; is only read",
    ]


def test_check_asks_every_connection_and_names_what_is_wrong_with_each(office: Office) -> None:
    office.put("locked", "contacts", name="Ana")
    (office.home / "file").write_text("no folder")
    office.connections |= {
        "locked": {"connector": "memory", "settings": {"directory": "locked", "key": "${file:wrong}"}},
        "broken": office.folder("file"),
    }
    (office.home / "wrong").write_text("another key altogether")
    office.write()
    said = office.run("check")
    assert said.code == 5
    assert said.out.splitlines()[0] == "config.yaml: valid"
    assert "crm: ok, memory account folder-" in said.out
    assert f"locked: {office.home}/locked: the key is not this folder's; set settings.key" in said.out
    assert f"broken: {office.home}/file: File exists; check the disk" in said.out
    as_json = office.run("check", "--json").json
    assert as_json["ok"] is False
    assert [one["kind"] for one in as_json["connections"]] == [None, None, "auth", "unavailable"]
    del office.connections["locked"]
    office.write()
    assert office.run("check").code == 6


def test_check_stores_nothing(office: Office) -> None:
    office.run("check")
    assert office.run("status").out.count("account") == 0
    assert "last news never" in office.run("status").out


def test_connectors_lists_what_is_installed(office: Office) -> None:
    office.config.unlink()
    said = office.run("connectors")
    assert said.code == 0
    assert "hubspot    HubSpot; streams: contacts, companies, deals" in said.out
    assert {"api", "hubspot", "imap", "memory", "whatsapp"} <= {
        one["name"] for one in office.run("connectors", "--json").json["connectors"]
    }


def test_setup_crm_shows_what_is_missing_then_creates_it(office: Office) -> None:
    shown = office.run("setup", "crm")
    assert shown.code == 0
    assert "crm\n  contacts: missing waiting_since, source\n" in shown.out
    assert "chat: no `push`: nothing is written to this account\n" in shown.out
    assert shown.out.endswith(
        "Nothing changed yet. Create what is missing with: crmbridge setup crm --apply\n"
    )
    assert office.run("setup", "crm").out == shown.out
    made = office.run("setup", "crm", "--apply")
    assert "  contacts: created waiting_since, source\n" in made.out
    assert "Nothing changed" not in made.out
    again = office.run("setup", "crm", "--apply", "--json").json
    assert again["crm"]["streams"]["contacts"] == {"existing": ["source", "waiting_since"], "missing": []}


def test_mapping_test_runs_the_tests_in_the_mappings(office: Office) -> None:
    shipped = office.run("mapping", "test")
    assert shipped.code == 0
    assert re.search(r"\n\d+ passed, 0 failed\n$", shipped.out)
    mine = office.home / "mine.yaml"
    mine.write_text(
        "version: 1\nconnector: memory\n"
        "pull: {contacts: {to: contact, fields: {display_name: name}}}\n"
        "tests:\n"
        "  - {name: right, stream: contacts, given: {name: Ana}, expect: {display_name: Ana}}\n"
        "  - {name: wrong, stream: contacts, given: {name: Ana}, expect: {display_name: Bia}}\n"
    )
    said = office.run("mapping", "test", "mine.yaml")
    assert said.code == 1
    assert said.out.startswith("ok   mine.yaml: right\nFAIL mine.yaml: wrong\n")
    assert said.out.endswith("1 passed, 1 failed\n")
    assert [one["ok"] for one in office.run("mapping", "test", "mine.yaml", "--json").json["mine.yaml"]] == [
        True,
        False,
    ]
    office.connections["crm"]["mapping"] = "mine.yaml"
    office.write()
    assert office.run("mapping", "test").code == 1
    assert office.run("check").code == 1
    missing = office.run("mapping", "test", "nowhere.yaml")
    assert (missing.code, missing.err) == (
        3,
        "nowhere.yaml: cannot be read: No such file or directory. Create it, or correct the path.\n",
    )


# -- sync ----------------------------------------------------------------------------------------


def test_a_sync_says_what_came_who_waits_and_what_was_written(office: Office) -> None:
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    office.message("Quanto custa?", ANA)
    said = office.run("sync")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "Read 2 = 2 mapped + 0 skipped + 0 rejected",
        "People 1 = 1 matched, 0 new, 0 for you to decide",
        "WAITING FOR US",
        '  Ana Souza  NOBODY  WhatsApp, 1 h: "Quanto custa?"',
        "SYNC 1 write",
    ]
    again = office.run("sync", "--json").json
    assert (again["outcome"], again["writes"], again["cause"]) == ("ok", 0, None)


def test_collect_only_writes_nothing(office: Office) -> None:
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    office.message("Quanto custa?", ANA)
    said = office.run("sync", "--collect-only")
    assert said.code == 0
    assert office.latest("crm", "entries") == {}


def test_a_dead_connection_does_not_stop_the_others(office: Office) -> None:
    (office.home / "dead").write_text("no folder")
    office.connections = {"dead": office.folder("dead"), **office.connections}
    office.write()
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    office.message("Quanto custa?", ANA)
    said = office.run("sync")
    assert said.code == 1
    assert "SYNC 1 write\n" in said.out
    assert said.err == f"dead: {office.home}/dead: File exists; check the disk, then it is tried again\n"
    assert len(office.latest("crm", "entries")) == 1
    assert office.run("sync", "--json").json["outcome"] == "partial"
    shown = office.run("status")
    assert shown.code == 0
    assert re.match(
        r"dead  last news never\n  ! dead: .*: File exists; check the disk, .* \(since \w{3} \d\d:\d\d\)\n",
        shown.out,
    )
    found = office.run("status", "--json").json
    dead = next(one for one in found["connections"] if one["name"] == "dead")
    assert "check the disk" in dead["error"]
    since = datetime.fromisoformat(dead["error_since"])
    office.run("sync")
    again = office.run("status", "--json").json["connections"][0]
    assert datetime.fromisoformat(again["error_since"]) == since
    (office.home / "dead").unlink()
    assert office.run("sync").code == 0
    assert office.run("status", "--json").json["connections"][0]["error"] is None


def test_a_sync_that_reaches_nobody_says_why_by_its_exit_code(office: Office) -> None:
    office.connections = {"crm": office.connections["crm"]}
    office.write()
    (office.home / "crm").write_text("no folder")
    assert office.run("sync").code == 6
    (office.home / "crm").unlink()
    office.put("crm", "contacts", name="Ana")
    (office.home / "wrong").write_text("another key altogether")
    office.connections["crm"]["settings"]["key"] = "${file:wrong}"
    office.write()
    refused = office.run("sync", "--json")
    assert refused.code == 5
    assert (refused.json["outcome"], refused.json["cause"]) == ("failed", "auth")
    assert "another key altogether" not in refused.out + refused.err


def test_a_stream_that_stops_within_is_named_and_the_next_sync_goes_on(office: Office) -> None:
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    assert office.run("sync").code == 0
    contacts = office.home / "crm" / "contacts.jsonl"
    contacts.rename(office.home / "kept")
    contacts.mkdir()
    said = office.run("sync")
    assert said.code == 1
    assert said.err == (
        f"crm: {office.home}/crm: Is a directory; check the disk, then it is tried again (contacts)\n"
    )
    shown = office.run("status").out
    assert "  contacts: read 1 = 1 mapped" in shown
    assert "    ! crm: " in shown or f"    ! {office.home}/crm: Is a directory" in shown
    assert "(since " in shown


@pytest.mark.parametrize("method", ["check", "pull"])
def test_a_connector_that_breaks_its_promise_is_named_and_the_others_go_on(
    method: str, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = getattr(Memory, method)

    def broken(self: Memory, *arguments: Any) -> Any:
        if self._folder._path.name == "chat":
            raise KeyError(f"surprise {KEY}")
        return kept(self, *arguments)

    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    monkeypatch.setattr(Memory, method, broken)
    said = office.run("sync")
    assert said.code == 1
    assert "Read 1 = 1 mapped" in said.out
    assert "chat: a fault of the connector memory: KeyError: 'surprise [secret]'. What it" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in office.run("sync", "-v").err


def test_a_fault_while_writing_is_traced_and_the_rest_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Memory, *arguments: Any) -> Any:
        raise KeyError(f"surprise {KEY}")

    office.message("Quanto custa?", ANA)
    monkeypatch.setattr(Memory, "find", broken)
    said = office.run("sync")
    assert said.code == 1
    assert "WAITING FOR US" in said.out
    assert "crm: a fault of the connector memory: KeyError" in said.err
    assert "Traceback" in said.err
    monkeypatch.undo()
    monkeypatch.setenv("FOLDER_KEY", KEY)
    monkeypatch.chdir(office.home)
    assert office.run("sync", "--json").json["written"] == {"contact": 1, "entry": 1}


def test_who_is_known_is_asked_only_after_the_contacts_were_read(office: Office) -> None:
    office.connections = {
        "chat": {**office.folder("chat"), "capture": {"only_with": "contacts"}},
        "crm": office.connections["crm"],
    }
    office.write()
    for number in range(30):
        office.put("crm", "contacts", name=f"Person {number}", phone=f"+55 11 97391-{4800 + number}")
    office.message("Sou eu", "5511973914802")
    office.message("Quem é?", "5521988123344")
    said = office.run("sync", "--json").json
    assert (said["outcome"], said["skipped_by_rule"]) == ("ok", {"no contact": 1})
    assert [person["name"] for person in said["waiting_for_us"]] == ["Person 2"]


def test_nothing_is_skipped_as_unknown_while_the_crm_cannot_be_read(office: Office) -> None:
    office.connections["chat"]["capture"] = {"only_with": "contacts_or_leads"}
    office.write()
    (office.home / "crm").write_text("no folder")
    office.message("Sou eu", ANA)
    said = office.run("sync")
    assert said.code == 6
    assert (
        "chat: waits until the contacts of crm are read, as its capture rules ask who is known." in said.err
    )
    assert said.out.startswith("Read 0 = 0 mapped + 0 skipped")
    (office.home / "crm").unlink()
    office.put("crm", "contacts", name="Ana Souza", phone=ANA)
    assert [one["name"] for one in office.run("sync", "--json").json["waiting_for_us"]] == ["Ana Souza"]


def test_a_renamed_connection_goes_on_where_it_was(synced: Office) -> None:
    synced.run("sync")
    synced.connections["folder-of-messages"] = synced.connections.pop("chat")
    synced.write()
    again = synced.run("sync", "--json").json
    assert (again["outcome"], again["mapped"], again["writes"]) == ("ok", 0, 0)


def test_a_second_process_on_the_store_is_refused_and_told_who_has_it(office: Office) -> None:
    with running(office) as daemon:
        second = office.run("run")
        assert (second.code, second.out) == (4, "")
        assert second.err == (
            f"store sqlite:///{office.home}/crmbridge.db: in use by crmbridge run, process {daemon.process.pid} on"
            f" {second.err.split(' on ')[1].split('. Nothing')[0]}. Nothing was started, so that nothing is written"
            " twice. Stop that process, or let it do the work.\n"
        )
        office.message("Quanto custa?", ANA)
        handed = office.run("sync")
        assert (handed.code, handed.err) == (0, "")
        assert handed.out == "The daemon looks at 2 connections now; see: crmbridge status\n"
        assert office.run("sync", "--json").json == {"connections": 2}
        assert office.run("rejects", "replay").out.startswith("0 rejects will be tried again")
        assert office.run("remap", "chat", "--apply", "--json").json["records"] >= 0
        assert office.run("waiting").code == 0


# -- plan ----------------------------------------------------------------------------------------


def test_a_plan_writes_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubSpotSandbox() as hubspot:
        monkeypatch.setenv("HUBSPOT_TOKEN", hubspot.token)
        settings = {"base_url": hubspot.url, "token": "${env:HUBSPOT_TOKEN}"}
        office.connections["crm"] = {
            "connector": "hubspot",
            "settings": settings,
            "push": {"timeline": True, "create": {"whatsapp": "first_message"}},
        }
        office.write()
        hubspot.create("contacts", {"firstname": "Ana", "lastname": "Souza", "phone": ANA})
        office.message("Quanto custa?", ANA)
        office.message("Qual o preço?", "+5521988123344")
        assert office.run("sync", "--collect-only").code == 0
        before = {kind: hubspot.objects(kind) for kind in ("contacts", "communications", "notes", "emails")}
        hubspot.calls.clear()
        plan = office.run("plan", "--details")
        as_json = office.run("plan", "--json")
        assert (plan.code, as_json.code) == (0, 0)
        assert {
            (call.method, call.path.rpartition("/")[2]) for call in hubspot.calls if call.method != "GET"
        } <= {
            ("POST", "search"),
            ("POST", "read"),
        }
        assert hubspot.calls
        assert before == {kind: hubspot.objects(kind) for kind in before}
        assert "Quanto custa?" in plan.out
        assert re.search(
            r"PLAN 2 entries, 1 new contact, 0 fields overwritten, \d calls?\. Nothing written yet\.",
            plan.out,
        )
        kinds = [action["kind"] for action in as_json.json["crm"]]
        assert (kinds.count("entry"), kinds.count("create_contact")) == (2, 1)
        assert office.run("sync", "--json").json["writes"] == 3
        assert "PLAN 0 entries, 0 new contacts" in office.run("plan").out


def test_a_plan_without_push_says_that_nothing_of_it_will_be_written(synced: Office) -> None:
    del synced.connections["crm"]["push"]
    synced.write()
    said = synced.run("plan")
    assert said.code == 0
    assert "crm has no `push` in the configuration: nothing of this will be written." in said.out


def test_a_plan_before_the_first_sync_says_what_to_do(office: Office) -> None:
    said = office.run("plan")
    assert (said.code, said.out) == (
        0,
        "There is nothing to plan: no CRM was reached yet.\nCollect first with: crmbridge sync --collect-only\n",
    )


def test_a_plan_while_the_crm_is_away_ends_with_6(office: Office) -> None:
    office.message("Quanto custa?", ANA)
    assert office.run("sync", "--collect-only").code == 0
    (office.home / "crm").rename(office.home / "moved")
    (office.home / "crm").write_text("no folder")
    said = office.run("plan")
    assert (said.code, said.out) == (6, "")
    assert "check the disk" in said.err


# -- journey, waiting ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "who",
    [
        "Ana Souza",
        "ana",
        "SOUZA",
        "ana@padaria.example",
        " Ana <ANA@padaria.example> ",
        "+5511973914862",
        "5511973914862",
        "+55 (11) 97391-4862",
        "11 97391-4862",
        "551173914862",
        "1",
    ],
)
def test_a_journey_is_found_by_whatever_one_knows(who: str, synced: Office) -> None:
    said = synced.run("journey", who)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Ana Souza  (p_")


def test_a_journey_tells_who_it_is_and_what_happened(synced: Office) -> None:
    said = synced.run("journey", "Ana")
    lines = said.out.splitlines()
    assert {"  Owner: Rui Costa", "  Contact: memory 1", "  Came from: whatsapp"} <= set(lines)
    assert "  Known as: +5511973914862, 5511973914862, ana@padaria.example" in lines
    assert any(re.fullmatch(r"  \d\d:\d\d <- whatsapp: Dá para parcelar em 12x\?", line) for line in lines)
    person_id = lines[0].split("(")[1].rstrip(")")
    assert synced.run("journey", person_id).out == said.out
    assert synced.run("journey", person_id, "--json").json["person_id"] == person_id


def test_a_name_of_several_people_lists_them(synced: Office) -> None:
    synced.put("crm", "contacts", name="Ana Prates", phone="+55 31 98811-2233")
    synced.message("Oi", "+5531988112233")
    synced.run("sync")
    said = synced.run("journey", "ana")
    assert said.code == 1
    first, *rest = said.out.splitlines()
    assert first == "'ana' fits 2 people; say which:"
    assert sorted(line.split("  ")[-1] for line in rest) == ["Ana Prates", "Ana Souza"]
    assert all(line.startswith("  crmbridge journey p_") for line in rest)
    assert len(synced.run("journey", "ana", "--json").json["candidates"]) == 2


@pytest.mark.parametrize(
    "who", ["Zacharias", "zac@nowhere.example", "+4915127418365", "p_00", "", " ", "%", "_"]
)
def test_somebody_unknown_ends_with_1(who: str, synced: Office) -> None:
    said = synced.run("journey", who, "--json")
    assert (said.code, said.json) == (1, {"candidates": []})
    assert said.err == f"{who!r}: nobody is known by that name, address, number or id.\n"


def test_an_argument_that_is_no_text_finds_nobody(synced: Office) -> None:
    said = synced.run("journey", "\udcff")
    assert (said.code, said.err) == (1, "'?': nobody is known by that name, address, number or id.\n")


def test_waiting_names_owner_channel_and_text(synced: Office) -> None:
    said = synced.run("waiting")
    assert said.out.splitlines() == [
        "WAITING FOR US",
        '  Ana Souza       Rui Costa  WhatsApp, 2 h: "Dá para parcelar em 12x?"',
        '  +5521988123344  NOBODY     WhatsApp, 1 h: "Qual o preço?"',
    ]
    as_json = synced.run("waiting", "--json").json
    assert [(one["name"], one["owner"]) for one in as_json] == [
        ("Ana Souza", "Rui Costa"),
        ("+5521988123344", None),
    ]


def test_nobody_waits_once_everybody_was_answered(synced: Office) -> None:
    for to in (ANA, "+5521988123344"):
        synced.message(
            "Sim", "+551140001000", to=to, direction="outbound", thread=to, at=datetime.now(UTC).isoformat()
        )
    synced.run("sync")
    assert synced.run("waiting").out == "Nobody waits for us.\n"
    assert synced.run("waiting", "--json").json == []


# -- rejects, remap ------------------------------------------------------------------------------


def test_rejects_are_grouped_by_cause_and_replayed_once_mended(office: Office) -> None:
    for number in range(7):
        office.message("Oi", at=f"yesterday {number}")
    with (office.home / "chat" / "messages.jsonl").open("a") as file:
        file.write("{{ no JSON\n")
    said = office.run("sync")
    assert said.code == 1
    assert "8 rejected" in said.out
    assert said.out.endswith("Look at the rejects: crmbridge rejects\n")
    shown = office.run("rejects")
    assert shown.code == 0
    (group,) = re.findall(
        r"^(R\w+)  7 rejects in step map, chat messages at \S+memory\.yaml:\d+$", shown.out, re.M
    )
    assert "yesterday" in shown.out
    assert f"  Once mended: crmbridge rejects replay {group}\n" in shown.out
    assert re.search(r"  Records: (\d+, ){5}\.\.\.\n", shown.out)
    as_json = office.run("rejects", "--json").json
    assert sorted(one["count"] for one in as_json) == [1, 7]
    unknown = office.run("rejects", "replay", "R999999")
    assert unknown.code == 2
    assert group in unknown.err
    mapping = (Path(__file__).parent.parent / "mappings" / "memory.yaml").read_text()
    (office.home / "mine.yaml").write_text(
        mapping.replace(
            "occurred_at: {from: at, using: instant}", "occurred_at: {from: modified, using: instant}"
        )
    )
    office.connections["chat"]["mapping"] = "mine.yaml"
    office.write()
    replayed = office.run("rejects", "replay", group)
    assert (replayed.code, replayed.out) == (
        0,
        "7 rejects will be tried again by the next cycle (crmbridge sync).\n",
    )
    office.run("sync")
    assert sum(one["count"] for one in office.run("rejects", "--json").json) <= 1
    assert office.run("rejects", "replay", "--json").json["replayed"] <= 1


def test_a_replay_that_is_rejected_again_is_said_by_the_next_sync_and_by_no_later_one(office: Office) -> None:
    office.message("Oi", at="yesterday")
    assert office.run("sync").code == 1
    assert office.run("sync").code == 0
    assert office.run("rejects", "replay").code == 0
    again = office.run("sync")
    assert again.code == 1
    assert "Read 0 = 0 mapped + 0 skipped + 0 rejected\n" in again.out
    assert again.out.endswith("Look at the rejects: crmbridge rejects\n")
    assert office.run("sync").code == 0


def test_remap_previews_and_applies(synced: Office) -> None:
    mapping = (Path(__file__).parent.parent / "mappings" / "memory.yaml").read_text()
    (synced.home / "mine.yaml").write_text(
        mapping.replace("body_text: text\n      thread_id", "subject: text\n      thread_id")
    )
    synced.connections["chat"]["mapping"] = "mine.yaml"
    synced.write()
    shown = synced.run("remap", "chat")
    assert shown.code == 0
    assert "messages: 2 records\n" in shown.out
    assert "  renamed  body_text -> subject  in 2\n" in shown.out
    assert shown.out.endswith("Nothing changed yet. Apply with: crmbridge remap chat --apply\n")
    assert "subject" not in synced.run("journey", "ana", "--json").json["interactions"][0]
    applied = synced.run("remap", "chat", "--apply")
    assert applied.code == 0
    assert applied.out.endswith("2 records will be mapped again by the next cycle (crmbridge sync).\n")
    synced.run("sync")
    assert (
        synced.run("journey", "ana", "--json").json["interactions"][0]["subject"]
        == "Dá para parcelar em 12x?"
    )


def test_remap_of_what_was_never_read_says_what_to_do(office: Office) -> None:
    said = office.run("remap", "chat")
    assert (said.code, said.err) == (1, "chat: nothing is stored yet. Collect first with: crmbridge sync\n")


# -- what is printed -----------------------------------------------------------------------------

EVIL = "Eve\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\nSYNC 99 writes \u202egnp.exe\u2066"


def test_what_customers_write_cannot_steer_the_terminal(office: Office) -> None:
    office.put("crm", "contacts", name=EVIL, phone=ANA, email="eve@x.example")
    office.message(EVIL + "\x00", ANA)
    office.put(
        "chat", "messages", id=f"m{EVIL}", **{"from": ANA, "at": EVIL, "text": "x", "channel": "whatsapp"}
    )
    outputs = [office.run("sync", "-v"), office.run("rejects"), office.run("plan", "--details")]
    outputs += [office.run("journey", ANA), office.run("waiting"), office.run("status")]
    office.put("crm", "contacts", name=EVIL, phone="+5521988123344")
    office.message(EVIL, "+5521988123344")
    outputs += [office.run("sync"), office.run("journey", "eve")]
    outputs += [office.run("journey", EVIL)]
    for said in outputs:
        everything = said.out + said.err
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", everything)
        assert not re.search(r"^SYNC 99", everything, re.M)
    assert any("Eve" in said.out for said in outputs)
    raw = office.run("waiting", "--json")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", raw.out)
    assert raw.json[0]["name"].startswith("Eve")


def test_names_of_every_script_are_shown(office: Office) -> None:
    names = ["محمد علي", "דנה כהן", "田中さくら", "👩🏽‍🚀 Zoë", "e\u0301" * 50, "क्षत्रिय", "ｗｉｄｅ"]
    for number, name in enumerate(names):
        office.put("crm", "contacts", name=name, phone=f"+551197391480{number}")
        office.message("Oi", f"+551197391480{number}")
    for words in (["sync"], ["waiting"]):
        said = office.run(*words)
        assert (said.code, said.err) == (0, "")
        assert all(name in said.out for name in names)
    for number, name in enumerate(names):
        assert office.run("journey", f"+551197391480{number}").out.startswith(f"{name}  (p_")
    assert office.run("plan", "--details").code == 0


def test_piped_output_holds_no_progress_and_question_marks_for_letters_it_lacks(synced: Office) -> None:
    synced.message("Olá 田中", "+5531988112233")
    said = synced.command("sync", PYTHONIOENCODING="latin-1")
    assert (said.code, said.err) == (0, "")
    assert '"Olá ??"' in said.out
    assert "\r" not in said.out
    assert "\x1b" not in said.out


def test_on_a_terminal_the_progress_is_shown_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    with redirect_stderr(terminal), output.progress(True) as show:
        show("crm contacts", 1000)
        show("crm contacts", 234)
    shown = terminal.getvalue()
    assert "crm contacts: 1,234" in shown
    assert shown.endswith("\r\x1b[2K")


def test_a_reader_that_goes_away_is_no_fault(synced: Office) -> None:
    pipe = f"{sys.executable} -m bridge.cli status 2>&1 1>&- | cat"
    done = subprocess.run(
        ["bash", "-c", f"{pipe}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr


def test_no_secret_is_printed_however_much_is_logged(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubSpotSandbox(token="pat-na1-0f1e2d3c4b5a") as hubspot:
        monkeypatch.setenv("HUBSPOT_TOKEN", hubspot.token)
        settings = {"base_url": hubspot.url, "token": "${env:HUBSPOT_TOKEN}"}
        office.connections["hub"] = {"connector": "hubspot", "settings": settings}
        office.write()
        office.message(f"our key is {KEY} and {hubspot.token}", ANA)
        for words in (
            ["check", "-v"],
            ["sync", "-v"],
            ["plan", "-v", "--details"],
            ["journey", ANA],
            ["waiting", "--json"],
        ):
            said = office.run(*words)
            assert hubspot.token not in said.out + said.err
        monkeypatch.setenv("HUBSPOT_TOKEN", "a token nobody knows")
        refused = office.run("sync", "-v")
        assert (refused.code, "a token nobody knows" in refused.err) == (1, False)
        assert "hub: " in refused.err
