"""What the tests of the Pipedrive connector stand on: the stand-in, the connector on it, and a clock for both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bridge import Link, Page, Receipt, Record, Write
from bridge.testing.context import Clock, make_context
from bridge_pipedrive import SPEC, Pipedrive
from bridge_pipedrive.sandbox import PipedriveSandbox

TOKEN = "d6f0e1c2b3a4958677665544332211ffeeddccbb"
START = datetime(2026, 11, 20, 14, 2, tzinfo=UTC)
WHEN = "2026-11-20T14:02:33Z"


class World:
    """A stand-in and a connector that speaks to it; both go by a clock that only moves when told."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock(START)
        self.crm = PipedriveSandbox(
            token=TOKEN, clock=self.clock, time_zone="America/Sao_Paulo", currency="BRL"
        )
        self._settings = {"api_token": TOKEN, "plan": "ultimate", **settings}
        self.reopen()

    def move(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def reopen(self, **settings: Any) -> None:
        """Open a connector that knows nothing of what went before."""
        self._settings |= settings
        self.context = make_context(
            connection="crm",
            clock=self.clock,
            budgets=SPEC.limits(self._settings),
            secrets=[TOKEN],
            timeouts=(10.0, 60.0),
        )
        self.connector = Pipedrive({**self._settings, "base_url": self.crm.url}, self.context)

    def pull(self, stream: str, phase: Any, cursor: Any = None, fields: Sequence[str] = ()) -> list[Page]:
        return list(self.connector.pull(stream, phase, cursor, fields))

    def started(self, stream: str) -> Any:
        """Return the cursor with which looking for changes begins."""
        return self.pull(stream, "live")[-1].cursor

    def push(self, *writes: Write) -> dict[str, Receipt]:
        receipts = list(self.connector.push(writes))
        assert sorted(receipt.key for receipt in receipts) == sorted(write.key for write in writes)
        return {receipt.key: receipt for receipt in receipts}

    def calls_since(self, count: int) -> list[str]:
        """Return what was asked after the first `count` calls, as `POST activities`."""
        return [f"{call.method} {call.path.rpartition('/v')[2][2:]}" for call in self.crm.calls[count:]]

    def person(self, name: str = "Ana", **more: Any) -> str:
        return self.crm.create("persons", {"name": name, **more})


@contextmanager
def world(**settings: Any) -> Iterator[World]:
    made = World(**settings)
    with made.crm:
        made.reopen()
        try:
            yield made
        finally:
            made.context.close()


def key(number: int) -> str:
    return f"{number:012d}"


def records(pages: Sequence[Page]) -> list[Record]:
    return [record for page in pages for record in page.records if isinstance(record, Record)]


def emails(*values: str) -> list[dict[str, Any]]:
    """Return addresses or numbers as Pipedrive keeps them."""
    return [{"value": value, "primary": place == 0} for place, value in enumerate(values)]


def activity(number: int, *people: str, **fields: Any) -> Write:
    return entry(number, "activities", *people, **{"note": f"Oi!<br>crmbridge {key(number)}", **fields})


def note(number: int, *people: str, **fields: Any) -> Write:
    return entry(number, "notes", *people, content=f"Oi!<br>crmbridge {key(number)}", **fields)


def entry(number: int, stream: str, *people: str, **fields: Any) -> Write:
    own = {"subject": "WhatsApp", "type": "whatsapp", "done": True, "due_date": WHEN, "due_time": WHEN}
    return Write(
        key=key(number),
        op="create",
        stream=stream,
        fields={**(own if stream == "activities" else {"add_time": WHEN}), **fields},
        links=[Link(stream="persons", to=person) for person in people],
    )


def person_write(number: int, **fields: Any) -> Write:
    return Write(key=key(number), op="create", stream="persons", fields={"name": "Ana", **fields})
