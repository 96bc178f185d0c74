"""Decisions, rules and claims in a whole crmbridge: what joins people, what parts them, and what stays of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.journey.identity import Decision, Rules
from bridge.store import decisions, people
from bridge.store.database import micros
from bridge.store.tables import former_handle, identity_event, node, node_handle
from bridge.sync.identity import reidentify
from bridge.sync.identity.decide import decide, new_decision, revoke
from bridge.sync.identity.evidence import evidence_on
from tests.sync_world import World, party

WA = "5511973914862"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def take(world: World) -> None:
    assert world.collect() == []
    world.resolve()


def persons(world: World) -> dict[str, str]:
    return {row.key.removeprefix(f"{world.crm.account_key}:"): row.person_id for row in world.rows(node)}


def blocks(world: World) -> set[str]:
    members: dict[str, list[str]] = {}
    for key, person in persons(world).items():
        members.setdefault(person, []).append("claim" if key.startswith("claim:") else key)
    return {" ".join(sorted(keys)) for keys in members.values()}


def say(world: World, kind: str, one: str, other: str) -> Decision:
    at = micros(world.clock())
    assert at is not None
    keys = [f"{world.crm.account_key}:{key}" if key.startswith("contacts:") else key for key in (one, other)]
    decision = new_decision(kind, keys[:1], keys[1:], at=at, author="ana", reason="asked her")
    decide(world.runtime, decision)
    world.resolve()
    world.clock.sleep(1)
    return decision


def test_a_link_joins_a_split_parts_and_taking_either_back_restores_what_the_evidence_says(
    world: World,
) -> None:
    world.contact(name="Ana Lima", email="ana@x.com")
    world.message("m1", WA)
    take(world)
    apart = persons(world)
    link = say(world, "link", "contacts:1", f"whatsapp_id:{WA}")
    assert blocks(world) == {f"contacts:1 whatsapp_id:{WA}"}
    split = say(world, "split", "contacts:1", f"whatsapp_id:{WA}")
    assert persons(world) == apart
    revoke(world.runtime, split.id, by="rui")
    assert blocks(world) == {f"contacts:1 whatsapp_id:{WA}"}
    revoke(world.runtime, link.id, by="rui")
    assert persons(world) == apart
    with world.runtime.database.read() as c:
        stated = decisions.all_decisions(c)
        for one in apart.values():
            assert people.current_person(c, one) == one
    assert [(one.decision.id, one.revoked_by) for one in stated] == [(split.id, "rui"), (link.id, "rui")]
    for id, told in ((link.id, "before, by rui"), ("d_0", "no decision")):
        with pytest.raises(ConfigError, match=told):
            revoke(world.runtime, id, by="rui")


def test_what_became_of_people_is_told_with_its_evidence(here: World) -> None:
    here.contact(name="Ana Lima", email="ana@x.com")
    here.message("m1", WA)
    take(here)
    before = set(persons(here).values())
    link = say(here, "link", "contacts:1", f"whatsapp_id:{WA}")
    (after,) = set(persons(here).values())
    revoke(here.runtime, link.id, by="rui")
    with here.runtime.database.read() as c:
        merged, split = (event for _, event in decisions.events_of(c, [after]))
    assert merged == {
        "kind": "merged",
        "before": sorted(before),
        "after": [after],
        "evidence": [["decision", link.id]],
    }
    assert (split["kind"], split["before"], split["after"]) == ("split", [after], sorted(before))


def test_a_decision_on_a_contact_holds_for_the_one_that_its_crm_merged_it_into(world: World) -> None:
    world.contact(name="Ana Lima", email="ana@x.com")
    world.contact(name="Ana Lima", email="lima@x.com")
    world.message("m1", WA)
    take(world)
    say(world, "link", "contacts:1", f"whatsapp_id:{WA}")
    world.change("crm", "contacts", "1", deleted=True)
    world.change("crm", "contacts", "2", merged=["1"])
    take(world)
    assert blocks(world) == {f"contacts:2 whatsapp_id:{WA}"}
    world.message("m2", WA)
    take(world)
    assert blocks(world) == {f"contacts:2 whatsapp_id:{WA}"}


@pytest.mark.parametrize(
    ("kind", "records", "others", "reason", "said"),
    [
        ("join", ["a", "b"], [], "", "use link or split"),
        ("link", ["a"], ["a"], "", "names 1 records"),
        ("split", ["a", "b"], [], "", "one side names no record"),
        ("split", ["a", "b"], ["b"], "", "b is on both sides"),
        ("link", ["a", " "], [], "", "an empty record key"),
        ("link", ["a", "b\ud800"], [], "", r"'b\\ud800' is no text in UTF-8"),
        ("link", ["a", "b"], [], "she\udcff", "is no text in UTF-8"),
        ("link", ["a", 7], [], "", "7 is no text"),
    ],
)
def test_a_decision_that_decides_nothing_is_refused(
    kind: str, records: list[str], others: list[str], reason: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"^decision .*{said}"):
        new_decision(kind, records, others, at=0, author="ana", reason=reason)


def test_a_decision_waits_for_a_record_that_is_not_there_yet(here: World) -> None:
    here.contact(name="Ana Lima", email="ana@x.com")
    take(here)
    say(here, "link", "contacts:1", f"whatsapp_id:{WA}")
    here.message("m1", WA)
    take(here)
    assert blocks(here) == {f"contacts:1 whatsapp_id:{WA}"}


def test_new_rules_divide_everybody_anew_when_they_first_hold_and_can_be_looked_at_before(
    world: World,
) -> None:
    world.contact(name="Ana Lima", email="ana@x.com")
    world.message("m1", "ana@x.com", channel="email", kind="email")
    take(world)
    (together,) = set(persons(world).values())
    world.identity = {"block": ["*@x.com"]}
    world.start()
    with world.runtime.database.read() as c:
        seen = [
            event
            for change in reidentify.changes(c, world.runtime.rules, world.runtime.region_of)
            for event in change.events
        ]
    assert [(event["kind"], event["before"]) for event in seen] == [("split", [together])]
    assert set(persons(world).values()) == {together}
    world.resolve()
    assert len(set(persons(world).values())) == 2
    assert len(world.rows(identity_event)) == 1
    world.resolve()
    world.identity = {}
    world.start()
    world.resolve()
    assert set(persons(world).values()) == {together}


def test_numbers_written_without_a_country_are_read_anew_by_another_region(here: World) -> None:
    here.identity = {"default_region": "US"}
    here.start()
    here.contact(name="Ana Lima", phone="202 555 0123")
    take(here)
    for region, expected in (
        ("DE", ("+492025550123", "guarded")),
        ("BR", ("+492025550123", "none")),
        ("US", ("+12025550123", "strong")),
    ):
        here.identity = {"default_region": region}
        here.start()
        here.resolve()
        assert [(row.value, row.strength) for row in here.rows(node_handle)] == [expected]


def test_contacts_numbers_that_nobody_could_read_count_once_the_region_is_known(world: World) -> None:
    world.identity = {}
    world.start()
    world.contact(name="Ana Lima", phone="(11) 97391-4862")
    world.message("m1", WA)
    take(world)
    for identity, expected in (
        ({"default_region": "BR"}, {f"contacts:1 whatsapp_id:{WA}"}),
        ({}, {"contacts:1", f"whatsapp_id:{WA}"}),
        ({"default_region": "BR", "own_addresses": ["11 97391-4862"]}, {"contacts:1", f"whatsapp_id:{WA}"}),
    ):
        world.identity = identity
        world.start()
        world.resolve()
        assert blocks(world) == expected


def test_the_region_of_one_connection_reads_its_numbers_anew_as_well(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.identity = {"own_addresses": []}
    here.start()
    here.contact(name="Ana Lima", phone="(11) 97391-4862")
    here.message("m1", WA)
    take(here)
    here.resolve()
    config = here.config()
    brazilian = {**config.connections, "crm": replace(config.connections["crm"], region="BR")}
    monkeypatch.setattr(here, "config", lambda: replace(config, connections=brazilian))
    here.start()
    here.resolve()
    assert blocks(here) == {f"contacts:1 whatsapp_id:{WA}"}


def test_a_form_is_a_claim_of_its_own_and_the_same_form_again_is_the_same_claim(here: World) -> None:
    both = {"email": "ana@x.com", "phone": f"+{WA}"}
    for text in ("m1", "m2"):
        here.message(text, both, channel="web_form", kind="form_submission", name="Ana Lima")
    here.message("m3", both, channel="web_form", kind="form_submission", name="Rui Costa")
    take(here)
    assert sorted(persons(here)) == sorted({key for key in persons(here) if key.startswith("claim:")})
    assert len(persons(here)) == 2
    assert len(set(persons(here).values())) == 2
    assert all(row.claimed for row in here.rows(node_handle))


def test_what_was_typed_joins_a_sender_to_a_contact_unless_the_configuration_wants_more(here: World) -> None:
    here.contact(name="Ana Lima", email="ana@x.com")
    here.message("m1", WA)
    both = {"email": "ana@x.com", "phone": f"+{WA}"}
    here.message("m2", both, channel="web_form", kind="form_submission", name="Ana Lima")
    take(here)
    assert blocks(here) == {f"claim contacts:1 whatsapp_id:{WA}"}
    here.identity = {"bridge_on_claims": "suggest"}
    here.start()
    here.resolve()
    assert blocks(here) == {"claim contacts:1", f"whatsapp_id:{WA}"}


def test_where_claims_only_suggest_a_form_goes_by_its_address_whenever_it_came(here: World) -> None:
    here.identity = {"default_region": "BR", "bridge_on_claims": "suggest"}
    here.start()
    here.contact(name="Ana Lima", email="ana@x.com")
    here.message("m1", WA)
    take(here)
    number_first = {"phone": f"+{WA}", "email": "ana@x.com"}
    here.message("m2", number_first, channel="web_form", kind="form_submission", name="Ana Lima")
    take(here)
    assert blocks(here) == {"claim contacts:1", f"whatsapp_id:{WA}"}


def test_what_was_typed_into_a_form_is_claimed_also_beside_an_id(here: World) -> None:
    here.identity = {"default_region": "BR", "bridge_on_claims": "suggest"}
    here.start()
    here.contact(name="Ana Lima", email="ana@x.com")
    visitor = {"external": "v7", "email": "ana@x.com", "phone": f"+{WA}"}
    here.message("m1", visitor, channel="web_form", kind="form_submission", name="Ana Lima")
    here.message("m2", WA)
    take(here)
    assert blocks(here) == {"contacts:1", "external:v7", f"whatsapp_id:{WA}"}


def test_a_mail_from_before_there_was_mail_founds_nobody(here: World) -> None:
    here.contact(name="Ana Lima", email="ana@x.com", created="2026-01-01T00:00:00Z")
    take(here)
    before = persons(here)["contacts:1"]
    here.mail(
        "m1",
        party("from", "ana@x.com", side="customer"),
        direction="inbound",
        at="1970-01-02T00:00:00Z",
        received="2026-11-20T11:00:00Z",
    )
    take(here)
    assert set(persons(here).values()) == {before}


def test_a_number_that_a_contact_lost_is_kept_as_what_it_once_was(here: World) -> None:
    id = here.contact(name="Ana Lima", phone=f"+{WA}")
    take(here)
    here.change("crm", "contacts", id, phone="")
    take(here)
    (former,) = here.rows(former_handle)
    assert (former.handle_key, former.ended_at) == (f"phone:+{WA}", micros(here.clock()))


def test_the_evidence_on_somebody_names_everybody_it_could_be(here: World) -> None:
    here.contact(name="Ana Lima", phone=f"+{WA}")
    here.contact(name="Rui Costa", phone=f"+{WA}")
    here.message("m1", WA)
    take(here)
    with here.runtime.database.read() as c:
        found = evidence_on(c, Rules(), [persons(here)[f"whatsapp_id:{WA}"]])
    assert len(found.nodes) == 3
    assert [held.reason for held in found.partition.withheld] == ["contested"]
    assert len(found.partition.candidates[f"whatsapp_id:{WA}"]) == 2


@pytest.mark.slow
def test_a_record_on_a_number_that_thousands_carry_costs_no_more_than_any_other(here: World) -> None:
    for number in range(300):
        here.contact(name="", phone=f"+{WA};+55119{number:08d}")
    take(here)
    here.contact(name="", phone=f"+{WA}")
    with here.runtime.database.read() as c:
        found = evidence_on(c, Rules(), [persons(here)["contacts:1"]])
    assert set(found.nodes) == {f"{here.crm.account_key}:contacts:1"}
    take(here)
    assert len(set(persons(here).values())) == 301
