"""What people should look at: who is undecided, what a CRM has twice, and who may or may not be one person."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import combinations
from typing import Any, Literal, get_args

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.journey.identity import LINKING, Withheld, grade
from bridge.journey.names import agree
from bridge.store.dismissals import dismissed
from bridge.store.people import StoredNode
from bridge.store.questions import questions_on
from bridge.store.tables import journey, node, node_handle
from bridge.sync.identity.duplicates import Survivor, survivor
from bridge.sync.identity.evidence import Evidence, evidence_on
from bridge.sync.identity.identify import is_made
from bridge.sync.identity.reasons import Words, by_whom
from bridge.sync.identity.who import candidates_json
from bridge.sync.runtime import Runtime

Kind = Literal["undecided", "crm_duplicate", "probable", "weak"]
"""
Who could be one of several contacts; two contacts of one CRM that are one person; who is one person by evidence
whose names do not tell; who may be one person though nothing proves it.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)

_ASKED = {
    "asked": "the task is open",
    "unread": 'the task is asked again, as "{}" is no answer',
    "finished": "the task was completed without an answer",
    "unreadable": 'the task was completed with "{}", which is no answer',
}

_AT_ONCE = 200
"""People whose evidence is worked out together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """
    Something for a person to accept or dismiss.

    `records` are what it is about, `candidates` the contacts that somebody undecided could be. `evidence` is what
    it rests on: a dismissal holds while that is the same. `says` are lines for people. `survivor` is which of two
    contacts of a CRM to keep.
    """

    kind: Kind
    records: tuple[str, ...]
    title: str
    evidence: tuple[str, ...]
    says: tuple[str, ...]
    candidates: tuple[Mapping[str, Any], ...] = ()
    survivor: Survivor | None = None
    people: frozenset[str] = field(default=frozenset())

    @property
    def key(self) -> str:
        """Return its name, the same as long as it is about the same records; its second letter is its kind's."""
        return f"s{self.kind[0]}_{_digest(sorted(self.records), 5)}"

    @property
    def digest(self) -> str:
        """Return what tells whether its evidence changed."""
        return _digest(sorted(self.evidence), 16)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "key": self.key,
            "kind": self.kind,
            "title": self.title,
            "records": list(self.records),
            "people": sorted(self.people),
            "evidence": list(self.evidence),
            "candidates": [dict(one) for one in self.candidates],
            "survivor": self.survivor.as_json() if self.survivor else None,
            "says": list(self.says),
        }


def _digest(told: Iterable[str], size: int) -> str:
    return blake2b("\0".join(told).encode(), digest_size=size).hexdigest()


def suggestions(runtime: Runtime, kind: Kind) -> Iterator[Suggestion]:
    """Yield what was not dismissed of a kind, each once; who waits longest first, else in a stable order."""
    with runtime.database.read() as c:
        done = dismissed(c)
        seen: set[str] = set()
        for one in _FOUND[kind](c, runtime):
            if one.key not in seen and (one.key, one.digest) not in done:
                yield replace(one, says=(*one.says, *_asked(c, runtime, one)))
            seen.add(one.key)


def _asked(c: Transaction, runtime: Runtime, one: Suggestion) -> Iterator[str]:
    """Yield what became of asking a CRM's users in a task."""
    for account_pk, question in questions_on(c, [one.key]):
        connection = runtime.of_account(account_pk)
        if question.evidence == one.digest and question.state in _ASKED and connection is not None:
            by = f", {by_whom(question.by)}" if question.by else ""
            yield f"asked in {connection.name}: {_ASKED[question.state].format(question.said)}{by}"


def suggested(
    c: Transaction, runtime: Runtime, kind: Kind, person_ids: Sequence[str]
) -> Iterator[Suggestion]:
    """
    Yield the suggestions of a kind about these people, dismissed or not.

    Those of the kind undecided must be, and of the kind weak all are yielded, as everybody is compared for them.
    """
    yield from _weak(c, runtime) if kind == "weak" else _AMONG[kind](c, runtime, person_ids)


def kind_of_key(key: str) -> Kind:
    """Return the kind of the suggestion of that name."""
    return next(kind for kind in KINDS if key.startswith(f"s{kind[0]}_"))


def find_suggestion(runtime: Runtime, key: str) -> Suggestion | None:
    """Return the suggestion of that name, dismissed or not, as its evidence is now."""
    kinds = [kind for kind in KINDS if key.startswith(f"s{kind[0]}_")]
    with runtime.database.read() as c:
        return next((one for kind in kinds for one in _FOUND[kind](c, runtime) if one.key == key), None)


def spokesman(found: Sequence[StoredNode]) -> StoredNode:
    """Return the record that stands for a person in a decision: a contact before senders, the oldest of those."""

    def order(stored: StoredNode) -> tuple[bool, bool, int, str]:
        return stored.contact_id is None, stored.since is None, stored.since or 0, stored.key

    return min(found, key=order)


