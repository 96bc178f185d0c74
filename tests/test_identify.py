"""Identity in the store: whatever came, in any order, in any pages, again: the result is that of a rebuild."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from bridge.engine import cycle
from bridge.journey.fold import Part, fold
from bridge.journey.identity import Decision, Rules
from bridge.model import Json, Record
from bridge.store import collected, people
from bridge.store.tables import (
    MAPPED,
    WAITING,
    alias,
    entity,
    journey,
    meta,
    metadata,
    node,
    node_handle,
    participation,
    person,
    record,
    reference,
    touched,
)
from bridge.store.writer import Priority
from bridge.sync.identity.decide import decide, revoke
from bridge.sync.identity.reidentify import reidentify
from tests.sync_world import START, World, party

EMAILS = [f"p{number}@x.com" for number in range(3)]
PHONES = [f"551197391486{number}" for number in range(3)]
OPAQUE = [f"BR.{number}" for number in range(2)]
HANDLES = [
    *({"kind": "email", "value": one} for one in EMAILS),
    *({"kind": "whatsapp_id", "value": one} for one in PHONES),
    *({"kind": "whatsapp_bsuid", "value": one} for one in OPAQUE),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One version of a record of the CRM (contacts) or the channel (messages)."""

    connection: str
    record: Record


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    """Draw a company's history: contacts and messages that come, change, are merged and deleted."""
    merged: dict[str, set[str]] = {}
    winner: dict[str, str] = {}
    found: list[Event] = []
    for at in range(draw(st.integers(2, 9))):
        kind = draw(
            st.sampled_from(["contact", "contact", "message", "message", "message", "gone", "unsaid"])
        )
        number = draw(st.integers(0, 3))
        data: dict[str, Json]
        if kind in ("contact", "gone"):
            id = f"c{number}"
            if number and draw(st.integers(0, 5)) == 0:
                loser = f"c{draw(st.integers(0, number - 1))}"
                if winner.setdefault(loser, id) == id:
                    merged.setdefault(id, set()).add(loser)
            if id in merged:
                kind = "contact"
            data = {
                "name": draw(st.sampled_from(["Ana Lima", "Ana Lima", "Rui Costa", "Ana", ""])),
                "email": ";".join(draw(st.sets(st.sampled_from(EMAILS), max_size=2))),
                "phone": ";".join(f"+{one}" for one in draw(st.sets(st.sampled_from(PHONES), max_size=2))),
                "created": f"2026-01-0{number + 1}T00:00:00Z",
                "merged": sorted(merged.get(id, ())),
            }
        else:
            id = f"m{number}"
            handles = draw(st.lists(st.sampled_from(HANDLES), min_size=1, max_size=3, unique_by=str))
            sender = {"role": "from", "side": "customer", "handles": handles}
            name = draw(st.sampled_from([None, "Zé", "Ana Lima", "Rui Costa"]))
            data = {
                "text": id,
                "channel": draw(st.sampled_from(["whatsapp", "whatsapp", "web_form"])),
                "at": f"2026-11-20T1{draw(st.integers(0, 3))}:00:00Z",
                "people": [{**sender, "display_name": name} if name else sender],
                "keys": [f"k:{number // 2}"],
                "thread": "t",
            }
        stream = "contacts" if id.startswith("c") else "messages"
        found.append(
            Event(
                connection="crm" if stream == "contacts" else "chat",
                record=Record(
                    stream=stream,
                    id=id,
                    version=str(at),
                    modified_at=START + timedelta(minutes=at),
                    data={"id": id, **data},
                    deleted=kind in ("gone", "unsaid"),
                ),
            )
        )
    return found


NODES = [
    *(f"contacts:c{number}" for number in range(4)),
    *(f"email:{one}" for one in EMAILS),
    *(f"whatsapp_id:{one}" for one in PHONES),
    *(f"whatsapp_bsuid:{one}" for one in OPAQUE),
]


@st.composite
def decision_lists(draw: st.DrawFn) -> list[Decision]:
    """Draw what people decide, the oldest first."""
    found: list[Decision] = []
    for at in range(draw(st.integers(0, 3))):
        one, other = draw(st.lists(st.sampled_from(NODES), min_size=2, max_size=2, unique=True))
        if draw(st.booleans()):
            found.append(Decision(id=f"d{at}", kind="link", records=frozenset({one, other}), at=at))
        else:
            found.append(
                Decision(
                    id=f"d{at}", kind="split", records=frozenset({one}), others=frozenset({other}), at=at
                )
            )
    return found


