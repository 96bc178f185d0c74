"""How far handles reach: as far as one goes from record to record by what counts, and no further."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, event

from bridge.journey.handles import Handle, Strength
from bridge.journey.identity import Rules
from bridge.store import people
from bridge.store.database import Database
from bridge.store.people import StoredNode, handle_row, node_row
from bridge.store.reach import reach
from bridge.sync.identity.identify import Incoming, identify


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    made = Database(store_url)
    yield made
    made.close()


def email(name: str, strength: Strength = "strong") -> Handle:
    return Handle("email", name if "@" in name else f"{name}@x.com", "", strength)


def phone(number: str) -> Handle:
    return Handle("phone", number, "", "strong")


def save(c: Connection, *carried: tuple[Handle, ...]) -> list[StoredNode]:
    """Put a node into the store for each group of handles."""
    nodes = [
        StoredNode(
            key=f"form:{number:05}",
            person_id=f"p_{number}",
            contact_of=None,
            contact_id=None,
            name=None,
            name_at=None,
            since=number,
            aliases=(),
            candidates=(),
            handles={handle.key: (handle, False) for handle in handles},
        )
        for number, handles in enumerate(carried)
    ]
    rows = [handle_row(stored, key) for stored in nodes for key in stored.handles]
    people.save_nodes(c, [node_row(stored, stored.person_id, ()) for stored in nodes], rows, [], [], 0)
    return nodes


def step_by_step(nodes: list[StoredNode], start: set[str], rules: Rules) -> set[str]:
    """Return what handles reach, worked out in the plainest way."""
    carriers: dict[str, list[StoredNode]] = {}
    for stored in nodes:
        for key in stored.handles:
            carriers.setdefault(key, []).append(stored)
    found, ahead = set(start), list(start)
    while ahead:
        some = carriers.get(ahead.pop(), [])
        for stored in some if len(some) <= rules.records_per_handle else ():
            fresh = {key for key, (one, _) in stored.handles.items() if rules.counts(one)} - found
            found |= fresh
            ahead += fresh
    return found


RULES = [
    Rules(),
    Rules(records_per_handle=2),
    Rules(blocked=frozenset({"email:5@x.com", "@y_.com", "phone:+5511973914862"})),
]


@pytest.mark.parametrize("rules", RULES)
def test_handles_reach_what_one_finds_step_by_step(database: Database, rules: Rules) -> None:
    chance = random.Random(2026)
    pool = [
        *(email(f"{number}") for number in range(24)),
        *(email(f"{number}", "weak") for number in range(24, 28)),
        *(email(f"{number}@y_.com") for number in range(6)),
        *(email(f"{number}@yy.com") for number in range(6)),
        *(phone(f"+551197391486{number}") for number in range(6)),
        *(phone(f"+5511973914862;ext={number}") for number in range(3)),
    ]
    with database.writer.connect() as c:
        nodes = save(c, *(tuple(chance.sample(pool, chance.choice((1, 2, 2, 3)))) for _ in range(36)))
        lengths = set()
        for handle in pool:
            found = reach(c, {handle.key}, rules)
            assert found == step_by_step(nodes, {handle.key}, rules)
            lengths.add(len(found))
        assert len(lengths) > 2


def test_a_thousand_records_in_a_row_are_found_in_a_dozen_queries(database: Database) -> None:
    asked = []
    event.listen(database.reader, "before_cursor_execute", lambda *told: asked.append(told[2]))
    with database.writer.connect() as c:
        save(c, *((email(f"{number}"), email(f"{number + 1}")) for number in range(1000)))
        c.commit()
    with database.read() as c:
        came = Incoming(key="form:new", handles=(email("1000"), email("1001")))
        asked.clear()
        change = identify(c, {came.key: came}, Rules())
    assert len(change.person_of) == 1001
    assert len(asked) <= 12
