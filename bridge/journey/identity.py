"""
Who is who: which records belong to one person, judged from the set of records alone.

Evidence is closed in tiers, strongest first: certain handles, WhatsApp numbers, e-mail addresses,
mobile numbers, and last which contact was used for somebody so far. Two contacts of one CRM are never
joined by evidence; what would join them joins nothing it could join to either. No tie is broken by time,
id or arrival: where the evidence does not decide, nothing is decided, and the result says what was
withheld and why.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bridge.journey.handles import Handle
from bridge.journey.keys import person_id

Tier = Literal["merged", "certain", "whatsapp", "email", "phone", "used"]
Reason = Literal["shared_phone", "two_contacts"]

_TIERS: tuple[Tier, ...] = ("certain", "whatsapp", "email", "phone", "used")
_TIER_OF_KIND: dict[str, Tier] = {
    "whatsapp_id": "whatsapp",
    "email": "email",
    "phone": "phone",
    "used": "used",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """
    One record of one source, or one sender of one channel.

    `contact_of` is the account key of the CRM whose contact it is, None for anything else. `aliases` are
    keys of records that its CRM merged into it. `since` is when the source made it, RFC 3339 in UTC.
    """

    key: str
    handles: tuple[Handle, ...] = ()
    contact_of: str | None = None
    aliases: tuple[str, ...] = ()
    since: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Applied:
    """Evidence that joined nodes: the handle's key, or the key of the record that was merged."""

    tier: Tier
    handle: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Withheld:
    """Evidence that would join nodes and was not used, or not between all of them."""

    reason: Reason
    handle: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """
    Every node's person, and why.

    `candidates` holds, for each node whose person has no contact in a CRM where withheld evidence points to
    some, those contacts. All tuples are sorted.
    """

    person_of: Mapping[str, str]
    applied: tuple[Applied, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def connections(node: Node) -> Iterator[str]:
    """Yield the keys by which a node can be connected to others: its own, merged ones, joining handles."""
    yield f"record:{node.key}"
    for alias in node.aliases:
        yield f"record:{alias}"
    for handle in node.handles:
        if handle.strength in ("certain", "strong"):
            yield handle.key


def component(nodes: Iterable[Node], touched: Iterable[str]) -> frozenset[str]:
    """
    Return the keys of all nodes that are connected to the touched ones, however little it may count.

    After a change, the partition of these nodes (taken from before and after the change) is the partition
    of all of them; the rest keeps what it had.
    """
    carriers: defaultdict[str, list[Node]] = defaultdict(list)
    waiting = [f"record:{key}" for key in touched]
    for node in nodes:
        for connection in connections(node):
            carriers[connection].append(node)
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        connection = waiting.pop()
        if connection in seen:
            continue
        seen.add(connection)
        for node in carriers.get(connection, ()):
            if node.key not in found:
                found.add(node.key)
                waiting.extend(connections(node))
    return frozenset(found)


def partition(nodes: Iterable[Node]) -> Partition:
    """
    Divide nodes into persons; depends on the set of nodes only.

    A person's id derives from its founder, the oldest record (those without a time after all others, then
    by key). Raises ValueError when two different nodes have one key.
    """
    by_key: dict[str, Node] = {}
    first: dict[str, Node] = {}
    shared: dict[str, tuple[Tier, dict[str, Node]]] = {}
    merged: list[Node] = []
    for node in nodes:
        known = by_key.setdefault(node.key, node)
        if known is not node:
            if known != node:
                raise ValueError(f"node {node.key}: two different versions; pass only the newest")
            continue
        if node.aliases:
            merged.append(node)
        for handle in node.handles:
            if handle.strength not in ("certain", "strong"):
                continue
            key = handle.key
            other = first.setdefault(key, node)
            if other is not node:
                tier = _TIER_OF_KIND.get(handle.kind, "certain")
                shared.setdefault(key, (tier, {other.key: other}))[1][node.key] = node
    person_of = {key: person_id(key) for key in by_key}
    if not shared and not merged:
        return Partition(person_of=person_of)
    return _Resolution(by_key, shared, merged).result(person_of)


@dataclass(slots=True, eq=False)
class _Group:
    """Nodes that are one person so far, and the CRMs it has a contact in."""

    members: list[str]
    accounts: set[str]


class _Resolution:
    """The groups while the tiers are closed one after the other; knows only nodes that share something."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        shared: Mapping[str, tuple[Tier, Mapping[str, Node]]],
        merged: Sequence[Node],
    ) -> None:
        self._nodes = nodes
        self._groups: dict[str, _Group] = {}
        self._applied: list[Applied] = []
        self._withheld: list[Withheld] = []
        self._candidates: defaultdict[str, set[str]] = defaultdict(set)
        self._absorbed = {alias for node in merged for alias in node.aliases}
        self._join_merged(merged)
        for tier in _TIERS:
            self._close(tier, {handle: found for handle, (kind, found) in shared.items() if kind == tier})

    def _group(self, key: str) -> _Group:
        group = self._groups.get(key)
        if group is None:
            account = self._nodes[key].contact_of
            group = self._groups[key] = _Group([key], set() if account is None else {account})
        return group

    def _join(self, groups: Iterable[_Group]) -> None:
        """Move the smaller groups into the largest; one that was moved before stands for where it went."""
        present = {self._groups[group.members[0]] for group in groups}
        largest, *others = sorted(present, key=lambda group: -len(group.members))
        for other in others:
            largest.members.extend(other.members)
            largest.accounts |= other.accounts
            self._groups.update(dict.fromkeys(other.members, largest))

    def _join_merged(self, merged: Sequence[Node]) -> None:
        """Join what a CRM merged; the contacts of such a group are one contact under several keys."""
        claims: defaultdict[str, set[str]] = defaultdict(set)
        for node in merged:
            for alias in node.aliases:
                claims[alias].add(node.key)
        for alias, keys in claims.items():
            if alias in self._nodes:
                keys.add(alias)
            if len(keys) > 1:
                self._join({self._group(key) for key in keys})
                self._applied.append(Applied(tier="merged", handle=alias, nodes=tuple(sorted(keys))))

    def _close(self, tier: Tier, carriers: Mapping[str, Mapping[str, Node]]) -> None:
        """Apply all evidence of one tier at once to the groups that the tiers before it left."""
        before: dict[str, dict[str, _Group]] = {}
        for handle, nodes in carriers.items():
            places = {key: self._group(key) for key in nodes}
            if tier == "phone" and self._withhold_if_shared(handle, places):
                continue
            if len(set(places.values())) > 1:
                before[handle] = places
        for groups, links in _components([set(places.values()) for places in before.values()]):
            held = Counter(account for group in groups for account in group.accounts)
            rivals = {group for group in groups if any(held[account] > 1 for account in group.accounts)}
            if rivals:
                self._settle(rivals, links)
            else:
                self._join(groups)
        for handle, places in before.items():
            self._explain(tier, handle, places)

    def _withhold_if_shared(self, handle: str, places: Mapping[str, _Group]) -> bool:
        """Withhold a phone that two contacts of one CRM carry: it links nobody, and may be either's."""
        contacts = {
            (self._nodes[key].contact_of, group)
            for key, group in places.items()
            if self._nodes[key].contact_of
        }
        held = Counter(account for account, _ in contacts)
        contested = {group for account, group in contacts if held[account] > 1}
        if not contested:
            return False
        self._withheld.append(Withheld(reason="shared_phone", handle=handle, nodes=tuple(sorted(places))))
        owners = self._contacts(contested)
        for key in places:
            self._candidates[key].update(owners)
        return True

    def _settle(self, rivals: set[_Group], links: Sequence[set[_Group]]) -> None:
        """
        Join each part between rivals to the only rival it touches; one that touches several stays apart.

        Rivals are groups that must not be joined, as some two have a contact each in one CRM.
        """
        joins: list[set[_Group]] = []
        for part, part_links in _components([link - rivals for link in links], whole=links):
            touched = set().union(*part_links) & rivals
            if len(touched) == 1:
                joins.append(part | touched)
            else:
                joins.append(part)
                owners = self._contacts(touched)
                for group in part:
                    for key in group.members:
                        self._candidates[key].update(owners)
        for groups in joins:
            self._join(groups)

    def _contacts(self, groups: Iterable[_Group]) -> set[str]:
        """Return the contacts in these groups, without those that their CRM merged into another."""
        return {
            key
            for group in groups
            for key in group.members
            if self._nodes[key].contact_of is not None and key not in self._absorbed
        }

    def _explain(self, tier: Tier, handle: str, before: Mapping[str, _Group]) -> None:
        """Note which nodes a handle joined, and that it was withheld where it did not join all."""
        after: defaultdict[_Group, list[str]] = defaultdict(list)
        for key in sorted(before):
            after[self._group(key)].append(key)
        for keys in after.values():
            if len({before[key] for key in keys}) > 1:
                self._applied.append(Applied(tier=tier, handle=handle, nodes=tuple(keys)))
        if len(after) > 1:
            self._withheld.append(Withheld(reason="two_contacts", handle=handle, nodes=tuple(sorted(before))))

    def result(self, person_of: dict[str, str]) -> Partition:
        """Name the groups after their founders; `person_of` holds everybody else already."""
        groups = set(self._groups.values())
        candidates: dict[str, tuple[str, ...]] = {}
        for group in groups:
            if len(group.members) > 1:
                founder = min(group.members, key=self._age)
                person_of.update(dict.fromkeys(group.members, person_id(founder)))
            open_to = set().union(*(self._candidates.get(key, ()) for key in group.members))
            left = tuple(sorted(key for key in open_to if self._nodes[key].contact_of not in group.accounts))
            if left:
                candidates.update(dict.fromkeys(group.members, left))
        return Partition(
            person_of=person_of,
            applied=tuple(sorted(self._applied)),
            withheld=tuple(sorted(self._withheld)),
            candidates=candidates,
        )

    def _age(self, key: str) -> tuple[bool, str, str]:
        since = self._nodes[key].since
        return since is None, since or "", key


def _components(
    links: Sequence[set[_Group]], whole: Sequence[set[_Group]] | None = None
) -> list[tuple[set[_Group], list[set[_Group]]]]:
    """Return the groups that links connect, with the links (or what `whole` has in their place) of each."""
    of_group: defaultdict[_Group, list[int]] = defaultdict(list)
    for index, link in enumerate(links):
        for group in link:
            of_group[group].append(index)
    found: list[tuple[set[_Group], list[set[_Group]]]] = []
    seen: set[int] = set()
    for start, link in enumerate(links):
        if start in seen or not link:
            continue
        groups: set[_Group] = set()
        inside: list[int] = [start]
        seen.add(start)
        for index in inside:
            for group in links[index] - groups:
                groups.add(group)
                fresh = [other for other in of_group[group] if other not in seen]
                seen.update(fresh)
                inside.extend(fresh)
        found.append((groups, [(whole or links)[index] for index in inside]))
    return found
