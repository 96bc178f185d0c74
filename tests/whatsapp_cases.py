"""What the WhatsApp tests share: a connection, two customers, and short ways to split and decode."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bridge import Capture, Delivery, Record, Request, Skip
from bridge.journey.schema import Validator
from bridge.mapping import load_mapping
from bridge.testing.context import make_context
from bridge_whatsapp import SPEC, open_whatsapp
from bridge_whatsapp.receiver import WhatsApp
from bridge_whatsapp.sandbox import BUSINESS, Change, Sender, batch, serialise

SHARED = (
    Path(os.environ.get("CRMBRIDGE_SHARED", Path(__file__).parents[2] / "shared")) / "samples" / "messaging"
)
OURS = Path(__file__).parent / "data" / "whatsapp"
NOW = datetime(2026, 11, 18, 17, 2, tzinfo=UTC)
SECRET = "meta-app-secret"
SETTINGS = {"app_secret": SECRET, "verify_token": "open sesame ✓", "business_account": BUSINESS.waba}
ANA = Sender(name="Ana Souza", wa_id="5511973914862", user_id="BR.1349120865530274")
ZOE = Sender(name="Zoë", user_id="CH.1349120865530274", username="@zoe.m")


def connector(capture: Capture | None = None, **changed: str) -> WhatsApp:
    return open_whatsapp(
        {**SETTINGS, **changed}, make_context(connection="whatsapp", capture=capture, budgets=SPEC.budgets)
    )


def request(
    body: bytes = b"", *, method: str = "POST", headers: dict[str, str] | None = None, **query: str
) -> Request:
    return Request(
        method=method,
        url="https://bridge.example/hooks/whatsapp",
        query={name.replace("__", "."): value for name, value in query.items()},
        headers={name.lower(): value for name, value in (headers or {}).items()},
        body=body,
        received_at=NOW,
    )


def split(body: bytes | dict[str, Any], receiver: WhatsApp | None = None) -> list[Record | Skip]:
    raw = body if isinstance(body, bytes) else serialise(body)
    delivery = Delivery(id="delivery-1", body=raw, headers={}, received_at=NOW)
    return list((receiver or connector()).split(delivery))  # type: ignore[arg-type]


def views(*changes: Change, capture: Capture | None = None) -> list[dict[str, Any]]:
    receiver = connector(capture)
    found = split(batch(changes), receiver)
    return [seen.data for record in found if isinstance(record, Record) for seen in receiver.decode(record)]


def view(change: Change, capture: Capture | None = None) -> dict[str, Any]:
    (seen,) = views(change, capture=capture)
    return seen


MAPPING = load_mapping(
    Path(__file__).parents[1] / "mappings" / SPEC.mapping,
    connector=SPEC.name,
    streams=[stream.name for stream in SPEC.streams],
)


def entity(record: Record, receiver: WhatsApp) -> dict[str, Any]:
    """Return the interaction that a record becomes, valid by the journey schema."""
    (seen,) = receiver.decode(record)
    made = MAPPING.pull[record.stream].map(seen.data)
    assert Validator.for_entity("interaction").check(made) == []
    return made


def customer_of(seen: dict[str, Any]) -> dict[str, Any]:
    (found,) = [person for person in seen["participants"] if person["side"] == "customer"]
    return found


def handles_of(seen: dict[str, Any]) -> list[tuple[str, str]]:
    return [(handle["kind"], handle["value"]) for handle in customer_of(seen)["handles"]]


def batch_of(*changes: dict[str, Any]) -> dict[str, Any]:
    entry = {"id": BUSINESS.waba, "changes": list(changes)}
    return {"object": "whatsapp_business_account", "entry": [entry]}
