"""Interactions and languages for the tests of timeline texts."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from bridge.journey.fold import Part, fold
from bridge.journey.interaction import Interaction
from bridge.journey.schema import Validator
from bridge.journey.text import Style

KEY = "7F3A2C9KQ0XT"
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
ENGLISH = Style(language="en", zone=SAO_PAULO, customer="Ana Souza")
PORTUGUESE = Style(language="pt-BR", zone=SAO_PAULO, customer="Ana Souza")
SPANISH = Style(language="es", zone=SAO_PAULO, customer="Ana Souza")


def interaction(**values: Any) -> Interaction:
    """Make an interaction that the journey schema accepts."""
    entity: dict[str, Any] = {
        "kind": "message",
        "channel": "whatsapp",
        "direction": "inbound",
        "occurred_at": "2026-11-18T17:02:00Z",
    }
    entity |= values
    assert Validator.for_entity("interaction").check(entity) == []
    return fold([Part(record_key="r", entity=entity)])


def said(time: str, text: str | None = None, *, by: str = "Ana Souza", **values: Any) -> Interaction:
    """Make a message at a São Paulo time of 18 November; `by` is the customer, empty is the team."""
    hour, minute = time.split(":")
    at = f"2026-11-18T{int(hour) + 3:02}:{minute}:00Z"
    if by:
        values["participants"] = [{"role": "from", "side": "customer", "display_name": by}]
    if text is not None:
        values["body_text"] = text
    return interaction(occurred_at=at, direction="inbound" if by else "outbound", **values)


VOICE = {"content_type": "audio/ogg", "is_voice": True, "duration_s": 42, "state": "available"}
