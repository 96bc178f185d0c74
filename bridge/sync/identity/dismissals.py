"""Suggestions that people said are none: whom that concerns, whether it still holds, and taking it back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bridge.errors import ConfigError
from bridge.store import looks, people
from bridge.store.among import among
from bridge.store.database import micros
from bridge.store.dismissals import Dismissal, dismiss, dismissals, dismissed, reopen
from bridge.store.people import StoredNode
from bridge.store.questions import ask_anew
from bridge.store.tables import node
from bridge.store.writer import Priority
from bridge.sync.identity.evidence import evidence_on
from bridge.sync.identity.reasons import Words, by_whom, instant_text
from bridge.sync.identity.review import Kind, kind_of_key, suggested, undecided_among
from bridge.sync.runtime import Runtime


def enter_dismissal(
    c: Transaction,
    runtime: Runtime,
    key: str,
    evidence: str,
    records: Collection[str],
    *,
    author: str,
    reason: str,
    at: int,
) -> bool:
    """
    Keep a dismissal and look again at whom it concerns, within a transaction of the writer.

    Returns False, and keeps nothing, where the suggestion counts as none already.
    """
    if (key, evidence) in dismissed(c):
        return False
    dismiss(c, key, evidence, records, author=author, reason=reason, at=at)
    _look_again(c, runtime, records)
    return True


def take_back_dismissal(runtime: Runtime, key: str, *, by: str, reason: str) -> None:
    """
    Let what was dismissed be a suggestion again.

    Where a task that asked it was deleted in a CRM it is asked there anew. Raises ConfigError for a key of which
    nothing is dismissed now.
    """
    at = micros(runtime.clock())
    assert at is not None

    def work(c: Transaction) -> None:
        found = to_take_back(c, key)
        reopen(c, found, by=by, reason=reason, at=at)
        ask_anew(c, key)
        _look_again(c, runtime, {record for one in found for record in one.records})

    runtime.writer.run(work, priority=Priority.LIVE, durable=True)


def to_take_back(c: Transaction, key: str) -> list[Dismissal]:
    """Return the dismissals of a suggestion that count, the newest first; raises ConfigError where none does."""
    known = [one for one in dismissals(c) if one.key == key]
    found = [one for one in known if one.revoked_at is None]
    if not known:
        raise ConfigError(f"{key!r} was never dismissed. What was: crmbridge review --dismissed")
    if not found:
        raise ConfigError(f"{key} was taken back before, {by_whom(known[0].revoked_by or '')}.")
    return found


def _look_again(c: Transaction, runtime: Runtime, records: Iterable[str]) -> None:
    """Queue for every CRM the people of these records: what they are asked and why they are held changes."""
    concerned = set(people.persons_at(c, records).values())
    for connection in runtime.crms():
        assert connection.account_pk is not None
        looks.touch(c, connection.account_pk, concerned, runtime.sequence())


def dismissed_undecided(c: Transaction, runtime: Runtime, person_ids: Iterable[str]) -> dict[str, str]:
    """Return those of these people whom somebody decided to leave undecided, with the key of that suggestion."""
    asked = set(person_ids)
    if not asked:
        return {}
    done = [one for one in dismissals(c) if one.revoked_at is None and kind_of_key(one.key) == "undecided"]
    counts = {(one.key, one.evidence) for one in done}
    concerned = asked & _undecided(c, {record for one in done for record in one.records})
    return {
        person_id: one.key
        for one in undecided_among(c, runtime, sorted(concerned))
        for person_id in one.people
        if (one.key, one.digest) in counts
    }


def _undecided(c: Transaction, records: Iterable[str]) -> set[str]:
    query = select(node.c.person_id).where(among(node.c.key, records), node.c.candidates.is_not(None))
    return set(c.execute(query).scalars())


def dismissals_json(
    runtime: Runtime, kinds: Collection[Kind], *, limit: int, weak: bool = False
) -> tuple[list[dict[str, Any]], bool]:
    """
    Return what was dismissed of these kinds, the newest first, and whether there is more than `limit` of it.

    `state` is holds, changed (its evidence is another by now, so it is listed again), gone (it is no suggestion any
    more) or revoked. It is None for those of the kind weak unless `weak` asks to compare all names for it.
    """
    with runtime.database.read() as c:
        found = [one for one in dismissals(c) if kind_of_key(one.key) in kinds]
        return told(c, runtime, found[:limit], weak=weak), len(found) > limit


def told(
    c: Transaction, runtime: Runtime, found: Sequence[Dismissal], *, weak: bool = False
) -> list[dict[str, Any]]:
    """Return dismissals for programs and people, in the given order."""
    nodes = people.load_nodes(c, {record for one in found for record in one.records})
    words = Words(c, runtime, evidence_on(c, runtime.rules, ()))
    asked: dict[Kind, set[str]] = {}
    for one in found:
        if one.revoked_at is None and one.records:
            asked.setdefault(kind_of_key(one.key), set()).update(one.records)
    now = {
        kind: _digests(c, runtime, kind, records) for kind, records in asked.items() if kind != "weak" or weak
    }
    return [_json(words, nodes, one, _state(one, now)) for one in found]


def _digests(c: Transaction, runtime: Runtime, kind: Kind, records: Collection[str]) -> dict[str, str]:
    """Return the evidence by now of the suggestions about the people of these records, by key."""
    concerned = set(people.persons_at(c, records).values())
    if kind == "undecided":
        concerned = _undecided(c, records)
    return {one.key: one.digest for one in suggested(c, runtime, kind, sorted(concerned))}


def _state(one: Dismissal, now: Mapping[Kind, Mapping[str, str]]) -> str | None:
    if one.revoked_at is not None:
        return "revoked"
    if not one.records or kind_of_key(one.key) not in now:
        return None
    digest = now[kind_of_key(one.key)].get(one.key)
    if digest is None:
        return "gone"
    return "holds" if digest == one.evidence else "changed"


_SAYS = {
    "changed": "; its evidence changed since, so it is listed again",
    "gone": "; it is no suggestion any more",
}


def _json(words: Words, nodes: Mapping[str, StoredNode], one: Dismissal, state: str | None) -> dict[str, Any]:
    since = _SAYS.get(state or "", "")
    says = [f"dismissed {by_whom(one.author)} on {words.day(one.at)}{_because(one.reason)}{since}"]
    if one.revoked_at is not None:
        by = by_whom(one.revoked_by or "")
        says.append(f"taken back {by} on {words.day(one.revoked_at)}{_because(one.revoked_for)}")
    return {
        "key": one.key,
        "kind": kind_of_key(one.key),
        "title": " and ".join(_label(words, nodes, key) for key in one.records),
        "records": list(one.records),
        "author": one.author,
        "reason": one.reason,
        "at": instant_text(one.at),
        "state": state,
        "revoked_at": instant_text(one.revoked_at),
        "revoked_by": one.revoked_by,
        "revoked_for": one.revoked_for,
        "says": says,
    }


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _label(words: Words, nodes: Mapping[str, StoredNode], key: str) -> str:
    stored = nodes.get(key)
    label = key if stored is None else words.label_of(stored)
    return f"{stored.name} ({label})" if stored is not None and stored.name else label
