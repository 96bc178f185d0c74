"""What a page of records does to the store, worked out and not yet written: what is one thing, and who is who."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection as Transaction

from bridge.journey.keys import entity_id as id_of_key
from bridge.store import entities, people
from bridge.store.collected import Stored
from bridge.store.database import dumps, micros
from bridge.store.entities import Known
from bridge.store.tables import MAPPED, REJECTED, SKIPPED
from bridge.sync.identity.identify import IdentityChange, Incoming, identify, newest_name
from bridge.sync.intake.interpret import OURS, Gone, Left, Meaning, Outcome, Reader, Refused
from bridge.sync.intake.marks import alias_of, read_marks, seen_as, taken_as
from bridge.sync.intake.resight import Lost, Sightings, resight, restate, sightings
from bridge.sync.intake.untold import newly_taken, untold_merges
from bridge.sync.runtime import Connection

Place = tuple[str, str]
"""A vendor's object in its account: stream and vendor id."""

Age = tuple[int, int]
"""How new a record is: when its vendor changed it (when it came, where nobody says), then the order of coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An object that stands no more: deleted at its source, or left out by a rule; `parts` None means all of it."""

    stored: Stored
    place: Place
    at: int
    parts: tuple[int, ...] | None = None


@dataclass(slots=True, kw_only=True)
class Change:
    """Everything that one page of records does to the store."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    marked: dict[str, str] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)
    participations: dict[tuple[str, str], int | None] = field(default_factory=dict)
    references: dict[str, list[str]] = field(default_factory=dict)
    states: dict[int, tuple[int, str | None]] = field(default_factory=dict)
    refused: list[tuple[Stored, Refused]] = field(default_factory=list)
    left: list[Stored] = field(default_factory=list)
    named: dict[int, set[bytes]] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    removed: list[Removal] = field(default_factory=list)
    ours: list[Meaning] = field(default_factory=list)
    existing: set[str] = field(default_factory=set)
    lost: Lost = field(default_factory=Lost)
    vanished: frozenset[str] = frozenset()
    again: frozenset[int] = frozenset()
    identity: IdentityChange = field(default_factory=IdentityChange)
    touched: set[str] = field(default_factory=set)
    words: Counter[tuple[str, str]] = field(default_factory=Counter)


def work_out(c: Transaction, reader: Reader, outcomes: Sequence[Outcome]) -> Change:
    """Return what these outcomes change; reads only, and holds as long as the identity lock is held."""
    connection = reader.connection
    change = Change()
    _set_states(outcomes, change)
    known = _load_known(c, connection, outcomes)
    meanings = _newest(outcomes, known, change)
    marks = read_marks(c, connection, meanings)
    for meaning in meanings:
        if marks.is_ours(meaning):
            change.states[meaning.stored.pk] = (SKIPPED, OURS)
            change.ours.append(meaning)
            _remove_known(meaning.stored, (meaning.stream, meaning.ext_id), known, change)
            for mark in marks.meant(meaning):
                change.marked[seen_as(connection.account_key, mark)] = f"{meaning.stream}/{meaning.ext_id}"
    meanings = [meaning for meaning in meanings if change.states[meaning.stored.pk][0] == MAPPED]
    aliases = entities.load_aliases(c, _alias_keys(meanings))
    incoming: dict[str, Incoming] = {}
    entity_ids: dict[tuple[int, int], str] = {}
    for meaning in meanings:
        before = known.get((meaning.stream, meaning.ext_id), {}).get(meaning.part)
        entity_id = _entity_id(c, connection, meaning, before, aliases, change)
        entity_ids[meaning.stored.pk, meaning.part] = entity_id
        change.rows.append(_row(connection, meaning, entity_id))
        if before is not None:
            known_id = change.moves.get(before.entity_id, before.entity_id)
            if (known_id, before.body) != (entity_id, change.rows[-1]["body"]):
                now = meaning if known_id == entity_id else None
                change.lost.compare(known_id, _said_before(reader, before), _said_now(now))
        if meaning.type == "deal":
            refs = meaning.body.get("contact_refs", ())
            change.references[f"{meaning.stream}/{meaning.ext_id}"] = list(refs)
        for node in meaning.nodes:
            if meaning.type != "contact":
                change.participations[entity_id, node.key] = meaning.occurred_at
            elif _follow_merges(node, aliases, change):
                continue
            incoming[node.key] = _joined(incoming.get(node.key), node)
        for key in meaning.contacts:
            change.participations[entity_id, key] = meaning.occurred_at
    for mark, meaning in marks.unknown(meanings) if connection.spec.contact_stream else ():
        entity_id = entity_ids[meaning.stored.pk, meaning.part]
        change.marked[alias_of(connection.account_key, mark)] = change.moves.get(entity_id, entity_id)
        before = known.get((meaning.stream, meaning.ext_id), {}).get(meaning.part)
        if meaning.type == "contact" and before is not None and mark.encode() not in before.body:
            change.marked[taken_as(connection.account_key, mark)] = connection.node_key(*_place(meaning))
    taken = newly_taken(connection, marks, meanings)
    change.aliases.update(taken)
    contacts = connection.spec.contact_stream
    deleted = {
        one.place[1] for one in change.removed if one.place[0] == contacts and one.stored.record.deleted
    }
    for loser, heir in untold_merges(c, connection, marks, taken, deleted, incoming.keys()).items():
        change.merged.setdefault(loser, heir)
    change.merged = {loser: _last(winner, change.merged) for loser, winner in change.merged.items()}
    for removal in change.removed:
        for part, one in known.get(removal.place, {}).items():
            if removal.parts is None or part in removal.parts:
                entity_id = change.moves.get(one.entity_id, one.entity_id)
                change.lost.compare(entity_id, _said_before(reader, one), Sightings())
                change.existing.add(one.entity_id)
    gone = {connection.node_key(*one.place) for one in change.removed if one.parts is None}
    gone = (gone - incoming.keys()) | change.merged.keys()
    change.lost.pairs = {(change.moves.get(one, one), key) for one, key in change.lost.pairs}
    if change.lost.pairs or change.lost.said:
        found = resight(c, change.lost, change.participations)
        change.vanished = found.gone
        gone |= found.gone
        change.again = found.records - change.states.keys()
        restate(c, found.anew, incoming)
    for key in gone:
        incoming.pop(key, None)
    change.identity = identify(c, incoming, reader.rules, gone=frozenset(gone), merged=change.merged)
    change.touched = change.identity.touched | _people_of(c, change)
    return change


def _said_before(reader: Reader, known: Known) -> Sightings:
    """Return what a record said of people in the version that the store holds."""
    if known.deleted or known.type != "interaction":
        return Sightings()
    body = orjson.loads(known.body)
    return sightings(reader.senders(body), reader.contacts(body))


def _said_now(meaning: Meaning | None) -> Sightings:
    if meaning is None or meaning.type != "interaction":
        return Sightings()
    return sightings(meaning.nodes, meaning.contacts)


def _set_states(outcomes: Sequence[Outcome], change: Change) -> None:
    """Say what became of each record: refused as soon as any part of it is, left out only if all of it is."""
    for outcome in outcomes:
        if isinstance(outcome, (Meaning, Gone)):
            change.states[outcome.stored.pk] = (MAPPED, None)
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            change.states[outcome.stored.pk] = (REJECTED, None)
            change.refused.append((outcome.stored, outcome))
        elif isinstance(outcome, Left):
            change.states.setdefault(outcome.stored.pk, (SKIPPED, outcome.rule))
            change.left.append(outcome.stored)


def _place(outcome: Outcome) -> Place:
    if isinstance(outcome, Meaning):
        return outcome.stream, outcome.ext_id
    return outcome.stored.record.stream, outcome.stored.record.id


def _age(outcome: Outcome) -> Age:
    at = outcome.modified_at if isinstance(outcome, Meaning) else _changed_at(outcome.stored)
    return at, outcome.stored.pk


def _changed_at(stored: Stored) -> int:
    at = micros(stored.record.modified_at)
    return stored.received_at if at is None else at


def _load_known(
    c: Transaction, connection: Connection, outcomes: Sequence[Outcome]
) -> dict[Place, dict[int, Known]]:
    """Return what the store holds at the places that the outcomes speak of, by part."""
    assert connection.account_pk is not None
    ids: dict[str, set[str]] = {}
    for outcome in outcomes:
        stream, ext_id = _place(outcome)
        ids.setdefault(stream, set()).add(ext_id)
    found: dict[Place, dict[int, Known]] = {}
    for stream, some in ids.items():
        loaded = entities.load_known(c, connection.account_pk, stream, sorted(some))
        for (ext_id, part), one in loaded.items():
            found.setdefault((stream, ext_id), {})[part] = one
    return found


def _newest(
    outcomes: Sequence[Outcome], known: Mapping[Place, Mapping[int, Known]], change: Change
) -> list[Meaning]:
    """
    Return what the newest record of each place says, where it is newer than what the store holds.

    An older version changes nothing, in whichever order they come; a deletion is a version too.
    """
    ages: dict[Place, Age] = {
        place: max((one.modified_at or 0, one.record_pk) for one in parts.values())
        for place, parts in known.items()
    }
    speaking = [
        (_place(one), _age(one), one) for one in outcomes if change.states[one.stored.pk][0] != REJECTED
    ]
    for place, age, _ in speaking:
        if age > ages.get(place, (0, 0)):
            ages[place] = age
    newest = [(place, one) for place, age, one in speaking if age == ages.get(place)]
    said: dict[Place, set[int]] = {}
    last: dict[Place, Meaning] = {}
    for place, one in newest:
        if isinstance(one, Meaning):
            said.setdefault(place, set()).add(one.part)
            last[place] = one
    for place, one in newest:
        if isinstance(one, Gone):
            change.removed.append(Removal(stored=one.stored, place=place, at=_age(one)[0]))
        elif isinstance(one, Left) and place not in said:
            _remove_known(one.stored, place, known, change)
    for place, meaning in last.items():
        behind = known.get(place, {}).keys() - said[place]
        if behind:
            change.removed.append(
                Removal(stored=meaning.stored, place=place, at=_age(meaning)[0], parts=tuple(sorted(behind)))
            )
    return [one for _, one in newest if isinstance(one, Meaning)]


def _remove_known(
    stored: Stored, place: Place, known: Mapping[Place, Mapping[int, Known]], change: Change
) -> None:
    if place in known:
        change.removed.append(Removal(stored=stored, place=place, at=_changed_at(stored)))


def _alias_keys(meanings: Sequence[Meaning]) -> set[str]:
    keys = {key for meaning in meanings for key in meaning.keys}
    contacts = (meaning for meaning in meanings if meaning.type == "contact")
    return keys | {f"merged:{node.key}" for meaning in contacts for node in meaning.nodes}


def _follow_merges(node: Incoming, aliases: Mapping[str, str], change: Change) -> bool:
    """Note the contacts that a contact absorbed; True when it was itself absorbed by another."""
    survivor = aliases.get(f"merged:{node.key}")
    for loser in node.aliases:
        if loser not in (survivor, node.key):
            change.merged[loser] = survivor or node.key
    return survivor is not None


def _last(winner: str, merged: Mapping[str, str]) -> str:
    """Return the contact at the end of a chain of merges."""
    seen = {winner}
    while (following := merged.get(winner)) is not None and following not in seen:
        seen.add(following)
        winner = following
    return winner


def _entity_id(
    c: Transaction,
    connection: Connection,
    meaning: Meaning,
    before: Known | None,
    known: dict[str, str],
    change: Change,
) -> str:
    """
    Return the id of the thing a record speaks of, folding into one what its keys show to be one.

    The id that already stands in a CRM survives; else the least, so that order does not matter. A record
    whose keys were changed, as by another mapping, keeps its id: what was written for it stands.
    """
    own_key = f"record:{connection.node_key(meaning.stream, meaning.ext_id)}:{meaning.part}"
    expected = id_of_key(min(meaning.keys, default=own_key))
    found = {known[key] for key in meaning.keys if key in known}
    if before is not None and before.entity_id not in {*found, expected} and _is_its_own(c, before):
        found.add(change.moves.get(before.entity_id, before.entity_id))
    if not found:
        chosen = expected
    elif len(found) == 1:
        (chosen,) = found
    else:
        chosen = min(entities.pushed_among(c, found) or found)
        _fold(found - {chosen}, chosen, known, change)
    if meaning.type == "interaction":
        change.existing |= found
    for key in meaning.keys:
        known[key] = chosen
        change.aliases[key] = chosen
    return chosen


def _is_its_own(c: Transaction, before: Known) -> bool:
    """Tell whether an id is a record's own: of those that share it, the first to come keeps it."""
    return entities.first_record(c, before.entity_id) == before.record_pk


