"""
The contract between crmbridge and a connector: specs, what is lent, and the protocols.

A connector is any object that satisfies `Connector` and as many of the other protocols
as the vendor allows; what it can do is which protocols it satisfies. It is made by
`ConnectorSpec.open(settings, context)`, which does no I/O. Nothing but the errors of
`bridge.errors` leaves it.

Contract version 1. A plugin states the version it was written for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Literal, Protocol, runtime_checkable

import requests

from bridge.model import (
    Account,
    Created,
    Delivery,
    Detail,
    Field,
    FieldTimes,
    Hint,
    Json,
    Location,
    Match,
    Page,
    Person,
    Phase,
    Receipt,
    Record,
    Reply,
    Request,
    Skip,
    Write,
)

CONTRACT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """
    One kind of record of a connector.

    `after` names streams whose records should be resolved first. `lookback` is how many
    seconds the vendor's index may lag: a live cursor never passes the vendor's clock less it.
    `deletes` says how a deletion is seen: "tombstone" (a record with deleted=True), "sweep"
    (only the sweep phase tells), "snapshot" (what a full pull lacks is gone) or "none".
    `every` is the default seconds between two pulls of a phase.
    """

    name: str
    after: Sequence[str] = ()
    lookback: float = 0.0
    deletes: Literal["tombstone", "sweep", "snapshot", "none"] = "none"
    phases: Sequence[Phase] = ("live",)
    every: Mapping[Phase, float] = field(default_factory=lambda: {"live": 60.0, "sweep": 86400.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """
    At most `calls` calls in `seconds` seconds for one account; `name` is what `budget=` of a call asks for.

    State what the vendor allows: the admin says which share is ours. One of an hour or more is charged with the
    `cost` of every call of the account; `unit` is what it counts. It rolls, unless `midnight` names the time
    zone at whose midnight it begins anew: an IANA name, or "account" for the account's own. The two headers, where
    the vendor has them, tell in every answer what it allows and what it has left for all apps together.
    """

    name: str
    calls: int
    seconds: float
    unit: str = "calls"
    midnight: str | None = None
    limit_header: str = ""
    left_header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What capture rules say of one message: skip it by `rule`, or take it at `detail`."""

    detail: Detail = "full"
    rule: str | None = None

    @property
    def skip(self) -> bool:
        return self.rule is not None


class Capture(Protocol):
    """The capture rules of a connection, lent to its connector."""

    @property
    def since(self) -> datetime | None:
        """The earliest instant that may be collected, None for no limit."""

    def decide(self, *, at: datetime | None, addresses: Iterable[str], from_lead: bool = False) -> Decision:
        """
        Decide on one message from its time and the outside addresses on it.

        `addresses` are e-mail addresses, phone numbers or platform ids in any spelling;
        `from_lead` says that the message itself makes its sender a lead (a form, an ad).
        """


class Tokens(Protocol):
    """Where a connector gets a short-lived token; one place leases and refreshes it."""

    def get(self, name: str, fetch: Callable[[], tuple[str, float]]) -> str:
        """Return the token `name`; call `fetch` for (token, seconds it lives) when there is none or it ends soon."""

    def drop(self, name: str) -> None:
        """Forget a token the vendor refused, so that the next `get` fetches a new one."""


class Http(Protocol):
    """The lent session: time-outs, budgets per account, retries of reads, status to error."""

    def request(
        self,
        method: str,
        url: str,
        *,
        budget: str | None = None,
        cost: int = 1,
        safe: bool | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int | Sequence[str]] | None = None,
        json: Json = None,
        data: bytes | Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
        timeout: float | None = None,
    ) -> requests.Response:
        """
        Send one request and return a 2xx response, or one whose status is in `accept`.

        `cost` is what the call takes from the account's budgets of an hour or more.
        `safe` marks a call that may be repeated (default: GET and HEAD); only those are
        retried. Raises AuthError on 401 and 403, RateLimited on 429, Unavailable on 5xx,
        423, time-outs and broken connections, Rejected on other 4xx.
        """

    def pause(self, seconds: float, *, budget: str | None = None) -> None:
        """
        Start no call of this budget for so long, after a refusal in `accept` that only the connector understands.

        Longer than the budget's own span, it can only mean the day: no call of the account starts, in any process.
        """


