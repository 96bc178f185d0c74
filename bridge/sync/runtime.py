"""What every step is lent: the store, its writer, the open connections and the clock."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bridge.capture import UNKNOWN_REGION
from bridge.config import Config, ConnectionConfig
from bridge.connector import Connector, ConnectorSpec, StreamSpec
from bridge.http import Session
from bridge.journey.handles import Own
from bridge.journey.identity import Rules
from bridge.mapping import Mapping as MappingFile
from bridge.model import Account, Record
from bridge.redact import Redactor
from bridge.store.blobs import Blobs
from bridge.store.database import Database
from bridge.store.texts import key_text
from bridge.store.traces import Traces
from bridge.store.writer import Writer
from bridge.sync.ahead import Ahead

log = logging.getLogger("crmbridge")

LONGEST_MESSAGE = 4000

JOURNEY = 0
"""The queue target of the journeys themselves; every other target is a destination's account."""


def utc_now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Connection:
    """
    One open connection.

    `account_pk` and `account` are None until `check` told whose account it is; nothing of the
    connection is pulled, split or pushed before, and webhooks are kept until then. `asked` says that
    `check` told so in this process: until then the account is what the store remembers, and the key may
    be another account's by now. `lacking` are contact fields that the mapping owns and the CRM did not
    have when it was last asked. `looked` says that what an earlier process was about to make was looked for,
    `heard` when the answers in our tasks there were last read, None where they are to be read now.
    Whoever plans and writes to it holds `writing`.
    """

    name: str
    spec: ConnectorSpec
    connector: Connector
    mapping: MappingFile
    config: ConnectionConfig
    region: str
    account_pk: int | None = None
    account: Account | None = None
    asked: bool = False
    lacking: frozenset[str] | None = None
    looked: bool = False
    heard: datetime | None = None
    session: Session | None = None
    writing: threading.RLock = field(default_factory=threading.RLock)

    @property
    def account_key(self) -> str:
        """Return `connector:vendor account`, the same in every store."""
        assert self.account is not None
        return f"{self.spec.name}:{self.account.id}"

    def node_key(self, stream: str, ext_id: str) -> str:
        """Return the identity key of a record of this account."""
        return f"{self.account_key}:{stream}:{key_text(ext_id)}"

    def streams(self) -> list[StreamSpec]:
        """Return the streams, those that others refer to first."""
        ordered: list[StreamSpec] = []
        waiting = list(self.spec.streams)
        while waiting:
            names = {spec.name for spec in waiting}
            ready = [spec for spec in waiting if not set(spec.after) & (names - {spec.name})] or waiting[:1]
            ordered += ready
            waiting = [spec for spec in waiting if spec not in ready]
        return ordered


@dataclass(slots=True, kw_only=True)
class Runtime:
    """One process at work on one store; `identified` says that everybody was, by the `rules` that hold now."""

    config: Config
    database: Database
    writer: Writer
    blobs: Blobs
    traces: Traces
    redactor: Redactor
    connections: Mapping[str, Connection] = field(default_factory=dict)
    own: Own
    rules: Rules = field(default_factory=Rules)
    identified: bool = False
    clock: Callable[[], datetime] = utc_now
    identity_lock: threading.Lock = field(default_factory=threading.Lock)
    wake: Callable[[str], None] = lambda step: None
    renew: Callable[[Connection], bool] = lambda connection: False
    rest: Callable[[], float] = lambda: 0.0
    ahead: Ahead = field(default_factory=Ahead)
    _sequence: itertools.count[int] = field(default_factory=lambda: itertools.count(time.time_ns()))

    def sequence(self) -> int:
        """Return a number above every one given out before, in this process or an earlier one."""
        return next(self._sequence)

    def crms(self) -> list[Connection]:
        """Return the connections to CRMs whose account is known, written to or not."""
        return [
            connection
            for connection in self.connections.values()
            if connection.spec.contact_stream and connection.account_pk is not None
        ]

    def destinations(self) -> list[Connection]:
        """Return the connections that may be written to and whose account is known."""
        return [connection for connection in self.crms() if connection.config.push is not None]

    def of_account(self, account_pk: int) -> Connection | None:
        """Return the connection of an account, None when the configuration no longer has one."""
        for connection in self.connections.values():
            if connection.account_pk == account_pk:
                return connection
        return None

    def region_of(self, account_pk: int | None) -> str:
        """Return by which country's rules an account's phone numbers are read; None is a channel's senders."""
        connection = None if account_pk is None else self.of_account(account_pk)
        return connection.region if connection else self.config.identity.default_region or UNKNOWN_REGION

    def told(self, connection: Connection, error: BaseException) -> str:
        """Return what an error says of a connection: the connection's name once, and no secret."""
        return f"{connection.name}: {self.message(error).removeprefix(f'{connection.name}: ')}"

    def message(self, error: BaseException) -> str:
        """Return what an error says, without any secret and whatever it quotes, as a text the store can hold."""
        said = self.redactor.clean(str(error) or type(error).__name__).replace("\0", "")
        return said[:LONGEST_MESSAGE].encode("utf-8", "replace").decode()


DEALS = "deals"
"""The stream of a CRM that holds its deals, whichever CRM it is."""


def asked_id(record: Record) -> str:
    """Return the id by which a record was asked for: one that was merged comes under that of another."""
    data = record.data if isinstance(record.data, dict) else {}
    return str(data.get("requested_id", record.id))
