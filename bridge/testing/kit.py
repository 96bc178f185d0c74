"""What a connector's author brings to the conformance suite: a stand-in of the vendor and its levers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bridge.connector import ConnectorSpec
from bridge.model import Field, Json, Request, Write


class Kit(Protocol):
    """
    A fresh stand-in of the vendor for one test.

    `settings` open it, secrets included. `cannot` says which levers the vendor has no use for, and
    why: {"rate_limit": "IMAP servers do not count calls"}, for one stream {"delete owners": "..."}.
    Tests that need such a lever are not collected. A lever bends the vendor until the kit is
    closed; what the connector then does is the test. `pages` in `cannot` says that a stream comes
    whole in one answer: {"pages owners": "..."}.
    """

    spec: ConnectorSpec
    settings: Mapping[str, Json]
    cannot: Mapping[str, str]

    def close(self) -> None:
        """Stop the stand-in."""

    def wrong_key(self) -> None:
        """Let the vendor refuse our key from now on."""

    def rate_limit(self) -> float:
        """Let the vendor refuse every call as one too many, and return the seconds it says to wait."""

    def outage(self) -> None:
        """Let the vendor answer every call with a 5xx."""

    def hang(self) -> None:
        """Let the vendor accept every call and never answer."""

    def garbage(self) -> None:
        """Let the vendor answer every call as if all were well, with a body that makes no sense."""


class SourceKit(Kit, Protocol):
    """
    For a `Source`.

    `page_size` is how many records the stand-in puts into one page. `fields` are the vendor
    fields to ask for, by stream; empty where the connector takes none.
    """

    page_size: int
    fields: Mapping[str, Sequence[str]]

    def seed(self, stream: str, count: int) -> Sequence[str]:
        """Put so many new records there, visible to a pull at once, and return their ids."""

    def change(self, stream: str, id: str) -> None:
        """Let somebody change the content of a record."""

    def delete(self, stream: str, id: str) -> None:
        """Let somebody delete a record."""


class ReceiverKit(Kit, Protocol):
    """
    For a `Receiver`.

    `signs_body` says whether the vendor's signature covers the body, `signs_time` whether it
    covers a time as well; a shared secret in a header covers neither. Where one is False, its
    test is not collected.
    """

    signs_body: bool
    signs_time: bool

    def request(self, events: int, at: datetime, *, forged: bool = False, odd: bool = False) -> Request:
        """
        Return a request with so many different events, as the vendor would send it at this instant.

        The same arguments give the same bytes. `forged` signs with a wrong secret; `odd` puts one
        more event, which makes no sense, in the middle. `received_at` is `at`.
        """


class SinkKit(Kit, Protocol):
    """For a `Sink`. Keys are 12 Crockford base-32 characters."""

    def add_contact(self, email: str, phone: str) -> str:
        """Put a contact there, visible to `find` at once, and return its id; phone is E.164."""

    def delete(self, stream: str, id: str) -> None:
        """Let somebody delete a record."""

    def contact_write(self, key: str, email: str) -> Write:
        """Return a write that creates a contact."""

    def entry_write(self, key: str, contact: str) -> Write:
        """Return a write that creates an entry linked to a contact: a vendor id or the key of a write."""

    def bad_write(self, key: str) -> Write:
        """Return a write that the vendor refuses for what it says."""

    def count(self, key: str) -> int:
        """Return how many objects of this key stand at the vendor, as the vendor itself knows."""

    def linked(self, id: str) -> Sequence[str]:
        """Return the ids of the contacts that the entry `id` is linked to, as the vendor itself knows."""

    def lose_receipt(self) -> None:
        """Let the vendor carry out the next write and lose its answer, however often it is sent."""

    def commit_late(self) -> None:
        """Let the vendor time out at the next write and carry it out half of `spec.settle` later."""

    def wait(self, seconds: float) -> None:
        """Let so much of the vendor's time pass."""


class HistorianKit(SinkKit, Protocol):
    """For a `Historian`: `dated` are two fields of a contact, by the names that a mapping writes."""

    dated: tuple[str, str]

    def edit(self, id: str, field: str, word: str) -> None:
        """Let somebody put another value, made of this word, into one field of a contact."""


class DescriberKit(Kit, Protocol):
    """For a `Describer`: a field that the stream lacks and that may be created there."""

    new_field: tuple[str, Field]


class OpenerKit(Kit, Protocol):
    """For an `Opener`."""

    def attach(self, content: bytes) -> str:
        """Put a file there and return the reference that a record would hold."""
