"""The plan: which contact, which entries, which fields; every reason told, nothing planned twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config import Push
from bridge.journey.keys import marker
from bridge.journey.text import Style
from bridge.mapping import load_mapping
from bridge.model import Json
from bridge.store.entities import Interaction
from bridge.store.intents import CONTACT_SLOT, ENTRY_SLOT
from bridge.store.ledger import FieldState, Filed
from bridge.sync.delivery.plan import plan_person
from bridge.sync.delivery.plan_contact import fields_to_read
from bridge.sync.delivery.plan_values import Action, Deal, Destination, PersonState, Standing
from tests.sync_world import MAPPING

ACCOUNT = "memory:crm"
CRM, CHAT = 1, 2
OWNED = """  contact:
    to: contacts
    fields:
      name: {from: display_name, owns: if_empty}
      waiting: {from: waiting_since, owns: always, clear: true}
      source: {from: source, owns: newest}
      phone: {from: phone, owns: never}
"""


@pytest.fixture(scope="module")
def destination(tmp_path_factory: pytest.TempPathFactory) -> Destination:
    path: Path = tmp_path_factory.mktemp("mapping") / "memory.yaml"
    start, end = MAPPING.index("  contact:\n    to: contacts"), MAPPING.index("properties:\n")
    path.write_text(MAPPING[:start] + OWNED + MAPPING[end:])
    return Destination(
        account_pk=CRM,
        account_key=ACCOUNT,
        contact_stream="contacts",
        deal_stream="deals",
        push=Push(timeline=True, create={"whatsapp": "first_message", "email": "after_we_replied"}),
        mapping=load_mapping(path, connector="memory"),
        style=Style(language="en", zone=ZoneInfo("America/Sao_Paulo")),
    )


def said(number: int, *, account: int = CHAT, stream: str = "messages", **body: Json) -> Interaction:
    return Interaction(
        entity_id=f"e{number}",
        body={
            "kind": "message",
            "channel": "whatsapp",
            "direction": "inbound",
            "occurred_at": f"2026-11-20T11:{number:02}:00Z",
            "body_text": f"m{number}",
            "thread_id": "t",
            "participants": [{"role": "from", "side": "customer", "handles": []}],
            **body,
        },
        accounts=frozenset({account}),
        parts=((account, stream, str(number)),),
        node_keys=("n",),
    )


def mail(number: int, **body: Json) -> Interaction:
    return said(number, **{"kind": "email", "channel": "email", "direction": "outbound", **body})


def person(*interactions: Interaction, contacts: tuple[str, ...] = ("7",), **more: Any) -> PersonState:
    return PersonState(
        person_id="p_1",
        name="Ana",
        contacts=contacts,
        nodes=frozenset({"n"}),
        interactions=interactions,
        present={},
        **more,
    )


def kinds(actions: list[Action]) -> list[str]:
    return [action.kind for action in actions]


def linked(action: Action) -> list[str]:
    assert action.write is not None
    return [link.to for link in action.write.links]


def key_of(number: int, slot: str = ENTRY_SLOT) -> str:
    return marker(ACCOUNT, f"e{number}" if slot == ENTRY_SLOT else f"e{number}/n", slot)


def test_an_entry_goes_to_the_only_contact_under_a_key_of_its_first_message(destination: Destination) -> None:
    (entry,) = plan_person(person(said(2), said(1)), destination)
    assert (entry.kind, entry.entity_ids, linked(entry)) == ("entry", ("e1", "e2"), ["7"])
    assert entry.write is not None
    assert (entry.write.key, entry.write.stream) == (key_of(1), "entries")


def test_keys_do_not_depend_on_who_the_person_is(destination: Destination) -> None:
    one = plan_person(person(said(1), contacts=()), destination)
    other = plan_person(replace(person(said(1), contacts=()), person_id="p_2"), destination)
    assert [action.write.key for action in one if action.write] == [
        action.write.key for action in other if action.write
    ]


def test_the_contact_is_created_first_and_the_entries_hang_on_its_key(destination: Destination) -> None:
    view = {"display_name": "Ana", "phone": "+5511973914862", "source": ""}
    contact, entry = plan_person(person(said(1), contacts=(), view=view), destination)
    assert contact.kind == "create_contact"
    assert contact.write is not None
    assert (contact.write.key, dict(contact.write.fields)) == (key_of(1, CONTACT_SLOT), {"name": "Ana"})
    assert linked(entry) == [contact.write.key]


def test_a_contact_on_its_way_is_not_created_again(destination: Destination) -> None:
    (entry,) = plan_person(person(said(1), contacts=(), pending="ABC"), destination)
    assert (entry.kind, linked(entry)) == ("entry", ["ABC"])


@pytest.mark.parametrize(
    ("interactions", "reason"),
    [
        ([mail(1, direction="inbound")], "becomes a contact once we replied"),
        ([mail(1, direction="outbound", is_automated=True)], "becomes a contact once we replied"),
        ([said(1, direction="outbound")], "no rule in push.create"),
        ([said(1, channel="sms")], "no rule in push.create"),
    ],
    ids=["not replied", "replied by a machine", "we wrote first", "no rule"],
)
def test_a_stranger_is_held_with_the_rule_that_is_missing(
    destination: Destination, interactions: list[Interaction], reason: str
) -> None:
    (hold,) = plan_person(person(*interactions, contacts=()), destination)
    assert hold.kind == "hold"
    assert reason in hold.reason
    assert hold.entity_ids == ("e1",)
    assert hold.write is None


@pytest.mark.parametrize(
    "interactions",
    [[said(1)], [mail(1, direction="inbound"), mail(2)], [said(1, direction="outbound"), said(2)]],
    ids=["wrote to us", "we replied", "answered us"],
)
def test_a_stranger_becomes_a_contact_by_the_rule_of_their_channel(
    destination: Destination, interactions: list[Interaction]
) -> None:
    assert kinds(plan_person(person(*interactions, contacts=()), destination))[0] == "create_contact"


def test_never_is_never(destination: Destination) -> None:
    never = replace(destination, push=Push(timeline=True, create={"whatsapp": "never"}))
    assert kinds(plan_person(person(said(1), contacts=()), never)) == ["hold"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            {"candidates": ("Ana (1)", "Anna (2)")},
            "could be Ana (1) or Anna (2); decide which: crmbridge review",
        ),
        (
            {"candidates": ("Ana (1)", "Anna (2)"), "dismissed": "su_1"},
            "could be Ana (1) or Anna (2); dismissed, to decide it after all: crmbridge review reopen su_1",
        ),
        ({"contacts": ("1", "2")}, "contacts 1, 2 are one person; merge them in the CRM"),
    ],
)
def test_what_a_person_must_decide_is_held(
    destination: Destination, more: dict[str, Any], reason: str
) -> None:
    (hold,) = plan_person(person(said(1), **{"contacts": (), **more}), destination)
    assert (hold.kind, hold.reason) == ("hold", reason)


def test_nobody_becomes_a_contact_for_nothing(destination: Destination) -> None:
    assert plan_person(person(contacts=()), destination) == []
    assert kinds(plan_person(person(said(1, kind="system_event"), contacts=()), destination)) == ["skip"]


@pytest.mark.parametrize(
    ("interaction", "reason"),
    [
        (said(1, account=CRM, stream="entries"), "already in the CRM, logged by itself"),
        (
            said(1, account=CRM, stream="emails", contact_refs=["contacts/7"]),
            "already in the CRM, logged by itself",
        ),
        (said(1, kind="system_event"), "system event"),
        (said(1, tells="reaction", reactions=[], body_text=""), "nothing in it to read"),
        (said(1, kind="call", deleted_at="2026-11-20T12:00:00Z", body_text=""), "removed by its sender"),
        (
            said(
                1, kind="call", custom={"text_unknown": True}, participants=[{"role": "to", "side": "team"}]
            ),
            "status without a message",
        ),
    ],
)
def test_what_gets_no_entry_says_why(destination: Destination, interaction: Interaction, reason: str) -> None:
    (skip,) = plan_person(person(interaction), destination)
    assert (skip.kind, skip.reason, skip.entity_ids) == ("skip", reason, ("e1",))


def test_a_copy_in_another_crm_does_not_count_as_logged_in_this_one(destination: Destination) -> None:
    assert kinds(plan_person(person(said(1, account=3, stream="entries")), destination)) == ["entry"]


def test_what_stands_in_an_entry_is_not_planned_again(destination: Destination) -> None:
    filed = {"K": Filed(stream="entries", ext_id="9", contacts=frozenset({"7"}))}
    state = person(said(1), said(2), entry_of={"e1": "K"}, filed=filed)
    (entry,) = plan_person(state, destination)
    assert entry.entity_ids == ("e2",)


def test_without_a_timeline_only_fields_are_written(destination: Destination) -> None:
    quiet = replace(destination, push=Push(timeline=False))
    assert kinds(plan_person(person(said(1), view={"display_name": "Ana"}), quiet)) == ["fields"]
    silent = replace(destination, push=Push(timeline=True, fields=False))
    assert kinds(plan_person(person(said(1), view={"display_name": "Ana"}), silent)) == ["entry"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("deals", "expected"),
    [
        ([], None),
        ([Deal(id="1", created_at=at("2026-11-01T00:00:00Z"), closed_at=None, is_open=True)], "1"),
        ([Deal(id="1", created_at=None, closed_at=None, is_open=True)], "1"),
        ([Deal(id="1", created_at=None, closed_at=None, is_open=False)], None),
        ([Deal(id="1", created_at=at("2026-11-21T00:00:00Z"), closed_at=None, is_open=True)], None),
        (
            [
                Deal(
                    id="1",
                    created_at=at("2026-11-01T00:00:00Z"),
                    closed_at=at("2026-11-30T00:00:00Z"),
                    is_open=False,
                )
            ],
            "1",
        ),
        (
            [
                Deal(
                    id="1",
                    created_at=at("2026-11-01T00:00:00Z"),
                    closed_at=at("2026-11-19T00:00:00Z"),
                    is_open=False,
                ),
                Deal(id="2", created_at=at("2026-11-19T00:00:00Z"), closed_at=None, is_open=True),
            ],
            "2",
        ),
        (
            [
                Deal(id="1", created_at=None, closed_at=None, is_open=True),
                Deal(id="2", created_at=None, closed_at=None, is_open=True),
            ],
            None,
        ),
    ],
    ids=["none", "open", "of unknown age", "closed", "later", "open then", "the next", "two"],
)
def test_an_entry_goes_to_the_only_deal_that_was_open_then(
    destination: Destination, deals: list[Deal], expected: str | None
) -> None:
    (entry,) = plan_person(person(said(1), deals=tuple(deals)), destination)
    assert linked(entry) == ["7", *([expected] if expected else [])]


def test_of_two_open_deals_an_entry_goes_to_the_one_on_which_its_thread_stands(
    destination: Destination,
) -> None:
    deals = tuple(Deal(id=id, created_at=None, closed_at=None, is_open=True) for id in ("1", "2"))
    yesterday = mail(1, thread_id="a", occurred_at="2026-11-19T11:00:00Z")
    state = person(
        yesterday,
        mail(2, thread_id="a"),
        mail(3, thread_id="b"),
        deals=deals,
        entry_of={"e1": key_of(1)},
        deals_of={key_of(1): frozenset({"2"})},
    )
    same, other = (one for one in plan_person(state, destination) if one.kind == "entry")
    assert (linked(same), linked(other)) == (["7", "2"], ["7"])
    gone = replace(state, deals=(deals[0], replace(deals[0], id="3")))
    assert {tuple(linked(one)) for one in plan_person(gone, destination) if one.kind == "entry"} == {("7",)}


SINCE = "2026-11-20T11:00:00Z"


@pytest.mark.parametrize(
    ("view", "written", "present", "expected"),
    [
        ({"display_name": "Ana"}, {}, {}, {"name": "Ana"}),
        ({"display_name": "Ana"}, {}, {"name": ""}, {"name": "Ana"}),
        ({"display_name": "Ana"}, {}, {"name": "Dona Ana"}, {}),
        ({"display_name": "Ana"}, {}, {"name": "Ana"}, {}),
        ({"display_name": "Ana"}, {"name": "Ana"}, {"name": "ANA"}, {}),
        ({"display_name": "Ana B"}, {"name": "Ana"}, {"name": "Ana"}, {}),
        ({"display_name": "Ana B"}, {"name": "Ana"}, {}, {"name": "Ana B"}),
        ({"waiting_since": SINCE}, {}, {"waiting": "never"}, {"waiting": SINCE}),
        ({"waiting_since": SINCE}, {"waiting": SINCE}, {"waiting": "never"}, {}),
        ({}, {"waiting": SINCE}, {"waiting": SINCE}, {"waiting": ""}),
        ({}, {"waiting": SINCE}, {}, {}),
        ({}, {}, {"waiting": "typed by hand"}, {}),
        ({"source": "ad"}, {}, {}, {"source": "ad"}),
        ({"phone": "+55"}, {}, {}, {}),
    ],
    ids=[
        "empty is filled",
        "an empty text too",
        "a person's value stays",
        "the same is nothing",
        "what we wrote, as the CRM spells it",
        "filled once is filled",
        "emptied again is filled again",
        "ours overwrites",
        "ours was changed by a person",
        "ours is cleared",
        "cleared already",
        "nothing of ours to clear",
        "newest, where empty",
        "never",
    ],
)
def test_a_field_is_written_as_its_ownership_allows(
    destination: Destination,
    view: dict[str, Json],
    written: dict[str, Json],
    present: dict[str, Json],
    expected: dict[str, Json],
) -> None:
    before = {name: FieldState(sent=value, as_read=None) for name, value in written.items()}
    state = replace(person(view=view, written=before), present=present)
    actions = plan_person(state, destination)
    updates = [action for action in actions if action.kind == "fields"]
    changes = {change.field: change.after for action in updates for change in action.changes}
    assert changes == expected
    for action in updates:
        assert action.write is not None
        assert (action.write.op, action.write.id, dict(action.write.fields)) == ("update", "7", expected)
        assert all(change.before == present.get(change.field) for change in action.changes)


def test_a_value_whose_age_nobody_knows_is_left_alone_and_told(destination: Destination) -> None:
    state = replace(person(view={"source": "ad"}), present={"source": "fair"})
    (conflict,) = plan_person(state, destination)
    assert (conflict.kind, conflict.write) == ("conflict", None)
    assert "'fair'" in conflict.reason and "'ad'" in conflict.reason


def test_a_field_that_the_crm_fills_otherwise_is_told_with_both_values_and_the_line_that_decides(
    destination: Destination,
) -> None:
    state = replace(person(view={"display_name": "Ana Lima"}), present={"name": "Ana Souza"})
    (conflict,) = plan_person(state, destination)
    assert conflict.write is None
    assert (conflict.changes[0].before, conflict.changes[0].after) == ("Ana Souza", "Ana Lima")
    line = next(
        number
        for number, text in enumerate(Path(destination.mapping.file).read_text().splitlines(), 1)
        if text.strip().startswith("name: {from: display_name")
    )
    assert f"memory.yaml:{line}" in conflict.reason
    same = replace(state, present={"name": "ANA  LIMA"})
    assert plan_person(same, destination) == []


def test_nothing_is_overwritten_unread(destination: Destination) -> None:
    state = replace(person(view={"waiting_since": SINCE}), present=None)
    assert fields_to_read(state, destination) == ("waiting",)
    (hold,) = plan_person(state, destination)
    assert (hold.kind, hold.reason) == ("hold", "its present values could not be read")


def test_what_did_not_change_is_not_even_read(destination: Destination) -> None:
    written = {"waiting": FieldState(sent=SINCE, as_read=None)}
    state = replace(person(view={"waiting_since": SINCE}, written=written), present=None)
    assert fields_to_read(state, destination) == ()
    assert plan_person(state, destination) == []


def test_an_instant_of_the_day_that_the_crm_shows_is_not_written_again(destination: Destination) -> None:
    brazil = replace(destination, zone=ZoneInfo("America/Sao_Paulo"))
    written = {"waiting": FieldState(sent="2026-11-20T12:00:00Z", as_read="2026-11-20")}

    def wanted(since: str, zoned: Destination) -> list[str]:
        view = {"waiting_since": since}
        state = replace(person(view=view, written=written), present={"waiting": "2026-11-20"})
        assert bool(fields_to_read(state, zoned)) == bool(plan_person(state, zoned))
        unknown = {"waiting": FieldState(sent="2026-11-20T12:00:00Z", as_read=None)}
        assert kinds(plan_person(replace(state, written=unknown), zoned)) == kinds(plan_person(state, zoned))
        return kinds(plan_person(state, zoned))

    assert wanted("2026-11-21T02:59:00Z", brazil) == []
    assert wanted("2026-11-21T03:00:00Z", brazil) == ["fields"]
    assert wanted("2026-11-21T02:59:00Z", destination) == ["fields"]
    assert wanted("", brazil) == ["fields"]


@pytest.mark.parametrize(
    ("present", "name", "expected"),
    [
        ("+5511973914862", "Ana", ["fields"]),
        ("+5511973914862", "ana@example.com", ["conflict"]),
        ("+5511973914862", "", []),
        ("+55 11 97391-4862", "Ana", ["conflict"]),
        ("Dona Ana", "Ana", ["conflict"]),
    ],
    ids=["while nobody edited it", "not by another address", "not by nothing", "edited a little", "edited"],
)
def test_a_number_that_stood_for_a_name_gives_way_to_the_name(
    destination: Destination, present: str, name: str, expected: list[str]
) -> None:
    number = "+5511973914862"
    written = {"name": FieldState(sent=number, as_read=number)}
    handles = frozenset({number, "ana@example.com"})
    state = person(view={"display_name": name}, written=written, handles=handles)
    assert kinds(plan_person(replace(state, present={"name": present}), destination)) == expected


def test_fields_that_the_crm_lacks_are_left_out(destination: Destination) -> None:
    lacking = replace(destination, lacking=frozenset({"waiting"}))
    view = {"waiting_since": SINCE, "display_name": "Ana"}
    (update,) = plan_person(replace(person(view=view), present={}), lacking)
    assert update.write is not None
    assert dict(update.write.fields) == {"name": "Ana"}


def test_the_key_of_an_update_follows_from_its_values(destination: Destination) -> None:
    def key(value: str) -> str:
        (update,) = plan_person(person(view={"waiting_since": value}), destination)
        assert update.write is not None
        return update.write.key

    assert key(SINCE) == key(SINCE) != key("2026-11-20T12:00:00Z")


def test_an_entry_that_others_took_part_in_is_on_all_their_contacts(destination: Destination) -> None:
    (entry,) = plan_person(person(mail(1), shared={"e1": ("9", "8")}), destination)
    assert linked(entry) == ["7", "8", "9"]


def test_what_others_took_part_in_is_left_to_those_who_have_a_contact(destination: Destination) -> None:
    inbound = mail(1, direction="inbound")
    assert plan_person(person(inbound, contacts=(), shared={"e1": ("8",)}), destination) == []
    actions = plan_person(person(mail(1), said(2), contacts=(), shared={"e1": ("8",)}), destination)
    assert [(one.kind, one.entity_ids) for one in actions] == [("create_contact", ()), ("entry", ("e2",))]


def test_a_stranger_among_others_becomes_a_contact_and_then_gets_the_entry(destination: Destination) -> None:
    filed = {"K": Filed(stream="entries", ext_id="9", contacts=frozenset({"8"}))}
    shared = {"e1": ("8",)}
    state = person(mail(1), contacts=(), entry_of={"e1": "K"}, filed=filed, shared=shared)
    assert kinds(plan_person(state, destination)) == ["create_contact"]
    (link,) = plan_person(replace(state, contacts=("7",)), destination)
    assert link.write is not None
    assert (link.kind, link.write.op, link.write.id, linked(link)) == ("link", "link", "9", ["7"])
    both = {"K": replace(filed["K"], contacts=frozenset({"7", "8"}))}
    assert plan_person(replace(state, contacts=("7",), filed=both), destination) == []


def test_a_contact_that_was_deleted_is_not_made_again_for_what_stood_on_it(destination: Destination) -> None:
    filed = {"K": Filed(stream="entries", ext_id="9", contacts=frozenset({"7"}))}
    state = person(said(1), contacts=(), entry_of={"e1": "K"}, filed=filed)
    assert plan_person(state, destination) == []


def test_an_entry_follows_the_person_onto_their_contact_and_then_leaves_the_other(
    destination: Destination,
) -> None:
    filed = {"K": Filed(stream="entries", ext_id="9", contacts=frozenset({"6"}))}
    state = person(said(1), entry_of={"e1": "K"}, filed=filed)
    (onto,) = plan_person(state, destination)
    assert onto.write is not None
    assert (onto.kind, onto.write.op, onto.write.id, linked(onto)) == ("link", "link", "9", ["7"])
    both = {"K": replace(filed["K"], contacts=frozenset({"6", "7"}))}
    (off,) = plan_person(replace(state, filed=both), destination)
    assert off.write is not None
    assert (off.kind, off.write.op, off.write.id, linked(off)) == ("unlink", "unlink", "9", ["6"])
    assert plan_person(replace(state, filed=both, held={"K": "moved"}), destination) == []


def test_a_contact_of_somebody_else_in_the_same_interaction_keeps_the_entry(destination: Destination) -> None:
    filed = {"K": Filed(stream="entries", ext_id="9", contacts=frozenset({"7", "8", "9"}))}
    state = person(mail(1), entry_of={"e1": "K"}, filed=filed, parties={"e1": frozenset({"8", "9"})})
    assert plan_person(state, destination) == []


def test_of_several_contacts_the_one_whose_handle_carried_it_gets_the_entry(destination: Destination) -> None:
    state = person(said(1), said(2, thread_id="u"), contacts=("7", "8"), carried={"e2": "8"})
    entry, hold = plan_person(state, destination)
    assert (entry.kind, linked(entry), entry.entity_ids) == ("entry", ["8"], ("e2",))
    assert (hold.kind, hold.entity_ids) == ("hold", ("e1",))


def left(number: int, *texts: str) -> Standing:
    lines = "\n".join(["WhatsApp, Fri 20 Nov", *texts, f"crmbridge {key_of(number)}"])
    return Standing(
        key=key_of(number), entity_id="x", stream="entries", ext_id="9", contacts=("7",), text=lines
    )


def test_an_entry_of_an_older_store_is_taken_over_with_the_messages_it_tells(
    destination: Destination,
) -> None:
    standing = {key_of(1): left(1, "08:01 Ana: m1", "08:02 Ana:  m2 ")}
    messages = [said(1), said(2), said(3), said(4, thread_id="other")]
    adopt, *entries = plan_person(person(*messages, standing=standing), destination)
    assert (adopt.kind, adopt.entity_ids, adopt.standing) == ("adopt", ("e1", "e2"), standing[key_of(1)])
    assert [entry.entity_ids for entry in entries] == [("e3",), ("e4",)]


def test_two_entries_of_an_older_store_keep_their_own_messages(destination: Destination) -> None:
    standing = {key_of(1): left(1, "08:01 Ana: m1"), key_of(2): left(2, "08:02 Ana: m2", "08:03 Ana: m3")}
    actions = plan_person(person(said(1), said(2), said(3), standing=standing), destination)
    assert [(one.kind, one.entity_ids) for one in actions] == [("adopt", ("e1",)), ("adopt", ("e2", "e3"))]


def test_a_contact_of_an_older_store_is_taken_over_before_anything_hangs_on_it(
    destination: Destination,
) -> None:
    key = key_of(1, CONTACT_SLOT)
    standing = {key: Standing(key=key, entity_id="x", stream="contacts", ext_id="5")}
    (adopt,) = plan_person(person(said(1), contacts=(), standing=standing), destination)
    assert (adopt.kind, adopt.slot, adopt.standing) == ("adopt", CONTACT_SLOT, standing[key])


BODIES: list[Callable[[int], Interaction]] = [
    said,
    mail,
    lambda number: mail(number, direction="inbound"),
    lambda number: said(number, thread_id="u", direction="outbound"),
    lambda number: said(number, kind="system_event"),
    lambda number: said(number, account=CRM, stream="entries"),
    lambda number: said(number, channel="sms", occurred_at="2026-11-21T02:59:00Z"),
]


@settings(deadline=None, max_examples=200)
@given(
    makers=st.lists(st.sampled_from(BODIES), max_size=8),
    contacts=st.sampled_from([(), ("7",), ("7", "8")]),
    order=st.randoms(use_true_random=False),
    in_entry=st.sets(st.integers(0, 7)),
    shared=st.sets(st.integers(0, 7)),
)
def test_each_interaction_comes_to_one_end_in_every_order_and_only_once(
    destination: Destination,
    makers: list[Callable[[int], Interaction]],
    contacts: tuple[str, ...],
    order: Any,
    in_entry: set[int],
    shared: set[int],
) -> None:
    interactions = [maker(number) for number, maker in enumerate(makers)]
    state = person(
        *interactions,
        contacts=contacts,
        entry_of={f"e{number}": "K" for number in in_entry},
        shared={f"e{number}": ("9",) for number in shared},
    )
    actions = plan_person(state, destination)
    told = Counter(entity_id for action in actions for entity_id in action.entity_ids)
    assert all(count == 1 for count in told.values())
    others = set() if len(contacts) == 1 else {f"e{number}" for number in shared}
    assert {one.entity_id for one in interactions} - told.keys() <= others | state.entry_of.keys()
    shuffled = list(interactions)
    order.shuffle(shuffled)
    assert plan_person(replace(state, interactions=tuple(shuffled)), destination) == actions
    entered = {
        entity_id: action.write.key
        for action in actions
        if action.kind == "entry" and action.write
        for entity_id in action.entity_ids
    }
    made = [action.write.key for action in actions if action.kind == "create_contact" and action.write]
    after = replace(state, entry_of={**state.entry_of, **entered}, pending=made[0] if made else None)
    again = plan_person(after, destination)
    assert not [action for action in again if action.write is not None]


def test_a_number_that_is_somebody_elses_goes_but_for_where_it_stands_for_a_name(
    destination: Destination, tmp_path: Path
) -> None:
    path = tmp_path / "memory.yaml"
    start = MAPPING.index("  contact:\n    to: contacts")
    path.write_text(
        MAPPING[:start]
        + """  contact:
    to: contacts
    fields:
      name: {first: [display_name, phone], owns: if_empty}
      phone: {from: phone, owns: if_empty}
"""
    )
    called = replace(destination, mapping=load_mapping(path, connector="memory"))
    number = "+5511973914862"
    state = person(
        view={"phone": number},
        written={name: FieldState(sent=number, as_read=number) for name in ("name", "phone")},
        foreign=frozenset({"name", "phone"}),
    )
    (fields,) = plan_person(replace(state, present={"name": number, "phone": number}), called)
    assert fields.write is not None
    assert dict(fields.write.fields) == {"phone": None}
