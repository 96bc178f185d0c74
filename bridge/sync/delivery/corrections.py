"""What somebody says of who is who by moving an entry of ours in the CRM: a decision like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Literal

from sqlalchemy import Connection as Transaction

from bridge.journey.identity import Decision
from bridge.store import ledger as books
from bridge.store import looks, people
from bridge.store.database import micros
from bridge.store.decisions import decisions_on
from bridge.store.entities import partners
from bridge.store.intents import load_intents
from bridge.store.members import members_of
from bridge.store.questions import tasks_at
from bridge.store.sightings import Sighting, add_correction, add_sightings, sightings
from bridge.sync.delivery.entries import link_key
from bridge.sync.delivery.plan_values import Action, PersonState
from bridge.sync.identity.decide import enter_decision
from bridge.sync.identity.reasons import IN_THE_CRM
from bridge.sync.intake.interpret import Meaning
from bridge.sync.runtime import Connection, Runtime


def sight(c: Transaction, runtime: Runtime, connection: Connection, ours: Sequence[Meaning]) -> None:
    """
    Note entries of ours that come back on other contacts than we put them on, for the next plan to look at.

    Where one of our tasks comes back, what is answered in them is read at once.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    start = f"{connection.spec.contact_stream}/"
    rules = connection.mapping.push_task
    if rules is not None:
        there = {meaning.ext_id for meaning in ours if meaning.stream == rules.stream}
        if there and tasks_at(c, account_pk, rules.stream, there):
            connection.heard = None
    places: dict[str, dict[str, Meaning]] = {}
    for meaning in ours:
        places.setdefault(meaning.stream, {})[meaning.ext_id] = meaning
    found: dict[str, Sighting] = {}
    for stream, by_id in places.items():
        keys = {key: by_id[ext_id] for ext_id, key in books.entries_at(c, account_pk, stream, by_id).items()}
        for key, filed in books.filed_under(c, account_pk, keys).items():
            refs = keys[key].body.get("contact_refs", ())
            now = {ref.removeprefix(start) for ref in refs if ref.startswith(start)}
            if now and filed.contacts - now:
                record = keys[key].stored.record
                at = micros(record.modified_at or runtime.clock())
                assert at is not None
                found[key] = Sighting(at=at, by=record.actor)
    if found:
        add_sightings(c, account_pk, found)
        inside = {one for ids in members_of(c, account_pk, found).values() for one in ids}
        nodes = {node for some in partners(c, inside).values() for node in some}
        looks.touch(c, account_pk, set(people.persons_at(c, nodes).values()), runtime.sequence())


def with_sightings(c: Transaction, connection: Connection, states: list[PersonState]) -> list[PersonState]:
    """Return the states with those of their entries that are to be looked at."""
    assert connection.account_pk is not None
    seen = sightings(c, connection.account_pk)
    if not seen:
        return states
    return [replace(state, seen=frozenset(seen.keys() & state.filed.keys())) for state in states]


def correct(c: Transaction, runtime: Runtime, connection: Connection, action: Action) -> None:
    """
    Enter what the move of an entry says: its sender is not the contact it was taken off, but the one it is on now.

    The entry itself stays where it was put, held as any that was moved. Where that contact is not known, or we are
    moving the entry there ourselves, nothing is said. The identity lock is held.
    """
    account_pk, move, key = connection.account_pk, action.correction, action.entry
    assert account_pk is not None and move is not None and key is not None
    taken, put = (
        connection.node_key(connection.spec.contact_stream, one) for one in (move.taken_off, move.put_on)
    )
    under_way = link_key(connection.account_key, key, move.put_on)
    known = people.load_nodes(c, {put, move.sender})
    if len(known) < 2 or any(item.write.key == under_way for item in load_intents(c, account_pk)):
        return
    seen = sightings(c, account_pk).get(key)
    now = micros(runtime.clock())
    assert now is not None
    author = f"{seen.by} {IN_THE_CRM}" if seen is not None and seen.by else IN_THE_CRM
    before = decisions_on(c, [move.sender]).values()
    at = max(
        [seen.at if seen is not None else now, *(one.at + 1 for one in before if IN_THE_CRM in one.author)]
    )
    reason = f"moved entry {key} from contact {move.taken_off} to {move.put_on}"
    books.put_on(c, account_pk, key, move.put_on, {})
    said: tuple[tuple[Literal["split", "link"], str], ...] = (("split", taken), ("link", put))
    for kind, other in said:
        told = "\0".join([connection.account_key, key, kind, move.sender, other, str(at)])
        id = f"d_{blake2b(told.encode(), digest_size=6).hexdigest()}"
        ends = (frozenset({move.sender}), frozenset({other}))
        records, others = ends if kind == "split" else (ends[0] | ends[1], frozenset())
        decision = Decision(
            id=id, kind=kind, records=records, others=others, at=at, author=author, reason=reason
        )
        enter_decision(c, runtime, decision)
        add_correction(c, account_pk, key, [id])
