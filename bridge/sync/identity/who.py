"""Who somebody is: their records, what joins them, whom else they could be, and why two are one person or are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from bridge.journey.handles import Handle
from bridge.journey.identity import LINKING, Withheld, grade, why, why_not
from bridge.journey.identity.decisions import standing
from bridge.store import people
from bridge.store.among import among
from bridge.store.decisions import all_decisions, decisions_on, events_of
from bridge.store.people import StoredNode
from bridge.store.tables import former_handle, journey, participation, person
from bridge.sync.identity.evidence import Evidence, evidence_on
from bridge.sync.identity.reasons import Words, instant_text, kind_of, provenance
from bridge.sync.runtime import Runtime

TIERS = ("decision", "merged", "certain", "whatsapp", "email", "phone", "used")
"""What joins records, strongest first."""


def who(runtime: Runtime, person_id: str) -> dict[str, Any]:
    """
    Return all there is to say of who a person is, who must exist.

    Keys: person_id, earlier_ids, name, grade (certain, strong, probable), records, joined (strongest first),
    candidates, decisions, events (oldest first). What `says` is one line for people.
    """
    with runtime.database.read() as c:
        evidence = evidence_on(c, runtime.rules, [person_id])
        words = Words(c, runtime, evidence)
        members = evidence.members(person_id)
        keys = {stored.key for stored in members}
        ids = _ids_of(c, keys)
        return {
            "person_id": person_id,
            "earlier_ids": sorted(ids - {person_id}),
            "name": names_of(c, {person_id: members})[person_id],
            "grade": grade(evidence.judged(person_id), evidence.partition.applied),
            "records": records_json(c, runtime, words, members),
            "joined": [
                {
                    "tier": one.tier,
                    "evidence": one.handle,
                    "records": sorted(keys & set(one.nodes)),
                    "says": words.applied(one),
                }
                for one in sorted(evidence.partition.applied, key=lambda one: TIERS.index(one.tier))
                if len(keys & set(one.nodes)) > 1
            ],
            "candidates": candidates_json(words, evidence, members),
            "decisions": decisions_on_json(words, evidence, keys),
            "events": [
                {
                    "at": instant_text(at),
                    "kind": event["kind"],
                    "before": event["before"],
                    "after": event["after"],
                    "evidence": [{"why": why, "evidence": handle} for why, handle in event["evidence"]],
                    "says": words.event(event["kind"], [(why, handle) for why, handle in event["evidence"]]),
                }
                for at, event in events_of(c, {person_id, *ids})
            ],
        }


def names_of(c: Transaction, members: Mapping[str, Iterable[StoredNode]]) -> dict[str, str]:
    """Return what people are called, given their records; an id where nobody knows a name."""
    query = select(journey.c.person_id, journey.c.name).where(among(journey.c.person_id, members))
    found = {row.person_id: row.name for row in c.execute(query) if row.name}
    return {
        one: found.get(one) or next((stored.name for stored in some if stored.name), None) or one
        for one, some in members.items()
    }


def _ids_of(c: Transaction, keys: Iterable[str]) -> set[str]:
    """Return the ids that were ever published for the person of these records."""
    return set(c.execute(select(person.c.id).where(among(person.c.founder, keys))).scalars())


def records_json(
    c: Transaction, runtime: Runtime, words: Words, members: Sequence[StoredNode]
) -> list[dict[str, Any]]:
    """
    Return records for programs.

    `since` is when its source made it, `first_at` and `last_at` when it first and last took part in anything.
    Of a handle, `counts` says whether it can join anybody.
    """
    keys = [stored.key for stored in members]
    query = select(
        participation.c.node_key,
        func.min(participation.c.occurred_at),
        func.max(participation.c.occurred_at),
        func.count(),
    )
    query = query.where(among(participation.c.node_key, keys)).group_by(participation.c.node_key)
    seen = {key: (first, last, count) for key, first, last, count in c.execute(query)}
    former: dict[str, list[dict[str, Any]]] = {}
    for row in c.execute(select(former_handle).where(among(former_handle.c.node_key, keys))):
        told = {"handle": row.handle_key, "ended_at": instant_text(row.ended_at)}
        former.setdefault(row.node_key, []).append({**told, "says": words.handle(row.handle_key)})
    return [
        {
            "key": stored.key,
            "kind": kind_of(stored),
            "label": words.label_of(stored),
            "name": stored.name,
            "named": None if not stored.name else "given" if stored.legal else "nickname",
            "contact_id": stored.contact_id,
            "since": instant_text(stored.since),
            "first_at": instant_text(first),
            "last_at": instant_text(last),
            "interactions": count,
            "handles": [
                _handle_json(runtime, stored, key, handle)
                for key, (handle, made) in sorted(stored.handles.items())
                if not made
            ],
            "former_handles": [
                one
                for one in sorted(former.get(stored.key, ()), key=lambda one: str(one["handle"]))
                if one["handle"] not in stored.handles
            ],
            "merged_from": list(stored.aliases),
        }
        for stored in members
        for first, last, count in [seen.get(stored.key, (None, None, 0))]
    ]


def _handle_json(runtime: Runtime, stored: StoredNode, key: str, handle: Handle) -> dict[str, Any]:
    return {
        "handle": key,
        "kind": handle.kind,
        "value": handle.value,
        "seen": stored.seen.get(key, handle.value),
        "provenance": provenance(stored, key),
        "strength": handle.strength,
        "counts": runtime.rules.counts(handle),
    }


def candidates_json(words: Words, evidence: Evidence, members: Iterable[StoredNode]) -> list[dict[str, Any]]:
    """Return the contacts that somebody could be, by key, with the evidence that points there."""
    mine = {stored.key for stored in members}
    told = []
    for key in sorted({key for stored in members for key in stored.candidates}):
        stored = evidence.nodes.get(key)
        held = [
            one
            for one in evidence.partition.withheld
            if mine & set(one.nodes) and _reaches(evidence, one, key)
        ]
        told.append(
            {
                "key": key,
                "label": words.label(key),
                "name": stored.name if stored else None,
                "person_id": stored.person_id if stored else None,
                "evidence": [{"reason": one.reason, "evidence": one.handle} for one in held],
                "says": [words.withheld(one) for one in held],
            }
        )
    return told


def _reaches(evidence: Evidence, one: Withheld, key: str) -> bool:
    """Tell whether a piece of evidence is on a record, or on one of its person."""
    stored = evidence.nodes.get(key)
    if stored is None or key in one.nodes:
        return key in one.nodes
    return any(
        evidence.nodes[near].person_id == stored.person_id for near in one.nodes if near in evidence.nodes
    )


def decisions_on_json(words: Words, evidence: Evidence, keys: set[str]) -> list[dict[str, Any]]:
    """Return the decisions that count and speak of any of these records, the newest first."""
    found = [one for one in evidence.decisions.values() if one.keys & keys]
    overruled = set(evidence.partition.overruled)
    return [
        {**words.decision_json(one), "state": "overruled" if one.id in overruled else "holds"}
        for one in sorted(found, key=lambda one: (one.at, one.id), reverse=True)
    ]


def between(runtime: Runtime, one: Sequence[StoredNode], other: Sequence[StoredNode]) -> dict[str, Any]:
    """
    Return why two are one person, or why not; each is given as records of one person.

    Keys: one_person, people (id and name of both), chain (None where they are two; else from, to, tier,
    evidence, says), withheld (reason, evidence, records, says) and decisions between them. Besides the reasons
    of identity: weak for what proves nothing, blocked for what the configuration blocks.
    """
    ids = [one[0].person_id, other[0].person_id]
    with runtime.database.read() as c:
        evidence = evidence_on(c, runtime.rules, ids)
        words = Words(c, runtime, evidence)
        names = names_of(c, {id: evidence.members(id) for id in ids})
        mine, theirs = ({stored.key for stored in evidence.members(id)} for id in ids)
        chain = _strongest(evidence, one, other) if ids[0] == ids[1] else None
        splits = [
            split
            for split in words.standing()
            if (split.records & mine and split.others & theirs)
            or (split.records & theirs and split.others & mine)
        ]
        return {
            "one_person": ids[0] == ids[1],
            "people": [{"person_id": id, "name": names[id]} for id in ids],
            "chain": None
            if chain is None
            else [
                {
                    "from": words.record(before),
                    "to": words.record(after),
                    "records": [before, after],
                    "tier": applied.tier,
                    "evidence": applied.handle,
                    "says": words.applied(applied),
                }
                for before, applied, after in chain
            ],
            "withheld": _withheld(runtime, words, evidence, ids),
            "decisions": [words.decision_json(split) for split in splits],
        }


def _strongest(evidence: Evidence, one: Sequence[StoredNode], other: Sequence[StoredNode]) -> Any:
    """Return the chain between the two records that the fewest steps join."""
    chains = [
        chain
        for mine, theirs in product(one, other)
        if mine.key != theirs.key and (chain := why(evidence.partition.applied, mine.key, theirs.key))
    ]
    return min(chains, key=len, default=None)


def _withheld(runtime: Runtime, words: Words, evidence: Evidence, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what points from one person to another and does not count, or not between them."""
    if ids[0] == ids[1]:
        return []
    mine, theirs = (evidence.members(id) for id in ids)
    told = [
        {
            "reason": held.reason,
            "evidence": held.handle,
            "records": list(held.nodes),
            "says": words.withheld(held),
        }
        for held in _why_not(evidence, mine, theirs)
    ]
    shared = {key: pair[0] for stored in mine for key, pair in stored.handles.items() if not pair[1]}
    for key in sorted(shared.keys() & {key for stored in theirs for key in stored.handles}):
        if runtime.rules.counts(shared[key]):
            continue
        reason = "blocked" if shared[key].strength in LINKING else "weak"
        carriers = [stored.key for stored in [*mine, *theirs] if key in stored.handles]
        said = (
            "stands in identity.block, so it tells nothing"
            if reason == "blocked"
            else "can be several people's, so it only suggests"
        )
        told.append(
            {"reason": reason, "evidence": key, "records": carriers, "says": f"{words.handle(key)} {said}"}
        )
    return told


