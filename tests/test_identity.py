"""Identity: the cases that go wrong elsewhere, and what holds for every set of records."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.handles import Handle, Own, normalise
from bridge.journey.identity import Node, Partition, component, connections, partition
from bridge.journey.keys import person_id

HUBSPOT, PIPEDRIVE = "hubspot:1", "pipedrive:2"


def handles(**values: str) -> tuple[Handle, ...]:
    return tuple(
        handle
        for kind, raw in values.items()
        for handle in normalise(kind, raw, region="BR", own=Own(), scope="s" if "_" in kind else "")
    )


def contact(key: str, account: str = HUBSPOT, **values: str) -> Node:
    return Node(key=key, handles=handles(**values), contact_of=account, since="2026-01-01T00:00:00Z")


def record(key: str, since: str | None = "2026-02-01T00:00:00Z", **values: str) -> Node:
    return Node(key=key, handles=handles(**values), since=since)


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
    assert [(held.reason, held.nodes) for held in result.withheld] == [("shared_phone", ("ana", "rui", "wa"))]


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
    assert (held.reason, held.handle, held.nodes) == ("two_contacts", "email:ana@padaria.com", ("one", "two"))


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
        record("c", "2026-01-02T00:00:00Z", email=mail),
        record("b", "2026-01-02T00:00:00Z", email=mail),
    ]
    assert set(partition(nodes).person_of.values()) == {person_id("b")}
    assert partition([nodes[0]]).person_of == {"a": person_id("a")}


def test_two_versions_of_one_node_are_refused() -> None:
    with pytest.raises(ValueError, match="node a: two different versions"):
        partition([record("a", email="ana@padaria.com"), record("a")])


_KEYS = [f"n{number}" for number in range(9)]
_POOL = [
    Handle(kind, f"{kind}{number}", "", strength)
    for kind, strength in [
        ("external", "certain"),
        ("whatsapp_id", "strong"),
        ("email", "strong"),
        ("phone", "strong"),
        ("phone", "guarded"),
        ("email", "weak"),
    ]
    for number in range(3)
]


def node_strategy(keys: st.SearchStrategy[str]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        key=keys,
        handles=st.lists(st.sampled_from(_POOL), max_size=3).map(tuple),
        contact_of=st.sampled_from([None, None, HUBSPOT, HUBSPOT, PIPEDRIVE]),
        aliases=st.sampled_from([(), (), (), *((key,) for key in _KEYS)]),
        since=st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    )


worlds = st.lists(node_strategy(st.sampled_from(_KEYS)), unique_by=lambda node: node.key, max_size=9)


@given(world=worlds, seed=st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(world: list[Node], seed: random.Random) -> None:
    shuffled = world + world[: len(world) // 2]
    seed.shuffle(shuffled)
    assert partition(shuffled) == partition(world)


def renamed(world: Iterable[Node], names: Mapping[str, str]) -> list[Node]:
    return [
        Node(
            key=names[node.key],
            handles=node.handles,
            contact_of=node.contact_of,
            aliases=tuple(names[alias] for alias in node.aliases),
            since=node.since,
        )
        for node in world
    ]


@given(world=worlds, names=st.permutations(_KEYS))
def test_renaming_records_renames_the_result_and_changes_nothing_else(
    world: list[Node], names: list[str]
) -> None:
    new = dict(zip(_KEYS, names, strict=True))
    before, after = partition(world), partition(renamed(world, new))
    assert persons(after) == {frozenset(new[key] for key in keys) for keys in persons(before)}
    assert {(held.handle, held.reason, frozenset(held.nodes)) for held in after.withheld} == {
        (held.handle, held.reason, frozenset(new[key] for key in held.nodes)) for held in before.withheld
    }
    assert {key: set(found) for key, found in after.candidates.items()} == {
        new[key]: {new[other] for other in found} for key, found in before.candidates.items()
    }


def blocks(links: Iterable[Iterable[str]], keys: Iterable[str]) -> dict[str, set[str]]:
    """Close links transitively in the slowest and plainest way."""
    block = {key: {key} for key in keys}
    for link in links:
        present = [key for key in link if key in block]
        joined = set().union(*(block[key] for key in present))
        for key in joined:
            block[key] = joined
    return block


@given(world=worlds)
def test_no_person_has_two_contacts_of_one_crm_unless_the_crm_merged_them(world: list[Node]) -> None:
    merged = blocks(([node.key, *node.aliases] for node in world), _KEYS)
    by_key = {node.key: node for node in world}
    for keys in persons(partition(world)):
        for account in (HUBSPOT, PIPEDRIVE):
            contacts = [key for key in keys if by_key[key].contact_of == account]
            assert len({id(merged[key]) for key in contacts}) <= 1


@given(world=worlds)
def test_every_person_is_explained_by_applied_evidence_and_by_nothing_weak(world: list[Node]) -> None:
    result = partition(world)
    explained = blocks((applied.nodes for applied in result.applied), result.person_of)
    assert {frozenset(block) for block in explained.values()} == persons(result)
    carried = {(handle.key, node.key) for node in world for handle in node.handles}
    for applied in result.applied:
        assert len(applied.nodes) > 1
        if applied.tier != "merged":
            assert all((applied.handle, key) in carried for key in applied.nodes)


@given(world=worlds)
def test_candidates_are_contacts_that_the_person_could_still_have(world: list[Node]) -> None:
    result = partition(world)
    by_key = {node.key: node for node in world}
    of_person = {person: keys for keys in persons(result) for person in [result.person_of[min(keys)]]}
    for key, found in result.candidates.items():
        person = of_person[result.person_of[key]]
        accounts = {by_key[member].contact_of for member in person}
        assert found
        assert all(by_key[other].contact_of and by_key[other].contact_of not in accounts for other in found)
        assert all(result.candidates[member] == found for member in person)


@given(
    changes=st.lists(
        st.lists(st.sampled_from(_KEYS) | node_strategy(st.sampled_from(_KEYS)), max_size=4), max_size=6
    )
)
def test_recomputing_what_a_change_touched_equals_computing_everything(
    changes: list[list[str | Node]],
) -> None:
    """A change is a node, or the key of one that goes; only their components are computed again."""
    world: dict[str, Node] = {}
    person_of: dict[str, str] = {}
    candidates: dict[str, tuple[str, ...]] = {}
    for batch in changes:
        touched = {change if isinstance(change, str) else change.key for change in batch}
        again = set(component(world.values(), touched))
        for change in batch:
            if isinstance(change, Node):
                world[change.key] = change
            else:
                world.pop(change, None)
        again |= component(world.values(), touched)
        part = partition(node for key, node in world.items() if key in again)
        for key in again:
            person_of.pop(key, None)
            candidates.pop(key, None)
        person_of |= part.person_of
        candidates |= part.candidates
        whole = partition(world.values())
        assert person_of == whole.person_of
        assert candidates == whole.candidates


@given(world=worlds)
def test_a_component_holds_every_person_it_meets_whole(world: list[Node]) -> None:
    for node in world:
        found = component(world, [node.key])
        assert node.key in found
        assert all(keys <= found or not keys & found for keys in persons(partition(world)))


def test_connections_are_the_keys_a_store_looks_nodes_up_by() -> None:
    node = Node(
        key="a",
        handles=(Handle("email", "ana@x.com"), Handle("email", "info@x.com", "", "weak")),
        aliases=("b",),
    )
    assert list(connections(node)) == ["record:a", "record:b", "email:ana@x.com"]


def test_a_component_does_not_grow_over_addresses_that_prove_nothing() -> None:
    nodes = [record(f"r{number}", email="noreply@forms.example") for number in range(100)]
    assert component(nodes, ["r1"]) == {"r1"}


@pytest.mark.slow
def test_a_hundred_thousand_strangers_are_divided_in_a_moment() -> None:
    nodes = [
        Node(
            key=f"hubspot:1:contact:{number}",
            handles=(Handle("email", f"a{number}@x.com"), Handle("phone", f"+55119{number:08d}")),
            contact_of=HUBSPOT,
        )
        for number in range(100_000)
    ]
    start = time.process_time()
    assert len(set(partition(nodes).person_of.values())) == 100_000
    assert time.process_time() - start < 3  # about 0.2 s on a machine with nothing else to do
