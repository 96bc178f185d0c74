"""The commands that show and decide who is who: what they say, what they ask, what they do, also beside a daemon."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.app import app
from tests.outside import Office, running

ANA, CARLA, BIA = "+5511973914862", "+5521988123344", "+5511988887777"
ANA_CHAT, CARLA_CHAT, BIA_CHAT = (f"whatsapp_id:{number[1:]}" for number in (ANA, CARLA, BIA))
CONTESTED = f"phone number {ANA}: names disagree: Ana Lima / Rui Costa"


@pytest.fixture(scope="module")
def divided_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a company whose CRM has a number on two people, somebody twice, and a shared mailbox."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        office = Office(tmp_path_factory.mktemp("divided"), monkeypatch)
        office.put("crm", "contacts", name="Ana Lima", email="ana@padaria.example", phone="(11) 97391-4862")
        office.put("crm", "contacts", name="Rui Costa", email="rui+crm@casa.example", phone=ANA)
        office.put("crm", "contacts", name="Carla Dias", email="carla@x.example", phone=CARLA)
        carla = office.put("crm", "contacts", name="Carla Dias", email="info@y.example", phone=CARLA)
        office.put("crm", "contacts", name="Bia Reis", email="info@y.example; bia@z.example", phone=BIA)
        office.put("crm", "contacts", name="Rui", email="rui@casa.example")
        office.put("crm", "entries", text="Called her", contact=carla, at="2026-11-20T09:40:00Z")
        office.message("Dá para parcelar em 12x?", ANA, hours=5)
        office.message("Qual o preço?", CARLA, hours=2)
        office.message("Oi", BIA)
        office.put("crm", "contacts", name="", email="rui@casa.example", id="6")
        assert office.run("sync").code == 0
        return office.home


@pytest.fixture
def office(divided_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    shutil.copytree(divided_home, tmp_path, dirs_exist_ok=True)
    return Office(tmp_path, monkeypatch)


def rows(office: Office) -> dict[str, list[Sequence[object]]]:
    """Return what the store holds of who is who, and whom to look at."""
    tables = ("node", "node_handle", "decision", "decision_key", "identity_event", "person", "touched")
    with sqlite3.connect(office.home / "crmbridge.db") as c:
        return {table: sorted(c.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def test_somebody_is_shown_with_records_evidence_and_how_sure_it_is(office: Office) -> None:
    found = office.run("who", "Bia Reis")
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[1] == "  Probable: an address or number joins records whose names do not tell"
    assert "  e-mail address info@y.example: recorded, joins nobody" in lines
    assert 'crm contact 5  "Bia Reis"' in lines
    assert f"  phone number {BIA}: proven" in lines
    joined = f"  phone: phone number {BIA}: crm contact 5 (recorded), WhatsApp sender {BIA} (proven)"
    assert lines[lines.index("JOINED BY") + 1] == joined
    for who in ("crm:5", "memory:5", BIA, BIA_CHAT, "bia@z.example", lines[0].split("(")[1][:-1]):
        assert office.run("who", who).out == found.out, who
    told = office.run("who", "5", "--json").json
    assert list(told) == [
        *(
            "person_id",
            "earlier_ids",
            "name",
            "grade",
            "records",
            "joined",
            "candidates",
            "decisions",
            "events",
        )
    ]
    assert (told["name"], told["grade"]) == ("Bia Reis", "probable")
    contact, sender = told["records"]
    assert (contact["kind"], contact["contact_id"], contact["named"]) == ("contact", "5", "given")
    assert (sender["key"], sender["kind"], sender["interactions"]) == (BIA_CHAT, "sender", 1)
    assert {one["provenance"] for one in sender["handles"]} == {"proven"}


def test_a_number_that_went_is_shown_with_its_end(office: Office) -> None:
    office.put("crm", "contacts", id="5", name="Bia Reis", email="bia@z.example", phone="")
    assert office.run("sync").code == 0
    (former,) = (
        one
        for one in office.run("who", "5", "--json").json["records"][0]["former_handles"]
        if one["handle"].startswith("phone")
    )
    assert (former["handle"], former["says"]) == (f"phone:{BIA}", f"phone number {BIA}")
    assert re.search(rf"  until \d+ \w+ 2\d+: phone number \+{BIA[1:]}\n", office.run("who", "5").out)


@pytest.mark.parametrize("command", [["who"], ["why", "1"], ["why-not", "1"]], ids=" ".join)
def test_who_is_nobody_or_several_is_told_so(command: list[str], office: Office) -> None:
    nobody = office.run(*command, "Zé")
    assert (nobody.code, nobody.out) == (1, "")
    assert nobody.err == "'Zé': nobody is known by that name, address, number or id.\n"
    several = office.run(*command, "Carla Dias")
    assert (several.code, several.out) == (1, "")
    assert several.err.startswith("'Carla Dias' fits 2 ")
    assert several.err.count("Carla Dias") == 3
    assert len(office.run(*command, "Carla Dias", "--json").json["candidates"]) == 2


def test_a_number_means_who_writes_from_it_though_others_carry_it(office: Office) -> None:
    sender = office.run("who", ANA, "--json").json
    assert [record["key"] for record in sender["records"]] == [ANA_CHAT]
    assert "COULD BE" in office.run("who", ANA).out


def test_why_two_are_one_and_why_two_are_not(office: Office) -> None:
    why = office.run("why", "Bia", BIA_CHAT)
    assert (why.code, why.err) == (0, "")
    assert f"phone: phone number {BIA}: crm contact 5 (recorded)" in why.out
    turned = office.run("why-not", "5", BIA_CHAT)
    assert turned.code == 1
    assert turned.out.startswith("They are one person, Bia Reis (")
    contested = office.run("why-not", "Ana Lima", ANA_CHAT, "--json")
    assert contested.code == 0
    assert contested.json["one_person"] is False
    assert [(one["reason"], one["says"]) for one in contested.json["withheld"]] == [("contested", CONTESTED)]
    assert office.run("why", "1", "2").code == 1
    doubled = office.run("why-not", "3", "crm:4").out
    assert (
        f"phone number {CARLA} is on 2 contacts of A folder of text files: Carla Dias (crm contact 3)"
        in doubled
    )
    weak = office.run("why-not", "4", "5").out
    assert "e-mail address info@y.example can be several people's, so it only suggests" in weak
    nothing = office.run("why-not", "1", "5").out
    assert "they share no address, number or id, and nobody linked them" in nothing
    same = office.run("why", "1", "ana@padaria.example")
    assert (same.code, "are the same record" in same.err) == (2, True)


def test_a_link_is_shown_then_decided_then_taken_back(office: Office) -> None:
    before = rows(office)
    looked = office.run("link", "Ana Lima", ANA_CHAT, "--dry-run")
    assert (looked.code, looked.err) == (0, "")
    assert "In crm: 1 entry written.\nNothing decided yet.\n" in looked.out
    asked = office.run("link", "1", ANA_CHAT)
    assert asked.code == 2
    assert asked.err == "Nobody is there to ask: add --yes to do it, or --dry-run to look.\n"
    assert rows(office) == before, "looking changes nothing"
    done = office.run("link", "1", ANA_CHAT, "--yes", "--author", "ana", "--reason", "she said so")
    assert (done.code, done.err) == (0, "")
    id = done.out.split()[-1]
    assert "PLAN 1 entry, " in office.run("plan").out
    shown = office.run("who", ANA_CHAT).out
    assert "JOINED BY\n  decision: linked by ana on " in shown
    assert "Certain: " in shown
    assert office.run("why", "1", ANA_CHAT).out.rstrip().endswith(": she said so")
    revoked = office.run("decisions", "revoke", id, "--yes", "--author", "rui", "--json").json
    assert (revoked["decision"], revoked["by_daemon"]) == (id, False)
    assert rows(office)["node"] == before["node"]
    assert rows(office)["node_handle"] == before["node_handle"]
    (listed,) = office.run("decisions", "--json").json
    assert (listed["state"], listed["revoked_by"], listed["author"]) == ("revoked", "rui", "ana")
    again = office.run("decisions", "revoke", id, "--yes")
    assert (again.code, again.err) == (2, f"{id} was taken back before, by rui.\n")
    assert f"{id} was taken back" in office.run("who", ANA_CHAT).out


def test_a_newer_decision_overrules_an_older_one_and_says_so(office: Office) -> None:
    assert office.run("link", "1", ANA_CHAT, "--yes", "--author", "ana").code == 0
    assert office.run("sync").code == 0
    split = office.run("split", ANA_CHAT, "--yes", "--author", "rui", "--reason", "her brother")
    assert "! overrules d_" in split.out
    assert "In crm: 1 entry left where it is, as its person has no contact.\n" in split.out
    told = office.run("decisions").out
    assert told.splitlines()[0].endswith(f"WhatsApp sender {ANA} | Ana Lima (crm contact 1)")
    assert told.count("; overruled by a newer one") == 1
    apart = office.run("why-not", "1", ANA_CHAT).out
    assert "  kept apart by rui on " in apart
    last = office.run("who", ANA_CHAT, "--json").json["events"][-1]
    assert (last["kind"], last["evidence"][0]["why"]) == ("split", "decision")
    assert last["says"][0].startswith("kept apart by rui on ")
    assert [one["key"] for one in office.run("who", ANA_CHAT, "--json").json["candidates"]] == [
        office.run("who", "2", "--json").json["records"][0]["key"]
    ]


def test_what_cannot_be_meant_is_refused_and_changes_nothing(office: Office) -> None:
    before = rows(office)
    for words, said in (
        (["link", "1", "1"], "that is one record"),
        (["link", "1", "ana@padaria.example", "--yes"], "that is one record"),
        (["link", "1"], "Missing argument"),
        (["link", "1", "Zé", "--yes"], "'Zé': nobody is known"),
        (["link", "1", "Carla Dias", "--yes"], "'Carla Dias' fits 2 records of several people"),
        (["split", "1", "1", "--yes"], "on both sides"),
        (
            ["split", "1", "--yes"],
            "is one record, and alone. Name from whom to keep it apart: crmbridge split 1 OTHER",
        ),
        (["split", "5", "--with", BIA_CHAT, "--yes"], "these are all records of their person"),
        (["link", "1", ANA_CHAT, "--json"], "add --dry-run to look, or --yes to do it"),
        (["decisions", "revoke", "d_1", "--yes"], "d_1 is no decision"),
        (["decisions", "--json", "revoke", "d_1"], "write --json after revoke"),
        (["review", "accept", "s_1", "--yes"], "there is no such suggestion"),
        (["review", "dismiss", "s_1"], "there is no such suggestion"),
        (["review", "--kind", "x"], "there is no such kind"),
    ):
        found = office.run(*words)
        assert (found.code, said in found.err) == (2, True), (words, found.err)
    assert rows(office) == before


def test_the_review_lists_what_people_should_look_at(office: Office) -> None:
    assert "Whom only their names suggest: crmbridge review --kind weak" in office.run("review").out
    told = office.run("review", "--json", *(word for kind in KINDS for word in ("--kind", kind))).json
    assert told["more"] == []
    found = {kind: [one for one in told["suggestions"] if one["kind"] == kind] for kind in KINDS}
    ana, carla = found["undecided"]
    assert [one["name"] for one in ana["candidates"]] == ["Ana Lima", "Rui Costa"]
    assert carla["records"] == [CARLA_CHAT]
    (twice,) = found["crm_duplicate"]
    assert twice["title"] == "Carla Dias (crm contact 3) and Carla Dias (crm contact 4)"
    assert twice["survivor"] == {"contact_id": "4", "because": "somebody worked with it last"}
    assert twice["says"][-1] == (
        "merge them in A folder of text files, into 4 (somebody worked with it last); crmbridge never merges"
    )
    (probable,) = found["probable"]
    assert BIA_CHAT in probable["records"]
    assert "rui+crm@casa.example and rui@casa.example may be one mailbox" in str(found["weak"])
    shown = office.run("review", "--limit", "1", "--kind", "undecided").out
    assert shown.startswith(
        f"FOR YOU TO DECIDE\n  {ana['key']}  WhatsApp sender {ANA}\n    could be Ana Lima"
    )
    assert "There are more: crmbridge review --kind undecided --limit 5" in shown


KINDS = ("undecided", "crm_duplicate", "probable", "weak")


def test_a_suggestion_is_accepted_as_one_of_its_contacts(office: Office) -> None:
    ana, _ = office.run("review", "--kind", "undecided", "--json").json["suggestions"]
    unsaid = office.run("review", "accept", ana["key"], "--yes")
    assert (unsaid.code, "say which contact it is with --as: 1 (Ana Lima), 2 (Rui Costa)" in unsaid.err) == (
        2,
        True,
    )
    accepted = office.run("review", "accept", ana["key"], "--as", "crm:2", "--yes", "--json").json
    assert sorted(accepted["records"])[1] == ANA_CHAT
    assert accepted["crms"]["crm"]["written"] == 1
    assert office.run("why", "2", ANA_CHAT).code == 0
    assert ana["key"] not in office.run("review").out


def test_accepted_duplicates_stay_proposed_until_they_are_merged_in_their_crm(office: Office) -> None:
    (twice,) = office.run("review", "--kind", "crm_duplicate", "--json").json["suggestions"]
    assert office.run("review", "accept", twice["key"], "--as", "3", "--yes").code == 2
    accepted = office.run("review", "accept", twice["key"], "--yes")
    assert accepted.code == 0
    assert "! In crm, contacts 3 and 4 are one person then, and get no more entries until" in accepted.out
    assert office.run("why", "3", "4").code == 0
    again = office.run("link", "3", "4", "--dry-run", "--json").json
    assert again["to_merge"] == {}, "they are one person by now"
    (still,) = office.run("review", "--kind", "crm_duplicate", "--json").json["suggestions"]
    assert still["key"] == twice["key"]
    assert len(office.latest("crm", "contacts")) == 6


def work(*answers: str, kinds: Sequence[str] = ()) -> str:
    """Return what working through the review says to somebody who answers so."""
    given = "".join(f"{answer}\n" for answer in answers)
    done = CliRunner().invoke(app, ["review", "work", "--author", "ana", *kinds], input=given)
    assert done.exit_code == 0
    return done.output


def test_the_review_is_worked_through_one_after_the_other(office: Office) -> None:
    listed = office.run("review", "--json").json["suggestions"]
    ana, twice = listed[0], next(one for one in listed if one["kind"] == "crm_duplicate")
    before = rows(office)
    said = work("?", "s", "a", "3", "1", "n", "q")
    assert said.startswith(f"1 of {len(listed)}: FOR YOU TO DECIDE\n  {ana['key']}  ")
    assert said.count("accept (a), dismiss (d), skip (s), quit (q)") == 4
    assert said.endswith(f"0 accepted, 0 dismissed, 2 skipped of {len(listed)}.\n")
    assert rows(office) == before
    said = work("a", "2", "y", "s", "d")
    assert "    2: Rui Costa (crm contact 2)\n" in said
    assert "In crm: 1 entry written.\n" in said
    assert f"3 of {len(listed)}: TWICE IN A CRM\n  {twice['key']}  " in said
    assert "1 accepted, 1 dismissed, 1 skipped of" in said, "who goes away is heard to the end"
    assert office.run("why", "2", ANA_CHAT).code == 0
    assert office.run("decisions", "--json").json[0]["author"] == "ana"
    left = office.run("review", "--json").json["suggestions"]
    assert not {ana["key"], twice["key"]} & {one["key"] for one in left}
    assert work(kinds=["--kind", "crm_duplicate"]) == "There is nothing to look at.\n"


def test_what_new_rules_would_change_is_told_before_they_do(office: Office) -> None:
    same = office.run("identity", "explain-config")
    assert (same.code, same.out) == (0, "The rules of identity in the configuration change nobody.\n")
    before = rows(office)
    office.more["identity"]["block"] = [BIA]
    office.write()
    told = office.run("identity", "explain-config")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("1 person would become several\n  Bia Reis\n")
    assert f"WhatsApp sender {BIA}" in told.out
    found = office.run("identity", "explain-config", "--json").json
    assert {kind: found[kind]["count"] for kind in ("become_one", "become_several", "become_undecided")} == {
        "become_one": 0,
        "become_several": 1,
        "become_undecided": 0,
    }
    assert [one["person_id"] for one in found["become_several"]["first"][0]["before"]] == [
        office.run("who", "5", "--json").json["person_id"]
    ]
    assert rows(office) == before


def test_decisions_are_handed_to_a_running_daemon(office: Office) -> None:
    (twice,) = office.run("review", "--kind", "crm_duplicate", "--json").json["suggestions"]
    with running(office):
        assert office.run("who", "5").code == 0
        done = office.run("link", "1", ANA_CHAT, "--yes", "--author", "ana", "--json").json
        assert done["by_daemon"] is True
        assert office.run("why", "1", ANA_CHAT).code == 0
        assert office.run("review", "dismiss", twice["key"], "--yes", "--json").json["by_daemon"] is True
        back = office.run("review", "reopen", twice["key"], "--yes", "--json")
        assert back.json == {"reopened": twice["key"], "by_daemon": True}
        revoked = office.run("decisions", "revoke", done["decision"], "--yes", "--json").json
        assert revoked["by_daemon"] is True
    assert office.run("why", "1", ANA_CHAT).code == 1