def _by_evidence(
    c: Transaction, runtime: Runtime, person_ids: Sequence[str]
) -> Iterator[tuple[list[str], Evidence, Words]]:
    """Yield people, some at a time, with the evidence on them."""
    for start in range(0, len(person_ids), _AT_ONCE):
        some = list(person_ids[start : start + _AT_ONCE])
        evidence = evidence_on(c, runtime.rules, some)
        yield some, evidence, Words(c, runtime, evidence)


def _undecided(c: Transaction, runtime: Runtime) -> Iterator[Suggestion]:
    query = (
        select(node.c.person_id, journey.c.waiting_since)
        .distinct()
        .outerjoin(journey, journey.c.person_id == node.c.person_id)
        .where(node.c.candidates.is_not(None))
    )
    rows = sorted(c.execute(query), key=lambda row: (row[1] is None, row[1] or 0, row[0]))
    yield from undecided_among(c, runtime, [row[0] for row in rows])


def undecided_among(c: Transaction, runtime: Runtime, person_ids: Sequence[str]) -> Iterator[Suggestion]:
    """Yield who of these people, who are undecided, could be whom; in that order, dismissed or not."""
    for some, evidence, words in _by_evidence(c, runtime, person_ids):
        for person_id in some:
            members = evidence.members(person_id)
            could_be = candidates_json(words, evidence, members)
            yield Suggestion(
                kind="undecided",
                records=tuple(stored.key for stored in members),
                people=frozenset({person_id}),
                title=words.record(spokesman(members).key),
                evidence=tuple(
                    f"{one['key']} {held['reason']}:{held['evidence']}"
                    for one in could_be
                    for held in one["evidence"] or [{"reason": "", "evidence": ""}]
                ),
                says=tuple(_could_be(one) for one in could_be),
                candidates=tuple(could_be),
            )


def _could_be(one: Mapping[str, Any]) -> str:
    because = f": {'; '.join(one['says'])}" if one["says"] else ""
    return f"could be {one['name'] or 'somebody'} ({one['label']}){because}"


def _probable(c: Transaction, runtime: Runtime) -> Iterator[Suggestion]:
    several = select(node.c.person_id).group_by(node.c.person_id).having(func.count() > 1)
    yield from probable_among(c, runtime, c.execute(several.order_by(node.c.person_id)).scalars().all())


def probable_among(c: Transaction, runtime: Runtime, person_ids: Sequence[str]) -> Iterator[Suggestion]:
    """Yield who of these people are one person by evidence whose names do not tell; in that order, dismissed or not."""
    for some, evidence, words in _by_evidence(c, runtime, person_ids):
        for person_id in some:
            if grade(evidence.judged(person_id), evidence.partition.applied) != "probable":
                continue
            members = evidence.members(person_id)
            keys = {stored.key for stored in members}
            joins = [one for one in evidence.partition.applied if len(keys & set(one.nodes)) > 1]
            yield Suggestion(
                kind="probable",
                records=tuple(sorted(keys)),
                people=frozenset({person_id}),
                title=", ".join(words.record(stored.key) for stored in members),
                evidence=tuple(f"{one.tier}:{one.handle}" for one in joins),
                says=tuple(f"{one.tier}: {words.applied(one)}" for one in joins),
            )


def _crm_duplicates(c: Transaction, runtime: Runtime) -> Iterator[Suggestion]:
    on_several = (
        select(node_handle.c.handle_key)
        .join(node, node.c.key == node_handle.c.node_key)
        .where(node_handle.c.strength.in_(sorted(LINKING)))
        .group_by(node_handle.c.handle_key)
        .having(func.count(node.c.person_id.distinct()) > 1)
    )
    carry = (
        select(node.c.person_id)
        .join(node_handle, node.c.key == node_handle.c.node_key)
        .where(node.c.contact_of.is_not(None), node_handle.c.handle_key.in_(on_several))
    )
    have_two = (
        select(node.c.person_id)
        .where(node.c.contact_of.is_not(None))
        .group_by(node.c.person_id, node.c.contact_of)
        .having(func.count() > 1)
    )
    people = sorted({*c.execute(carry.distinct()).scalars(), *c.execute(have_two).scalars()})
    yield from duplicates_among(c, runtime, people)


def duplicates_among(c: Transaction, runtime: Runtime, person_ids: Sequence[str]) -> Iterator[Suggestion]:
    """Yield which contacts of one CRM are one of these people, as far as is known; dismissed or not."""
    for _, evidence, words in _by_evidence(c, runtime, person_ids):
        for (one, other), held in sorted(_doubled(evidence, words).items()):
            mine, theirs = evidence.nodes[one], evidence.nodes[other]
            title = words.title(mine.contact_of, one)
            keep = survivor(c, runtime, mine, theirs)
            because = f", into {keep.contact_id} ({keep.because})" if keep else ""
            yield Suggestion(
                kind="crm_duplicate",
                records=(one, other),
                people=frozenset({mine.person_id, theirs.person_id}),
                title=f"{words.record(one)} and {words.record(other)}",
                evidence=tuple(f"{why}:{handle}" for why, handle, _ in held),
                says=(
                    *(said for *_, said in held),
                    f"merge them in {title}{because}; crmbridge never merges",
                ),
                survivor=keep,
            )


