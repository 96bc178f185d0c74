"""
Which of those who carry a handle it can join, judged on everybody who carries it.

A handle that too many carry joins nobody. One that people of incompatible names carry joins those whose names
agree, and nobody across names. Nicknames can agree, never disagree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.journey.folding import fold
from bridge.journey.handles import Handle
from bridge.journey.identity.evidence import Node, Reason, Rules
from bridge.journey.names import agree, split

_NAMES = 20
"""Names on one handle beyond which nobody is told apart by name any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligible:
    """
    What a handle joins: sets of nodes, by key, and why it does not join all its carriers.

    `possible` holds the contacts that a node it leaves apart may be.
    """

    links: tuple[tuple[str, ...], ...] = ()
    reason: Reason | None = None
    possible: Mapping[str, frozenset[str]] = field(default_factory=dict)


def judge(
    handle: Handle, carriers: Sequence[Node], rules: Rules, *, guarded: bool = False, shared: bool = False
) -> Eligible:
    """
    Return what a handle joins among its carriers, two or more in the order of their keys.

    `guarded` says that to some carrier it is a landline or the like; `shared` that it is known to be carried by
    too many, of whom only some are passed.
    """
    if handle.strength == "certain" or handle.kind == "used":
        return Eligible(links=(tuple(node.key for node in carriers),))
    if shared or _is_shared(carriers, rules):
        return Eligible(reason="shared")
    reason: Reason | None = None
    if not rules.claims_link:
        key = handle.key
        vouched = [node for node in carriers if key not in node.claimed or key == _known_by(node)]
        if len(vouched) < len(carriers):
            reason = "claimed"
            carriers = vouched
    if not guarded and len({node.name for node in carriers if node.legal and node.name}) < 2:
        return Eligible(links=_links([carriers]), reason=reason)
    names = _names(carriers)
    if guarded:
        alike = all(agree(one, other) == "yes" for one in names.values() for other in names.values())
        if alike and all(node.legal and node.name and fold(node.name) in names for node in carriers):
            return Eligible(links=_links([carriers]), reason=reason)
        return Eligible(reason="unnamed")
    clusters = _clusters(list(names.values()))
    if clusters is None:
        return Eligible(links=_links([carriers]), reason=reason)
    return _told_apart(carriers, clusters)


def _known_by(node: Node) -> str:
    """Return the handle by which somebody goes whose handles are all claimed: their own, or the first by key."""
    return node.key if any(handle.key == node.key for handle in node.handles) else min(node.claimed)


def _is_shared(carriers: Sequence[Node], rules: Rules) -> bool:
    if len(carriers) <= rules.contacts_per_handle:
        return False
    if len(carriers) > rules.records_per_handle:
        return True
    held = Counter(node.contact_of for node in carriers if node.contact_of is not None)
    return any(count > rules.contacts_per_handle for count in held.values())


def _links(groups: Sequence[Sequence[Node]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(node.key for node in group) for group in groups if len(group) > 1)


def _names(carriers: Sequence[Node]) -> dict[str, str]:
    """Return the legal names that carriers have, each spelling once, by what it reads without accents."""
    found: dict[str, str] = {}
    for node in carriers:
        if node.legal and node.name and split(node.name)[0]:
            found.setdefault(fold(node.name), node.name)
    return {key: found[key] for key in sorted(found)}


def _clusters(names: Sequence[str]) -> list[list[str]] | None:
    """Return the names in clusters between which every name says no to every other; None where none says so."""
    if len(names) > _NAMES:
        return [[name] for name in names]
    contested = False
    clusters: list[list[str]] = []
    for name in names:
        near: list[list[str]] = []
        for cluster in clusters:
            answers = {agree(name, other) for other in cluster}
            contested |= "no" in answers
            if answers != {"no"}:
                near.append(cluster)
        clusters = [cluster for cluster in clusters if cluster not in near]
        clusters.append([name, *(other for cluster in near for other in cluster)])
    return clusters if contested else None


def _told_apart(carriers: Sequence[Node], clusters: Sequence[Sequence[str]]) -> Eligible:
    """Join those whose names agree with each other and with nobody else's."""
    place_of = {fold(name): place for place, names in enumerate(clusters) for name in names}
    sure = {
        place
        for place, names in enumerate(clusters)
        if all(agree(one, other) == "yes" for one in names for other in names)
    }
    groups: defaultdict[int, list[Node]] = defaultdict(list)
    possible: dict[str, frozenset[str]] = {}
    for node in carriers:
        place = place_of.get(fold(node.name)) if node.legal and node.name else _place(node, clusters)
        if place is not None and place in sure:
            groups[place].append(node)
        else:
            possible[node.key] = frozenset(
                other.key
                for other in carriers
                if other.contact_of is not None and other is not node and not _differ(node, other)
            )
    links = _links([groups[place] for place in sorted(groups)])
    return Eligible(links=links, reason="contested", possible=possible)


def _place(node: Node, clusters: Sequence[Sequence[str]]) -> int | None:
    """Return the only cluster that a nickname agrees with, where it agrees with no other and leaves none open."""
    if not node.name or len(clusters) > _NAMES:
        return None
    said = [[agree(node.name, name) for name in names] for names in clusters]
    near = [place for place, answers in enumerate(said) if any(answer != "no" for answer in answers)]
    if len(near) == 1 and all(answer == "yes" for answer in said[near[0]]):
        return near[0]
    return None


def _differ(one: Node, other: Node) -> bool:
    if not (one.legal and other.legal and one.name and other.name):
        return False
    return agree(one.name, other.name) == "no"
