"""What a person decides of who is who, carried out: stored with author and time, and obeyed at once."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from operator import attrgetter

from sqlalchemy import Connection as Transaction

from bridge.errors import ConfigError
from bridge.journey.identity import Decision
from bridge.store import looks, people
from bridge.store.database import micros
from bridge.store.decisions import Stated, add_decision, all_decisions, decisions_on, revoke_decision
from bridge.store.holds import MOVED, held, release
from bridge.store.sightings import corrected_by
from bridge.store.writer import Priority
from bridge.sync.identity.identify import IdentityChange, identify
from bridge.sync.runtime import JOURNEY, Runtime


def new_decision(
    kind: str, records: Iterable[str], others: Iterable[str], *, at: int, author: str, reason: str
) -> Decision:
    """
    Return a decision with an id of its own; `kind` is link or split, times are microseconds UTC.

    Raises ConfigError for one that decides nothing, names a record on both sides, or that no store can hold.
    """
    records, others = frozenset(records), frozenset(others)
    _check(kind, records, others, [author, reason])
    told = "\0".join([kind, *sorted(records), "|", *sorted(others), str(at), author])
    id = f"d_{blake2b(told.encode(), digest_size=6).hexdigest()}"
    if kind == "link":
        return Decision(id=id, kind="link", records=records | others, at=at, author=author, reason=reason)
    return Decision(id=id, kind="split", records=records, others=others, at=at, author=author, reason=reason)


def _check(kind: str, records: frozenset[str], others: frozenset[str], told: Iterable[str]) -> None:
    if kind not in ("link", "split"):
        raise ConfigError(f"decision {kind!r}: unknown; use link or split")
    for text in (*records, *others, *told):
        if not isinstance(text, str) or text.encode(errors="ignore").decode() != text:
            raise ConfigError(
                f"decision {kind}: {text!r} is no text in UTF-8; give record keys, author and reason so"
            )
    if not all(key.strip() for key in records | others):
        raise ConfigError(f"decision {kind}: an empty record key; see the keys with: crmbridge who")
    if kind == "link" and len(records | others) < 2:
        raise ConfigError(f"decision link: names {len(records | others)} records; name two or more")
    if kind == "split" and not (records and others):
        raise ConfigError("decision split: one side names no record; name who is kept apart, and from whom")
    if kind == "split" and records & others:
        raise ConfigError(f"decision split: {', '.join(sorted(records & others))} is on both sides")


def decide(runtime: Runtime, decision: Decision) -> IdentityChange:
    """Store a decision and divide anew whom it concerns; the CRM's entries follow with the next delivery."""
    with runtime.identity_lock:
        return runtime.writer.run(enter_decision, runtime, decision, priority=Priority.LIVE, durable=True)


def enter_decision(c: Transaction, runtime: Runtime, decision: Decision) -> IdentityChange:
    """Do so within a transaction of the writer, the identity lock being held."""
    add_decision(c, decision)
    return _divide_anew(c, runtime, decision.keys, ("decision", decision.id))


def revoke(runtime: Runtime, id: str, *, by: str) -> tuple[Stated, IdentityChange]:
    """
    Let a decision count no more, so that the evidence says again what it says.

    Of a link and a split that one move in a CRM said, the other goes with it. Raises ConfigError for an id that is
    none, or was revoked before.
    """
    with runtime.identity_lock:
        return runtime.writer.run(
            lambda c: enter_revocation(c, runtime, id, by=by), priority=Priority.LIVE, durable=True
        )


def enter_revocation(c: Transaction, runtime: Runtime, id: str, *, by: str) -> tuple[Stated, IdentityChange]:
    """Do so within a transaction of the writer, the identity lock being held."""
    known = all_decisions(c)
    stated = next((one for one in known if one.decision.id == id), None)
    if stated is None:
        raise ConfigError(f"{id} is no decision. List them with: crmbridge decisions")
    if stated.revoked_at is not None:
        raise ConfigError(f"{id} was taken back before, by {stated.revoked_by}.")
    at = micros(runtime.clock())
    assert at is not None
    both = [stated.decision, *_other_half(c, stated.decision, known)]
    for one in both:
        revoke_decision(c, one.id, by=by, at=at)
    moved = corrected_by(c, id)
    if moved is not None and held(c, moved[0], [moved[1]]).get(moved[1]) == MOVED:
        release(c, moved[0], [moved[1]])
    keys = frozenset(key for one in both for key in one.keys)
    return stated, _divide_anew(c, runtime, keys, ("revoked", id))


def other_half(c: Transaction, id: str) -> list[Decision]:
    """Return what was decided by the same move in a CRM, counts, and is taken back with this one."""
    known = all_decisions(c)
    return [half for one in known if one.decision.id == id for half in _other_half(c, one.decision, known)]


def _other_half(c: Transaction, decision: Decision, known: Iterable[Stated]) -> list[Decision]:
    moved = corrected_by(c, decision.id)
    return [
        one.decision
        for one in known
        if moved is not None
        and one.revoked_at is None
        and one.decision.at == decision.at
        and one.decision.id != decision.id
        and corrected_by(c, one.decision.id) == moved
    ]


def said_by_moves(c: Transaction, person_ids: Iterable[str]) -> list[str]:
    """Return what people decided of these persons by moving entries in a CRM and what counts: an id for each move."""
    members = people.nodes_of(c, person_ids).values()
    found = decisions_on(c, {stored.key for some in members for stored in some}).values()
    moves = {(corrected_by(c, one.id), one.at): one.id for one in sorted(found, key=attrgetter("id"))}
    return sorted(id for (moved, _), id in moves.items() if moved is not None)


def _divide_anew(
    c: Transaction, runtime: Runtime, keys: frozenset[str], because: tuple[str, str]
) -> IdentityChange:
    """Divide anew whom a decision concerns; what becomes of persons is told with it, before all evidence."""
    change = identify(c, {}, runtime.rules, decided=keys)
    for event in change.events:
        event["evidence"] = [because, *(one for one in event["evidence"] if tuple(one) != because)]
    change.save(c, runtime.clock())
    touched = set(change.touched)
    if change.events:
        touched |= set(people.persons_at(c, change.person_of).values())
    looks.touch(c, JOURNEY, touched, runtime.sequence())
    return change
