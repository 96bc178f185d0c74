"""What people are asked to look at, and what a decision would do, against stores on both databases."""

from __future__ import annotations

from typing import Any

import orjson

from bridge.journey.identity import Decision, Rules
from bridge.store import entities, people
from bridge.store.database import micros
from bridge.store.tables import node
from bridge.store.writer import Priority
from bridge.sync.delivery.foresee import foresee
from bridge.sync.identity.decide import decide, new_decision
from bridge.sync.identity.reidentify import reidentify
from bridge.sync.identity.review import Kind, Suggestion, find_suggestion, suggestions
from bridge.sync.identity.rules_effect import rules_effect
from bridge.sync.identity.who import all_decisions_json, between, who
from bridge.sync.views.history import find_people, find_records
from tests.sync_world import World

FORM = {"kind": "form_submission", "channel": "web_form"}


def stated(world: World, kind: str, records: list[str], others: list[str] | None = None) -> Decision:
    at = micros(world.clock())
    assert at is not None
    return new_decision(kind, records, others or (), at=at, author="rui", reason="")


def found(world: World, kind: Kind) -> list[Suggestion]:
    return list(suggestions(world.runtime, kind))


def person(world: World, key: str) -> str:
    return str(next(row.person_id for row in world.rows(node) if row.key == key))


def open_deal(world: World, contact: str) -> None:
    """Let a contact have an open deal, as a CRM with deals tells."""
    row = {
        "account_pk": world.crm.account_pk,
        "stream": "deals",
        "ext_id": "d1",
        "part": 0,
        "type": "deal",
        "entity_id": "e_d1",
        "body": orjson.dumps({"status": "open", "name": "Forno"}),
        "modified_at": None,
        "record_pk": 1,
        "occurred_at": None,
        "deleted": False,
        "mapping": "",
    }

    def work(c: Any) -> None:
        entities.save_entities(c, [row], [])
        entities.save_references(c, world.crm.account_pk or 0, {"deals/d1": [f"contacts/{contact}"]})

    world.runtime.writer.run(work, priority=Priority.LIVE)


def test_contacts_that_a_form_connects_are_proposed_with_the_one_to_keep(world: World) -> None:
    old = world.contact(name="Ana Lima", email="ana@x.example", created="2025-01-01T00:00:00Z")
    new = world.contact(name="Ana S. Lima", phone="+5511973914862", created="2026-01-01T00:00:00Z")
    world.message("oi", {"email": "ana@x.example", "phone": "+5511973914862"}, name="Ana Lima", **FORM)
    world.sync()
    (twice,) = found(world, "crm_duplicate")
    keys = [world.crm.node_key("contacts", one) for one in (old, new)]
    assert twice.records == tuple(sorted(keys))
    assert twice.evidence == ("two_records:phone:+5511973914862",)
    assert "would join 2 contacts of A folder of text files: Ana Lima (" in twice.says[0]
    assert twice.survivor is not None
    assert (twice.survivor.contact_id, twice.survivor.because) == (old, "it is the older one")
    open_deal(world, new)
    (again,) = found(world, "crm_duplicate")
    assert again.survivor is not None
    assert (again.survivor.contact_id, again.survivor.because) == (new, "it has an open deal")
    assert find_suggestion(world.runtime, twice.key) == again
    decide(world.runtime, stated(world, "split", [keys[0]], [keys[1]]))
    assert found(world, "crm_duplicate") == []
    assert find_suggestion(world.runtime, twice.key) is None


def test_a_contact_that_was_merged_away_leads_to_the_one_that_is_left(world: World) -> None:
    lost = world.contact(name="Ana Lima", email="ana@x.example")
    kept = world.contact(name="Ana Lima", phone="+5511973914862")
    world.sync()
    id = person(world, world.crm.node_key("contacts", lost))
    world.change("crm", "contacts", kept, merged=[lost], email="ana@x.example")
    world.sync()
    now = person(world, world.crm.node_key("contacts", kept))
    for asked in (f"crm:{lost}", world.crm.node_key("contacts", lost), f"memory:{kept}", id):
        assert [one["person_id"] for one in find_people(world.runtime, asked)] == [now], asked
    assert [stored.contact_id for stored in find_records(world.runtime, f"crm:{lost}")] == [kept]
    assert id in [now, *who(world.runtime, now)["earlier_ids"]]


def test_contacts_of_other_names_are_no_duplicates(world: World) -> None:
    for name in ("Ana Lima", "Rui Costa", "A. Lima", ""):
        world.contact(name=name, phone="+5511973914862")
    world.sync()
    assert found(world, "crm_duplicate") == []


