"""Who waits for an answer from us, longest first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select

from bridge.store.tables import journey
from bridge.sync.runtime import Runtime

CHANNEL_NAMES = {
    "whatsapp": "WhatsApp",
    "email": "e-mail",
    "phone": "phone",
    "sms": "SMS",
    "instagram": "Instagram",
    "messenger": "Messenger",
    "telegram": "Telegram",
    "web_form": "web form",
    "webchat": "web chat",
}


def waiting_list(runtime: Runtime) -> list[dict[str, Any]]:
    """
    Return everybody who waits for us.

    Each: person_id, name, since (instant), channel, text, count of unanswered messages, owner
    (None: nobody), contacts, and `says`, one line for people.
    """
    query = (
        select(journey)
        .where(journey.c.waiting_since.is_not(None))
        .order_by(journey.c.waiting_since, journey.c.person_id)
    )
    found = []
    now = runtime.clock()
    with runtime.database.read() as c:
        for row in c.execute(query):
            body = orjson.loads(row.body)
            found.append(
                {
                    "person_id": row.person_id,
                    "name": body.get("display_name") or row.person_id,
                    "since": body["waiting_since"],
                    "channel": body.get("waiting_channel", "other"),
                    "text": body.get("waiting_text", ""),
                    "count": body.get("waiting_count", 1),
                    "owner": body.get("owner"),
                    "contacts": body.get("contacts", []),
                    "says": _says(body, now),
                }
            )
    return found


def _says(body: dict[str, Any], now: datetime) -> str:
    channel = body.get("waiting_channel", "other")
    shown = CHANNEL_NAMES.get(channel, channel.replace("_", " "))
    if body.get("waiting_kind") == "call":
        shown = "missed call"
    text = body.get("waiting_text") or ""
    quoted = f': "{text}"' if text else ""
    return f"{shown}, {ago(now - datetime.fromisoformat(body['waiting_since']))}{quoted}"


def ago(span: timedelta) -> str:
    """Return a span as `12 min`, `5 h` or `2 days`."""
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // 1440} days"
