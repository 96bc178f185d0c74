"""Entities: what the records mean, which of them are one thing, and who took part."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from bridge.journey.fold import Part, fold
from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.tables import (
    account,
    alias,
    entity,
    journey,
    member,
    node,
    participation,
    reference,
    unknown_word,
)

ENTITY_UPDATE = (
    "type",
    "entity_id",
    "body",
    "modified_at",
    "record_pk",
    "occurred_at",
    "deleted",
    "mapping",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store holds for one record's entity."""

    entity_id: str
    type: str
    modified_at: int | None
    record_pk: int
    body: bytes
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """
    One interaction, folded from every record that tells of it.

    `accounts` are the accounts that hold a record of it, `parts` its record keys as
    (account, stream, vendor id), `copies` what each record says where there are several.
    """

    entity_id: str
    body: Mapping[str, Any]
    accounts: frozenset[int]
    parts: tuple[tuple[int, str, str], ...]
    node_keys: tuple[str, ...]
    copies: tuple[Part, ...] = ()


def load_known(
    c: Connection, account_pk: int, stream: str, ext_ids: Sequence[str]
) -> dict[tuple[str, int], Known]:
    """Return the stored entities of these records by (vendor id, part)."""
    found: dict[tuple[str, int], Known] = {}
    columns = (
        entity.c.ext_id,
        entity.c.part,
        entity.c.entity_id,
        entity.c.type,
        entity.c.modified_at,
        entity.c.record_pk,
        entity.c.body,
        entity.c.deleted,
    )
    query = select(*columns).where(
        entity.c.account_pk == account_pk, entity.c.stream == stream, among(entity.c.ext_id, ext_ids)
    )
    for row in c.execute(query):
        found[row.ext_id, row.part] = Known(
            entity_id=row.entity_id,
            type=row.type,
            modified_at=row.modified_at,
            record_pk=row.record_pk,
            body=row.body,
            deleted=row.deleted,
        )
    return found


def load_aliases(c: Connection, keys: Iterable[str]) -> dict[str, str]:
    """Return the entity ids (or surviving node keys) behind these keys, as far as known."""
    query = select(alias.c.key, alias.c.entity_id).where(among(alias.c.key, keys))
    return dict(c.execute(query).all())


def pushed_among(c: Connection, entity_ids: Iterable[str]) -> set[str]:
    """Return those of the entities that already stand in an entry of some destination."""
    query = select(member.c.entity_id).where(among(member.c.entity_id, entity_ids))
    return set(c.execute(query).scalars())


def save_entities(
    c: Connection, rows: Sequence[Mapping[str, Any]], aliases: Sequence[Mapping[str, Any]]
) -> None:
    """Write entities under their record keys and the keys that say what is the same thing."""
    upsert(c, entity, rows, conflict=["account_pk", "stream", "ext_id", "part"], update=ENTITY_UPDATE)
    upsert(c, alias, aliases, conflict=["key"], update=["entity_id"])


def save_marked(c: Connection, aliases: Mapping[str, str]) -> None:
    """Note which entity carries a marker; the first to be seen with it stays."""
    rows = [{"key": key, "entity_id": entity_id} for key, entity_id in aliases.items()]
    upsert(c, alias, rows, conflict=["key"])


def move_entity(c: Connection, old: str, new: str) -> None:
    """Fold entity `old` into `new`: every record, key, participant and place in an entry of it follows."""
    c.execute(update(entity).where(entity.c.entity_id == old).values(entity_id=new))
    c.execute(update(alias).where(alias.c.entity_id == old).values(entity_id=new))
    upsert(c, alias, [{"key": f"id:{old}", "entity_id": new}], conflict=["key"], update=["entity_id"])
    rows = c.execute(select(participation).where(participation.c.entity_id == old)).all()
    save_participations(c, [{**row._mapping, "entity_id": new} for row in rows])
    c.execute(delete(participation).where(participation.c.entity_id == old))
    told = select(member.c.account_pk).where(member.c.entity_id == new)
    c.execute(
        update(member)
        .where(member.c.entity_id == old, member.c.account_pk.not_in(told))
        .values(entity_id=new)
    )


def former_ids(c: Connection, entity_ids: Iterable[str]) -> dict[str, str]:
    """Return the ids that were folded into these, each with the one it is now."""
    query = select(alias.c.key, alias.c.entity_id).where(
        among(alias.c.entity_id, entity_ids), alias.c.key >= "id:", alias.c.key < "id;"
    )
    return {key.removeprefix("id:"): entity_id for key, entity_id in c.execute(query)}


def move_alias(c: Connection, old: str, new: str) -> None:
    """Let every key that led to `old` lead to `new`."""
    c.execute(update(alias).where(alias.c.entity_id == old).values(entity_id=new))


