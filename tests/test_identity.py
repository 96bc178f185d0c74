"""Identity: the cases that go wrong elsewhere, and what holds for every set of records."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import permutations

import pytest

from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.identity import Decision, Node, Partition, Rules, grade, partition, why, why_not
from bridge.journey.identity.decisions import standing
from bridge.journey.keys import person_id

HUBSPOT, PIPEDRIVE = "hubspot:1", "pipedrive:2"
DAY = 86_400_000_000
JANUARY = 1_767_225_600_000_000


def handles(**values: str) -> tuple[Handle, ...]:
    return tuple(
        handle
        for kind, raw in values.items()
        for handle in normalise(kind, raw, region="BR", own=Own(), scope="s" if "_" in kind else "")
    )


def contact(key: str, account: str = HUBSPOT, *, named: str | None = None, **values: str) -> Node:
    found = handles(**values)
    return Node(key=key, handles=found, contact_of=account, since=JANUARY, name=named, legal=True)


def record(key: str, since: int | None = JANUARY + 31 * DAY, **values: str) -> Node:
    return Node(key=key, handles=handles(**values), since=since)


def form(key: str, named: str, **values: str) -> Node:
    """A form somebody filled in: everything in it is what they claim."""
    found = handles(**values)
    claimed = frozenset(handle.key for handle in found)
    return Node(key=key, handles=found, since=JANUARY, name=named, legal=True, claimed=claimed)


def sender(key: str, called: str | None = None, **values: str) -> Node:
    """A sender of a channel, by the nickname that it shows."""
    return Node(key=key, handles=handles(**values), since=JANUARY, name=called)


def persons(result: Partition) -> set[frozenset[str]]:
    members: defaultdict[str, set[str]] = defaultdict(set)
    for key, person in result.person_of.items():
        members[person].add(key)
    return {frozenset(keys) for keys in members.values()}


def together(*nodes: Node) -> set[str]:
    return {" ".join(sorted(keys)) for keys in persons(partition(nodes))}


ANA = "+55 11 97391-4862"


def test_a_form_with_mail_and_phone_bridges_the_crm_and_whatsapp_in_every_order() -> None:
    nodes = [
        contact("ana", email="ana@padaria.com"),
        record("form", email="Ana@Padaria.com", phone="11 97391-4862"),
        record("wa", whatsapp_id="551173914862"),
    ]
    results = [partition(order) for order in permutations(nodes)]
    assert all(result == results[0] for result in results)
    assert set(results[0].person_of.values()) == {person_id("ana")}


def test_a_phone_on_two_contacts_of_one_crm_links_nobody_and_names_both_as_candidates() -> None:
    result = partition(
        [contact("ana", phone=ANA), contact("rui", phone=ANA), record("wa", whatsapp_id="5511973914862")]
    )
    assert len(persons(result)) == 3
    assert result.candidates == {"wa": ("ana", "rui")}
    assert [(held.reason, held.nodes) for held in result.withheld] == [("two_records", ("ana", "rui", "wa"))]


def test_records_of_one_whatsapp_number_stay_together_when_their_phone_is_shared() -> None:
    result = partition(
        [
            contact("ana", phone=ANA),
            contact("rui", phone=ANA),
            record("old", whatsapp_id="5511973914862"),
            record("new", whatsapp_bsuid="BR.1", whatsapp_id="551173914862"),
        ]
    )
    assert persons(result) == {frozenset({"ana"}), frozenset({"rui"}), frozenset({"old", "new"})}
    assert result.candidates == {"old": ("ana", "rui"), "new": ("ana", "rui")}


def test_a_mail_address_decides_before_a_shared_phone_does() -> None:
    result = partition(
        [
            contact("ana", phone=ANA, email="ana@padaria.com"),
            contact("rui", phone=ANA),
            record("form", phone=ANA, email="ana@padaria.com"),
        ]
    )
    assert persons(result) == {frozenset({"ana", "form"}), frozenset({"rui"})}
    assert result.candidates == {}


def test_two_contacts_of_one_crm_are_never_joined_and_the_evidence_is_shown() -> None:
    result = partition([contact("one", email="ana@padaria.com"), contact("two", email="ana@padaria.com")])
    assert len(persons(result)) == 2
    (held,) = result.withheld
    assert (held.reason, held.handle, held.nodes) == ("two_records", "email:ana@padaria.com", ("one", "two"))


def test_a_chain_over_two_tiers_follows_the_stronger_one() -> None:
    result = partition(
        [
            contact("one", email="ana@padaria.com"),
            record("form", email="ana@padaria.com", phone=ANA),
            contact("two", phone=ANA),
        ]
    )
    assert persons(result) == {frozenset({"one", "form"}), frozenset({"two"})}
    assert [held.handle for held in result.withheld] == ["phone:+5511973914862"]


def test_a_chain_within_one_tier_is_left_undecided() -> None:
    mail, other = "ana@padaria.com", "ana@lima.com"
    form = Node(key="form", handles=handles(email=mail) + handles(email=other))
    result = partition([contact("one", email=mail), form, contact("two", email=other)])
    assert len(persons(result)) == 3
    assert result.candidates == {"form": ("one", "two")}


def test_what_touches_only_one_rival_joins_it() -> None:
    nodes = [
        contact("one", email="shared@padaria.com"),
        Node(
            key="two",
            handles=handles(email="shared@padaria.com") + handles(email="rui@padaria.com"),
            contact_of=HUBSPOT,
        ),
        record("form", email="rui@padaria.com"),
    ]
    assert together(*nodes) == {"one", "form two"}


def test_two_large_parts_that_touch_the_same_rival_both_join_it() -> None:
    shared, first, second = (
        handles(email=f"{name}@padaria.com")[0] for name in ("shared", "first", "second")
    )
    nodes = [
        Node(key="one", handles=(shared, first, second), contact_of=HUBSPOT),
        Node(key="two", handles=(shared,), contact_of=HUBSPOT),
        Node(key="f1", handles=(first, *handles(external="f"))),
        record("f2", external="f"),
        Node(key="g1", handles=(second, *handles(external="g"))),
        record("g2", external="g"),
    ]
    assert together(*nodes) == {"f1 f2 g1 g2 one", "two"}


def test_forms_of_a_mailbox_that_two_contacts_share_are_one_undecided_person() -> None:
    mail = "familia@padaria.com"
    result = partition(
        [
            contact("one", email=mail),
            contact("two", email=mail),
            record("f1", email=mail),
            record("f2", email=mail),
        ]
    )
    assert persons(result) == {frozenset({"one"}), frozenset({"two"}), frozenset({"f1", "f2"})}
    assert result.candidates == {"f1": ("one", "two"), "f2": ("one", "two")}


def test_role_mailboxes_landlines_machines_and_placeholders_join_nobody() -> None:
    for values in (
        {"email": "info@padaria.com"},
        {"email": "noreply@forms.example"},
        {"phone": "11 3876-1492"},
        {"phone": "+5511999999999"},
        {"phone": "0800 727 1163"},
        {"whatsapp_username": "@ana"},
    ):
        assert together(record("a", **values), record("b", **values)) == {"a", "b"}


def test_our_own_address_on_forty_contacts_is_ignored() -> None:
    own = Own.read(emails=["rui@acme.com"], region="BR")
    mine = normalise("email", "rui@acme.com", region="BR", own=own)
    result = partition([Node(key=f"c{number}", handles=mine, contact_of=HUBSPOT) for number in range(40)])
    assert (len(persons(result)), result.withheld) == (40, ())


def test_the_ninth_digit_makes_no_second_person_and_a_landline_no_false_one() -> None:
    assert together(contact("ana", phone="11 7391-4862"), record("wa", whatsapp_id="5511973914862")) == {
        "ana wa"
    }
    assert together(contact("loja", phone="11 3876-1492"), record("wa", whatsapp_id="5511938761492")) == {
        "loja",
        "wa",
    }


def test_a_new_whatsapp_id_after_a_change_of_number_is_the_same_person_in_any_order() -> None:
    old, new = handles(whatsapp_bsuid="BR.1"), handles(whatsapp_bsuid="BR.2")
    nodes = [Node(key="old", handles=old), Node(key="new", handles=new), Node(key="event", handles=old + new)]
    assert all(together(*order) == {"event new old"} for order in permutations(nodes))


def test_the_same_id_in_two_portfolios_is_two_senders() -> None:
    one = normalise("whatsapp_bsuid", "BR.1", region="BR", own=Own(), scope="p1")
    two = normalise("whatsapp_bsuid", "BR.1", region="BR", own=Own(), scope="p2")
    assert together(Node(key="a", handles=one), Node(key="b", handles=two)) == {"a", "b"}


def test_contacts_that_their_crm_merged_are_one_whatever_they_carry() -> None:
    winner = Node(key="one", handles=handles(email="ana@padaria.com"), contact_of=HUBSPOT, aliases=("two",))
    loser = contact("two", phone=ANA)
    sender = record("wa", whatsapp_id="5511973914862")
    result = partition([winner, loser, sender, record("mail", email="ana@padaria.com")])
    assert persons(result) == {frozenset({"one", "two", "wa", "mail"})}
    assert [applied.tier for applied in result.applied] == ["email", "merged", "phone"]


def test_a_merged_contact_is_no_candidate() -> None:
    winner = Node(key="one", handles=handles(phone=ANA), contact_of=HUBSPOT, aliases=("two",))
    rival = contact("three", phone=ANA)
    result = partition([winner, contact("two", phone=ANA), rival, record("wa", whatsapp_id="5511973914862")])
    assert result.candidates == {"wa": ("one", "three")}


def test_one_contact_in_each_of_two_crms_is_one_person() -> None:
    mail = "ana@padaria.com"
    assert together(contact("h", email=mail), contact("p", PIPEDRIVE, email=mail)) == {"h p"}


def test_one_contact_here_and_two_there_are_left_undecided() -> None:
    mail = "ana@padaria.com"
    nodes = [
        contact("h", email=mail),
        contact("p1", PIPEDRIVE, email=mail),
        contact("p2", PIPEDRIVE, email=mail),
    ]
    assert together(*nodes) == {"h", "p1", "p2"}
    assert partition(nodes).candidates == {"h": ("p1", "p2")}


def test_the_founder_is_the_oldest_record_and_one_without_a_time_comes_last() -> None:
    mail = "ana@padaria.com"
    nodes = [
        record("a", None, email=mail),
        record("c", JANUARY + DAY, email=mail),
        record("b", JANUARY + DAY, email=mail),
    ]
    assert set(partition(nodes).person_of.values()) == {person_id("b")}
    assert partition([nodes[0]]).person_of == {"a": person_id("a")}


def test_two_versions_of_one_node_are_refused() -> None:
    with pytest.raises(ValueError, match="node a: two different versions"):
        partition([record("a", email="ana@padaria.com"), record("a")])


def test_one_number_and_two_legal_names_leave_a_nameless_sender_undecided() -> None:
    result = partition(
        [
            contact("ana", phone=ANA, named="Ana Lima"),
            contact("rui", phone=ANA, named="Rui Costa"),
            sender("wa", whatsapp_id="5511973914862"),
        ]
    )
    assert len(persons(result)) == 3
    assert result.candidates == {"wa": ("ana", "rui")}
    assert [(held.reason, held.nodes) for held in result.withheld] == [("contested", ("ana", "rui", "wa"))]


def test_on_a_number_of_two_people_a_form_joins_whom_its_name_agrees_with() -> None:
    result = partition(
        [
            contact("ana", phone=ANA, named="Ana Lima"),
            contact("rui", phone=ANA, named="Rui Costa"),
            form("form", "Ana Lima", phone=ANA),
            sender("wa", "Mãe ❤", whatsapp_id="5511973914862"),
        ]
    )
    assert persons(result) == {frozenset({"ana", "form"}), frozenset({"rui"}), frozenset({"wa"})}
    assert result.candidates == {"wa": ("ana", "rui")}


def test_a_nickname_that_agrees_with_one_of_two_joins_that_one() -> None:
    nodes = [
        contact("ana", phone=ANA, named="Ana Lima"),
        contact("rui", phone=ANA, named="Rui Costa"),
        sender("wa", "Rui Costa", whatsapp_id="5511973914862"),
    ]
    assert together(*nodes) == {"ana", "rui wa"}


def test_a_nickname_does_not_disagree_with_a_legal_name() -> None:
    nodes = [contact("ana", phone=ANA, named="Maria Souza"), sender("wa", "Pizzaria do Zé", phone=ANA)]
    result = partition(nodes)
    assert persons(result) == {frozenset({"ana", "wa"})}
    assert grade(nodes, result.applied) == "probable"


def test_two_contacts_of_one_name_and_number_stay_two_and_are_shown() -> None:
    result = partition(
        [contact("one", phone=ANA, named="Ana Lima"), contact("two", phone=ANA, named="Ana Lima")]
    )
    assert len(persons(result)) == 2
    assert [held.reason for held in result.withheld] == ["two_records"]


def test_contacts_of_two_crms_with_other_names_are_not_joined_by_a_shared_mailbox() -> None:
    mail = "casa@padaria.net"
    nodes = [
        contact("h", email=mail, named="Ana Lima"),
        contact("p", PIPEDRIVE, email=mail, named="Rui Costa"),
        sender("mail", email=mail),
    ]
    result = partition(nodes)
    assert persons(result) == {frozenset({"h"}), frozenset({"p"}), frozenset({"mail"})}
    assert result.candidates == {"mail": ("h", "p")}


def test_a_third_legal_name_on_an_address_splits_and_its_removal_joins_again() -> None:
    mail = "ana@padaria.com"
    nodes = [contact("ana", email=mail, named="Ana Lima"), sender("mail", email=mail)]
    stranger = form("form", "Rui Costa", email=mail)
    assert together(*nodes) == {"ana mail"}
    assert together(*nodes, stranger) == {"ana", "mail", "form"}
    assert together(*nodes) == {"ana mail"}


def test_names_that_are_no_names_contest_nothing() -> None:
    mail = "ana@padaria.com"
    for named in ("", "teste", "Padaria Lima Ltda"):
        nodes = [contact("ana", email=mail, named="Ana Lima"), form("form", named, email=mail)]
        assert together(*nodes) == {"ana form"}, named


def test_a_record_without_a_name_does_not_bridge_two_names_that_disagree() -> None:
    mail = "casa@padaria.net"
    for named in ("teste", "L. Pires"):
        nodes = [
            contact("h", email=mail, named="Lea Pires"),
            contact("p", PIPEDRIVE, email=mail, named="Lia Pires"),
            form("form", named, email=mail),
        ]
        result = partition(nodes)
        assert len(persons(result)) == 3
        assert result.candidates["form"] == ("h", "p")


def test_a_handle_on_more_contacts_than_one_person_has_links_nobody() -> None:
    mail = "rui@gmail.com"
    nodes = [contact(f"c{number}", email=mail) for number in range(4)]
    result = partition([*nodes, sender("mail", email=mail)])
    assert len(persons(result)) == 5
    assert result.candidates == {}
    assert [held.reason for held in result.withheld] == ["shared"]


def test_a_landline_joins_only_records_whose_legal_names_agree() -> None:
    line = "11 3876-1492"
    assert together(
        contact("h", phone=line, named="Ana Lima"), contact("p", PIPEDRIVE, phone=line, named="Ana Lima")
    ) == {"h p"}
    assert together(
        contact("h", phone=line, named="Ana Lima"), contact("p", PIPEDRIVE, phone=line, named="Rui Costa")
    ) == {"h", "p"}
    result = partition([contact("h", phone=line, named="Ana Lima"), record("call", phone=line)])
    assert len(persons(result)) == 2
    assert [held.reason for held in result.withheld] == ["unnamed"]


def test_somebody_with_a_chain_of_eleven_addresses_is_left_in_pieces_and_reported() -> None:
    mails = [handles(email=f"ana{number}@padaria.com")[0] for number in range(11)]
    nodes = [Node(key=f"f{number}", handles=(mails[number], mails[number + 1])) for number in range(10)]
    result = partition(nodes)
    assert len(persons(result)) == 10
    assert {held.reason for held in result.withheld} == {"oversize"}
    assert len(persons(partition(nodes[:9]))) == 1


def test_what_somebody_typed_can_be_kept_from_joining_others() -> None:
    nodes = [
        contact("victim", email="ana@padaria.com", named="Ana Lima"),
        form("form", "Ana Lima", email="ana@padaria.com", phone="11 97000-1111"),
        sender("stranger", whatsapp_id="5511970001111"),
    ]
    assert together(*nodes) == {"form stranger victim"}
    careful = partition(nodes, rules=Rules(claims_link=False))
    assert persons(careful) == {frozenset({"victim", "form"}), frozenset({"stranger"})}
    assert [(held.reason, held.handle) for held in careful.withheld] == [("claimed", "phone:+5511970001111")]


def test_a_number_given_to_somebody_else_joins_neither_to_the_other() -> None:
    old = Node(key="old", handles=handles(whatsapp_bsuid="BR.1", whatsapp_id="5511973914862"))
    new = Node(key="new", handles=handles(whatsapp_bsuid="BR.2", whatsapp_id="5511973914862"))
    assert together(old, new) == {"old", "new"}
    result = partition([old, new, contact("ana", phone=ANA)])
    assert len(persons(result)) == 3


def test_a_succession_of_ids_joins_what_would_else_be_two() -> None:
    nodes = [
        Node(key="old", handles=handles(whatsapp_bsuid="BR.1", whatsapp_id="5511973914862")),
        Node(key="new", handles=handles(whatsapp_bsuid="BR.2", whatsapp_id="5511973914862")),
        Node(key="event", handles=handles(whatsapp_bsuid="BR.1") + handles(whatsapp_bsuid="BR.2")),
    ]
    assert all(together(*order) == {"event new old"} for order in permutations(nodes))


def test_a_sender_without_a_number_is_joined_by_the_message_that_shows_one() -> None:
    only_id = Node(key="bsuid", handles=handles(whatsapp_bsuid="BR.1"))
    both = Node(key="bsuid", handles=handles(whatsapp_bsuid="BR.1") + handles(whatsapp_id="5511973914862"))
    assert together(contact("ana", phone=ANA), only_id) == {"ana", "bsuid"}
    assert together(contact("ana", phone=ANA), both) == {"ana bsuid"}


def test_who_is_split_off_the_founder_gets_another_id_and_the_founder_keeps_the_old_one() -> None:
    nodes = [
        Node(key="founder", handles=handles(email="ana@padaria.com"), since=JANUARY),
        Node(key="later", handles=handles(email="ana@padaria.com"), since=JANUARY + DAY),
        Node(key="last", handles=handles(email="ana@padaria.com"), since=JANUARY + 2 * DAY),
    ]
    assert set(partition(nodes).person_of.values()) == {person_id("founder")}
    parted = Decision(
        id="d1", kind="split", records=frozenset({"founder"}), others=frozenset({"later", "last"}), at=1
    )
    assert partition(nodes, [parted]).person_of["founder"] == person_id("founder")
    assert partition(nodes, [parted]).person_of["later"] == person_id("later")


def test_addresses_that_look_alike_are_not_the_same() -> None:
    for one, other in (
        ({"email": "ana+a@acme.com"}, {"email": "ana+b@acme.com"}),
        ({"email": "ana@acme.com"}, {"email": "ana@\u0430cme.com"}),
        ({"phone": "+55 11 4000-1001 ext. 12"}, {"phone": "+55 11 4000-1001 ext. 13"}),
        ({"phone": "97391-4862"}, {"phone": "97391-4862"}),
    ):
        assert together(record("a", **one), record("b", **other)) == {"a", "b"}


def test_one_mailbox_written_in_eight_ways_is_one() -> None:
    ways = (
        "ana.lima@gmail.com",
        "AnaLima@gmail.com",
        "analima+promo@googlemail.com",
        "analima@gmail.com.",
        "\u200banalima@gmail.com",
        "analima＠gmail.com",
        "Ana Lima <analima@gmail.com>",
        "mailto:analima@gmail.com",
    )
    nodes = [record(f"r{number}", email=way) for number, way in enumerate(ways)]
    assert together(*nodes) == {" ".join(sorted(node.key for node in nodes))}


def test_a_blocked_number_blocks_its_extensions() -> None:
    alone = Rules(blocked=frozenset({"phone:+551138761492"}))
    nodes = [
        contact(key, account, named="Ana Lima", phone="+55 11 3876-1492 ext. 12")
        for key, account in (("a", HUBSPOT), ("b", PIPEDRIVE))
    ]
    assert len(persons(partition(nodes))) == 1
    assert len(persons(partition(nodes, rules=alone))) == 2


def test_a_blocked_handle_joins_nobody_and_unblocking_it_joins_again() -> None:
    nodes = [contact("ana", email="ana@padaria.com"), sender("mail", email="ana@padaria.com")]
    for blocked in ("email:ana@padaria.com", "@padaria.com"):
        assert len(persons(partition(nodes, rules=Rules(blocked=frozenset({blocked}))))) == 2
    assert len(persons(partition(nodes))) == 1


def link(id: str, at: int, *keys: str) -> Decision:
    return Decision(id=id, kind="link", records=frozenset(keys), at=at, author="ana", reason="same desk")


def split(id: str, at: int, one: str, other: str) -> Decision:
    return Decision(id=id, kind="split", records=frozenset({one}), others=frozenset({other}), at=at)


def test_a_person_can_link_what_no_evidence_joins_and_what_it_holds_apart() -> None:
    nodes = [contact("one", phone=ANA, named="Ana Lima"), contact("two", phone=ANA, named="Rui Costa")]
    result = partition([*nodes, record("x")], [link("d1", 1, "one", "two", "x")])
    assert len(persons(result)) == 1
    assert [applied.tier for applied in result.applied] == ["decision"]


def test_a_person_can_split_what_any_evidence_joins_even_ids_of_a_platform() -> None:
    nodes = [sender("a", whatsapp_bsuid="BR.1"), sender("b", whatsapp_bsuid="BR.1")]
    assert together(*nodes) == {"a b"}
    result = partition(nodes, [split("d1", 1, "a", "b")])
    assert len(persons(result)) == 2
    assert [held.reason for held in result.withheld] == ["kept_apart"]


def test_the_newest_of_decisions_that_contradict_each_other_holds_in_every_order() -> None:
    nodes = [record("a"), record("b")]
    decisions = [link("d1", 1, "a", "b"), split("d2", 2, "a", "b"), link("d3", 3, "a", "b")]
    results = [partition(nodes, order) for order in permutations(decisions)]
    assert all(result == results[0] for result in results)
    assert (len(persons(results[0])), results[0].overruled) == (1, ("d2",))
    assert partition(nodes, decisions[:2]).overruled == ("d1",)


def test_taking_a_decision_away_restores_what_the_evidence_says() -> None:
    nodes = [contact("ana", email="ana@padaria.com"), sender("mail", email="ana@padaria.com")]
    before = partition(nodes)
    assert len(persons(partition(nodes, [split("d1", 1, "ana", "mail")]))) == 2
    assert partition(nodes, []) == before


def test_who_is_split_off_goes_alone_and_the_others_stay_together() -> None:
    nodes = [
        contact("ana", named="Ana Lima", phone=ANA),
        sender("caller", phone=ANA),
        sender("chat", phone=ANA),
    ]
    others = frozenset({"ana", "chat"})
    off = Decision(id="d1", kind="split", records=frozenset({"caller"}), others=others, at=1)
    assert persons(partition(nodes, [off])) == {frozenset({"caller"}), others}
    two = Decision(
        id="d1", kind="split", records=frozenset({"ana"}), others=frozenset({"caller", "chat"}), at=1
    )
    assert persons(partition(nodes, [two])) == {frozenset({"ana"}), frozenset({"caller", "chat"})}
    stranger = partition([*nodes, sender("new", phone=ANA)], [off])
    assert stranger.person_of["new"] not in {stranger.person_of[key] for key in ("ana", "caller")}
    assert stranger.candidates["new"] == ("ana",)
    twin = partition([*nodes, contact("twin", named="Ana Lima", phone=ANA)], [off])
    assert len(set(twin.person_of.values())) == 4, "the chat could be either contact's"


def test_a_split_is_not_undone_through_a_third_record() -> None:
    mail = "ana@padaria.com"
    nodes = [
        contact("ana", email=mail),
        sender("wa", whatsapp_id="5511973914862"),
        form("form", "", email=mail, phone=ANA),
    ]
    result = partition(nodes, [split("d1", 1, "ana", "wa")])
    assert persons(result) == {frozenset({"ana", "form"}), frozenset({"wa"})}
    assert result.candidates == {}


def test_ids_of_one_platform_stay_together_when_a_third_is_split_off_them() -> None:
    nodes = [sender(key, whatsapp_bsuid="BR.1") for key in ("a", "b", "c")]
    decision = Decision(
        id="d1", kind="split", records=frozenset({"c"}), others=frozenset({"a", "b"}), at=1, author="ana"
    )
    assert persons(partition(nodes, [decision])) == {frozenset({"a", "b"}), frozenset({"c"})}


def test_a_decision_on_records_that_are_not_there_waits_for_them() -> None:
    decision = link("d1", 1, "a", "later")
    assert together(record("a")) == {"a"}
    result = partition([record("a"), record("later")], [decision])
    assert len(persons(result)) == 1


def test_contacts_of_which_a_person_said_they_are_one_count_as_one() -> None:
    mail = "ana@padaria.com"
    nodes = [contact("one", email=mail), contact("two", email=mail), sender("mail", email=mail)]
    assert len(persons(partition(nodes, [link("d1", 1, "one", "two")]))) == 1


def test_why_gives_the_strongest_chain_and_why_not_what_was_withheld() -> None:
    nodes = [
        contact("ana", email="ana@padaria.com"),
        form("form", "", email="ana@padaria.com", phone=ANA),
        sender("wa", whatsapp_id="5511973914862"),
        contact("rui", PIPEDRIVE, phone="11 97000-1111", named="Rui Costa"),
        contact("bia", phone="11 97000-1111", named="Bia Melo"),
    ]
    result = partition(nodes)
    chain = why(result.applied, "ana", "wa")
    assert chain is not None
    assert [(one, evidence.tier, other) for one, evidence, other in chain] == [
        ("ana", "email", "form"),
        ("form", "phone", "wa"),
    ]
    assert why(result.applied, "ana", "rui") is None
    assert [held.reason for held in why_not(result, "rui", "bia")] == ["contested"]
    assert why_not(result, "ana", "wa") == []


def test_a_person_is_certain_by_platforms_strong_by_names_and_probable_else() -> None:
    mail = "ana@padaria.com"
    assert grade([record("a")], []) == "certain"
    for other, expected in (
        (form("form", "Ana Lima", email=mail), "strong"),
        (sender("mail", "Ana Lima", email=mail), "strong"),
        (sender("mail", "Zé", email=mail), "probable"),
        (sender("mail", email=mail), "probable"),
    ):
        nodes = [contact("ana", email=mail, named="Ana Lima"), other]
        assert grade(nodes, partition(nodes).applied) == expected


def test_thousands_of_decisions_are_weighed_against_each_other_in_a_moment() -> None:
    links = [
        Decision(id=f"l{at}", kind="link", records=frozenset({f"a{at}", f"b{at}"}), at=2 * at)
        for at in range(3000)
    ]
    splits = [
        Decision(
            id=f"s{at}",
            kind="split",
            records=frozenset({f"a{at}"}),
            others=frozenset({f"b{at + 1}"}),
            at=2 * at + 1,
        )
        for at in range(3000)
    ]
    began = time.process_time()
    held = standing(
        [*links, *splits, Decision(id="all", kind="link", records=frozenset({"a7", "b8"}), at=-1)]
    )
    assert time.process_time() - began < 2
    assert (len(held.links), len(held.splits), held.overruled) == (3000, 3000, ("all",))
