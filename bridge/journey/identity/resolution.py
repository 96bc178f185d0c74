"""
Who is who: which records belong to one person, judged from records, decisions and rules alone.

Decisions of people come first, then what a CRM merged, then evidence in tiers, strongest first: certain
handles, WhatsApp numbers, e-mail addresses, phone numbers, and last which contact was used for somebody so far.
All evidence of a tier is applied at once. Two contacts of one CRM are never joined by evidence; what would join
them joins nothing it could join to either. No tie is broken by time, id or arrival: where the evidence does not
decide, nothing is decided, and the result says what was withheld and why.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter

from bridge.journey.handles import Handle
from bridge.journey.identity.decisions import Standing, standing
from bridge.journey.identity.eligibility import Eligible, judge
from bridge.journey.identity.evidence import (
    TIERS,
    Applied,
    Decision,
    Node,
    Partition,
    Reason,
    Rules,
    Tier,
    Withheld,
    tier_of,
)
from bridge.journey.keys import person_id

_SHOWN = 5
"""Contacts that are named as candidates where one person would have too many addresses."""

_NO_SIDES: frozenset[tuple[str, bool]] = frozenset()


def partition(
    nodes: Iterable[Node],
    decisions: Iterable[Decision] = (),
    rules: Rules = Rules(),
    *,
    shared: Collection[str] = frozenset(),
) -> Partition:
    """
    Divide nodes into persons; depends on the sets of nodes and decisions only.

    A person's id derives from its founder, the oldest record (those without a time after all others, then
    by key). `shared` are handles known to be carried by too many, where not all of those are passed. Raises
    ValueError when two different nodes have one key.
    """
    by_key: dict[str, Node] = {}
    first: dict[str, Node] = {}
    carried: dict[str, tuple[Handle, dict[str, Node]]] = {}
    guarded: set[str] = set()
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
            if not rules.counts(handle):
                continue
            key = handle.key
            if handle.strength == "guarded":
                guarded.add(key)
            other = first.setdefault(key, node)
            if other is not node:
                carried.setdefault(key, (handle, {other.key: other}))[1][node.key] = node
    held = standing(decisions)
    if not carried and not merged and not held.links:
        return Partition(person_of={key: person_id(key) for key in by_key}, overruled=held.overruled)
    resolution = _Resolution(by_key, held, rules)
    resolution.decide(held)
    resolution.merge(merged)
    evidence: defaultdict[Tier, list[tuple[str, list[Node], Eligible]]] = defaultdict(list)
    for key, (handle, found) in carried.items():
        carriers = [found[name] for name in sorted(found)]
        eligible = judge(handle, carriers, rules, guarded=key in guarded, shared=key in shared)
        evidence[tier_of(handle)].append((key, carriers, eligible))
    for tier in TIERS:
        resolution.close(tier, evidence[tier])
    return resolution.result()


@dataclass(slots=True, eq=False)
class _Group:
    """Nodes that are one person so far: its contacts, the CRMs and platforms that know it, its sides in splits."""

    members: list[str]
    contacts: set[str]
    accounts: set[str]
    platforms: set[str]
    sides: Set[tuple[str, bool]]


@dataclass(slots=True, kw_only=True)
class _Part:
    """Groups of a tier that its evidence connects, with the index of each piece of evidence."""

    groups: set[_Group]
    links: list[int]


class _Resolution:
    """The groups while the tiers are closed one after the other; knows only nodes that share something."""

    def __init__(self, nodes: Mapping[str, Node], held: Standing, rules: Rules) -> None:
        self._nodes = nodes
        self._rules = rules
        self._held = held
        self._sides: defaultdict[str, set[tuple[str, bool]]] = defaultdict(set)
        for split in held.splits:
            for key in split.records:
                self._sides[key].add((split.id, True))
            for key in split.others:
                self._sides[key].add((split.id, False))
        self._groups = {key: self._alone(node) for key, node in nodes.items()}
        self._applied: list[Applied] = []
        self._withheld: list[Withheld] = []
        self._candidates: defaultdict[str, set[str]] = defaultdict(set)
        self._absorbed: set[str] = set()

    def _alone(self, node: Node) -> _Group:
        key, account = node.key, node.contact_of
        contacts, accounts = (set(), set()) if account is None else ({key}, {account})
        return _Group([key], contacts, accounts, node.platforms, self._sides.get(key, _NO_SIDES))

    def _join(self, groups: Iterable[_Group]) -> None:
        """Move the smaller groups into the largest; one that was moved before stands for where it went."""
        present = {self._groups[group.members[0]] for group in groups}
        largest, *others = sorted(present, key=lambda group: -len(group.members))
        for other in others:
            largest.members.extend(other.members)
            largest.contacts |= other.contacts
            largest.accounts |= other.accounts
            largest.platforms |= other.platforms
            largest.sides = largest.sides | other.sides
            self._groups.update(dict.fromkeys(other.members, largest))

    def decide(self, held: Standing) -> None:
        """Join what people linked, as far as the records are there."""
        for link in held.links:
            keys = sorted(link.records & self._nodes.keys())
            if len(keys) > 1:
                self._join({self._groups[key] for key in keys})
                self._applied.append(Applied(tier="decision", handle=link.id, nodes=tuple(keys)))

    def merge(self, merged: Sequence[Node]) -> None:
        """Join what a CRM merged; the contacts of such a group are one contact under several keys."""
        self._absorbed = {alias for node in merged for alias in node.aliases}
        claims: defaultdict[str, set[str]] = defaultdict(set)
        for node in merged:
            for alias in node.aliases:
                claims[alias].add(node.key)
        links: list[tuple[str, tuple[str, ...]]] = []
        for alias, keys in claims.items():
            if alias in self._nodes:
                keys.add(alias)
            if len(keys) > 1:
                links.append((alias, tuple(sorted(keys))))
        self._apply("merged", links, dict(links), {})

    def close(self, tier: Tier, evidence: Sequence[tuple[str, list[Node], Eligible]]) -> None:
        """Apply all evidence of one tier at once to the groups that the tiers before it left."""
        links: list[tuple[str, tuple[str, ...]]] = []
        carriers: dict[str, tuple[str, ...]] = {}
        reasons: dict[str, Reason] = {}
        for handle, nodes, eligible in evidence:
            keys = tuple([node.key for node in nodes])
            if eligible.reason == "shared":
                self._withheld.append(Withheld(reason="shared", handle=handle, nodes=keys))
                continue
            if len({self._groups[key] for key in keys}) == 1:
                continue
            carriers[handle] = keys
            links.extend((handle, link) for link in eligible.links)
            if eligible.reason is not None:
                reasons[handle] = eligible.reason
            for key, contacts in eligible.possible.items():
                self._candidates[key].update(contacts)
        self._apply(tier, links, carriers, reasons)

    def _apply(
        self,
        tier: Tier,
        links: Sequence[tuple[str, tuple[str, ...]]],
        carriers: Mapping[str, tuple[str, ...]],
        reasons: Mapping[str, Reason],
    ) -> None:
        """Join what links connect and nothing forbids; note what was applied and what was withheld."""
        before = {key: self._groups[key] for keys in carriers.values() for key in keys}
        places = [{before[key] for key in keys} for _, keys in links]
        why = dict(reasons)
        for part in _parts(places):
            if len(part.groups) == 1:
                continue
            handles = {links[index][0] for index in part.links}
            if tier in ("whatsapp", "email", "phone") and self._is_oversize(part.groups):
                why.update(dict.fromkeys(handles, "oversize"))
                self._name_possible([links[index][1] for index in part.links])
                continue
            rivals, reason = self._rivals(tier, part.groups)
            if rivals:
                why.update((handle, reason) for handle in handles - reasons.keys())
                some = [places[index] for index in part.links]
                self._ally(tier, rivals, some)
                self._settle(self._now(rivals), [self._now(link) for link in some])
            else:
                self._join(part.groups)
        self._explain(tier, carriers, before, why)

    def _rivals(self, tier: Tier, groups: set[_Group]) -> tuple[set[_Group], Reason]:
        """Return the groups that must not be joined to each other, and why."""
        apart = self._kept_apart(groups) if self._sides else set()
        known_by = {group: _known_by(tier, group) for group in groups}
        seen: set[str] = set()
        twice: set[str] = set()
        for spaces in known_by.values():
            twice |= seen & spaces
            seen |= spaces
        rivals = {group for group, spaces in known_by.items() if twice & spaces} if twice else set()
        return apart | rivals, "two_records" if rivals else "kept_apart"

    def _kept_apart(self, groups: set[_Group]) -> set[_Group]:
        """Return the groups that people keep apart from another of them."""
        sides = Counter(side for group in groups for side in group.sides)
        return {
            group
            for group in groups
            if any(sides[split, not here] > ((split, not here) in group.sides) for split, here in group.sides)
        }

    def _is_oversize(self, groups: set[_Group]) -> bool:
        rules = self._rules
        total = sum(len(self._nodes[key].handles) for group in groups for key in group.members)
        if total <= min(rules.emails, rules.phones, rules.platform_ids):
            return False
        counted: dict[str, set[str]] = {"email": set(), "phone": set(), "platform": set()}
        for group in groups:
            for key in group.members:
                for handle in self._nodes[key].handles:
                    if handle.kind != "used" and rules.counts(handle):
                        counted[handle.kind if handle.kind in counted else "platform"].add(handle.key)
        return (
            len(counted["email"]) > rules.emails
            or len(counted["phone"]) > rules.phones
            or len(counted["platform"]) > rules.platform_ids
        )

    def _name_possible(self, links: Iterable[tuple[str, ...]]) -> None:
        """Name the contacts that carry the same handle, where they are few enough to choose from."""
        for keys in links:
            contacts = self._contacts({self._groups[key] for key in keys})
            if len(contacts) <= _SHOWN:
                for key in keys:
                    self._candidates[key].update(contacts)

    def _ally(self, tier: Tier, rivals: set[_Group], links: Sequence[set[_Group]]) -> None:
        """Join rivals that people keep apart from the same others, and from nobody among themselves."""
        held = Counter(space for group in rivals for space in _known_by(tier, group))
        sides = set().union(*(group.sides for group in rivals))
        against = {(split, here) for split, here in sides if (split, not here) in sides}
        against_of = {
            group: frozenset(group.sides & against)
            for group in rivals
            if all(held[space] == 1 for space in _known_by(tier, group))
        }
        allied: defaultdict[frozenset[tuple[str, bool]], list[set[_Group]]] = defaultdict(list)
        for link in links:
            together: defaultdict[frozenset[tuple[str, bool]], set[_Group]] = defaultdict(set)
            for group in link & against_of.keys():
                together[against_of[group]].add(group)
            for kept_from, allies in together.items():
                allied[kept_from].append(allies)
        for some in allied.values():
            for part in _parts(some):
                self._join(part.groups)

    def _now(self, groups: set[_Group]) -> set[_Group]:
        """Return where these groups went."""
        return {self._groups[group.members[0]] for group in groups}

    def _settle(self, rivals: set[_Group], links: Sequence[set[_Group]]) -> None:
        """Join each part between rivals to the only rival it touches; one that touches several stays apart."""
        joins: list[set[_Group]] = []
        for part in _parts([link - rivals for link in links]):
            touched = set().union(*(links[index] for index in part.links)) & rivals
            if len(touched) == 1:
                joins.append(part.groups | touched)
            else:
                joins.append(part.groups)
                owners = self._contacts(touched)
                for group in part.groups:
                    self._candidates[group.members[0]].update(owners)
        for groups in joins:
            self._join(groups)

    def _contacts(self, groups: Iterable[_Group]) -> set[str]:
        """Return the contacts in these groups, without those that their CRM merged into another."""
        return set().union(*(group.contacts for group in groups)) - self._absorbed

    def _explain(
        self,
        tier: Tier,
        carriers: Mapping[str, tuple[str, ...]],
        before: Mapping[str, _Group],
        why: Mapping[str, Reason],
    ) -> None:
        """Note which nodes a handle joined, and that it was withheld where it did not join all."""
        was = {key: id(group) for key, group in before.items()}
        for handle, keys in carriers.items():
            after: defaultdict[int, list[str]] = defaultdict(list)
            for key in keys:
                after[id(self._groups[key])].append(key)
            for together in after.values():
                if len({was[key] for key in together}) > 1:
                    self._applied.append(Applied(tier=tier, handle=handle, nodes=tuple(together)))
            if len(after) > 1:
                reason = why.get(handle, "two_records")
                self._withheld.append(Withheld(reason=reason, handle=handle, nodes=keys))

    def result(self) -> Partition:
        """Name the groups after their founders."""
        person_of: dict[str, str] = {}
        for group in set(self._groups.values()):
            founder = min(group.members, key=self._age) if len(group.members) > 1 else group.members[0]
            person_of.update(dict.fromkeys(group.members, person_id(founder)))
        open_to: defaultdict[_Group, set[str]] = defaultdict(set)
        for key, contacts in self._candidates.items():
            open_to[self._groups[key]] |= contacts
        candidates: dict[str, tuple[str, ...]] = {}
        for group, contacts in open_to.items():
            left = tuple(sorted(key for key in contacts if self._is_open(group, key)))
            if left:
                candidates.update(dict.fromkeys(group.members, left))
        return Partition(
            person_of=person_of,
            applied=tuple(sorted(self._applied, key=attrgetter("tier", "handle", "nodes"))),
            withheld=tuple(sorted(self._withheld, key=attrgetter("reason", "handle", "nodes"))),
            candidates=candidates,
            overruled=self._held.overruled,
        )

    def _is_open(self, group: _Group, contact: str) -> bool:
        """Tell whether a group could still be this contact: it has none in that CRM, and nobody said it is not."""
        if self._nodes[contact].contact_of in group.accounts or contact in self._absorbed:
            return False
        sides = self._groups[contact].sides
        return not any((split, not here) in sides for split, here in group.sides)

    def _age(self, key: str) -> tuple[bool, int, str]:
        since = self._nodes[key].since
        return since is None, since or 0, key


def _known_by(tier: Tier, group: _Group) -> set[str]:
    """Return the namespaces of which two groups that a tier would join must not both have one."""
    if tier == "merged":
        return set()
    if tier == "certain" or not group.platforms:
        return group.accounts
    return group.accounts | group.platforms


def _parts(links: Sequence[set[_Group]]) -> list[_Part]:
    """Return the groups that links connect, part by part."""
    of_group: defaultdict[_Group, list[int]] = defaultdict(list)
    for index, link in enumerate(links):
        for group in link:
            of_group[group].append(index)
    found: list[_Part] = []
    seen: set[int] = set()
    for start, link in enumerate(links):
        if start in seen or not link:
            continue
        part = _Part(groups=set(), links=[start])
        seen.add(start)
        for index in part.links:
            for group in links[index] - part.groups:
                part.groups.add(group)
                fresh = [other for other in of_group[group] if other not in seen]
                seen.update(fresh)
                part.links.extend(fresh)
        found.append(part)
    return found