def _fold(others: set[str], chosen: str, known: dict[str, str], change: Change) -> None:
    """Let one id stand for all of these, in what the page has come to so far as well."""
    change.moves.update(dict.fromkeys(others, chosen))
    change.moves = {old: chosen if new in others else new for old, new in change.moves.items()}
    for keys in (known, change.aliases):
        keys.update({key: chosen for key, value in keys.items() if value in others})
    for row in change.rows:
        if row["entity_id"] in others:
            row["entity_id"] = chosen
    change.participations = {
        (chosen if entity_id in others else entity_id, node_key): at
        for (entity_id, node_key), at in change.participations.items()
    }


def _row(connection: Connection, meaning: Meaning, entity_id: str) -> dict[str, Any]:
    return {
        "account_pk": connection.account_pk,
        "stream": meaning.stream,
        "ext_id": meaning.ext_id,
        "part": meaning.part,
        "type": meaning.type,
        "entity_id": entity_id,
        "body": meaning.written,
        "modified_at": meaning.modified_at,
        "record_pk": meaning.stored.pk,
        "occurred_at": meaning.occurred_at,
        "deleted": False,
        "mapping": connection.mapping.pull[meaning.stream].digest,
    }


def tombstone(connection: Connection, removal: Removal) -> dict[str, Any]:
    """Return the entity of an object that was deleted before anything else of it came, so that it stays deleted."""
    stream, ext_id = removal.place
    rule = connection.mapping.pull.get(stream)
    return {
        "account_pk": connection.account_pk,
        "stream": stream,
        "ext_id": ext_id,
        "part": 0,
        "type": rule.entity if rule else "unknown",
        "entity_id": id_of_key(f"record:{connection.node_key(stream, ext_id)}:0"),
        "body": dumps({}),
        "modified_at": removal.at,
        "record_pk": removal.stored.pk,
        "occurred_at": None,
        "deleted": True,
        "mapping": rule.digest if rule else "",
    }


