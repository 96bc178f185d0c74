"""The command sync: what it says, what goes on when a part fails, and beside a daemon."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from bridge_memory import Memory
from tests.outside import KEY, Office, running

ANA = "+5511973914862"


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
        "UNDO: crmbridge undo 1",
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
    assert said.err == f"dead: {office.home}/dead: File exists; check the disk; the next sync tries again\n"
    assert len(office.latest("crm", "entries")) == 1
    assert office.run("sync", "--json").json["outcome"] == "partial"
    shown = office.run("status")
    assert shown.code == 0
    assert "  written 1 entry or contact, none pending\n" in shown.out
    assert re.match(
        r"dead  last news never\n  ! dead: .*: File exists; check the disk; .* \(since \w{3} \d\d:\d\d\)\n",
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
        f"crm: {office.home}/crm: Is a directory; check the disk; the next sync tries again (contacts)\n"
        "crm: nothing was written, as what stands there could not be read\n"
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
    assert (
        "chat: a fault of the connector memory: KeyError: 'surprise [secret]'. The next sync tries again"
        in said.err
    )
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
        assert office.run("waiting").code == 0


def test_collecting_without_writing_is_refused_while_a_daemon_writes(office: Office) -> None:
    with running(office) as daemon:
        refused = office.run("sync", "--collect-only")
        assert (refused.code, refused.out) == (4, "")
        assert refused.err.startswith(f"store sqlite:///{office.home}/crmbridge.db: in use by crmbridge run,")
        assert f"process {daemon.process.pid}" in refused.err
        assert refused.err.endswith(
            " A daemon writes what differs as soon as it has collected it, so --collect-only was not handed to it."
            " Look at what it writes with: crmbridge plan\n"
        )
