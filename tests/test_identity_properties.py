"""Identity: what holds for every set of records, decisions and rules."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journey.handles import Handle
from bridge.journey.identity import (
    Decision,
    Node,
    Partition,
    Rules,
    connections,
    grade,
    partition,
    why,
    why_not,
)

HUBSPOT, PIPEDRIVE = "hubspot:1", "pipedrive:2"
RULES = Rules(contacts_per_handle=2, records_per_handle=6, emails=2, phones=2, platform_ids=2)
"""So tight that worlds of nine records meet every rule."""

_KEYS = [f"n{number}" for number in range(9)]
_POOL = [
    Handle(kind, f"{kind}{number}", "", strength)
    for kind, strength in [
        ("external", "certain"),
        ("whatsapp_bsuid", "certain"),
        ("whatsapp_id", "strong"),
        ("email", "strong"),
        ("phone", "strong"),
        ("phone", "guarded"),
        ("email", "weak"),
    ]
    for number in range(3)
]
_NAMES = ["Ana Lima", "Ana Maria Lima", "Rui Costa", "Ana", "", None]


def node_strategy(keys: st.SearchStrategy[str]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        key=keys,
        handles=st.lists(st.sampled_from(_POOL), max_size=3, unique_by=lambda handle: handle.key).map(tuple),
        contact_of=st.sampled_from([None, None, HUBSPOT, HUBSPOT, PIPEDRIVE]),
        aliases=st.sampled_from([(), (), (), *((key,) for key in _KEYS)]),
        since=st.sampled_from([None, 1, 2]),
        name=st.sampled_from(_NAMES),
        legal=st.booleans(),
        claimed=st.sets(st.sampled_from([handle.key for handle in _POOL]), max_size=2).map(frozenset),
    )


_SETS = st.sets(st.sampled_from(_KEYS), min_size=1, max_size=3).map(frozenset)


@st.composite
def decision_lists(draw: st.DrawFn) -> list[Decision]:
    found = []
    for at in range(draw(st.integers(0, 4))):
        records, others = draw(_SETS), draw(_SETS)
        if draw(st.booleans()):
            found.append(Decision(id=f"d{at}", kind="link", records=records | others, at=at // 2))
        elif records - others:
            found.append(
                Decision(id=f"d{at}", kind="split", records=records - others, others=others, at=at // 2)
            )
    return found


worlds = st.lists(node_strategy(st.sampled_from(_KEYS)), unique_by=lambda node: node.key, max_size=9)
rules = st.builds(
    replace,
    st.just(RULES),
    blocked=st.sets(st.sampled_from([handle.key for handle in _POOL]), max_size=1).map(frozenset),
    claims_link=st.booleans(),
)


def persons(result: Partition) -> set[frozenset[str]]:
    members: defaultdict[str, set[str]] = defaultdict(set)
    for key, person in result.person_of.items():
        members[person].add(key)
    return {frozenset(keys) for keys in members.values()}


def component(
    nodes: Iterable[Node], decisions: Iterable[Decision], under: Rules, touched: Collection[str]
) -> frozenset[str]:
    """Return the nodes that anything connects to the touched ones, however little it may count."""
    carriers: defaultdict[str, set[str]] = defaultdict(set)
    reached: dict[str, set[str]] = {}
    for node in nodes:
        reached[node.key] = set(connections(node, under))
        for connection in reached[node.key]:
            carriers[connection].add(node.key)
    for decision in decisions:
        name = f"decision:{decision.id}"
        for key in decision.keys:
            carriers[f"record:{key}"].add(name)
        reached[name] = {f"record:{key}" for key in decision.keys}
    waiting = [f"record:{key}" for key in touched]
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        connection = waiting.pop()
        if connection not in seen:
            seen.add(connection)
            for name in carriers[connection] - found:
                found.add(name)
                waiting.extend(reached[name])
    return frozenset(found)


@given(world=worlds, decisions=decision_lists(), under=rules, seed=st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(
    world: list[Node], decisions: list[Decision], under: Rules, seed: random.Random
) -> None:
    shuffled = world + world[: len(world) // 2]
    seed.shuffle(shuffled)
    stated = list(decisions)
    seed.shuffle(stated)
    assert partition(shuffled, stated, under) == partition(world, decisions, under)


def renamed(world: Iterable[Node], names: Mapping[str, str]) -> list[Node]:
    return [
        replace(node, key=names[node.key], aliases=tuple(names[alias] for alias in node.aliases))
        for node in world
    ]


@given(world=worlds, decisions=decision_lists(), under=rules, names=st.permutations(_KEYS))
def test_renaming_records_renames_the_result_and_changes_nothing_else(
    world: list[Node], decisions: list[Decision], under: Rules, names: list[str]
) -> None:
    new = dict(zip(_KEYS, names, strict=True))
    restated = [
        replace(
            one,
            records=frozenset(new[key] for key in one.records),
            others=frozenset(new[key] for key in one.others),
        )
        for one in decisions
    ]
    before, after = partition(world, decisions, under), partition(renamed(world, new), restated, under)
    assert persons(after) == {frozenset(new[key] for key in keys) for keys in persons(before)}
    assert {(held.handle, held.reason, frozenset(held.nodes)) for held in after.withheld} == {
        (new.get(held.handle, held.handle), held.reason, frozenset(new[key] for key in held.nodes))
        for held in before.withheld
    }
    assert {key: set(found) for key, found in after.candidates.items()} == {
        new[key]: {new[other] for other in found} for key, found in before.candidates.items()
    }
    assert after.overruled == before.overruled


def blocks(links: Iterable[Iterable[str]], keys: Iterable[str]) -> dict[str, set[str]]:
    """Close links transitively in the slowest and plainest way."""
    block = {key: {key} for key in keys}
    for link in links:
        present = [key for key in link if key in block]
        joined = set().union(*(block[key] for key in present))
        for key in joined:
            block[key] = joined
    return block


@given(world=worlds, decisions=decision_lists(), under=rules)
def test_no_person_has_two_contacts_of_one_crm_unless_the_crm_or_somebody_made_them_one(
    world: list[Node], decisions: list[Decision], under: Rules
) -> None:
    result = partition(world, decisions, under)
    held = [one.records for one in decisions if one.kind == "link" and one.id not in result.overruled]
    merged = blocks([*([node.key, *node.aliases] for node in world), *held], _KEYS)
    by_key = {node.key: node for node in world}
    for keys in persons(result):
        for account in (HUBSPOT, PIPEDRIVE):
            contacts = [key for key in keys if by_key[key].contact_of == account]
            assert len({id(merged[key]) for key in contacts}) <= 1


@given(world=worlds, decisions=decision_lists(), under=rules)
def test_decisions_that_hold_are_obeyed(world: list[Node], decisions: list[Decision], under: Rules) -> None:
    result = partition(world, decisions, under)
    for decision in decisions:
        if decision.id in result.overruled:
            continue
        mine = {result.person_of[key] for key in decision.records if key in result.person_of}
        if decision.kind == "link":
            assert len(mine) <= 1
        else:
            assert not mine & {result.person_of[key] for key in decision.others if key in result.person_of}


@given(world=worlds, decisions=decision_lists(), under=rules)
def test_every_person_is_explained_by_applied_evidence_and_by_nothing_weak(
    world: list[Node], decisions: list[Decision], under: Rules
) -> None:
    result = partition(world, decisions, under)
    explained = blocks((applied.nodes for applied in result.applied), result.person_of)
    assert {frozenset(block) for block in explained.values()} == persons(result)
    carried = {(handle.key, node.key) for node in world for handle in node.handles if under.counts(handle)}
    for applied in result.applied:
        assert len(applied.nodes) > 1
        if applied.tier not in ("merged", "decision"):
            assert all((applied.handle, key) in carried for key in applied.nodes)
    by_key = {node.key: node for node in world}
    for keys in persons(result):
        first, *others = sorted(keys)
        for other in others:
            chain = why(result.applied, first, other)
            assert chain is not None
            assert [chain[0][0], chain[-1][2]] == [first, other]
        assert grade([by_key[key] for key in keys], result.applied)


@given(world=worlds, decisions=decision_lists(), under=rules)
def test_candidates_are_contacts_that_the_person_could_still_have(
    world: list[Node], decisions: list[Decision], under: Rules
) -> None:
    result = partition(world, decisions, under)
    by_key = {node.key: node for node in world}
    of_person = {person: keys for keys in persons(result) for person in [result.person_of[min(keys)]]}
    for key, found in result.candidates.items():
        members = of_person[result.person_of[key]]
        accounts = {by_key[member].contact_of for member in members}
        assert found
        assert all(by_key[other].contact_of and by_key[other].contact_of not in accounts for other in found)
        assert all(result.candidates[member] == found for member in members)
        assert all(why_not(result, key, other) or key in world for other in found)


@given(world=worlds, decisions=decision_lists(), extra=decision_lists(), gone=st.sampled_from(_KEYS))
def test_taking_something_away_gives_the_world_without_it(
    world: list[Node], decisions: list[Decision], extra: list[Decision], gone: str
) -> None:
    before = partition(world, decisions, RULES)
    partition(world, [*decisions, *(replace(one, id=f"x{one.id}") for one in extra)], RULES)
    assert partition(world, decisions, RULES) == before
    rest = [node for node in world if node.key != gone]
    assert gone not in partition(rest, decisions, RULES).person_of


@given(
    changes=st.lists(
        st.lists(
            st.sampled_from(_KEYS) | node_strategy(st.sampled_from(_KEYS)) | decision_lists(), max_size=4
        ),
        max_size=6,
    ),
    under=rules,
)
def test_recomputing_what_a_change_touched_equals_computing_everything(
    changes: list[list[str | Node | list[Decision]]], under: Rules
) -> None:
    """A change is a node, the key of one that goes, or all decisions anew; only their components are computed again."""
    world: dict[str, Node] = {}
    decisions: list[Decision] = []
    person_of: dict[str, str] = {}
    candidates: dict[str, tuple[str, ...]] = {}
    for batch in changes:
        touched: set[str] = set()
        restated = decisions
        for change in batch:
            if isinstance(change, list):
                restated = change
                touched |= {key for one in [*decisions, *restated] for key in one.keys}
            else:
                touched.add(change if isinstance(change, str) else change.key)
        again = set(component(world.values(), decisions, under, touched))
        for change in batch:
            if isinstance(change, Node):
                world[change.key] = change
            elif isinstance(change, str):
                world.pop(change, None)
        decisions = restated
        again |= component(world.values(), decisions, under, touched)
        local = [one for one in decisions if f"decision:{one.id}" in again]
        part = partition((node for key, node in world.items() if key in again), local, under)
        for key in again:
            person_of.pop(key, None)
            candidates.pop(key, None)
        person_of |= part.person_of
        candidates |= part.candidates
        whole = partition(world.values(), decisions, under)
        assert person_of == whole.person_of
        assert candidates == whole.candidates


def test_connections_are_the_keys_a_store_looks_nodes_up_by() -> None:
    node = Node(
        key="a",
        handles=(Handle("email", "ana@x.com"), Handle("email", "info@x.com", "", "weak")),
        aliases=("b",),
    )
    assert list(connections(node, Rules())) == ["record:a", "record:b", "email:ana@x.com"]


def test_a_component_does_not_grow_over_addresses_that_prove_nothing_or_are_blocked() -> None:
    weak = Handle("email", "info@x.com", "", "weak")
    nodes = [Node(key=f"r{number}", handles=(weak,)) for number in range(100)]
    assert component(nodes, [], Rules(), ["r1"]) == {"r1"}
    strong = Handle("email", "ana@x.com")
    nodes = [Node(key=f"r{number}", handles=(strong,)) for number in range(100)]
    assert component(nodes, [], Rules(blocked=frozenset({strong.key})), ["r1"]) == {"r1"}


@pytest.mark.slow
def test_a_hundred_thousand_strangers_on_one_blocked_number_are_divided_in_a_moment() -> None:
    blocked = Handle("phone", "+551140000000")
    nodes = [
        Node(
            key=f"hubspot:1:contact:{number}",
            handles=(Handle("email", f"a{number}@x.com"), Handle("phone", f"+55119{number:08d}"), blocked),
            contact_of=HUBSPOT,
        )
        for number in range(100_000)
    ]
    start = time.process_time()
    result = partition(nodes, rules=Rules(blocked=frozenset({blocked.key})))
    assert len(set(result.person_of.values())) == 100_000
    assert time.process_time() - start < 6  # about 0.4 s on a machine with nothing else to do