def first_record(c: Connection, entity_id: str) -> int | None:
    """Return the first record to come of those that tell of a thing."""
    query = select(func.min(entity.c.record_pk)).where(
        entity.c.entity_id == entity_id, entity.c.deleted.is_(False)
    )
    return c.execute(query).scalar()


def forget_participants(c: Connection, pairs: Iterable[tuple[str, str]]) -> None:
    """Take nodes out of interactions."""
    rows = [{"e": entity_id, "n": node_key} for entity_id, node_key in sorted(pairs)]
    if rows:
        c.execute(_FORGET, rows)


_FORGET = delete(participation).where(
    participation.c.entity_id == bindparam("e"), participation.c.node_key == bindparam("n")
)


def forget_nodes(c: Connection, node_keys: Iterable[str]) -> None:
    """Take these nodes out of every interaction."""
    c.execute(delete(participation).where(among(participation.c.node_key, node_keys)))


def save_participations(c: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note who took part in what."""
    upsert(c, participation, rows, conflict=["entity_id", "node_key"], update=["occurred_at"])


def save_references(c: Connection, account_pk: int, rows: Mapping[str, Sequence[str]]) -> None:
    """Replace what each record (`from`) refers to; used for the deals of a contact."""
    c.execute(
        delete(reference).where(reference.c.account_pk == account_pk, among(reference.c.from_ref, rows))
    )
    found = [
        {"account_pk": account_pk, "to_ref": to_ref, "from_ref": from_ref}
        for from_ref, refs in rows.items()
        for to_ref in set(refs)
    ]
    upsert(c, reference, found, conflict=["account_pk", "to_ref", "from_ref"])


def referring(
    c: Connection, account_pk: int, to_refs: Iterable[str], stream: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the entities of `stream` that refer to each of these records, such as the deals of contacts."""
    pairs = select(reference.c.to_ref, reference.c.from_ref).where(
        reference.c.account_pk == account_pk, among(reference.c.to_ref, to_refs)
    )
    start = f"{stream}/"
    refs = [(to, one.removeprefix(start)) for to, one in c.execute(pairs) if one.startswith(start)]
    query = select(entity.c.ext_id, entity.c.body).where(
        entity.c.account_pk == account_pk,
        entity.c.stream == stream,
        among(entity.c.ext_id, {ext_id for _, ext_id in refs}),
        entity.c.deleted.is_(False),
    )
    there = (
        {row.ext_id: {"id": row.ext_id, **orjson.loads(row.body)} for row in c.execute(query)} if refs else {}
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for to, ext_id in sorted(refs):
        if ext_id in there:
            found.setdefault(to, []).append(there[ext_id])
    return found


def entities_at(c: Connection, account_pk: int, refs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the entities of an account by reference (`stream/id`)."""
    found: dict[str, dict[str, Any]] = {}
    pairs = sorted({(ref.split("/", 1)[0], ref.split("/", 1)[1]) for ref in refs if "/" in ref})
    for start in range(0, len(pairs), 200):
        query = select(entity.c.stream, entity.c.ext_id, entity.c.body).where(
            entity.c.account_pk == account_pk,
            tuple_(entity.c.stream, entity.c.ext_id).in_(pairs[start : start + 200]),
            entity.c.deleted.is_(False),
        )
        for row in c.execute(query):
            found[f"{row.stream}/{row.ext_id}"] = orjson.loads(row.body)
    return found


def entities_of_type(c: Connection, kind: str) -> list[dict[str, Any]]:
    """Return every entity of a type that has few of them (users, pipelines), with its account and reference."""
    query = select(entity.c.account_pk, entity.c.stream, entity.c.ext_id, entity.c.body).where(
        entity.c.type == kind, entity.c.deleted.is_(False)
    )
    return [
        {"account_pk": row.account_pk, "ref": f"{row.stream}/{row.ext_id}", **orjson.loads(row.body)}
        for row in c.execute(query)
    ]


def active_among(c: Connection, person_ids: Iterable[str]) -> set[str]:
    """Return those of the people who took part in any interaction."""
    query = (
        select(node.c.person_id)
        .distinct()
        .join(participation, participation.c.node_key == node.c.key)
        .where(among(node.c.person_id, person_ids))
    )
    return set(c.execute(query).scalars())


def with_journeys(c: Connection, person_ids: Collection[str]) -> set[str]:
    """Return those of the people who took part in any interaction, or did when their journey was last summarised."""
    if not person_ids:
        return set()
    query = select(journey.c.person_id).where(among(journey.c.person_id, person_ids))
    return active_among(c, person_ids) | set(c.execute(query).scalars())


def people_in(c: Connection, account_pk: int, keys: Iterable[str]) -> set[str]:
    """Return the people who took part in what stands in these entries of a destination."""
    query = (
        select(node.c.person_id)
        .distinct()
        .join(participation, participation.c.node_key == node.c.key)
        .join(member, member.c.entity_id == participation.c.entity_id)
        .where(member.c.account_pk == account_pk, among(member.c.key, keys))
    )
    return set(c.execute(query).scalars())


def taken_part(c: Connection, node_keys: Iterable[str]) -> dict[str, set[str]]:
    """Return the interactions in which each of these nodes took part."""
    found: dict[str, set[str]] = {}
    query = select(participation.c.entity_id, participation.c.node_key)
    for row in c.execute(query.where(among(participation.c.node_key, node_keys))):
        found.setdefault(row.node_key, set()).add(row.entity_id)
    return found


def records_of(c: Connection, entity_ids: Iterable[str]) -> set[int]:
    """Return the newest records that tell of these things."""
    query = select(entity.c.record_pk).where(
        among(entity.c.entity_id, entity_ids), entity.c.deleted.is_(False)
    )
    return set(c.execute(query).scalars())


def people_of(c: Connection, entity_ids: Iterable[str]) -> set[str]:
    """Return the people who took part in these interactions."""
    query = (
        select(node.c.person_id)
        .distinct()
        .join(participation, participation.c.node_key == node.c.key)
        .where(among(participation.c.entity_id, entity_ids))
    )
    return set(c.execute(query).scalars())


def partners(c: Connection, entity_ids: Iterable[str]) -> dict[str, set[str]]:
    """Return the keys of all nodes that took part in each of these interactions."""
    found: dict[str, set[str]] = {}
    query = select(participation.c.entity_id, participation.c.node_key)
    for entity_id, node_key in c.execute(query.where(among(participation.c.entity_id, entity_ids))).all():
        found.setdefault(entity_id, set()).add(node_key)
    return found


def load_interactions(c: Connection, node_keys: Iterable[str]) -> dict[str, Interaction]:
    """Return the interactions in which any of these nodes took part, folded, by entity id."""
    nodes_by_entity: dict[str, list[str]] = {}
    query = select(participation.c.entity_id, participation.c.node_key).where(
        among(participation.c.node_key, node_keys)
    )
    for entity_id, node_key in c.execute(query).all():
        nodes_by_entity.setdefault(entity_id, []).append(node_key)
    return load_entities(c, nodes_by_entity)


def load_entities(c: Connection, nodes_by_entity: Mapping[str, Sequence[str]]) -> dict[str, Interaction]:
    """Return these interactions, folded from all their records."""
    parts: dict[str, list[Any]] = {}
    query = select(
        entity.c.entity_id,
        entity.c.type,
        entity.c.account_pk,
        entity.c.stream,
        entity.c.ext_id,
        entity.c.part,
        entity.c.body,
    )
    where = (among(entity.c.entity_id, nodes_by_entity), entity.c.deleted.is_(False))
    # asked for its type as well, SQLite would take the index of types and walk over every interaction there is
    for entity_id, kind, *row in c.execute(query.where(*where)).all():
        if kind == "interaction":
            parts.setdefault(entity_id, []).append(row)
    names = {
        pk: f"{connector}:{vendor_id}"
        for pk, connector, vendor_id in c.execute(
            select(account.c.pk, account.c.connector, account.c.vendor_id)
        ).all()
    }
    return {
        entity_id: _folded(entity_id, rows, nodes_by_entity[entity_id], names)
        for entity_id, rows in parts.items()
    }


def _folded(
    entity_id: str, rows: Sequence[Any], node_keys: Sequence[str], accounts: Mapping[int, str]
) -> Interaction:
    """Fold the rows of one interaction; records are known by `connector:account:stream:id:part`, in every store."""
    copies = [
        Part(record_key=f"{accounts[account_pk]}:{stream}:{ext_id}:{part}", entity=orjson.loads(body))
        for account_pk, stream, ext_id, part, body in rows
    ]
    return Interaction(
        entity_id=entity_id,
        body=fold(copies),
        accounts=frozenset([row[0] for row in rows]),
        parts=tuple(sorted([(row[0], row[1], row[2]) for row in rows])),
        node_keys=tuple(sorted(node_keys)),
        copies=tuple(copies) if len(copies) > 1 else (),
    )


def count_unknown_words(
    c: Connection, connector: str, stream: str, words: Mapping[tuple[str, str], int]
) -> None:
    """Add to the counts of vendor words that no rule of a mapping knows."""
    for (field, word), seen in words.items():
        where = (
            unknown_word.c.connector == connector,
            unknown_word.c.stream == stream,
            unknown_word.c.field == field,
            unknown_word.c.word == word,
        )
        found = c.execute(update(unknown_word).where(*where).values(seen=unknown_word.c.seen + seen))
        if not found.rowcount:
            c.execute(
                unknown_word.insert().values(
                    connector=connector, stream=stream, field=field, word=word, seen=seen
                )
            )
