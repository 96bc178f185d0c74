"""What the mail tests share: a vendor's mailbox, mails on disk, and a short way to write one."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bridge_imap.mail import MailContext, MailView, parse

OURS = Path(__file__).parent / "data" / "mail"
SHARED = Path(os.environ.get("CRMBRIDGE_SHARED", Path(__file__).parents[2] / "shared")) / "samples" / "email"
ARRIVED = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
INBOX = MailContext(
    own_addresses=frozenset({"sales@vendor.example"}),
    own_domains=frozenset({"vendor.example"}),
    internal_date=ARRIVED,
)
SENT = MailContext(
    own_addresses=INBOX.own_addresses,
    own_domains=INBOX.own_domains,
    internal_date=ARRIVED,
    folder_role="sent",
)
MINIMAL = {
    "From": "Ana Souza <ana@padaria.example>",
    "To": "sales@vendor.example",
    "Subject": "Forno",
    "Date": "Tue, 10 Mar 2026 16:05:00 -0300",
    "Message-ID": "<m1@padaria.example>",
}


def mail(body: str | bytes = "Qual o preço?", context: MailContext = INBOX, **fields: str | None) -> Any:
    """Parse a mail with MINIMAL's fields, changed by `fields`: `_` stands for `-`, None leaves one out."""
    header = {"Content-Type": "text/plain; charset=utf-8", **MINIMAL}
    for name, value in fields.items():
        known = next((key for key in header if key.lower() == name.replace("_", "-").lower()), None)
        header[known or name.replace("_", "-")] = value  # type: ignore[assignment]
    lines = "".join(f"{name}: {value}\r\n" for name, value in header.items() if value is not None)
    raw = body if isinstance(body, bytes) else body.encode()
    return view(lines.encode() + b"\r\n" + raw, context)


def stored(name: str, context: MailContext = INBOX) -> Any:
    return view((OURS / f"{name}.eml").read_bytes(), context)


def view(raw: bytes, context: MailContext = INBOX) -> MailView:
    found = parse(raw, context)
    assert found["unreadable"] is None
    return found