def _doubled(evidence: Evidence, words: Words) -> dict[tuple[str, str], list[tuple[str, str, str]]]:
    """Return pairs of contacts of one CRM that are one person, as far as is known, each with (why, handle, words)."""
    absorbed = {alias for stored in evidence.nodes.values() for alias in stored.aliases}
    contacts: dict[str, list[StoredNode]] = {}
    for key in sorted(evidence.nodes):
        stored = evidence.nodes[key]
        if stored.contact_of is not None and key not in absorbed and not is_made(stored):
            contacts.setdefault(stored.person_id, []).append(stored)
    found: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for some in contacts.values():
        for one, other in combinations(some, 2):
            if one.contact_of == other.contact_of:
                said = "they are one person, by what people decided or platforms say"
                found[one.key, other.key] = [("one_person", "", said)]
    apart = [(split.records, split.others) for split in words.standing()]
    for held in evidence.partition.withheld:
        if held.reason not in ("two_records", "contested"):
            continue
        for one, other in _pairs(held, evidence, contacts):
            verdict = agree(one.name or "", other.name or "")
            if verdict == "no" or (verdict == "unknown" and held.reason == "contested"):
                continue
            if not any(_divides(sides, evidence, one, other) for sides in apart):
                told = (held.reason, held.handle, words.withheld(held))
                found.setdefault((one.key, other.key), []).append(told)
    return found


def _pairs(
    held: Withheld, evidence: Evidence, contacts: Mapping[str, Sequence[StoredNode]]
) -> Iterator[tuple[StoredNode, StoredNode]]:
    """Yield the contacts of one CRM, of different people, that a piece of evidence points to."""
    people = {evidence.nodes[key].person_id for key in held.nodes if key in evidence.nodes}
    among = sorted(
        (stored for person in people for stored in contacts.get(person, ())), key=lambda stored: stored.key
    )
    for one, other in combinations(among, 2):
        if one.contact_of == other.contact_of and one.person_id != other.person_id:
            yield one, other


def _divides(
    sides: tuple[Collection[str], Collection[str]], evidence: Evidence, one: StoredNode, other: StoredNode
) -> bool:
    """Tell whether somebody decided that the people of two records are two."""
    mine, theirs = (
        {stored.key for stored in evidence.members(person)} for person in (one.person_id, other.person_id)
    )
    here, there = (set(side) for side in sides)
    return bool((here & mine and there & theirs) or (here & theirs and there & mine))


def _weak(c: Transaction, runtime: Runtime) -> Iterator[Suggestion]:
    # imported here, as every command imports this module and few compare names
    from bridge.sync.identity.weak import weak_pairs

    pairs = list(weak_pairs(c))
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        people = sorted({stored.person_id for pair in some for stored in (pair.one, pair.other)})
        evidence = evidence_on(c, runtime.rules, people)
        words = Words(c, runtime, evidence)
        apart = [(split.records, split.others) for split in words.standing()]
        doubled = {frozenset(_people(evidence, pair)) for pair in _doubled(evidence, words)}
        for pair in some:
            both = frozenset({pair.one.person_id, pair.other.person_id})
            if both in doubled or _is_candidate(evidence, pair.one, pair.other):
                continue
            if any(_divides(sides, evidence, pair.one, pair.other) for sides in apart):
                continue
            yield Suggestion(
                kind="weak",
                records=(pair.one.key, pair.other.key),
                people=both,
                title=f"{words.record(pair.one.key)} and {words.record(pair.other.key)}",
                evidence=pair.evidence,
                says=pair.says,
            )


def _people(evidence: Evidence, keys: Iterable[str]) -> set[str]:
    return {evidence.nodes[key].person_id for key in keys}


def _is_candidate(evidence: Evidence, one: StoredNode, other: StoredNode) -> bool:
    """Tell whether one of two could be the other by withheld evidence, which is told where they are undecided."""
    mine, theirs = evidence.members(one.person_id), evidence.members(other.person_id)
    could_be = {key for stored in (*mine, *theirs) for key in stored.candidates}
    return any(stored.key in could_be for stored in (*mine, *theirs))


_AMONG = {"undecided": undecided_among, "crm_duplicate": duplicates_among, "probable": probable_among}

_FOUND = {
    "undecided": _undecided,
    "crm_duplicate": _crm_duplicates,
    "probable": _probable,
    "weak": _weak,
}
