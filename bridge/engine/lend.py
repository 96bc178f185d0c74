"""What a connector is lent for its life: session, tokens, capture rules and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from bridge.connector import Capture, Http, Tokens
from bridge.journey.handles import Own, normalise
from bridge.store.database import Database
from bridge.store.people import chunks
from bridge.store.tables import node, node_handle

ADDRESS_KINDS = ("email", "phone", "whatsapp_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """The `Context` of one connection."""

    connection: str
    http: Http
    tokens: Tokens
    capture: Capture
    region: str
    own_domains: Sequence[str]
    now: Callable[[], datetime]

    def clock(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return self.now()


def knows(database: Database, region: str) -> Callable[[Iterable[str], bool], bool]:
    """Return the look-up behind `only_with`: whether the store has a contact, or anybody, with an address."""

    def look_up(addresses: Iterable[str], leads: bool) -> bool:
        keys = {
            handle.key
            for address in addresses
            for kind in ADDRESS_KINDS
            if ("@" in address) == (kind == "email")
            for handle in normalise(kind, address, region=region, own=Own())
        }
        with database.read() as c:
            for part in chunks(keys):
                query = (
                    select(node.c.key)
                    .join(node_handle, node_handle.c.node_key == node.c.key)
                    .where(node_handle.c.handle_key.in_(part))
                )
                if not leads:
                    query = query.where(node.c.contact_of.is_not(None))
                if c.execute(query.limit(1)).first() is not None:
                    return True
        return False

    return look_up
