"""Entering what a page of records does into the store, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection as Transaction
from sqlalchemy import select, update

from bridge.journey.handles import Handle
from bridge.store import collected, entities, looks, people, rejects
from bridge.store import ledger as books
from bridge.store.collected import Stored
from bridge.store.decisions import hand_on_decisions
from bridge.store.holds import DELETED, add_holds
from bridge.store.tables import MAPPED, REJECTED, SKIPPED, entity, record
from bridge.store.traces import add_mentions
from bridge.sync.delivery.apart import kept_apart
from bridge.sync.delivery.corrections import correct, sight
from bridge.sync.delivery.plan_values import Action
from bridge.sync.identity.identify import USED, identify, tied
from bridge.sync.intake.interpret import Refused
from bridge.sync.intake.page import Change, Removal, tombstone
from bridge.sync.runtime import JOURNEY, Connection, Runtime

SUPERSEDED = "replaced by a newer version"


def enter(c: Transaction, runtime: Runtime, connection: Connection, change: Change) -> None:
    """Write the entities, who took part, who is who, and what became of each record."""
    account_pk = connection.account_pk
    assert account_pk is not None
    now = runtime.clock()
    for old, new in change.moves.items():
        entities.move_entity(c, old, new)
    _index_former(c, runtime, connection, change)
    made = _made_of_ours(c, connection, change)
    used: dict[str, set[str]] = {}
    for loser, winner in change.merged.items():
        change.aliases[f"merged:{loser}"] = winner
        used.setdefault(winner, set()).update(_used_for(c, connection, loser))
        _follow_merge(c, connection, loser, winner)
    for removal in change.removed:
        _remove(c, connection, removal)
    _keep_removed(c, connection, change, now)
    sight(c, runtime, connection, change.ours)
    for key in sorted(change.vanished):
        people.hand_on_founder(c, key)
        people.remove_node(c, key)
    aliases = [{"key": key, "entity_id": entity_id} for key, entity_id in change.aliases.items()]
    entities.save_entities(c, change.rows, aliases)
    entities.save_marked(c, change.marked)
    entities.forget_participants(c, change.lost.pairs)
    entities.save_participations(
        c,
        [
            {"entity_id": entity_id, "node_key": node_key, "occurred_at": at}
            for (entity_id, node_key), at in change.participations.items()
        ],
    )
    if change.references:
        entities.save_references(c, account_pk, change.references)
    change.identity.save(c, now)
    _offer_freed(c, runtime, account_pk, change)
    _go_on_using(c, runtime, used, made)
    collected.set_states(c, [(pk, state, rule) for pk, (state, rule) in change.states.items()])
    collected.resolve_again(c, change.again)
    for stored, refused in change.refused:
        rejects.save(c, _reject(connection, stored, refused), now)
    for pk, named in change.named.items():
        add_mentions(c, named, "record", [pk])
    _close_rejects(c, change)
    person_of = change.identity.person_of
    active = {person_of[key] for _, key in change.participations if key in person_of}
    others = entities.with_journeys(c, change.touched - active)
    looks.touch(c, JOURNEY, active | others, runtime.sequence())
    entities.count_unknown_words(c, connection.spec.name, "", change.words)


def _close_rejects(c: Transaction, change: Change) -> None:
    """Close the rejects of records that went through, and of older versions of them."""
    rejects.close_for_records(c, [pk for pk, (state, _) in change.states.items() if state != REJECTED])
    through = [pk for pk, (state, _) in change.states.items() if state == MAPPED]
    older = rejects.close_older(c, through)
    collected.set_states(c, [(pk, SKIPPED, SUPERSEDED) for pk in older])


def _index_former(c: Transaction, runtime: Runtime, connection: Connection, change: Change) -> None:
    """Keep contacts findable under handles that they lose now: their older records still name them."""
    start = f"{connection.account_key}:"
    for key, values in change.identity.former.items():
        stream, _, ext_id = key.removeprefix(start).partition(":")
        query = select(record.c.pk).where(
            record.c.account_pk == connection.account_pk,
            record.c.stream == stream,
            record.c.ext_id == ext_id,
        )
        records = c.execute(query).scalars().all()
        add_mentions(c, runtime.traces.of_handles(values), "record", records)


def _remove(c: Transaction, connection: Connection, removal: Removal) -> None:
    """Mark the entities of an object that stands no more; a contact that is gone carries no handles any more."""
    stream, ext_id = removal.place
    marked = update(entity).where(
        entity.c.account_pk == connection.account_pk, entity.c.stream == stream, entity.c.ext_id == ext_id
    )
    gone = {"deleted": True, "modified_at": removal.at, "record_pk": removal.stored.pk}
    if removal.parts is not None:
        c.execute(marked.where(entity.c.part.in_(removal.parts)).values(**gone))
        return
    if not c.execute(marked.values(**gone)).rowcount:
        entities.save_entities(c, [tombstone(connection, removal)], [])
    key = connection.node_key(stream, ext_id)
    people.hand_on_founder(c, key)
    people.remove_node(c, key)


def _keep_removed(c: Transaction, connection: Connection, change: Change, now: datetime) -> None:
    """Take an entry of ours that somebody deleted for their decision: it is not written again."""
    assert connection.account_pk is not None
    gone: dict[str, list[str]] = {}
    for removal in change.removed:
        if removal.parts is None and removal.stored.record.deleted:
            gone.setdefault(removal.place[0], []).append(removal.place[1])
    for stream, ext_ids in gone.items():
        keys = books.entries_at(c, connection.account_pk, stream, ext_ids).values()
        add_holds(c, connection.account_pk, keys, DELETED, now)


def _follow_merge(c: Transaction, connection: Connection, loser: str, winner: str) -> None:
    """Move what was filed under a contact that its CRM merged into another."""
    account_pk = connection.account_pk
    assert account_pk is not None
    start = f"{connection.account_key}:"
    loser_id, winner_id = (key.removeprefix(start).partition(":")[2] for key in (loser, winner))
    people.remove_node(c, loser)
    books.follow_merge(c, account_pk, connection.spec.contact_stream, loser_id, winner_id)
    people.move_founder(c, loser, winner)
    hand_on_decisions(c, loser, winner)
    entities.move_alias(c, loser, winner)


def enter_merge(c: Transaction, runtime: Runtime, connection: Connection, action: Action) -> None:
    """
    Enter that a contact was merged into another, which its CRM shows by what stood on it and does not tell.

    Those for whom it was used go on with the other. Whoever a decision kept apart from that one is it by the word of
    whom merged them, which is newer. The identity lock is held.
    """
    there = action.standing
    assert there is not None
    (lost,), heir = there.lost, there.heir
    if action.correction is not None and kept_apart(c, connection, {action.person_id: [heir]}):
        correct(c, runtime, connection, action)
        return
    account_pk, stream = connection.account_pk, connection.spec.contact_stream
    assert account_pk is not None
    loser, winner = connection.node_key(stream, lost), connection.node_key(stream, heir)
    if not people.load_nodes(c, [winner]):
        return
    used = _used_for(c, connection, loser)
    change = identify(c, {}, runtime.rules, gone=frozenset({loser}), merged={loser: winner})
    _follow_merge(c, connection, loser, winner)
    entities.save_entities(c, [], [{"key": f"merged:{loser}", "entity_id": winner}])
    change.save(c, runtime.clock())
    looks.touch(c, JOURNEY, change.touched, runtime.sequence())
    _go_on_using(c, runtime, {winner: used}, frozenset())


def _made_of_ours(c: Transaction, connection: Connection, change: Change) -> frozenset[str]:
    """
    Return the contacts that came of merging several of our making under a new id, and file them as ours.

    Like those they were merged from they yield to a contact that the company made itself.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    before = entities.load_aliases(c, [f"merged:{loser}" for loser in change.merged])
    fresh: dict[str, list[str]] = {}
    for loser, winner in change.merged.items():
        if f"merged:{loser}" not in before:
            fresh.setdefault(winner, []).append(loser)
    known = people.load_nodes(c, fresh)
    found = set()
    for winner, losers in fresh.items():
        winner_id, *ids = (key.rpartition(":")[2] for key in (winner, *losers))
        stream = connection.spec.contact_stream
        made = books.made_contacts(c, account_pk, stream, ids)
        if winner not in known and len(ids) > 1 and len(made) == len(ids):
            books.become(c, account_pk, ids, winner_id)
            found.add(winner)
    return frozenset(found)