def _joined(before: Incoming | None, now: Incoming) -> Incoming:
    """Return what a page says of one node: a contact's newest state, a sender's sightings together."""
    if before is None or now.contact_of is not None:
        return now
    name, name_at = newest_name((before.name, before.name_at), (now.name, now.name_at))
    return Incoming(
        key=now.key,
        handles=tuple(dict.fromkeys((*before.handles, *now.handles))),
        name=name,
        name_at=name_at,
        since=min(filter(None, (before.since, now.since)), default=None),
        legal=now.legal,
        claimed=(before.claimed | now.claimed) - _proven(before) - _proven(now),
        seen={**now.seen, **before.seen},
    )


def _proven(said: Incoming) -> set[str]:
    return {handle.key for handle in said.handles} - said.claimed


def _people_of(c: Transaction, change: Change) -> set[str]:
    """Return the people whose journeys the page's interactions belong to, or belonged to before."""
    keys = {node_key for _, node_key in (*change.participations, *change.lost.pairs)}
    if change.existing:
        keys |= {key for nodes in entities.partners(c, change.existing).values() for key in nodes}
    found = {change.identity.person_of[key] for key in keys if key in change.identity.person_of}
    others = keys - change.identity.person_of.keys()
    return found | set(people.persons_at(c, others).values()) if others else found