def _why_not(evidence: Evidence, mine: Sequence[StoredNode], theirs: Sequence[StoredNode]) -> list[Withheld]:
    """Return the withheld evidence between two people; those who share nothing are in no partition."""
    divided = evidence.partition.person_of
    pair = next(
        (
            (one.key, other.key)
            for one, other in product(mine, theirs)
            if one.key in divided and other.key in divided
        ),
        None,
    )
    return [] if pair is None else why_not(evidence.partition, *pair)


def all_decisions_json(runtime: Runtime) -> list[dict[str, Any]]:
    """Return every decision ever made, the newest first, with its state: holds, overruled, revoked."""
    with runtime.database.read() as c:
        stated = all_decisions(c)
        keys = {key for one in stated for key in one.decision.keys}
        known = people.persons_at(c, keys)
        evidence = evidence_on(c, runtime.rules, set(known.values()))
        words = Words(c, runtime, evidence)
        overruled = set(standing(decisions_on(c, keys).values()).overruled)
        return [
            {
                **words.decision_json(one.decision),
                "state": "revoked"
                if one.revoked_at is not None
                else "overruled"
                if one.decision.id in overruled
                else "holds",
                "revoked_at": instant_text(one.revoked_at),
                "revoked_by": one.revoked_by,
                "between": [
                    [words.record(key) for key in sorted(side)]
                    for side in (one.decision.records, one.decision.others)
                    if side
                ],
            }
            for one in stated
        ]
