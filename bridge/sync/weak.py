"""Pairs of people who may be one though nothing proves it: variants of one address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.store.among import among
from bridge.store.people import StoredNode, load_nodes
from bridge.store.tables import node_handle
from bridge.sync.runtime import Runtime

MOST_VARIANTS = 10
"""Variants of an address beyond which it is a mailbox that sorts its mail by them, and tells nothing of people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakPair:
    """Two records of different people, what suggests that they are one, and that in words."""

    one: StoredNode
    other: StoredNode
    evidence: tuple[str, ...]
    says: tuple[str, ...]


def weak_pairs(c: Transaction, runtime: Runtime) -> Iterator[WeakPair]:
    """Yield each pair of people once, by the records that suggest it."""
    yield from _plus_variants(c)


def _plus_variants(c: Transaction) -> Iterator[WeakPair]:
    """Yield who has `ana+shop@acme.com` and who has `ana@acme.com`, where plus means nothing known."""
    emails = select(node_handle.c.value, node_handle.c.node_key).where(node_handle.c.kind == "email")
    tagged = c.execute(emails.where(node_handle.c.value.like("%+%@%"))).all()
    plain = {_without_tag(value) for value, _ in tagged}
    carriers: dict[str, dict[str, list[str]]] = {}
    known = c.execute(emails.where(among(node_handle.c.value, plain))).all()
    for value, key in sorted({*map(tuple, tagged), *map(tuple, known)}):
        carriers.setdefault(_without_tag(value), {}).setdefault(value, []).append(key)
    nodes = load_nodes(c, {key for found in carriers.values() for keys in found.values() for key in keys})
    seen: set[tuple[str, str]] = set()
    for found in carriers.values():
        if len(found) > MOST_VARIANTS:
            continue
        for (value, keys), (other_value, other_keys) in combinations(sorted(found.items()), 2):
            one, other = nodes[min(keys)], nodes[min(other_keys)]
            people = min(one.person_id, other.person_id), max(one.person_id, other.person_id)
            if people[0] == people[1] or people in seen:
                continue
            seen.add(people)
            yield WeakPair(
                one=one,
                other=other,
                evidence=(f"plus:{value}:{other_value}",),
                says=(f"{value} and {other_value} may be one mailbox, of one person or of two",),
            )


def _without_tag(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"
