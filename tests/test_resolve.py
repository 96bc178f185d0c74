"""Resolving: what each record means, in any order; one bad record stops nobody; what is one thing is one entity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.engine import commands
from bridge.model import Json, Page, Record
from bridge.store import entities, people, rejects
from bridge.store.tables import delivery, entity, journey, ledger, node, record, reject
from bridge.sync.history import history
from bridge_memory import Memory
from tests.sync_world import MAPPING, START, World, party

ANA, BIA = "5511973914862", "5511973914863"
MENDED = MAPPING.replace("occurred_at: at", 'occurred_at: {const: "2026-11-20T10:00:00Z"}')
RUI = "rui.home@webmail.example"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def open_rejects(world: World) -> list[dict[str, Any]]:
    with world.runtime.database.read() as c:
        return rejects.listed(c)


def person_of(world: World, handle: str) -> str:
    """Return the person whose sender carries a handle."""
    found = {one.person_id for one in world.rows(node) if one.key == handle}
    assert len(found) == 1, [one.key for one in world.rows(node)]
    return str(found.pop())


def waiting(world: World) -> list[str]:
    return sorted(row.name for row in world.rows(journey) if row.waiting_since is not None)


def interactions(world: World) -> dict[str, Any]:
    with world.runtime.database.read() as c:
        found = entities.load_interactions(c, [one.key for one in world.rows(node)])
    return {entity_id: one.body for entity_id, one in found.items()}


def take(world: World) -> None:
    """Collect and resolve, one record a page, so that the order of the folder is the order of everything."""
    assert world.collect() == []
    world.resolve()


def test_a_bad_record_is_rejected_with_its_mapping_line_and_replayed_once_that_is_mended(
    world: World,
) -> None:
    world.message("m1", ANA, at="yesterday")
    world.message("m2", BIA)
    take(world)
    shown = world.stream("messages")
    assert (shown["read"], shown["mapped"], shown["rejected"]) == (2, 1, 1)
    (found,) = open_rejects(world)
    assert (found["step"], found["ext_id"], found["field"]) == ("map", "1", "occurred_at")
    file, _, line = found["place"].rpartition(":")
    assert "occurred_at: at" in Path(file).read_text().splitlines()[int(line) - 1]
    assert "yesterday" in found["message"]
    world.remap_to(MENDED)
    world.start()
    assert commands.replay(world.runtime, {"group": found["group_key"]}) == {"replayed": 1}
    assert world.stream("messages")["waiting"] == 1
    world.resolve()
    shown = world.stream("messages")
    assert (shown["read"], shown["mapped"], shown["rejected"]) == (2, 2, 0)
    assert open_rejects(world) == []


def test_a_replay_that_fails_again_counts_the_attempt(small: World) -> None:
    small.message("m1", ANA, at="yesterday")
    take(small)
    commands.replay(small.runtime, {"group": None})
    small.resolve()
    (found,) = small.rows(reject)
    assert (found.state, found.attempts) == ("open", 2)


def test_a_newer_version_that_is_good_closes_the_reject_of_the_old_one(small: World) -> None:
    small.message("m1", ANA, at="yesterday")
    take(small)
    small.change("chat", "messages", "1", at="2026-11-20T11:00:00Z")
    take(small)
    assert open_rejects(small) == []
    shown = small.stream("messages")
    assert (shown["read"], shown["mapped"], shown["skipped"], shown["rejected"]) == (2, 1, 1, 0)


def test_an_older_version_replayed_does_not_undo_the_newer_one(small: World) -> None:
    small.message("m1", ANA, at="yesterday")
    take(small)
    small.change("chat", "messages", "1", at="2026-11-20T11:00:00Z", text="m2")
    take(small)
    small.remap_to(MENDED)
    small.start()
    commands.replay(small.runtime, {"group": None})
    small.resolve()
    (body,) = interactions(small).values()
    assert body["body_text"] == "m2"


def test_a_connector_whose_decode_fails_loses_that_record_only(small: World) -> None:
    def decode(memory: Memory, found: Record) -> Iterator[Record]:
        if found.stream == "messages" and found.data["text"] == "m1":
            raise KeyError("surprise")
        yield found

    small.acts["chat"]["decode"] = decode
    small.message("m1", ANA)
    small.message("m2", BIA)
    take(small)
    shown = small.stream("messages")
    assert (shown["mapped"], shown["rejected"]) == (1, 1)
    (found,) = open_rejects(small)
    assert found["code"] == "plugin"
    assert "KeyError" in found["message"]
    assert "connector memory" in found["hint"]
    del small.acts["chat"]["decode"]
    commands.replay(small.runtime, {"group": None})
    small.resolve()
    assert small.stream("messages")["mapped"] == 2


def test_a_connector_whose_split_fails_loses_that_body_only(world: World) -> None:
    def split(memory: Memory, body: Any) -> Iterator[Any]:
        if b"bad" in body.body:
            yield Record(stream="messages", id="half", version="1", modified_at=None, data={})
            raise KeyError("surprise")
        yield from Memory.split(memory, body)

    world.acts["chat"]["split"] = split
    good = {"id": "w1", "text": "m1", "at": "2026-11-20T10:00:00Z", "people": [party("from", ANA)]}
    world.webhook(b'{"bad": true, "events": []}')
    world.webhook(json.dumps({"events": [{"stream": "messages", "object": good}]}).encode())
    world.resolve()
    assert world.stream("messages")["read"] == 1, "half of a body was taken"
    (found,) = open_rejects(world)
    assert (found["step"], found["code"]) == ("split", "plugin")
    del world.acts["chat"]["split"]
    commands.replay(world.runtime, {"group": None})
    world.resolve()
    assert open_rejects(world) == []
    assert {row.state for row in world.rows(delivery)} == {1}


def test_a_record_of_a_stream_that_the_connector_does_not_declare_is_its_fault_and_shown(
    small: World,
) -> None:
    odd = Record(stream="typos", id="1", version="1", modified_at=None, data={})
    small.acts["chat"]["split"] = lambda memory, body: iter([odd])
    small.webhook(b"{}")
    small.resolve()
    (found,) = open_rejects(small)
    assert (found["step"], found["code"]) == ("split", "plugin")
    assert "typos" in found["message"]
    small.acts["chat"] |= {"pull": lambda memory, stream, phase, place, fields: iter([page_of(odd)])}
    errors = small.collect("chat")
    assert errors
    assert all("typos" in error for error in errors)
    assert small.rows(record) == []


def page_of(*items: Record) -> Page:
    return Page(records=items, cursor={"offset": 0})


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


def test_a_mapping_that_names_messages_otherwise_writes_none_of_them_again(world: World) -> None:
    world.contact(name="Ana", phone=f"+{ANA}")
    copy: dict[str, Json] = {"people": [party("from", ANA)], "at": "2026-11-20T11:00:00Z"}
    for number in range(3):
        world.put("chat", "messages", **copy, text=f"m{number}", ref=f"r{number}")
    world.put("crm", "messages", **copy, text="m1", ref="r1")
    world.settled()
    written = {f"m{number}": 1 for number in range(3)} | {"m1": 2}
    assert world.told() == written
    world.remap_to(
        MAPPING.replace("dedupe_keys: keys", 'dedupe_keys: {each: [{template: "ref:{ref}"}]}').replace(
            "participants: people", "participants: people\n      outcome: ref"
        )
    )
    world.start()
    for connection in ("chat", "crm"):
        commands.apply_remap(world.runtime, {"connection": connection})
    world.settled()
    assert world.told() == written
    assert len(interactions(world)) == 3, "the copies did not become one"


def test_messages_that_a_mapping_took_for_one_come_apart_when_it_is_mended(small: World) -> None:
    wrong = MAPPING.replace("dedupe_keys: keys", 'dedupe_keys: {each: [{const: "always:the same"}]}')
    small.remap_to(wrong)
    small.start()
    for number in range(3):
        small.message(f"m{number}", ANA, keys=[f"k:{number}"], thread=f"t{number}")
    small.settled()
    assert len(interactions(small)) == 1
    small.remap_to(MAPPING)
    small.start()
    commands.apply_remap(small.runtime, {"connection": "chat"})
    small.settled()
    assert len(interactions(small)) == 3
    assert small.told() == {"m0": 1, "m1": 1, "m2": 1}


def test_a_record_that_decodes_into_fewer_things_leaves_none_behind(small: World) -> None:
    def decode(memory: Memory, found: Record) -> Iterator[Record]:
        for text in found.data.get("texts", ["?"]):
            yield Record(
                stream=found.stream,
                id=found.id,
                version=found.version,
                modified_at=found.modified_at,
                data={**found.data, "text": text},
            )

    small.acts["chat"]["decode"] = decode
    small.message("", ANA, texts=["m1", "m2", "m3"])
    take(small)
    assert sorted(one["body_text"] for one in interactions(small).values()) == ["m1", "m2", "m3"]
    small.change("chat", "messages", "1", texts=["m4"])
    take(small)
    assert [one["body_text"] for one in interactions(small).values()] == ["m4"]


def test_what_a_rule_leaves_out_later_is_gone_from_the_journey(small: World) -> None:
    small.mail("m1", party("from", "ana@x.com", display_name="Ana"), direction="inbound")
    take(small)
    assert waiting(small) == ["Ana"]
    small.change("chat", "messages", "1", automated_by="list", automated=True)
    take(small)
    assert interactions(small) == {}
    assert waiting(small) == []


def test_a_contact_of_a_stream_that_is_no_longer_mapped_is_nobody(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    take(small)
    assert len({one.person_id for one in small.rows(node)}) == 1
    start = MAPPING.index("  contacts:\n    to: contact")
    end = MAPPING.index("  messages:\n")
    small.remap_to(MAPPING[:start] + MAPPING[end:])
    small.start()
    commands.apply_remap(small.runtime, {"connection": "crm"})
    small.resolve()
    assert not [one for one in small.rows(node) if one.contact_of]


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
