"""What there is to say of who somebody is: their records, what joins them, and what was withheld."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection as Transaction

from bridge.journey.identity import Decision, Node, Partition, Rules
from bridge.store import people
from bridge.store.people import StoredNode
from bridge.sync.identity.identify import divide, node_of
from bridge.sync.identity.spread import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everybody whom anything connects to somebody, how they are divided and why, and what was decided of them."""

    nodes: Mapping[str, StoredNode]
    partition: Partition
    decisions: Mapping[str, Decision]

    def members(self, person_id: str) -> list[StoredNode]:
        """Return the records of a person, by key."""
        return [self.nodes[key] for key in sorted(self.nodes) if self.nodes[key].person_id == person_id]

    def judged(self, person_id: str) -> list[Node]:
        """Return a person's records as identity looks at them."""
        return [node_of(stored) for stored in self.members(person_id)]


def evidence_on(c: Transaction, rules: Rules, person_ids: Iterable[str]) -> Evidence:
    """Return the evidence on these persons, worked out from the store as it is; reads only."""
    spread = Spread(c, rules)
    for members in people.nodes_of(c, person_ids).values():
        for stored in members:
            spread.changed(stored, stored)
    nodes = spread.component({})
    partition = divide(nodes, spread.decisions.values(), rules, spread.shared)
    return Evidence(nodes=nodes, partition=partition, decisions=spread.decisions)
