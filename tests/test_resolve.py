"""Resolving: what each record means, in any order; what is one thing is one entity, and what was deleted is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import orjson
import pytest

from bridge.model import Json, Page, Record
from bridge.store import people
from bridge.store.tables import entity, journey, ledger, node
from bridge.sync.views.history import history
from bridge_memory import Memory
from tests.resolve_cases import interactions, page_of, take, waiting
from tests.sync_world import START, World, party

ANA, BIA = "5511973914862", "5511973914863"
RUI = "rui.home@webmail.example"


def person_of(world: World, handle: str) -> str:
    """Return the person whose sender carries a handle."""
    found = {one.person_id for one in world.rows(node) if one.key == handle}
    assert len(found) == 1, [one.key for one in world.rows(node)]
    return str(found.pop())


@pytest.mark.parametrize("first", ["crm", "chat"])
def test_the_same_message_from_two_accounts_is_one_whatever_the_order(world: World, first: str) -> None:
    keys = ["message-id:a@x"]
    copy = {"text": "m1", "at": "2026-11-20T11:00:00Z", "people": [party("from", ANA)], "keys": keys}
    second = {"crm": "chat", "chat": "crm"}[first]
    world.put(first, "messages", **copy, thread="t")
    take(world)
    world.put(second, "messages", **copy, subject="Proposta")
    take(world)
    (body,) = interactions(world).values()
    assert (body["body_text"], body["subject"], body["thread_id"]) == ("m1", "Proposta", "t")
    assert len({row.entity_id for row in world.rows(entity)}) == 1


def test_a_record_that_joins_two_entries_keeps_the_one_that_was_written(world: World) -> None:
    copy: dict[str, Json] = {"people": [party("from", ANA)], "at": "2026-11-20T11:00:00Z"}
    world.contact(name="Ana", phone=f"+{ANA}")
    world.put("chat", "messages", **copy, text="m1", keys=["message-id:b@x"])
    world.settled()
    (pushed,) = {row.entity_id for row in world.rows(entity) if row.stream == "messages"}
    world.put("chat", "messages", **copy, text="m1", keys=["message-id:a@x"])
    take(world)
    assert len({row.entity_id for row in world.rows(entity) if row.stream == "messages"}) == 2
    world.put("chat", "messages", **copy, text="m1", keys=["message-id:a@x", "message-id:b@x"])
    world.settled()
    assert {row.entity_id for row in world.rows(entity) if row.stream == "messages"} == {pushed}
    assert world.told() == {"m1": 1}


@pytest.mark.parametrize("page_size", [1, 100])
def test_three_records_that_hang_together_are_one_in_every_order(small: World, page_size: int) -> None:
    chain = [["k:a"], ["k:a", "k:b"], ["k:b", "k:c"], ["k:c"]]
    orders = list(permutations(range(4)))
    for step in range(4):
        for number, order in enumerate(orders):
            at = order[step]
            people_in = [party("from", f"ana{number}@x.com"), party("cc", f"x{number}{at}@x.com")]
            keys = [f"{key}{number}" for key in chain[at]]
            small.message(f"m{number}", ANA, keys=keys, people=people_in, channel="email")
        if page_size == 1:
            take(small)
    take(small)
    found = interactions(small)
    assert sorted(body["body_text"] for body in found.values()) == sorted(f"m{n}" for n in range(24))
    assert all(len(body["participants"]) == 5 for body in found.values())
    assert {row.entity_id for row in small.rows(entity)} == found.keys()


def test_a_status_alone_is_a_message_that_somebody_sent_elsewhere(small: World) -> None:
    status: dict[str, Json] = {
        "tells": "status",
        "direction": "outbound",
        "state": "delivered",
        "people": [party("to", ANA, side="customer")],
        "keys": ["wamid:1"],
        "at": "2026-11-20T11:00:00Z",
    }
    small.put("chat", "messages", **status)
    take(small)
    (body,) = interactions(small).values()
    assert (body["state"], body["direction"], body["custom"]) == (
        "delivered",
        "outbound",
        {"text_unknown": True},
    )
    small.put("chat", "messages", **{**status, "tells": "whole", "text": "m1", "state": "sent"})
    take(small)
    (body,) = interactions(small).values()
    assert (body["state"], body["body_text"]) == ("delivered", "m1")
    assert "text_unknown" not in body.get("custom", {})


def merge_in_crm(world: World, winner: str, *losers: str) -> None:
    world.change("crm", "contacts", winner, merged=list(losers))


def test_entries_follow_a_contact_that_the_crm_merged_and_old_ids_still_lead_to_the_person(
    world: World,
) -> None:
    ana = world.contact(name="Ana", phone=f"+{ANA}", created="2026-01-01T00:00:00Z")
    other = world.contact(name="Ana Souza", email="ana@padaria.com", created="2026-02-01T00:00:00Z")
    world.message("m1", ANA)
    world.settled()
    before = person_of(world, f"whatsapp_id:{ANA}")
    merge_in_crm(world, other, ana)
    take(world)
    (row,) = [row for row in world.rows(ledger) if row.slot == "entry"]
    assert row.contact_id == other
    now = person_of(world, f"memory:{world.crm.account.id}:contacts:{other}")  # type: ignore[union-attr]
    with world.runtime.database.read() as c:
        assert people.current_person(c, before) == now
    assert not [one for one in world.rows(node) if one.contact_id == ana]


@pytest.mark.parametrize("page_size", [1, 100])
def test_a_chain_of_merges_ends_at_the_last_contact_in_every_order(small: World, page_size: int) -> None:
    orders = list(permutations("abc"))
    for step in range(3):
        for number, order in enumerate(orders):
            name = order[step]
            absorbed = {"a": [], "b": [f"a{number}"], "c": [f"b{number}"]}[name]
            small.contact(id=f"{name}{number}", email=f"ana{number}@x.com", merged=absorbed)
        if page_size == 1:
            take(small)
    take(small)
    for number in range(len(orders)):
        small.mail(f"m{number}", party("from", f"ana{number}@x.com"), direction="inbound")
    small.settled()
    last = {f"c{number}" for number in range(len(orders))}
    assert {one.contact_id for one in small.rows(node) if one.contact_of} == last
    assert {entry["contact"] for entry in small.there("entries")} == last


def test_a_message_that_was_deleted_keeps_nobody_waiting(small: World) -> None:
    small.message("m1", ANA, name="Ana")
    take(small)
    assert waiting(small) == ["Ana"]
    small.change("chat", "messages", "1", deleted=True)
    take(small)
    assert waiting(small) == []
    assert interactions(small) == {}
    assert small.stream("messages")["mapped"] == 2


def test_a_copy_that_was_deleted_leaves_the_other_copy(small: World) -> None:
    keys = ["message-id:a@x"]
    small.message("m1", ANA, keys=keys, name="Ana")
    small.message("m1", ANA, keys=keys, name="Ana")
    take(small)
    small.change("chat", "messages", "1", deleted=True)
    take(small)
    assert len(interactions(small)) == 1
    assert waiting(small) == ["Ana"]


def test_what_was_deleted_and_came_back_stands_again(world: World) -> None:
    ana = world.contact(name="Ana", phone=f"+{ANA}")
    world.message("m1", ANA)
    world.sync()
    world.change("crm", "contacts", ana, deleted=True)
    take(world)
    assert not [one for one in world.rows(node) if one.contact_of]
    world.change("crm", "contacts", ana, deleted=False)
    take(world)
    assert person_of(world, f"whatsapp_id:{ANA}") == person_of(
        world,
        f"memory:{world.crm.account.id}:contacts:{ana}",  # type: ignore[union-attr]
    )


def test_deletion_and_return_in_one_page_count_in_the_order_of_their_time(small: World) -> None:
    ana = small.contact(name="Ana", phone=f"+{ANA}")
    small.change("crm", "contacts", ana, deleted=True)
    small.change("crm", "contacts", ana, deleted=False)
    other = small.contact(name="Bia", phone=f"+{BIA}")
    small.change("crm", "contacts", other, name="Bia Lima")
    small.change("crm", "contacts", other, deleted=True)
    take(small)
    assert [one.contact_id for one in small.rows(node) if one.contact_of] == [ana]
    assert {row.ext_id: row.deleted for row in small.rows(entity)} == {ana: False, other: True}


def a_version(id: str, number: int, *, deleted: bool, **data: Json) -> Record:
    at = START + timedelta(minutes=number)
    shown = {"id": id, **data}
    return Record(stream="contacts", id=id, version=str(number), modified_at=at, data=shown, deleted=deleted)


@pytest.mark.parametrize("pages", ["one page each", "all in one page"])
def test_versions_may_come_in_any_order(small: World, pages: str) -> None:
    ages = list(permutations(range(3)))
    ids = {f"{last}{number}": order for last in ("gone", "here") for number, order in enumerate(ages)}
    steps: list[list[Record]] = [[], [], []]
    for id, order in ids.items():
        for step, number in enumerate(order):
            deleted = number == (2 if id.startswith("gone") else 1)
            steps[step].append(a_version(id, number, deleted=deleted, name=f"Ana {number}"))
    if pages == "all in one page":
        steps = [[found for step in steps for found in step]]

    def pull(memory: Memory, stream: str, *_: Any) -> Iterator[Page]:
        if stream == "contacts":
            yield page_of(*steps[0])

    small.acts["crm"]["pull"] = pull
    while steps:
        small.collect("crm")
        small.resolve()
        del steps[0]
    here = {id: "Ana 2" for id in ids if id.startswith("here")}
    assert {one.contact_id: one.name for one in small.rows(node)} == here
    assert {row.ext_id for row in small.rows(entity) if not row.deleted} == here.keys()
    assert small.stream("contacts", "crm")["mapped"] == 3 * len(ids)


def test_a_person_whose_contact_was_deleted_is_still_found_by_their_old_id(small: World) -> None:
    ana = small.contact(name="Ana", phone=f"+{ANA}", created="2026-01-01T00:00:00Z")
    small.message("m1", ANA)
    take(small)
    before = person_of(small, f"whatsapp_id:{ANA}")
    small.change("crm", "contacts", ana, deleted=True)
    take(small)
    now = person_of(small, f"whatsapp_id:{ANA}")
    assert now != before
    with small.runtime.database.read() as c:
        assert people.current_person(c, before) == now
        assert people.current_person(c, now) == now
        assert people.current_person(c, "p_nobody") is None
    small.change("crm", "contacts", ana, deleted=False, phone="", email="new@x.com")
    take(small)
    with small.runtime.database.read() as c:
        back = person_of(small, f"memory:{small.crm.account.id}:contacts:{ana}")  # type: ignore[union-attr]
        assert back == before
        assert people.current_person(c, before) == back, "an id in use leads to somebody else"


@pytest.mark.parametrize("first", ["owners", "messages"])
def test_a_colleague_is_nobodys_customer_whichever_comes_first(world: World, first: str) -> None:
    def mail() -> None:
        people_in = [party("from", RUI, display_name="Rui"), party("to", "ana@x.com", display_name="Ana")]
        world.mail("m1", *people_in, direction="unknown")

    if first == "messages":
        mail()
        take(world)
    world.put("crm", "owners", name="Rui", email=RUI)
    take(world)
    if first == "owners":
        mail()
        take(world)
    assert [one.key for one in world.rows(node)] == ["email:ana@x.com"]
    (row,) = world.rows(journey)
    assert orjson.loads(row.body)["display_name"] == "Ana"
    (one,) = history(world.runtime, row.person_id)["interactions"]
    assert one["body_text"] == "m1"


def test_a_person_is_called_what_they_called_themselves_last_in_every_order(small: World) -> None:
    orders = list(permutations(range(3)))
    for step in range(3):
        for number, order in enumerate(orders):
            name = ["Zé", "Ana", None][order[step]]
            small.message(
                "m", {"whatsapp_bsuid": f"BR.{number}"}, name=name, at=f"2026-11-20T1{order[step]}:00:00Z"
            )
        take(small)
    assert [row.name for row in small.rows(journey)] == ["Ana"] * len(orders)
    assert [one.name for one in small.rows(node)] == ["Ana"] * len(orders)


def test_a_contact_that_lost_its_name_has_none(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    take(small)
    small.change("crm", "contacts", "1", name="")
    take(small)
    (one,) = small.rows(node)
    assert one.name is None
