"""Which interaction stands in which entry of a destination."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, select

from bridge.store.among import among
from bridge.store.database import upsert
from bridge.store.tables import member


def save_members(c: Connection, account_pk: int, claimed: Mapping[str, Iterable[str]]) -> None:
    """Claim interactions for entries, by key; one that stands in another entry stays there."""
    rows = [
        {"account_pk": account_pk, "entity_id": entity_id, "key": key}
        for key, entity_ids in claimed.items()
        for entity_id in entity_ids
    ]
    upsert(c, member, rows, conflict=["account_pk", "entity_id"])


def release_members(c: Connection, account_pk: int, keys: Iterable[str]) -> None:
    """Let go of the interactions in these entries, so that others may take them in."""
    c.execute(delete(member).where(member.c.account_pk == account_pk, among(member.c.key, keys)))


def swap_members(c: Connection, account_pk: int, pairs: Mapping[str, str]) -> None:
    """Let the two interactions of each pair stand in each other's entry."""
    keys = entries_of(c, account_pk, {*pairs, *pairs.values()})
    rows = [
        {"account_pk": account_pk, "entity_id": one, "key": keys[other]}
        for pair in pairs.items()
        for one, other in (pair, reversed(pair))
    ]
    upsert(c, member, rows, conflict=["account_pk", "entity_id"], update=["key"])


def entries_of(c: Connection, account_pk: int, entity_ids: Iterable[str]) -> dict[str, str]:
    """Return the key of the entry each interaction stands in, or is about to."""
    query = select(member.c.entity_id, member.c.key).where(
        member.c.account_pk == account_pk, among(member.c.entity_id, entity_ids)
    )
    return {row.entity_id: row.key for row in c.execute(query).all()}


def members_of(c: Connection, account_pk: int, keys: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the interactions that stand in each entry."""
    query = select(member.c.key, member.c.entity_id).where(
        member.c.account_pk == account_pk, among(member.c.key, keys)
    )
    found: dict[str, set[str]] = {}
    for key, entity_id in c.execute(query).all():
        found.setdefault(key, set()).add(entity_id)
    return {key: frozenset(ids) for key, ids in found.items()}