def _used_for(c: Transaction, connection: Connection, contact: str) -> set[str]:
    """Return the keys that tie those to a contact for whom it was made or used, also once it is gone."""
    assert connection.account_pk is not None
    known = people.load_nodes(c, [contact]).get(contact)
    ties = {handle.value for handle, made in known.handles.values() if made} if known else set()
    ext_id = contact.removeprefix(connection.node_key(connection.spec.contact_stream, ""))
    return ties | books.keys_of_contact(c, connection.account_pk, ext_id)


def _go_on_using(
    c: Transaction, runtime: Runtime, used: Mapping[str, set[str]], made: Collection[str]
) -> None:
    """
    Tie those for whom we used a contact to the one that its CRM merged it into; `made` are still of our making.

    That one may not carry their number: without a tie they would get a contact anew.
    """
    for winner, values in used.items():
        contact = people.load_nodes(c, [winner]).get(winner) if values else None
        if contact is None:
            continue
        scope = f"crmbridge:{winner.rpartition(':')[0].rpartition(':')[0]}"
        kind = "external" if winner in made else USED
        ties = [Handle(kind=kind, value=one, scope=scope, strength="certain") for one in sorted(values)]
        keys = {handle._replace(kind=one).key for handle in ties for one in (USED, "external")}
        senders = people.load_nodes(c, people.carriers(c, keys) - {winner})
        nodes = [contact, *(one for one in senders.values() if one.contact_of is None)]
        found = identify(c, {one.key: tied(one, ties) for one in nodes}, runtime.rules)
        found.save(c, runtime.clock())
        looks.touch(c, JOURNEY, found.touched, runtime.sequence())


def _offer_freed(c: Transaction, runtime: Runtime, account_pk: int, change: Change) -> None:
    """Look again at whoever writes from an address that a contact lost: it was left to that one until now."""
    freed = {key for _, key in change.identity.dropped if key.startswith("email:")}
    if freed:
        people_now = people.persons_at(c, people.carriers(c, freed)).values()
        looks.touch(c, account_pk, set(people_now), runtime.sequence())


def _reject(connection: Connection, stored: Stored, refused: Refused) -> rejects.Reject:
    return rejects.Reject(
        step="map",
        connection=connection.name,
        account_pk=connection.account_pk,
        stream=stored.record.stream,
        ext_id=stored.record.id,
        record_pk=stored.pk,
        code=refused.code,
        message=refused.message,
        hint=refused.hint,
        field=refused.field,
        place=f"{connection.mapping.file}:{refused.line}" if refused.line else "",
    )
