"""Delivery: nothing doubled and nothing overwritten, whatever the CRM does with a write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from bridge.cli.work import sync_once
from bridge.errors import AuthError, PluginError, RateLimited, Rejected, Unavailable
from bridge.model import Json, Location, Page, Phase, Receipt, Unknown, Write
from bridge.store import rejects
from bridge.store.tables import field_ledger, intent, ledger
from bridge.sync.delivery import deliver
from bridge_memory import Memory
from tests.deliver_cases import refuse, replay
from tests.sync_world import SETTLE, World

ANA, BIA, DORA = "5511973914862", "5511973914863", "5511973914864"


def test_the_intent_stands_in_the_store_before_the_call(world: World) -> None:
    seen: list[tuple[str, int]] = []

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        rows = {row.key: row for row in world.rows(intent)}
        seen.extend((rows[write.key].state, rows[write.key].attempts) for write in writes)
        return Memory.push(memory, writes)

    world.acts["crm"]["push"] = push
    world.message("m1", ANA)
    assert world.sync().written == 2
    assert seen == [("uncertain", 1), ("uncertain", 1)]
    assert world.pending() == {}


def test_two_cycles_in_a_row_write_nothing_the_second_time(world: World) -> None:
    world.contact(name="Ana", phone="+55 11 97391-4862")
    world.message("m1", ANA)
    world.message("m2", BIA, name="Bia")
    world.message("m3", {"whatsapp_bsuid": "BR.77"}, name="Caio")
    assert world.sync().counts["entry"] == 3
    before = world.there("contacts"), world.there("entries")
    for _ in range(2):
        assert world.sync().written == 0
        world.start()
    assert (world.there("contacts"), world.there("entries")) == before
    assert sorted(one["name"] for one in before[0]) == ["Ana", "Bia", "Caio"]
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}


def test_a_write_whose_receipt_was_lost_is_found_and_not_repeated(world: World) -> None:
    world.contact(name="Ana", phone="+5511973914862")
    world.message("m1", ANA)
    world.levers["crm"].lose = 1
    world.settled()
    assert world.told() == {"m1": 1}
    assert len(world.rows(ledger)) == 1


def test_a_write_that_is_carried_out_after_the_time_out_is_not_repeated(small: World) -> None:
    small.contact(name="Ana", phone="+5511973914862")
    small.sync()
    small.message("m1", ANA)
    small.levers["crm"].late = 1
    small.sync()
    assert small.told() == {}
    assert small.pending() == {"uncertain": 1}
    small.sync()
    assert small.pending() == {"uncertain": 1}, "an absence counted before the CRM had settled"
    small.clock.sleep(SETTLE + 1)
    small.settled()
    assert small.told() == {"m1": 1}


def test_an_absence_counts_after_the_settle_time_and_the_write_goes_again(small: World) -> None:
    small.contact(name="Ana", phone="+5511973914862")
    small.sync()
    small.message("m1", ANA)
    small.levers["crm"].late = 1
    small.sync()
    small.levers["crm"].pending.clear()
    small.clock.sleep(SETTLE + 1)
    assert small.sync().written == 1
    assert small.told() == {"m1": 1}
    assert small.pending() == {}


def test_an_unknown_outcome_is_held_shown_and_asked_about_again_on_replay(world: World) -> None:
    world.contact(name="Ana", phone="+5511973914862")

    def locate(memory: Memory, writes: Sequence[Write]) -> Iterator[Location]:
        return iter([Unknown(key=write.key, reason="its contact is deleted") for write in writes])

    world.acts["crm"]["locate"] = locate
    world.message("m1", ANA)
    world.levers["crm"].lose = 1
    world.sync()
    world.deliver()
    assert world.pending() == {"held": 1}
    with world.runtime.database.read() as c:
        (shown,) = rejects.listed(c)
    assert "its contact is deleted" in shown["message"]
    del world.acts["crm"]["locate"]
    replay(world)
    world.sync()
    assert world.pending() == {}
    assert world.told() == {"m1": 1}
    with world.runtime.database.read() as c:
        assert rejects.listed(c) == []


def test_after_too_many_calls_the_writes_wait_unsent(small: World) -> None:
    small.contact(name="Ana", phone="+5511973914862")
    small.message("m1", ANA)
    small.acts["crm"]["push"] = refuse(RateLimited("slow down", wait=9.0))
    done = small.sync()
    assert (done.wait, done.written) == (9.0, 0)
    assert set(small.pending()) == {"open"}
    del small.acts["crm"]["push"]
    assert small.deliver().counts == {"entry": 1, "fields": 1}
    assert small.told() == {"m1": 1}


def test_a_limit_met_before_anything_was_sent_leaves_every_write_open(small: World) -> None:
    small.contact(name="Ana", phone="+5511973914862")
    small.message("m1", ANA)

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        raise RateLimited("slow down", wait=9.0)

    small.acts["crm"]["push"] = push
    assert small.sync().wait == 9.0
    assert set(small.pending()) == {"open"}
    del small.acts["crm"]["push"]
    assert small.deliver().counts == {"entry": 1, "fields": 1}


def test_a_refused_key_stops_delivery_and_says_so(small: World) -> None:
    small.message("m1", ANA)
    small.message("m2", BIA)
    small.acts["crm"]["push"] = refuse(AuthError("the key was revoked"))
    with pytest.raises(AuthError, match="the key was revoked"):
        small.sync()
    assert set(small.pending()) == {"open"}
    del small.acts["crm"]["push"]
    small.settled()
    assert small.told() == {"m1": 1, "m2": 1}


def test_one_bad_write_does_not_hold_up_its_neighbours(small: World) -> None:
    for name, phone in (("Ana", ANA), ("Bia", BIA), ("Dora", DORA)):
        small.contact(name=name, phone=f"+{phone}")
    for text, phone in (("m1", ANA), ("m2", BIA), ("m3", DORA)):
        small.message(text, phone)
    refused = Rejected("this portal requires a segment", code="REQUIRED")
    small.acts["crm"]["push"] = refuse(refused, unless=lambda write: "m2" not in str(write.fields))
    small.sync()
    assert small.told() == {"m1": 1, "m3": 1}
    assert small.pending() == {"rejected": 1}
    with small.runtime.database.read() as c:
        (shown,) = rejects.listed(c)
    assert (shown["step"], shown["code"]) == ("push", "REQUIRED")
    assert "requires a segment" in shown["message"]
    assert small.sync().written == 0, "a rejected write was sent again without being asked for"
    del small.acts["crm"]["push"]
    replay(small, shown["group_key"])
    small.sync()
    assert small.told() == {"m1": 1, "m2": 1, "m3": 1}
    with small.runtime.database.read() as c:
        assert rejects.listed(c) == []


def test_entries_wait_for_a_contact_that_was_refused_and_go_once_it_stands(world: World) -> None:
    world.message("m1", ANA, name="Ana")
    world.message("m2", BIA, name="Bia")
    refused = Rejected("needs a segment", code="REQUIRED")
    world.acts["crm"]["push"] = refuse(
        refused, unless=lambda write: "Ana" not in str(write.fields.get("name"))
    )
    world.sync()
    assert world.told() == {"m2": 1}
    assert world.pending() == {"rejected": 1, "open": 1}
    world.message("m3", ANA)
    world.sync()
    assert world.told() == {"m2": 1}, "an entry was written without its contact"
    del world.acts["crm"]["push"]
    replay(world)
    world.settled()
    assert world.told() == {"m1": 1, "m2": 1, "m3": 1}
    assert len(world.there("contacts")) == 2


def test_many_waiting_entries_do_not_starve_the_others(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "BATCH", 3)
    for number in range(6):
        small.message(f"m{number}", ANA, name="Ana", thread=f"t{number}")
    refused = Rejected("needs a segment", code="REQUIRED")
    small.acts["crm"]["push"] = refuse(
        refused, unless=lambda write: "Ana" not in str(write.fields.get("name"))
    )
    small.sync()
    assert small.pending() == {"rejected": 1, "open": 6}
    small.message("m9", BIA, name="Bia")
    small.sync()
    assert small.told() == {"m9": 1}


def test_what_we_wrote_is_recognised_and_enters_no_journey(small: World) -> None:
    small.contact(name="Ana", phone="+5511973914862")
    small.message("m1", ANA)
    small.settled()
    stream = small.stream("entries", "crm")
    assert (stream["read"], stream["skipped"]) == (1, 1)
    assert stream["rules"] == {"written by crmbridge": 1}


def test_a_persons_note_that_quotes_our_entry_is_theirs(small: World) -> None:
    there = small.contact(name="Ana", phone="+5511973914862")
    small.message("m1", ANA)
    small.settled()
    (entry,) = small.there("entries")
    small.put("crm", "entries", text=f"Rui copied: {entry['text']}", contact=there)
    small.settled()
    assert small.stream("entries", "crm")["mapped"] == 1


def test_an_update_that_was_put_off_does_not_overwrite_what_a_person_wrote_meanwhile(world: World) -> None:
    there = world.contact(phone="+5511973914862")
    world.sync()
    world.message("m1", ANA, name="Ana S")
    world.acts["crm"]["push"] = refuse(
        RateLimited("slow down", wait=9.0), unless=lambda write: write.op == "create"
    )
    world.sync()
    world.change("crm", "contacts", there, name="Ana Maria Souza")
    del world.acts["crm"]["push"]
    world.settled()
    (contact,) = world.there("contacts")
    assert contact["name"] == "Ana Maria Souza"
    assert contact["waiting_since"], "the other fields were not written later"


def test_a_refused_update_is_planned_anew_on_replay(small: World) -> None:
    there = small.contact(phone="+5511973914862")
    small.sync()
    small.message("m1", ANA, name="Ana S")
    small.acts["crm"]["push"] = refuse(
        Rejected("no", code="REQUIRED"), unless=lambda write: write.op == "create"
    )
    small.sync()
    assert small.pending() == {"rejected": 1}
    small.change("crm", "contacts", there, name="Ana Maria Souza")
    del small.acts["crm"]["push"]
    replay(small)
    small.settled()
    (contact,) = small.there("contacts")
    assert contact["name"] == "Ana Maria Souza"
    assert contact["waiting_since"]
    with small.runtime.database.read() as c:
        assert rejects.listed(c) == []


def test_updates_that_never_get_an_answer_end_the_round(small: World) -> None:
    small.contact(name="Ana", phone="+5511973914862")
    small.sync()
    small.message("m1", ANA)
    calls: list[Write] = []

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if write.op == "update":
                calls.append(write)
                assert len(calls) < 20, "the CRM is asked again and again"
                yield Receipt(key=write.key, error=Unavailable("no answer"))
            else:
                yield from Memory.push(memory, [write])

    small.acts["crm"]["push"] = push
    small.sync()
    assert small.told() == {"m1": 1}
    del small.acts["crm"]["push"]
    small.settled()
    (contact,) = small.there("contacts")
    assert contact["waiting_since"]


def test_a_persons_edit_wins_where_the_field_is_theirs_once_filled(small: World) -> None:
    there = small.contact(phone="+5511973914862")
    small.message("m1", ANA, name="Ana S")
    small.settled()
    small.change("crm", "contacts", there, name="Dona Ana")
    small.message("m2", ANA, name="Ana Souza")
    small.settled()
    (contact,) = small.there("contacts")
    assert contact["name"] == "Dona Ana"


def test_the_value_that_was_overwritten_is_kept(small: World) -> None:
    there = small.contact(name="Ana", phone="+5511973914862", waiting_since="yesterday")
    small.message("m1", ANA)
    small.settled()
    (row,) = [row for row in small.rows(field_ledger) if row.field == "waiting_since"]
    assert (row.ext_id, row.before) == (there, b'"yesterday"')


def test_a_connector_that_breaks_while_it_writes_loses_and_doubles_nothing(small: World) -> None:
    for name, phone in (("Ana", ANA), ("Bia", BIA), ("Dora", DORA)):
        small.contact(name=name, phone=f"+{phone}")
    for text, phone in (("m1", ANA), ("m2", BIA), ("m3", DORA)):
        small.message(text, phone)

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        receipts = Memory.push(memory, writes)
        yield next(receipts)
        next(receipts)
        raise KeyError("surprise")

    small.acts["crm"]["push"] = push
    with pytest.raises(PluginError, match="memory failed while it wrote: KeyError"):
        small.sync()
    del small.acts["crm"]["push"]
    small.clock.sleep(SETTLE + 1)
    small.settled()
    assert small.told() == {"m1": 1, "m2": 1, "m3": 1}


def test_our_entry_copied_into_another_crm_does_not_come_back_as_news(small: World) -> None:
    """As by a sync between two CRMs; `chat` has contacts too, so that it is a CRM we only read."""
    small.contact(name="Ana", phone=f"+{ANA}")
    other = small.put("chat", "contacts", name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    small.settled()
    (entry,) = small.there("entries")
    small.put("chat", "entries", text=entry["text"], contact=other)
    small.settled()
    assert small.told() == {"m1": 1}
    assert small.stream("entries")["rules"] == {"written by crmbridge": 1}


def test_a_note_of_another_crm_becomes_an_entry_of_this_one(small: World) -> None:
    small.contact(name="Ana", phone=f"+{ANA}")
    other = small.put("chat", "contacts", name="Ana", phone=f"+{ANA}")
    small.put("chat", "entries", text="m1", contact=other)
    small.settled()
    assert small.told() == {"m1": 1}


def test_a_sync_writes_nothing_into_a_crm_that_it_could_not_read(small: World) -> None:
    def pull(
        memory: Memory, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]
    ) -> Iterator[Page]:
        if stream == "entries":
            raise Unavailable("down")
        return Memory.pull(memory, stream, phase, cursor, fields)

    small.contact(name="Ana", phone=f"+{ANA}")
    small.message("m1", ANA)
    small.acts["crm"]["pull"] = pull
    result = sync_once(small.runtime)
    assert (result["writes"], small.told()) == (0, {})
    assert any("could not be read" in error for error in result["errors"])
    del small.acts["crm"]["pull"]
    small.clock.sleep(60)
    assert sync_once(small.runtime)["writes"] == 2
