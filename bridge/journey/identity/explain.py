"""Why two records are one person, why not, and how sure it is."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from bridge.journey.identity.evidence import Applied, Node, Partition, Tier, Withheld
from bridge.journey.names import agree

Grade = Literal["certain", "strong", "probable"]
"""
How sure a person is one: certain without anything but platforms' and people's word, probable where an address or
a number joins somebody whose name does not agree with anybody's, strong else.
"""

_COST: dict[Tier, int] = {
    "decision": 1,
    "merged": 2,
    "certain": 3,
    "whatsapp": 10,
    "email": 11,
    "phone": 30,
    "used": 100,
}
_SURE: frozenset[Tier] = frozenset({"decision", "merged", "certain"})


def why(applied: Iterable[Applied], one: str, other: str) -> list[tuple[str, Applied, str]] | None:
    """
    Return the strongest chain of applied evidence from one record to another as (record, evidence, record).

    None where nothing joins them, an empty list for a record and itself.
    """
    at: defaultdict[str, list[Applied]] = defaultdict(list)
    for evidence in applied:
        for key in evidence.nodes:
            at[key].append(evidence)
    waiting: list[tuple[int, str]] = [(0, one)]
    best = {one: 0}
    came: dict[str, tuple[str, Applied]] = {}
    while waiting:
        cost, key = heapq.heappop(waiting)
        if key == other:
            chain: list[tuple[str, Applied, str]] = []
            while key != one:
                before, evidence = came[key]
                chain.append((before, evidence, key))
                key = before
            return chain[::-1]
        if cost > best[key]:
            continue
        for evidence in at[key]:
            total = cost + _COST[evidence.tier]
            for near in evidence.nodes:
                if total < best.get(near, total + 1):
                    best[near] = total
                    came[near] = (key, evidence)
                    heapq.heappush(waiting, (total, near))
    return None


def why_not(partition: Partition, one: str, other: str) -> list[Withheld]:
    """Return the withheld evidence between the persons of two records; nothing where they are one person."""
    mine, theirs = partition.person_of[one], partition.person_of[other]
    if mine == theirs:
        return []
    return [
        held
        for held in partition.withheld
        if {mine, theirs} <= {partition.person_of[key] for key in held.nodes if key in partition.person_of}
    ]


def grade(members: Collection[Node], applied: Iterable[Applied]) -> Grade:
    """Return how sure it is that these nodes, all of one person, are one, by the evidence that joined them."""
    within = {node.key: node for node in members}
    found: Grade = "certain"
    for evidence in applied:
        if evidence.tier in _SURE or not within.keys() >= set(evidence.nodes):
            continue
        if not _names_agree(evidence, within):
            return "probable"
        found = "strong"
    return found


def _names_agree(evidence: Applied, members: Mapping[str, Node]) -> bool:
    """Tell whether everybody whom a piece of evidence joins is called what somebody legally named there is called."""
    names = [members[key].name for key in evidence.nodes]
    legal = [members[key].name for key in evidence.nodes if members[key].legal]
    return bool(legal) and all(
        name and any(other and agree(name, other) == "yes" for other in legal) for name in names
    )
