"""The endpoints of Pipedrive's version 2 for records: list, read, create, change, delete."""

from __future__ import annotations

from collections.abc import Callable

from bridge_pipedrive.sandbox_account import Account
from bridge_pipedrive.sandbox_answers import Answer, Asked, not_found
from bridge_pipedrive.sandbox_kinds import KINDS, Kind
from bridge_pipedrive.sandbox_lists import cursor_list, presented
from bridge_pipedrive.sandbox_rows import Row
from bridge_pipedrive.sandbox_rules import draft

Endpoint = Callable[[Account, Asked], Answer]


def numbered(account: Account, asked: Asked, kind: Kind, *, deleted: bool | None = False) -> Row:
    """Return the record that a path names. Raises Refusal 404."""
    word = asked.words["id"]
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise not_found(kind.entity)
    return account.demand(kind, int(word), deleted=deleted)


def lister(kind: Kind, *, archived: bool = False) -> Endpoint:
    return lambda account, asked: cursor_list(account, asked, kind, archived=archived)


def reader(kind: Kind) -> Endpoint:
    """Answer a record by its id; a deleted one says so until it is purged."""

    def read(account: Account, asked: Asked) -> Answer:
        row = numbered(account, asked, kind, deleted=None)
        return Answer(body={"success": True, "data": presented(account, asked, row)})

    return read


def creator(kind: Kind) -> Endpoint:
    def create(account: Account, asked: Asked) -> Answer:
        made = draft(account, kind, asked.body, asked.actor)
        row = account.create(kind, made.values, made.custom, asked.actor)
        return Answer(body={"success": True, "data": presented(account, asked, row)})

    return create


def changer(kind: Kind) -> Endpoint:
    def change(account: Account, asked: Asked) -> Answer:
        row = numbered(account, asked, kind)
        made = draft(account, kind, asked.body, asked.actor, row)
        account.change(row, made.values, made.custom, asked.actor)
        return Answer(body={"success": True, "data": presented(account, asked, row)})

    return change


def remover(kind: Kind) -> Endpoint:
    def remove(account: Account, asked: Asked) -> Answer:
        row = numbered(account, asked, kind)
        account.delete(row, asked.actor)
        return Answer(body={"success": True, "data": {"id": row.id}})

    return remove


WRITTEN = tuple(KINDS[name] for name in ("persons", "organizations", "deals", "activities"))
