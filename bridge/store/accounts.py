"""Connections and the accounts they belong to, as their vendors last described them, and what troubles them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from bridge.model import Account
from bridge.store.database import micros, upsert
from bridge.store.tables import account
from bridge.store.tables import connection as connections


def save_account(c: Connection, connection: str, connector: str, found: Account) -> int:
    """Note which account a connection belongs to and return the account's key."""
    row = {
        "connector": connector,
        "vendor_id": found.id,
        "name": found.name,
        "time_zone": found.time_zone,
        "currency": found.currency,
    }
    upsert(
        c,
        account,
        [row],
        conflict=["connector", "vendor_id"],
        update=["name", "time_zone", "currency"],
    )
    pk = int(
        c.execute(
            select(account.c.pk).where(account.c.connector == connector, account.c.vendor_id == found.id)
        ).scalar_one()
    )
    state = {
        "name": connection,
        "connector": connector,
        "account_pk": pk,
        "error": None,
        "error_since": None,
    }
    upsert(
        c, connections, [state], conflict=["name"], update=["connector", "account_pk", "error", "error_since"]
    )
    return pk


def save_connection_error(
    c: Connection, connection: str, connector: str, message: str, now: datetime
) -> None:
    """Note that a connection is in trouble; the time it began is kept."""
    since = c.execute(select(connections.c.error_since).where(connections.c.name == connection)).scalar()
    row = {
        "name": connection,
        "connector": connector,
        "account_pk": None,
        "error": message,
        "error_since": since or micros(now),
    }
    upsert(c, connections, [row], conflict=["name"], update=["error", "error_since"])


def known_account(c: Connection, connection: str, connector: str) -> int | None:
    """Return the account a connection was last seen to belong to, None if it never answered."""
    found = c.execute(
        select(connections.c.account_pk).where(
            connections.c.name == connection, connections.c.connector == connector
        )
    ).scalar()
    return None if found is None else int(found)


def load_account(c: Connection, pk: int) -> Account:
    """Return an account as its vendor last described it."""
    row = c.execute(select(account).where(account.c.pk == pk)).one()
    return Account(id=row.vendor_id, name=row.name, time_zone=row.time_zone, currency=row.currency)
