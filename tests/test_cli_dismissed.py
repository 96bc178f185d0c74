"""What `review dismiss`, `--dismissed` and `review reopen` say and do, and whom a plan holds back meanwhile."""

from __future__ import annotations

from tests.outside import Office
from tests.test_cli_identity import ANA, ANA_CHAT, BIA, CARLA, CARLA_CHAT, divided_home, office

__all__ = ["divided_home", "office"]


def test_what_was_dismissed_comes_back_only_with_other_evidence(office: Office) -> None:
    (twice,) = office.run("review", "--kind", "crm_duplicate", "--json").json["suggestions"]
    asked = office.run("review", "dismiss", twice["key"])
    assert (asked.code, asked.err) == (
        2,
        "Nobody is there to ask: add --yes to do it, or --dry-run to look.\n",
    )
    assert twice["title"] in asked.out
    done = office.run("review", "dismiss", twice["key"], "--reason", "mother and daughter", "--yes")
    assert (done.code, done.err) == (0, "")
    assert office.run("review", "--kind", "crm_duplicate").out == (
        "There is nothing to look at.\nWhat was dismissed: crmbridge review --dismissed\n"
    )
    office.put("crm", "contacts", id="3", name="Carla Dias", email="carla@x.example", phone=f"{CARLA}; {BIA}")
    office.put("crm", "contacts", id="4", name="Carla Dias", email="carla@x.example", phone=CARLA)
    assert office.run("sync").code == 0
    (again,) = office.run("review", "--kind", "crm_duplicate", "--json").json["suggestions"]
    assert again["key"] == twice["key"]
    listed = office.run("review", "--dismissed").out
    assert listed.startswith(f"{twice['key']}  {twice['title']}\n  dismissed by ")
    assert ": mother and daughter; its evidence changed since, so it is listed again\n" in listed
    assert office.run("review", "--dismissed", "--kind", "weak").out == "Nothing was dismissed.\n"


def counted(office: Office) -> tuple[int, list[str], list[str]]:
    """Return how many people a sync says are to be decided, whom the review lists, and whose plan asks to decide."""
    to_decide = office.run("sync", "--json").json["people"]["to_decide"]
    listed = office.run("review", "--kind", "undecided", "--json").json["suggestions"]
    planned = [one for one in office.run("plan", "--json").json["crm"] if "decide which" in one["reason"]]
    return to_decide, [one["key"] for one in listed], sorted(one["name"] for one in planned)


def test_whoever_is_dismissed_is_to_be_decided_nowhere_until_that_is_taken_back(office: Office) -> None:
    ana, carla = (one["key"] for one in office.run("review", "--json").json["suggestions"][:2])
    assert counted(office) == (2, [ana, carla], [ANA, CARLA])
    office.run("review", "dismiss", ana, "--yes", "--author", "rui", "--reason", " no idea ")
    (after,) = (one for one in office.run("plan", "--json").json["crm"] if one["name"] == ANA)
    assert after["reason"].endswith(f"; dismissed, to decide it after all: crmbridge review reopen {ana}")
    assert counted(office) == (1, [carla], [CARLA])
    assert "and dismissed" in office.run("reconcile").out
    looked = office.run("review", "reopen", ana, "--dry-run")
    assert looked.out.startswith(f"{ana}  WhatsApp sender {ANA}\n  dismissed by rui on ")
    assert looked.out.endswith(": no idea\nNothing changed yet.\n")
    back = office.run("review", "reopen", ana, "--yes", "--author", "bia", "--reason", "she called", "--json")
    assert back.json == {"reopened": ana, "by_daemon": False}
    assert counted(office) == (2, [ana, carla], [ANA, CARLA])
    assert office.run("review", "dismiss", ana, "--yes").code == 0
    newer, older = office.run("review", "--dismissed", "--json").json["dismissed"]
    assert (newer["state"], older["state"]) == ("holds", "revoked")
    assert (older["author"], older["reason"], older["records"]) == ("rui", "no idea", [ANA_CHAT])
    assert (older["revoked_by"], older["revoked_for"]) == ("bia", "she called")
    assert office.run("link", "1", ANA_CHAT, "--yes").code == 0
    assert office.run("review", "--dismissed", "--json").json["dismissed"][0]["state"] == "gone"


def test_what_cannot_be_dismissed_or_taken_back_is_named(office: Office) -> None:
    ana = office.run("review", "--json").json["suggestions"][0]["key"]
    never = f"{ana!r} was never dismissed. What was: crmbridge review --dismissed\n"
    assert office.run("review", "reopen", ana, "--yes").err == never
    office.run("review", "dismiss", ana, "--yes")
    again = office.run("review", "dismiss", ana, "--yes")
    assert (again.code, again.err) == (2, f"{ana} was dismissed before. See: crmbridge review --dismissed\n")
    asked = office.run("review", "reopen", ana)
    assert (asked.code, "add --yes to do it" in asked.err) == (2, True)
    assert office.run("review", "reopen", ana, "--yes", "--author", "bia", "--reason", "").code == 0
    twice = office.run("review", "reopen", ana, "--yes")
    assert (twice.code, twice.err) == (2, f"{ana} was taken back before, by bia.\n")


def test_a_plan_goes_on_naming_whom_it_holds_back_until_they_are_not(office: Office) -> None:
    office.message("Oi", "+5511900001111", channel="instagram")
    office.run("sync", "--collect-only")
    first = office.run("plan", "--json").json["crm"]
    assert office.run("sync").code == 0
    after = office.run("plan")
    for name, why in ((ANA, "could be Ana Lima (1) or Rui Costa (2)"), ("+5511900001111", "not in the CRM")):
        assert f"{name}\n  ! held: {why}" in after.out
    assert " 3 people held back, for the reasons above. Nothing written yet." in after.out
    held = {one["person"]: one["reason"] for one in office.run("plan", "--json").json["crm"]}
    assert held.items() >= {one["person"]: one["reason"] for one in first if one["kind"] == "hold"}.items()
    office.run("link", "1", ANA_CHAT, "--yes")
    office.run("split", CARLA_CHAT, "3", "4", "--yes")
    assert " 1 person held back" in office.run("plan").out, (
        "who is looked at again is planned as they are now"
    )
    office.run("sync")
    assert " 1 person held back" in office.run("plan").out
    assert office.run("plan").out.startswith("+5511900001111\n")
