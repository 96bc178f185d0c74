"""What stands in a CRM under one of our markers and is not in the books: an older store wrote it, before a backup."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import orjson
from sqlalchemy import Connection as Transaction
from sqlalchemy import and_, delete, func, select, update

from bridge.store import entities, looks, people
from bridge.store import ledger as books
from bridge.store.among import among
from bridge.store.database import instant
from bridge.store.members import save_members
from bridge.store.tables import SKIPPED, alias, entity, participation, record
from bridge.sync.delivery.entries import link_key
from bridge.sync.delivery.plan_values import Action, Standing
from bridge.sync.intake.interpret import OURS
from bridge.sync.intake.marks import alias_of
from bridge.sync.runtime import JOURNEY, Connection, Runtime


def any_standing(c: Transaction, account_key: str) -> bool:
    """Tell whether an account holds anything with a marker that the books do not know."""
    start = alias_of(account_key, "")
    query = select(alias.c.key).where(alias.c.key > start, alias.c.key < start + "~").limit(1)
    return c.execute(query).first() is not None


def older_until(c: Transaction, connection: Connection) -> datetime | None:
    """Return when the last of what an older store wrote came to be known, None where nothing of it was found."""
    start = alias_of(connection.account_key, "")
    here = (record.c.account_pk, record.c.stream, record.c.ext_id)
    first = (
        select(func.min(record.c.received_at).label("at"))
        .join(entity, and_(*(getattr(entity.c, one.name) == one for one in here)))
        .join(alias, alias.c.entity_id == entity.c.entity_id)
        .where(alias.c.key > start, alias.c.key < start + "~", entity.c.account_pk == connection.account_pk)
        .group_by(*here)
        .subquery()
    )
    return instant(c.execute(select(func.max(first.c.at))).scalar())


def standing(c: Transaction, connection: Connection, keys: Iterable[str]) -> dict[str, Standing]:
    """Return what stands in a CRM under these markers without being in the books."""
    mark_of = {alias_of(connection.account_key, key): key for key in keys}
    names = {found: mark_of[name] for name, found in entities.load_aliases(c, mark_of).items()}
    query = select(entity.c.entity_id, entity.c.stream, entity.c.ext_id, entity.c.body).where(
        among(entity.c.entity_id, names),
        entity.c.account_pk == connection.account_pk,
        entity.c.deleted.is_(False),
    )
    start = f"{connection.spec.contact_stream}/"
    found: dict[str, Standing] = {}
    for row in c.execute(query.order_by(entity.c.pk.desc())):
        body = orjson.loads(row.body)
        refs = body.get("contact_refs", ())
        found[names[row.entity_id]] = Standing(
            key=names[row.entity_id],
            entity_id=row.entity_id,
            stream=row.stream,
            ext_id=row.ext_id,
            contacts=tuple(ref.removeprefix(start) for ref in refs if ref.startswith(start)),
            text=body.get("body_full") or body.get("body_text") or "",
        )
    return found


def file_standing(
    c: Transaction, runtime: Runtime, connection: Connection, action: Action, left: Standing
) -> None:
    """Enter into the books that an entry or a task stands in the CRM, on the contacts it is on there."""
    assert connection.account_pk is not None
    books.file_found(
        c,
        connection.account_pk,
        key=left.key,
        slot=action.slot,
        stream=left.stream,
        ext_id=left.ext_id,
        contact_ids=left.contacts,
        linked={link_key(connection.account_key, left.key, one): one for one in left.contacts[1:]},
        person_id=action.person_id,
        mapping=connection.mapping.digest,
        now=runtime.clock(),
    )


def take_over(c: Transaction, runtime: Runtime, connection: Connection, action: Action) -> None:
    """
    Enter what an older store left in the CRM into the books, with the interactions it holds.

    An entry is taken out of the journeys, where it was taken for somebody else's.
    """
    account_pk, left = connection.account_pk, action.standing
    assert account_pk is not None and left is not None
    file_standing(c, runtime, connection, action, left)
    save_members(c, account_pk, {left.key: action.entity_ids})
    if action.told is not None:
        books.refile(
            c,
            account_pk,
            left.key,
            fields={change.field: change.after for change in action.changes},
            as_read={change.field: change.before for change in action.changes},
            told=action.told,
            entity_ids=(),
            now=runtime.clock(),
        )
    nodes = entities.partners(c, [left.entity_id]).get(left.entity_id, set())
    looks.touch(c, JOURNEY, set(people.persons_at(c, nodes).values()), runtime.sequence())
    c.execute(delete(participation).where(participation.c.entity_id == left.entity_id))
    for table, values in ((entity, {"deleted": True}), (record, {"state": SKIPPED, "rule": OURS})):
        same = (
            table.c.account_pk == account_pk,
            table.c.stream == left.stream,
            table.c.ext_id == left.ext_id,
        )
        c.execute(update(table).where(*same).values(**values))
