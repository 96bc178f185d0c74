"""Who waits for an answer from us, longest first."""

from __future__ import annotations

from collections.abc import Mapping
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


def channel_name(channel: str) -> str:
    """Return what people call a channel."""
    return CHANNEL_NAMES.get(channel, channel.replace("_", " "))


def waiting_list(runtime: Runtime) -> list[dict[str, Any]]:
    """
    Return everybody who waits for us.

    Each: person_id, name, owner (None: nobody), contacts, and what `waiting_of` tells.
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
                    **waiting_of(body, now),
                    "owner": body.get("owner"),
                    "contacts": body.get("contacts", []),
                }
            )
    return found


def waiting_of(body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """
    Tell for what somebody waits, from the summary of their journey.

    Keys: since (instant), channel, text of the first message that nobody answered, count of those that
    wait, and `says`, one line for people.
    """
    since, count = body["waiting_since"], body.get("waiting_count", 1)
    channel, text = body.get("waiting_channel", "other"), body.get("waiting_text", "")
    shown = channel_name(channel)
    if body.get("waiting_kind") == "call":
        shown = "missed call"
    quoted = f': "{text}"' if text else ""
    more = f"{count - 1} more" if count > 1 else ""
    if body.get("waiting_called"):
        more = "a missed call" if count == 2 else f"{more}, a missed call among them"
    more = f" (and {more})" if more else ""
    says = f"{shown}, {ago(now - datetime.fromisoformat(since))}{quoted}{more}"
    return {"since": since, "channel": channel, "text": text, "count": count, "says": says}


def ago(span: timedelta) -> str:
    """Return a span as `12 min`, `5 h` or `2 days`."""
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // 1440} days"
