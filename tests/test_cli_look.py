"""The commands that look: plan, journey, waiting."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from bridge_hubspot.sandbox import HubSpotSandbox
from tests.outside import Office

ANA = "+5511973914862"


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


def test_a_plan_leaves_out_a_folder_that_is_only_a_channel(synced: Office) -> None:
    synced.message("Oi", "+5531988112233")
    assert synced.run("sync", "--collect-only").code == 0
    assert list(synced.run("plan", "--json").json) == ["crm"]
    said = synced.run("plan").out
    assert "held" not in said
    assert "chat" not in said
    synced.put("chat", "contacts", name="Bia Reis", phone="+5531988112233")
    assert synced.run("sync", "--collect-only").code == 0
    assert sorted(synced.run("plan", "--json").json) == ["chat", "crm"], "who has contacts is a CRM"


def test_a_plan_without_push_and_contacts_says_what_to_do(office: Office) -> None:
    office.connections = {"chat": office.connections["chat"]}
    office.write()
    office.message("Oi", ANA)
    assert office.run("sync").code == 0
    said = office.run("plan")
    assert (said.code, said.out) == (
        0,
        "There is nothing to plan: chat holds no contacts and has no `push`.\n"
        "To let people become contacts there, add `push:` to its connection.\n",
    )


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
    assert {"  Owner: Rui Costa", "  Contact: memory 1", "  Came from: WhatsApp"} <= set(lines)
    assert "  Known as: +5511973914862, 5511973914862, ana@padaria.example" in lines
    assert any(re.fullmatch(r"  \d\d:\d\d <- WhatsApp: Dá para parcelar em 12x\?", line) for line in lines)
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


def test_age_channel_and_words_of_who_waits_are_those_of_one_message(synced: Office) -> None:
    synced.message("E por e-mail?", "ana@padaria.example", channel="email", hours=0.5)
    synced.message("Alguém?", ANA, hours=0.3)
    synced.run("sync")
    says = 'WhatsApp, 2 h: "Dá para parcelar em 12x?" (and 2 more)'
    assert f"  Ana Souza       Rui Costa  {says}\n" in synced.run("waiting").out
    shown = synced.run("waiting", "--json").json[0]
    told = ("whatsapp", "Dá para parcelar em 12x?", 3, says)
    assert tuple(shown[key] for key in ("channel", "text", "count", "says")) == told
    (line,) = [line for line in synced.run("journey", "Ana").out.splitlines() if "Waits since" in line]
    assert re.fullmatch(r"  Waits since: \w{3} \d\d:\d\d; " + re.escape(says), line)
    waits = synced.run("journey", "Ana", "--json").json["waiting"]
    assert waits == {key: shown[key] for key in ("since", "channel", "text", "count", "says")}


def test_who_waits_is_not_known_before_anything_was_collected(office: Office) -> None:
    assert office.run("waiting").out.startswith("Nothing was collected yet, so nobody knows who waits.")


def test_nobody_waits_once_everybody_was_answered(synced: Office) -> None:
    for to in (ANA, "+5521988123344"):
        synced.message(
            "Sim", "+551140001000", to=to, direction="outbound", thread=to, at=datetime.now(UTC).isoformat()
        )
    synced.run("sync")
    assert synced.run("waiting").out == "Nobody waits for us.\n"
    assert synced.run("waiting", "--json").json == []


def test_every_instant_in_json_is_written_the_same_way(synced: Office) -> None:
    synced.message("Oi", at="yesterday")
    synced.run("sync")
    people = "whatsapp_id:5511973914862 whatsapp_id:5521988123344"
    assert synced.run("split", *people.split(), "--yes", "--author", "Rui").code == 0
    assert synced.run("undo", "1", "--yes").code == 0
    telling = ("status", "waiting", "runs", "holds", "rejects", "decisions", "journey Ana", "who Ana", "sync")
    others = (
        "review",
        "plan",
        f"why-not {people}",
        "reconcile",
        f"link {people} --dry-run",
        "undo 3 --dry-run",
    )
    shown = {}
    for command in (*telling, *others):
        said = synced.run(*command.split(), "--json").out
        shown[command] = re.findall(r'"(\d{4}-\d\d-\d\dT[^"\s]*)"', said)
    assert all(shown[command] for command in telling)
    assert [one for found in shown.values() for one in found if not one.endswith("Z")] == []
