"""What the tests of the HubSpot connector stand on: the stand-in, the connector on it, and a clock ahead of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge import Link, Page, Receipt, Record, Write
from bridge.testing.context import make_context
from bridge_hubspot import SPEC, HubSpot
from bridge_hubspot.sandbox import HubSpotSandbox

TOKEN = "pat-na1-7f3a2c9k"
WHEN = "2026-11-20T14:02:00Z"
NOTE_FIELDS = ["properties.hs_note_body", "properties.hs_timestamp", "properties.crmbridge_key"]


class World:
    """A stand-in whose clock can be moved ahead, and a connector that speaks to it."""

    def __init__(self, **settings: Any) -> None:
        self._ahead = 0.0
        self._stopped_at: datetime | None = None
        self.hub = HubSpotSandbox(token=TOKEN, clock=self.now, time_zone="America/Sao_Paulo", currency="BRL")
        self._settings = settings
        self.reopen()

    def now(self) -> datetime:
        return self._stopped_at or datetime.now(UTC) + timedelta(seconds=self._ahead)

    def stop_the_clock(self, at: datetime | None = None) -> None:
        """Let everything at HubSpot happen in the same millisecond from now on: now, or `at`."""
        self._stopped_at = at or self.now()

    def move(self, seconds: float) -> None:
        """Let time pass at HubSpot."""
        self._ahead += seconds

    def reopen(self) -> None:
        """Open a connector that knows nothing of what went before."""
        self.context = make_context(connection="crm", budgets=SPEC.budgets, secrets=[TOKEN])
        self.connector = HubSpot({"token": TOKEN, "base_url": self.hub.url, **self._settings}, self.context)

    def pull(self, stream: str, phase: Any, cursor: Any = None, fields: Sequence[str] = ()) -> list[Page]:
        return list(self.connector.pull(stream, phase, cursor, fields))

    def push(self, *writes: Write) -> dict[str, Receipt]:
        receipts = list(self.connector.push(writes))
        assert sorted(receipt.key for receipt in receipts) == sorted(write.key for write in writes)
        return {receipt.key: receipt for receipt in receipts}

    def calls_since(self, count: int) -> list[str]:
        """Return what was asked after the first `count` calls, as `POST notes/batch/create`."""
        return [
            f"{call.method} {call.path.partition('/2026-09/')[2] or call.path}"
            for call in self.hub.calls[count:]
        ]

    def contact(self, name: str = "ana", **more: str) -> str:
        return self.hub.create("contacts", {"email": f"{name}@one.example", **more})


@contextmanager
def world(**settings: Any) -> Iterator[World]:
    made = World(**settings)
    with made.hub:
        try:
            yield made
        finally:
            made.context.close()


def key(number: int) -> str:
    return f"{number:012d}"


def records(pages: Sequence[Page]) -> list[Record]:
    return [record for page in pages for record in page.records if isinstance(record, Record)]


def note(number: int, *contacts: str, **fields: Any) -> Write:
    body = f"Oi!<br>crmbridge {key(number)}"
    return Write(
        key=key(number),
        op="create",
        stream="notes",
        fields={"hs_timestamp": WHEN, "hs_note_body": body, **fields},
        links=[Link(stream="contacts", to=contact) for contact in contacts],
    )


def contact_write(number: int, **fields: Any) -> Write:
    return Write(key=key(number), op="create", stream="contacts", fields=fields)
