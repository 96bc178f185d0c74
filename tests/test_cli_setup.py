"""The commands to begin with: init, check, connectors, setup, mapping test."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bridge.plugins import mapping_file
from bridge_hubspot.sandbox import HubSpotSandbox
from bridge_memory import SPEC
from tests.outside import Office


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


def test_check_says_that_a_mapping_of_ones_own_cannot_ask(office: Office) -> None:
    office.connections["crm"] |= {"push": {"ask": {"who": ["undecided"]}}}
    office.write()
    assert "push.ask" not in office.run("check").out
    before, _, after = mapping_file(SPEC).read_text().partition("\n  task:\n")
    before_tests, *_ = (before + "\n  contact:\n" + after.partition("\n  contact:\n")[2]).split("\ntests:\n")
    (office.home / "own.yaml").write_text(before_tests)
    office.connections["crm"]["mapping"] = "own.yaml"
    office.write()
    said = office.run("check")
    assert said.code == 1
    assert "  push.ask: nobody can be asked, as " in said.out
    assert "own.yaml has no `push.task`. Take it over from the shipped mapping, or remove `ask`." in said.out


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
    assert office.run("setup", "crm").out.endswith("\nNothing is missing.\n")


@pytest.mark.parametrize("words", [(), ("--apply",)], ids=("look", "apply"))
def test_setup_crm_says_what_the_configuration_lacks_where_nothing_may_be_written(
    words: tuple[str, ...], office: Office
) -> None:
    del office.connections["crm"]["push"]
    office.write()
    said = office.run("setup", "crm", *words)
    assert (said.code, said.out) == (3, "")
    assert said.err.splitlines()[0] == (
        "config.yaml: connections.crm: has no `push`, so nothing is written to this account."
        " Where it is your CRM, add `push:` to it, then: crmbridge setup crm --apply"
    )
    office.connections = {
        "mails": {"connector": "imap", "settings": {"host": "h", "user": "u", "password": "${env:P}"}}
    }
    office.write()
    said = office.run("setup", "crm", *words)
    assert (said.code, said.out, said.err) == (
        3,
        "",
        "config.yaml: connections: none of them is a CRM, so there is nothing to prepare."
        " Add the connection to your CRM.\n",
    )


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


def test_mapping_test_names_a_connector_and_streams_that_are_not_there(office: Office) -> None:
    mine = office.home / "mine.yaml"
    rules = "pull: {contacts: {to: contact, fields: {display_name: name}}}\n"
    mine.write_text("version: 1\nconnector: memroy\n" + rules)
    said = office.run("mapping", "test", "mine.yaml")
    assert (said.code, said.out) == (3, "")
    assert said.err == "mine.yaml:2:1 connector: no connector memroy is installed. Did you mean memory?\n"
    mine.write_text("version: 1\nconnector: memory\n" + rules.replace("contacts", "contcats"))
    said = office.run("mapping", "test", "mine.yaml")
    assert said.code == 3
    assert "pull.contcats: the connector has no such stream. Did you mean contacts?" in said.err


SCHEMA_LINE = "# yaml-language-server: $schema="


@pytest.mark.parametrize("connector", ["api", "hubspot", "imap", "memory", "whatsapp"])
def test_a_copied_mapping_passes_its_tests_and_names_a_schema_that_is_there(
    connector: str, office: Office
) -> None:
    said = office.run("mapping", "copy", connector)
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        f"Wrote {connector}.yaml. Name it in the connection (mapping: {connector}.yaml), change it,"
        f" then: crmbridge mapping test {connector}.yaml\n"
    )
    lines = (office.home / f"{connector}.yaml").read_text().splitlines()
    schemas = [line.removeprefix(SCHEMA_LINE) for line in lines if line.startswith(SCHEMA_LINE)]
    assert [json.loads(Path(schema).read_text())["title"] for schema in schemas] == ["crmbridge mapping"]
    assert lines[0].startswith(SCHEMA_LINE)
    tested = office.run("mapping", "test", f"{connector}.yaml")
    assert (tested.code, " 0 failed\n" in tested.out) == (0, True)


def test_a_mapping_is_copied_over_nothing_and_of_nothing_unknown(office: Office) -> None:
    assert office.run("mapping", "copy", "memory", "mine.yaml").code == 0
    (office.home / "mine.yaml").write_text("mine")
    again = office.run("mapping", "copy", "memory", "mine.yaml")
    assert again.code == 2
    assert again.err == "mine.yaml: exists already and was left alone. Move it away, or name another file.\n"
    assert (office.home / "mine.yaml").read_text() == "mine"
    folder = office.run("mapping", "copy", "memory", "")
    assert (folder.code, folder.err) == (2, ".: is a folder; name a file in it, such as memory.yaml\n")
    unknown = office.run("mapping", "copy", "memroy")
    assert (unknown.code, unknown.err) == (
        2,
        "'memroy': no connector of this name is installed. Did you mean memory?\n",
    )
