"""Delivery: nothing doubled, nothing overwritten, whatever the CRM does with a write and whenever a process ends."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.work import plan_all
from bridge.engine import commands
from bridge.engine.local import Daemon
from bridge.errors import AuthError, PluginError, RateLimited, Rejected, Unavailable
from bridge.model import Json, Location, Match, Page, Person, Phase, Receipt, Unknown, Write
from bridge.store import rejects
from bridge.store.tables import field_ledger, intent, ledger
from bridge.sync import deliver
from bridge_memory import Memory
from tests.outside import until
from tests.sync_world import SETTLE, World, dies, party

ANA, BIA, DORA = "5511973914862", "5511973914863", "5511973914864"


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite only, where the database makes no difference."""
    with World(f"sqlite:///{tmp_path / 'store.db'}", tmp_path) as made:
        yield made


def refuse(
    error: Exception, unless: Callable[[Write], bool] = lambda write: False
) -> Callable[[Memory, Sequence[Write]], Iterator[Receipt]]:
    """Return a push that refuses each write, but for some."""

    def push(memory: Memory, writes: Sequence[Write]) -> Iterator[Receipt]:
        for write in writes:
            if unless(write):
                yield from Memory.push(memory, [write])
            else:
                yield Receipt(key=write.key, error=error)  # type: ignore[arg-type]

    return push


def replay(world: World, group: str | None = None) -> None:
    commands.replay(world.runtime, {"group": group})


def is_contact(write: Write) -> bool:
    return write.stream == "contacts"


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
    world.sync()
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


def test_yesterdays_backup_doubles_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    world = World(f"sqlite:///{store}", tmp_path)
    with world:
        world.contact(name="Ana", phone="+5511973914862")
        world.message("m1", ANA, thread="t", at="2026-11-20T11:00:00Z")
        world.settled()
        world.message("m2", BIA, name="Bia")
    shutil.copy(store, tmp_path / "backup.db")
    with world:
        world.message("m3", ANA, thread="t", at="2026-11-20T11:10:00Z")
        world.message("m4", ANA, thread="t", at="2026-11-20T11:11:00Z")
        world.message("m5", {"whatsapp_bsuid": "BR.77"}, name="Caio")
        world.mail("m6", party("from", "rui@example.com", side="team"), party("to", "eva@padaria.com"))
        world.settled()
        expected = world.told(), sorted(one["id"] for one in world.there("contacts"))
        assert expected[0] == {f"m{number}": 1 for number in range(1, 7)}
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", store)
    with world:
        world.message("m7", ANA, thread="t", at="2026-11-20T11:20:00Z")
        world.settled()
        assert world.told() == {**expected[0], "m7": 1}
        assert sorted(one["id"] for one in world.there("contacts")) == expected[1]
        assert world.stream("entries", "crm")["mapped"] == 0, "our own entries entered journeys"
        assert world.sync().written == 0


@pytest.mark.parametrize("written_before", [False, True])
def test_the_daemon_writes_nothing_before_it_has_read_what_stands(small: World, written_before: bool) -> None:
    there = small.contact(name="Ana", phone=f"+{ANA}")
    if written_before:
        small.message("m1", ANA)
        small.settled()
    small.message("m2", ANA, thread="t2")
    small.clock.sleep(120)
    gate = threading.Event()

    def pull(memory: Memory, stream: str, phase: Phase, place: Json, fields: Sequence[str]) -> Iterator[Page]:
        if stream == "entries":
            assert gate.wait(20)
        return Memory.pull(memory, stream, phase, place, fields)

    small.acts["crm"]["pull"] = pull
    small.start()
    daemon = Daemon(small.runtime)
    daemon.start()
    try:
        until(lambda: small.stream("messages")["waiting"] == 0 and small.stream("messages")["mapped"] >= 1)
        time.sleep(1.5)
        assert "m2" not in small.told()
        gate.set()
        until(lambda: "m2" in small.told())
    finally:
        gate.set()
        daemon.stop()
    assert {entry["contact"] for entry in small.there("entries")} == {there}


def busy(home: Path, store: str) -> World:
    """A world in which every kind of write is due."""
    world = World(store, home)
    world.contact(name="Ana", phone="+55 11 97391-4862")
    world.contact(name="Carla", email="carla@x.com")
    world.message("m1", ANA)
    world.message("m2", {"whatsapp_bsuid": "BR.77"}, name="Bia")
    world.message("m3", DORA, name="Dora")
    team = party("from", "rui@example.com", side="team")
    world.mail("m4", team, party("to", "carla@x.com"), party("cc", "eva@x.com"))
    return world


def crash_and_go_on(home: Path, store: str, at: int, after: bool, during: Callable[[World], Any]) -> bool:
    """Let a process die at one transaction, and check what stands after the next; False once it lived."""
    home.mkdir(exist_ok=True)
    world = busy(home, store)
    with world:
        during(world)
        with dies(world, at=at, after=after) as writer:
            world.sync()
        world.levers["crm"].late = world.levers["crm"].lose = 0
        world.settled()
        assert world.told() == {"m1": 1, "m2": 1, "m3": 1, "m4": 1}
        names = sorted(one["name"] for one in world.there("contacts"))
        assert names == ["Ana", "Bia", "Carla", "Dora", "eva@x.com"]
        standing = {
            (row.stream, row.ext_id) for row in world.rows(ledger) if row.slot in ("contact", "entry")
        }
        made = {("entries", one["id"]) for one in world.there("entries")}
        made |= {("contacts", one["id"]) for one in world.there("contacts") if one.get("key")}
        assert standing == made, "the ledger is not what stands in the CRM"
        for stream, count in (("messages", 4), ("contacts", 0)):
            assert world.stream(stream)["mapped"] == count
        return writer.left <= 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_may_die_at_any_transaction(tmp_path: Path, after: bool) -> None:
    at = 1
    step = 4 if after else 6
    while crash_and_go_on(
        tmp_path / str(at), f"sqlite:///{tmp_path / str(at)}/store.db", at, after, lambda world: None
    ):
        at += step
    assert at > 15, "the world was too small to die in"


@pytest.mark.parametrize("at", [8, 14, 17, 20])
def test_a_process_may_die_while_writes_are_lost(tmp_path: Path, at: int) -> None:
    def trouble(world: World) -> None:
        world.levers["crm"].lose = 2

    crash_and_go_on(tmp_path / "home", f"sqlite:///{tmp_path}/home/store.db", at, True, trouble)