class Context(Protocol):
    """What the engine lends to a connector for its life."""

    @property
    def connection(self) -> str:
        """The connection's name in the configuration, for messages."""

    @property
    def http(self) -> Http:
        """The session, charged to the account's budgets."""

    @property
    def tokens(self) -> Tokens:
        """Short-lived tokens, leased and refreshed in one place."""

    @property
    def capture(self) -> Capture:
        """What may be collected."""

    @property
    def region(self) -> str:
        """The country (ISO 3166) of numbers written without a country code, ZZ if unknown."""

    @property
    def own_domains(self) -> Sequence[str]:
        """The company's mail domains."""

    def clock(self) -> datetime:
        """Return the present instant, aware, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSpec:
    """
    What a plugin registers: one connector.

    `settings` is a closed JSON Schema (additionalProperties false; `writeOnly: true` marks
    a secret, `"format": "path"` a path, which is absolute when `open` gets it, `description` is
    shown to the admin). `mapping` is the file name of the mapping
    under `mappings/`, or an absolute path in a third party's package. `settle` is how many
    seconds after a time-out the vendor may still commit a write. `contact_stream` names the
    stream of a CRM's contacts, empty for a channel. `paths` are addresses its receiver answers
    besides `/hooks/<connection>`, such as `/v1/interactions`. `budgets` are those of the vendor's smallest
    plan; `budgets_of`, where given, returns those of the plan that the settings name.
    """

    name: str
    title: str
    streams: Sequence[StreamSpec]
    settings: Mapping[str, Json]
    mapping: str
    open: Callable[[Mapping[str, Json], Context], Connector]
    budgets: Sequence[Budget] = ()
    budgets_of: Callable[[Mapping[str, Json]], Sequence[Budget]] | None = None
    settle: float = 0.0
    contact_stream: str = ""
    paths: Sequence[str] = ()
    contract: int = CONTRACT_VERSION
    docs: str = ""

    def limits(self, settings: Mapping[str, Json]) -> Sequence[Budget]:
        """Return the budgets of the plan that the settings name."""
        return self.budgets_of(settings) if self.budgets_of else self.budgets

    def stream(self, name: str) -> StreamSpec:
        """Return the stream called `name`; KeyError if there is none."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)


@runtime_checkable
class Connector(Protocol):
    def check(self) -> Account:
        """Make one cheap authenticated call and tell whose account this is and which scopes are missing."""


@runtime_checkable
class Source(Protocol):
    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        """
        Yield the changes of a stream after `cursor`, oldest first; None starts from the beginning.

        Where a stream has a backfill, its first live pull begins at the present; a sweep starts from
        None each time.
        `fields` are the vendor fields the mapping reads. Each page can be resumed from. A
        record changed while pulling may come twice. Raises CursorExpired when the cursor is void.
        """


@runtime_checkable
class Decoder(Protocol):
    def decode(self, record: Record) -> Iterator[Record]:
        """
        Turn a stored record into the records that mapping reads: pure, replayable, never raises.

        For sources whose data is bytes (a mail) or holds several records.
        """


@runtime_checkable
class Fetcher(Protocol):
    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Record]:
        """Yield the present state of these records, after a hint; what is gone comes as deleted."""


@runtime_checkable
class Opener(Protocol):
    def open(self, ref: str) -> BinaryIO:
        """Open an attachment by the reference that the record holds."""


@runtime_checkable
class Waiter(Protocol):
    def wait(self, stream: str, seconds: float) -> bool:
        """Block until the vendor signals news in a stream or `seconds` pass; True for news (IMAP IDLE)."""


@runtime_checkable
class Receiver(Protocol):
    def verify(self, request: Request) -> Reply:
        """
        Check who sent a request over its raw bytes; a forged, stale or replayed one gets 401 or 403.

        Reads nothing else and never raises: the core stores the body and answers.
        """

    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        """
        Yield every record of a stored body; replayable.

        Asks `context.capture` per item. One item that makes no sense becomes a record of its
        raw JSON, never an exception that loses the others. Raises MappingError only where the body
        as a whole cannot be read.
        """


@runtime_checkable
class Sink(Protocol):
    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        """Yield one match per person, in batches; raises Unavailable, never "none", when a search failed."""

    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        """Yield the present values of these records; a merged one under its new id, a gone one as deleted."""

    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        """
        Carry out the writes, parents first, and yield exactly one receipt each, as soon as it is known.

        A bad write never fails its neighbours. A link to the key of a write in the same call is
        resolved to the id that write got; if that one failed, the child is Rejected with
        code "parent". Raises only before anything was sent.
        """

    def locate(self, writes: Sequence[Write]) -> Iterator[Location]:
        """Say for each write whether it stands at the vendor; never by an index that lags."""


@runtime_checkable
class Describer(Protocol):
    def describe(self, stream: str) -> Sequence[Field]:
        """Return the fields of a stream."""

    def create(self, stream: str, fields: Sequence[Field]) -> Created:
        """Create the missing fields; what cannot be created by API comes back as a manual step."""


@runtime_checkable
class Historian(Protocol):
    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        """
        Yield since when these fields have their values, once for each record that is there, in any order.

        `fields` are named as for `Sink.read`; `stream` is that of the CRM's contacts. An emptied field tells
        since when it is empty, one of which the vendor tells no time is left out. A merged record comes under
        its new id. Raises Unavailable for a time that cannot be read, as one that is too early would let a
        person's edit be overwritten; Rejected where the vendor refuses: then each record is asked by itself.
        """


@runtime_checkable
class Closer(Protocol):
    def close(self) -> None:
        """Give back sockets; called once, when the connection ends."""
