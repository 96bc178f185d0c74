"""The values that cross the border between connectors and the core; frozen, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bridge.errors import BridgeError

Json = Any
"""A vendor's JSON: dict, list, str, int, float, bool or None."""

Phase = Literal["live", "backfill", "sweep"]
Detail = Literal["full", "subject", "metadata"]
Op = Literal["create", "update", "link", "unlink", "archive"]


def require_aware(name: str, value: datetime | None) -> None:
    """Raise ValueError unless `value` is None or an aware instant in UTC."""
    if value is not None and value.tzinfo is not UTC and value.utcoffset() != UTC.utcoffset(None):
        raise ValueError(f"{name}: {value!r} is not an aware UTC instant; use datetime.astimezone(UTC)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One vendor object in one version, as the vendor sent it.

    `id` is the vendor's, unique in (account, stream). `version` changes whenever the
    content does; the same (stream, id, version) twice is a repeat and costs nothing.
    `modified_at` is the vendor's own time, in UTC, or None where it tells none.
    `data` is the vendor's JSON, or the raw bytes where the format is not JSON.
    `actor` names who changed it, as far as the vendor says.
    """

    stream: str
    id: str
    version: str
    modified_at: datetime | None
    data: Json | bytes
    deleted: bool = False
    actor: str | None = None

    def __post_init__(self) -> None:
        require_aware("modified_at", self.modified_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """One vendor object that a capture rule kept out; only its id and the rule's name are stored."""

    stream: str
    id: str
    version: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """
    What one step of a pull found; stored in one transaction with its cursor.

    `cursor` is any JSON value and stands after the last record of the page: a pull
    that starts from it misses nothing. An empty page with a moved cursor is fine.
    `watermark` is the vendor's time up to which this phase is complete, None if unknown.
    """

    records: Sequence[Record | Skip]
    cursor: Json
    watermark: datetime | None = None

    def __post_init__(self) -> None:
        require_aware("watermark", self.watermark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something changed at the vendor: `ids` of `stream` are worth fetching; empty means the whole stream."""

    stream: str
    ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """
    An association of a write: `to` is a vendor id of `stream`, or the key of a write in the same plan.

    `role` is what is linked: `contact` or `deal`; `move` is a contact that an entry moves to or from.
    Where an entry can stand on one contact only, linking it by `move` takes it off the other.
    """

    stream: str
    to: str
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """
    One small change of the vendor's side.

    `key` derives from account, entity and slot; it is 12 Crockford base-32 characters and is
    stored at the vendor where it can be (the marker), so that `locate` finds it again.
    `id` is the vendor id for update, link, unlink and archive; None for create.
    `fields` are vendor fields as the push mapping made them.
    """

    key: str
    op: Op
    stream: str
    id: str | None = None
    fields: Mapping[str, Json] = field(default_factory=dict)
    links: Sequence[Link] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """
    What became of one write; exactly one for each.

    `id` is the vendor's id after the write (a merge may have changed it). `as_read`
    holds the values as the vendor now shows them, None if it does not say. `error` is
    None on success; Rejected, RateLimited, AuthError or Unavailable say what happens next.
    """

    key: str
    id: str | None = None
    as_read: Mapping[str, Json] | None = None
    error: BridgeError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The write stands at the vendor under `id`."""

    key: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """The vendor shows no trace of the write now; it counts only after the connector's `settle` time."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The vendor can't say; the write is held, visibly, and `reason` is shown."""

    key: str
    reason: str


Location = Found | Absent | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """
    Somebody to look for at the vendor, with every spelling of every handle.

    `key` is echoed in the match. `emails` are normalised addresses; `phones` hold each
    number in every spelling a person may have typed.
    """

    key: str
    emails: Sequence[str] = ()
    phones: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The vendor's contacts that carry a handle of the person `key`: none, one or several ids."""

    key: str
    ids: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The vendor account behind a connection; `id` keys everything stored."""

    id: str
    name: str = ""
    scopes: Sequence[str] = ()
    missing_scopes: Sequence[str] = ()
    time_zone: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a vendor stream: `type` is the vendor's word, `writable` whether a push may set it."""

    name: str
    label: str = ""
    type: str = "string"
    writable: bool = True
    unique: bool = False
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTimes:
    """
    Since when fields of a record have their values; one of which the vendor tells no time is left out.

    `id` is the record's present one, also of one that was merged.
    """

    id: str
    at: Mapping[str, datetime]

    def __post_init__(self) -> None:
        for name, at in self.at.items():
            require_aware(name, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What `Describer.create` did: `created` names, `existing` names, and steps a person must do by hand."""

    created: Sequence[str] = ()
    existing: Sequence[str] = ()
    manual: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    An HTTP request to a connection's webhook, body as received.

    `headers` have lower-case names. `url` is the public address the vendor called,
    with its query; `query` the decoded parameters.
    """

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime

    def __post_init__(self) -> None:
        require_aware("received_at", self.received_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    The answer to a webhook request.

    `store` says whether the body is kept: the core answers only after it is on disk.
    `idempotency_key` lets the core recognise a repeat: with the same body it answers
    the same and stores nothing, with another body 409. `sender` scopes that key.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    store: bool = False
    idempotency_key: str | None = None
    sender: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A stored webhook body, ready to be split, now or years later."""

    id: str
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    sender: str = ""