def test_people_who_are_alike_are_suggested_until_it_is_decided(world: World) -> None:
    names = ("Bia Reis", "Caio Melo", "Davi Pinto", "Edu Moura", "Gil Dias", "Hugo Barros", "Ivo Castro")
    for turn, name in enumerate(names * 4):
        world.contact(name=f"{name} {'ABCD'[turn // 7] * 2}ino", email=f"u{turn}@c{turn}.example")
    keys = [
        world.crm.node_key(
            "contacts", world.contact(name="Otília Quaresma", email=f"{local}@padaria.example")
        )
        for local in ("oq", "otilia", "vendas+oq")
    ]
    world.contact(name="Vendas", email="vendas+loja@padaria.example")
    world.sync()
    weak = found(world, "weak")
    assert weak[0].evidence == ("plus:vendas+loja@padaria.example:vendas+oq@padaria.example",)
    alike = [one for one in weak if set(one.records) <= set(keys)]
    assert len(alike) == 3
    assert alike[0].says[0].endswith("% likely, as their names and companies go")
    assert any("domain: same" in line for line in alike[0].says)
    decide(world.runtime, stated(world, "split", [keys[0]], keys[1:]))
    decide(world.runtime, stated(world, "link", keys[1:]))
    assert not [one for one in found(world, "weak") if set(one.records) <= set(keys)]


def test_who_is_on_the_same_mailbox_of_a_role_is_suggested_unless_names_disagree_or_many_are(
    world: World,
) -> None:
    for name in ("Ana Lima", "Rui Costa"):
        world.contact(name=name, email="info@padaria.example")
    world.message("m1", {"email": "info@padaria.example"})
    for number in range(6):
        world.contact(name="", email=f"vendas@feira.example;c{number}@feira.example")
    world.sync()
    one, other = found(world, "weak")
    assert {key for pair in (one, other) for key in pair.records} == {
        *(world.crm.node_key("contacts", id) for id in "12"),
        "email:info@padaria.example",
    }
    assert one.evidence == ("mailbox:info@padaria.example",)
    assert one.says[0].startswith("info@padaria.example, a mailbox of a role, is on both")


def test_what_a_decision_would_do_is_what_it_does(world: World) -> None:
    first = world.contact(name="Ana Lima", phone="+5511973914862")
    second = world.contact(name="Rui Costa", email="rui@x.example")
    world.message("m1", "5511973914862")
    world.sync()
    sender = "whatsapp_id:5511973914862"
    here, there = (world.crm.node_key("contacts", one) for one in (first, second))
    parted = foresee(world.runtime, stated(world, "split", [sender], [here]))["crms"]["crm"]
    assert {word: count for word, count in parted.items() if count} == {"contacts": 1, "moved": 1}
    decide(world.runtime, stated(world, "split", [sender], [here]))
    before = {table.name: world.rows(table) for table in (node,)}
    told = foresee(world.runtime, stated(world, "link", [sender, there]))
    assert {table.name: world.rows(table) for table in (node,)} == before
    assert told["crms"]["crm"]["moved"] == 1
    assert [one["records"] for one in told["after"]] == [sorted([there, sender])]
    assert {one["person_id"] for one in told["before"]} == {person(world, sender), person(world, there)}
    world.clock.sleep(1)
    undone = foresee(world.runtime, stated(world, "link", [sender, here]))
    assert [one["kind"] for one in undone["overrules"]] == ["split"]
    decide(world.runtime, stated(world, "link", [sender, there]))
    assert person(world, sender) == person(world, there) == told["after"][0]["person_id"]
    assert [one["state"] for one in all_decisions_json(world.runtime)] == ["holds", "holds"]
    with world.runtime.database.read() as c:
        nodes = people.load_nodes(c, [sender, here])
    told_apart = between(world.runtime, [nodes[sender]], [nodes[here]])
    assert [one["kind"] for one in told_apart["decisions"]] == ["split"]
    world.settled()
    assert [entry["contact"] for entry in world.there("entries")] == [second]
    assert foresee(world.runtime, stated(world, "link", [sender, there]))["crms"]["crm"]["moved"] == 0


def test_new_rules_are_told_on_both_sides_of_a_change(world: World) -> None:
    world.contact(name="Ana Lima", phone="+5511973914862", email="ana@x.example")
    world.message("m1", "5511973914862")
    world.sync()
    id = person(world, "whatsapp_id:5511973914862")
    assert rules_effect(world.runtime)["become_several"]["count"] == 0
    world.runtime.rules = Rules(blocked=frozenset({"phone:+5511973914862"}))
    told = rules_effect(world.runtime)
    (parted,) = told["become_several"]["first"]
    assert (told["become_several"]["count"], told["become_one"]["count"]) == (1, 0)
    assert [one["person_id"] for one in parted["before"]] == [id]
    assert sorted(one["says"] for one in parted["after"]) == [
        ["WhatsApp sender +5511973914862"],
        ["crm contact 1"],
    ]
    assert person(world, "whatsapp_id:5511973914862") == id
    world.runtime.identified = False
    assert reidentify(world.runtime) == 1
    assert rules_effect(world.runtime)["carried_out"] is True
    world.runtime.rules = Rules()
    (joined,) = rules_effect(world.runtime)["become_one"]["first"]
    assert joined["says"] == ["phone number +5511973914862"]
