"""What the rules of identity in the configuration would change of how people stand in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Connection as Transaction

from bridge.store import people
from bridge.store.people import StoredNode
from bridge.sync.identity.evidence import evidence_on
from bridge.sync.identity.identify import IdentityChange
from bridge.sync.identity.reasons import Words
from bridge.sync.identity.reidentify import changes, is_carried_out
from bridge.sync.identity.who import names_of
from bridge.sync.runtime import Runtime

SHOWN = 20
"""People of each kind that are told one by one."""


def rules_effect(runtime: Runtime) -> dict[str, Any]:
    """
    Return what identifying everybody by the rules as they are would change; reads only.

    Keys: carried_out (nothing is to come), and of become_one, become_several and become_undecided each the count of
    changes and the first of them: before (persons as id and name), after (records of each person), because.
    """
    counts = {"become_one": 0, "become_several": 0, "become_undecided": 0}
    shown: dict[str, list[dict[str, Any]]] = {kind: [] for kind in counts}
    with runtime.database.read() as c:
        for change in changes(c, runtime.rules, runtime.region_of, runtime.own):
            undecided = _newly_undecided(c, change)
            found: Mapping[str, Sequence[Any]] = {
                "become_one": [event for event in change.events if event["kind"] == "merged"],
                "become_several": [event for event in change.events if event["kind"] == "split"],
                "become_undecided": undecided,
            }
            for kind, events in found.items():
                counts[kind] += len(events)
                room = SHOWN - len(shown[kind])
                shown[kind] += [_told(c, runtime, change, event) for event in islice(events, room)]
        return {
            "carried_out": is_carried_out(c, runtime),
            **{kind: {"count": counts[kind], "first": shown[kind]} for kind in counts},
        }


def _newly_undecided(c: Transaction, change: IdentityChange) -> list[dict[str, Any]]:
    """Return those who could be one of some contacts then, and are decided now or nobody's candidate."""
    rows = {row["key"]: row for row in change.nodes if row["candidates"] is not None}
    known = people.load_nodes(c, rows)
    by_person: dict[str, dict[str, Any]] = {}
    for key, row in rows.items():
        before = known.get(key)
        if before is None or before.candidates:
            continue
        event = by_person.setdefault(
            row["person_id"],
            {
                "kind": "undecided",
                "before": set(),
                "after": {row["person_id"]},
                "evidence": [],
                "could_be": set(),
            },
        )
        event["before"].add(before.person_id)
        event["could_be"] |= set(orjson.loads(row["candidates"]))
    return [by_person[person] for person in sorted(by_person)]


def _told(
    c: Transaction, runtime: Runtime, change: IdentityChange, event: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a change for people: who they are, which records each person has then, and why."""
    before = sorted(event["before"])
    members = people.nodes_of(c, before)
    words = Words(c, runtime, evidence_on(c, runtime.rules, before))
    names = names_of(c, members)
    then: dict[str, list[StoredNode]] = {}
    for stored in (stored for some in members.values() for stored in some):
        person_id = change.person_of.get(stored.key, stored.person_id)
        if person_id in event["after"]:
            then.setdefault(person_id, []).append(stored)
    could_be = sorted(event.get("could_be", ()))
    return {
        "before": [{"person_id": one, "name": names.get(one, one)} for one in before],
        "after": [
            {
                "person_id": one,
                "records": [stored.key for stored in some],
                "says": [words.label_of(stored) for stored in some],
            }
            for one, some in sorted(then.items())
        ],
        "could_be": [{"key": key, "says": words.record(key)} for key in could_be],
        "because": [{"why": why, "evidence": handle} for why, handle in event["evidence"]],
        "says": words.event(event["kind"], [(why, handle) for why, handle in event["evidence"]]),
    }
