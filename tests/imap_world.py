"""What the tests of the mailbox share: mails, a connector on a server, and what a pull brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge import Capture, Json, Page, Phase, Record, Skip
from bridge.testing.context import TestContext, make_context
from bridge_imap import SPEC, Imap
from bridge_imap.records import Meta, unpack


def mail(number: int | str, text: str = "Vocês entregam em Santos?", **fields: str) -> bytes:
    """Return a mail from Ana to the sales mailbox; its Message-ID is <number@ana.example>."""
    head = {
        "From": "Ana Souza <ana@padarialima.example>",
        "To": "sales@example.com",
        "Date": "Wed, 18 Nov 2026 14:02:00 -0300",
        "Subject": f"Fornos {number}",
        "Message-ID": f"<{number}@ana.example>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    lines = [f"{name}: {value}" for name, value in head.items() if value]
    return "\r\n".join([*lines, "", text, ""]).encode()


@dataclass
class Pulled:
    """A connector on a mailbox, with the cursor of each phase and every record that came."""

    settings: Mapping[str, object]
    capture: Capture | None = None
    cursors: dict[Phase, Json] = field(default_factory=dict)
    context: TestContext = field(init=False)
    connector: Imap = field(init=False)

    def __post_init__(self) -> None:
        self.context = make_context(connection="sales-mailbox", capture=self.capture)
        self.connector = Imap(dict(self.settings), self.context)

    def pages(self, phase: Phase = "live", stop_after: int | None = None) -> list[Page]:
        """Pull on from where the phase stands, at most so many pages."""
        pages = []
        for page in self.connector.pull("messages", phase, self.cursors.get(phase), ()):
            pages.append(page)
            self.cursors[phase] = page.cursor
            if stop_after is not None and len(pages) >= stop_after:
                break
        return pages

    def records(self, phase: Phase = "live") -> list[Record | Skip]:
        """Pull on to the end and return what came."""
        return [record for page in self.pages(phase) for record in page.records]

    def ids(self, phase: Phase = "live") -> list[str]:
        """Pull on to the end and return the ids of what came, skips left out."""
        return [record.id for record in self.records(phase) if isinstance(record, Record)]

    def reopen(self) -> None:
        """Throw the connector away as a kill would and open another."""
        self.connector.close()
        self.connector = Imap(dict(self.settings), self.context)

    def close(self) -> None:
        self.connector.close()
        self.context.close()


def meta_of(record: Record | Skip) -> Meta:
    """Return what the server knew of a mail."""
    assert isinstance(record, Record)
    assert isinstance(record.data, bytes)
    return unpack(record.data)[0]


def raw_of(record: Record | Skip) -> bytes:
    """Return a mail as it was stored."""
    assert isinstance(record, Record)
    assert isinstance(record.data, bytes)
    return unpack(record.data)[1]


def versions(records: Sequence[Record | Skip]) -> set[tuple[str, str]]:
    """Return what the store tells repeats by."""
    return {(record.id, record.version) for record in records}


__all__ = ["SPEC", "Pulled", "mail", "meta_of", "raw_of", "versions"]
