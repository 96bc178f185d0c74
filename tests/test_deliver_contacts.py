"""Delivery to contacts: found before one is made, known at once when made, and shared by those who took part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from bridge.cli.work import plan_all
from bridge.errors import Rejected, Unavailable
from bridge.model import Match, Person, Receipt, Write
from bridge.store.tables import ledger
from bridge_memory import Memory
from tests.deliver_cases import is_contact, refuse, replay
from tests.sync_world import World, party

ANA, BIA, DORA = "5511973914862", "5511973914863", "5511973914864"


def test_the_contact_that_stands_in_the_way_is_used_and_not_counted_as_ours(world: World) -> None:
    there = world.contact(name="Ana Souza", email="ana@padaria.com")

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if is_contact(write) and write.op == "create":
                error = Rejected("already exists", code="CONFLICT", existing_id=there)
                yield Receipt(key=write.key, error=error)
            else:
                yield from Memory.push(memory, [write])

    world.acts["crm"] |= {"push": push, "find": nobody, "pull": lambda *_: iter(())}
    world.message("m1", ANA, name="Ana")
    world.settled()
    (entry,) = world.there("entries")
    assert entry["contact"] == there
    assert [row.slot for row in world.rows(ledger)].count("contact") == 0
    (contact,) = world.there("contacts")
    assert contact["name"] == "Ana Souza"
    assert contact["phone"] == "+5511973914862", "an empty field was taken for written"
    world.message("m2", ANA)
    world.settled()
    assert world.told() == {"m1": 1, "m2": 1}


def nobody(memory: Memory, people: Sequence[Person]) -> Iterator[Match]:
    return iter([Match(key=person.key, ids=()) for person in people])


def test_a_contact_the_crm_has_and_we_never_read_is_found_before_one_is_made(small: World) -> None:
    there = small.contact(name="Ana", phone="+5511973914862")
    small.acts["crm"]["pull"] = lambda *_: iter(())
    small.message("m1", ANA)
    small.settled()
    (entry,) = small.there("entries")
    assert entry["contact"] == there
    assert len(small.there("contacts")) == 1
    del small.acts["crm"]["pull"]
    small.message("m2", ANA)
    small.settled()
    assert small.told() == {"m1": 1, "m2": 1}
    assert {one["contact"] for one in small.there("entries")} == {there}


def test_several_contacts_found_hold_the_timeline_for_a_person_to_decide(small: World) -> None:
    for name in ("Ana", "Anna"):
        small.contact(name=name, phone="+5511973914862")
    small.acts["crm"]["pull"] = lambda *_: iter(())
    small.message("m1", ANA)
    done = small.sync()
    assert done.written == 0
    assert done.counts["hold"] == 1
    assert len(small.there("contacts")) == 2
    assert small.told() == {}


def test_a_search_that_failed_makes_no_contact(small: World) -> None:
    def find(memory: Memory, people: Sequence[Person]) -> Iterator[Match]:
        raise Unavailable("the search is down")

    small.acts["crm"]["find"] = find
    small.message("m1", ANA)
    with pytest.raises(Unavailable, match="the search is down"):
        small.sync()
    assert small.there("contacts") == []
    del small.acts["crm"]["find"]
    small.settled()
    assert small.told() == {"m1": 1}


@pytest.mark.parametrize("sender", [ANA, {"whatsapp_bsuid": "BR.77"}], ids=["number", "only an opaque id"])
def test_a_contact_of_our_making_is_known_at_once_and_when_it_comes_back(
    world: World, sender: str | dict[str, str]
) -> None:
    world.message("m1", sender, name="Ana", thread="t1")
    assert world.sync().counts["contact"] == 1
    world.message("m2", sender, name="Ana", thread="t2")
    world.collect("chat")
    world.resolve()
    assert world.deliver().counts == {"entry": 1}, "before it came back"
    world.message("m3", sender, name="Ana", thread="t3")
    assert world.sync().counts["contact"] == 0, "after it came back"
    assert len(world.there("contacts")) == 1
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}


def test_a_contact_that_comes_back_before_its_receipt_is_no_second_person(small: World) -> None:
    small.message("m1", {"whatsapp_bsuid": "BR.77"}, name="Ana")
    small.levers["crm"].lose = 1
    small.acts["crm"]["locate"] = lambda memory, writes: (_ for _ in ()).throw(Unavailable("away"))
    with pytest.raises(Unavailable):
        small.sync()
    small.collect("crm")
    small.resolve()
    del small.acts["crm"]["locate"]
    small.settled()
    small.message("m2", {"whatsapp_bsuid": "BR.77"}, name="Ana", thread="t2")
    small.settled()
    assert len(small.there("contacts")) == 1
    assert small.told() == {"m1": 1, "m2": 1}


def test_a_mail_to_several_known_contacts_is_one_entry_on_all_of_them(small: World) -> None:
    ids = {name: small.contact(name=name, email=f"{name}@padaria.com") for name in ("ana", "bia", "caio")}
    team = party("from", "rui@example.com", side="team")
    small.mail("m1", team, *(party("to", f"{name}@padaria.com") for name in ids))
    small.settled()
    (entry,) = small.there("entries")
    assert set(entry["contact"]) == set(ids.values())


def test_whoever_becomes_a_contact_later_gets_the_mail_they_share_with_others(world: World) -> None:
    ana = world.contact(name="ana", email="ana@padaria.com")
    team = party("from", "rui@example.com", side="team")
    world.mail(
        "m1", team, party("to", "ana@padaria.com"), party("cc", "bia@padaria.com"), direction="inbound"
    )
    world.settled()
    (entry,) = world.there("entries")
    assert entry["contact"] == ana
    bia = world.contact(name="bia", email="bia@padaria.com")
    world.settled()
    (entry,) = world.there("entries")
    assert set(entry["contact"]) == {ana, bia}
    assert world.sync().written == 0


def test_two_people_planned_together_do_not_both_plan_what_they_share(small: World) -> None:
    for name in ("ana", "bia"):
        small.contact(name=name, email=f"{name}@padaria.com")
    team = party("from", "rui@example.com", side="team")
    small.mail("m1", team, party("to", "ana@padaria.com"), party("to", "bia@padaria.com"))
    small.collect()
    small.resolve()
    entries = [action for action in plan_all(small.runtime, small.crm) if action.kind == "entry"]
    assert len(entries) == 1
    assert small.sync().counts["entry"] == 1


def test_a_contact_on_its_way_is_the_persons_even_if_their_id_changes_meanwhile(small: World) -> None:
    """A form that is older than the first message makes its sender the founder of the person."""
    both = {"external": "form-7", "email": "ana@padaria.com", "phone": f"+{ANA}"}
    small.message("m1", ANA, name="Ana", at="2026-11-20T11:00:00Z")
    small.acts["crm"]["push"] = refuse(Rejected("needs a segment", code="REQUIRED"))
    small.sync()
    small.message("m2", both, channel="web_form", at="2026-11-01T11:00:00Z")
    small.message("m3", ANA, thread="t3")
    small.sync()
    assert small.there("contacts") == []
    del small.acts["crm"]["push"]
    replay(small)
    small.settled()
    small.message("m4", "ana@padaria.com", channel="whatsapp", thread="t4")
    small.settled()
    assert len(small.there("contacts")) == 1
    assert small.told() == {"m1": 1, "m2": 1, "m3": 1, "m4": 1}