def in_store(world: World, decision: Decision) -> Decision:
    """Return a decision with the keys that contacts have in this store."""

    def full(keys: frozenset[str]) -> frozenset[str]:
        return frozenset(
            f"{world.crm.account_key}:{key}" if key.startswith("contacts:") else key for key in keys
        )

    return replace(decision, records=full(decision.records), others=full(decision.others))


RULES = [
    Rules(),
    Rules(contacts_per_handle=1, records_per_handle=3, emails=1, phones=1, platform_ids=2),
    Rules(blocked=frozenset({"email:p0@x.com", "phone:+5511973914860"}), claims_link=False),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """
    How a history reaches us: in which order, in pages of which sizes, and what of it is resolved again.

    `decided` are the decisions in the order in which they are made, those of one page together, and
    `revoked` those that are taken back in the end. `rules` hold meanwhile.
    """

    order: Sequence[int]
    sizes: Sequence[int]
    again: Sequence[int]
    decided: Sequence[Sequence[Decision]]
    revoked: frozenset[str]
    rules: Rules


def deliveries(count: int, decisions: Sequence[Decision]) -> st.SearchStrategy[Delivery]:
    return st.builds(
        Delivery,
        order=st.permutations(range(count)),
        sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
        again=st.lists(st.integers(0, count - 1), max_size=2),
        decided=st.permutations(decisions).map(lambda order: [order[:1], order[1:]]),
        revoked=st.sets(st.sampled_from([one.id for one in decisions] or [""]), max_size=1).map(
            lambda ids: frozenset(ids - {""})
        ),
        rules=st.sampled_from(RULES),
    )


def wipe(world: World) -> None:
    """Empty the store but for what names its accounts."""
    kept = {"meta", "account", "connection", "run", "cursor"}
    world.runtime.identified = False

    def work(c: Any) -> None:
        c.execute(meta.delete().where(meta.c.key == "identity"))
        for table in metadata.sorted_tables:
            if table.name not in kept:
                c.execute(table.delete())

    world.runtime.writer.run(work, priority=Priority.LIVE)


def store(world: World, found: Sequence[Event]) -> None:
    for name, some in itertools.groupby(found, key=lambda event: event.connection):
        connection = world.runtime.connections[name]
        assert connection.account_pk is not None
        rows = collected.record_rows(
            [event.record for event in some],
            account_pk=connection.account_pk,
            run=world.run,
            now=world.clock(),
            blobs=world.runtime.blobs,
        )
        world.runtime.writer.run(collected.insert_records, rows, priority=Priority.LIVE)


def resolve_again(world: World, pks: Sequence[int]) -> None:
    world.runtime.writer.run(
        lambda c: c.execute(update(record).where(record.c.pk.in_(pks)).values(state=WAITING)),
        priority=Priority.LIVE,
    )


def snapshot(world: World) -> dict[str, Any]:
    """Return everything that must not depend on how the history came."""
    handles: dict[str, set[tuple[str, str]]] = {}
    for row in world.rows(node_handle):
        handles.setdefault(row.node_key, set()).add((row.handle_key, row.strength))
    parts: dict[str, list[Part]] = {}
    for row in world.rows(entity):
        if row.type == "interaction" and not row.deleted:
            key = f"{row.stream}/{row.ext_id}"
            parts.setdefault(row.entity_id, []).append(Part(record_key=key, entity=orjson.loads(row.body)))
    takers: dict[str, set[str]] = {}
    for row in world.rows(participation):
        if row.entity_id in parts:
            takers.setdefault(row.entity_id, set()).add(row.node_key)
    return {
        "nodes": {
            row.key: (row.person_id, row.contact_id, row.name, row.since, row.candidates)
            for row in world.rows(node)
        },
        "handles": handles,
        "interactions": sorted(
            (orjson.dumps(fold(found), option=orjson.OPT_SORT_KEYS), sorted(takers.get(entity_id, ())))
            for entity_id, found in parts.items()
        ),
        "journeys": {row.person_id: (row.name, orjson.loads(row.body)) for row in world.rows(journey)},
    }


def settle(world: World) -> None:
    cycle.settle_inbox(world.runtime, run=world.run)


def run_history(world: World, found: Sequence[Event], how: Delivery) -> tuple[dict[str, Any], set[str]]:
    """Deliver a history as told, and return the result with every person id that was ever published."""
    published: set[str] = set()
    left = [found[number] for number in how.order]
    sizes = itertools.cycle(how.sizes)
    ahead = [*how.decided]
    while left:
        for one in ahead.pop(0) if ahead else ():
            decide(world.runtime, one)
        size = next(sizes)
        store(world, left[:size])
        left = left[size:]
        settle(world)
        published |= {row.person_id for row in world.rows(node)}
    pks = sorted(row.pk for row in world.rows(record))
    resolve_again(world, [pks[number] for number in how.again if number < len(pks)])
    for one in (one for some in ahead for one in some):
        decide(world.runtime, one)
    for id in sorted(how.revoked):
        revoke(world.runtime, id, by="ana")
    settle(world)
    return snapshot(world), published


def rebuild(
    world: World, found: Sequence[Event], decisions: Sequence[Decision], how: Delivery
) -> dict[str, Any]:
    """Return what the whole history gives when it comes at once, what was decided being known before."""
    wipe(world)
    for one in decisions:
        if one.id not in how.revoked:
            decide(world.runtime, one)
    store(world, found)
    settle(world)
    return snapshot(world)


def check_worlds(url: str, home: Path, *, examples: int) -> None:
    with World(url, home) as world:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def check(data: st.DataObject) -> None:
            found = data.draw(events())
            decisions = [in_store(world, one) for one in data.draw(decision_lists())]
            how = data.draw(deliveries(len(found), decisions))
            wipe(world)
            world.runtime.rules = how.rules
            result, published = run_history(world, found, how)
            with world.runtime.database.read() as c:
                alive = {row.person_id for row in world.rows(node)}
                for one in published & alive:
                    assert people.current_person(c, one) == one
                for one in published:
                    assert people.current_person(c, one) in {*alive, None}
            other = data.draw(st.sampled_from(RULES))
            assert result == rebuild(world, found, decisions, how)
            assert {row.state for row in world.rows(record)} <= {MAPPED}
            world.runtime.rules, world.runtime.identified = other, False
            reidentify(world.runtime)
            settle(world)
            changed = snapshot(world)
            assert changed == rebuild(world, found, decisions, how)

        check()


@pytest.mark.slow
def test_the_result_is_that_of_a_rebuild_on_sqlite(tmp_path: Path) -> None:
    check_worlds(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, examples=30)


@pytest.mark.slow
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_the_result_is_that_of_a_rebuild_on_postgresql(store_url: str, tmp_path: Path) -> None:
    check_worlds(store_url, tmp_path, examples=8)


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    with World(store_url, tmp_path) as made:
        yield made


def take(world: World) -> None:
    assert world.collect() == []
    world.resolve()


def persons(world: World) -> dict[str, str]:
    return {row.key.removeprefix(f"{world.crm.account_key}:"): row.person_id for row in world.rows(node)}


def test_a_form_joins_and_its_deletion_parts_again(world: World) -> None:
    world.contact(name="Ana", email="ana@x.com")
    world.message("m1", "5511973914862")
    take(world)
    assert len(set(persons(world).values())) == 2
    both = {"external": "form-7", "email": "ana@x.com", "phone": "+5511973914862"}
    form = world.message("m2", both)
    take(world)
    assert len(set(persons(world).values())) == 1
    world.change("chat", "messages", form, deleted=True)
    take(world)
    found = persons(world)
    assert found["whatsapp_id:5511973914862"] != found["contacts:1"]
    assert "external:form-7" not in found


def test_a_handle_that_a_mapping_took_for_somebodys_joins_nobody_once_it_is_mended(world: World) -> None:
    for number in range(3):
        handles = {"external": f"form-{number}", "phone": "+5511973914869", "email": f"c{number}@x.com"}
        world.message(f"m{number}", handles)
    take(world)
    assert len(set(persons(world).values())) == 1
    for number in range(1, 4):
        people_in = [party("from", {"external": f"form-{number - 1}", "email": f"c{number - 1}@x.com"})]
        world.change("chat", "messages", str(number), people=people_in)
    take(world)
    assert len(set(persons(world).values())) == 3


def test_a_sender_that_was_corrected_leaves_the_wrong_journey(world: World) -> None:
    world.message("m1", "5511973914862", name="Ana")
    take(world)
    right = party("from", "5511973914863", side="customer", display_name="Bia")
    world.change("chat", "messages", "1", people=[right])
    take(world)
    assert {row.name for row in world.rows(journey)} == {"Bia"}
    assert [row.key for row in world.rows(node) if row.contact_of is None] == ["whatsapp_id:5511973914863"]


def test_tables_that_identity_writes_are_emptied_by_the_wipe_of_these_tests(world: World) -> None:
    world.contact(name="Ana", email="ana@x.com")
    world.message("m1", "ana@x.com")
    world.collect()
    world.resolve()
    wipe(world)
    for table in (
        alias,
        entity,
        journey,
        node,
        node_handle,
        participation,
        person,
        record,
        reference,
        touched,
    ):
        assert world.rows(table) == []
