"""The words a caller may use, and what role each side of an interaction has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STREAM: Final = "interactions"

KINDS: Final = (
    "message",
    "email",
    "call",
    "voicemail",
    "meeting",
    "note",
    "form_submission",
    "page_view",
    "post",
    "comment",
    "survey_response",
    "system_event",
)
CHANNELS: Final = (
    "email",
    "phone",
    "sms",
    "whatsapp",
    "instagram",
    "messenger",
    "telegram",
    "slack",
    "teams",
    "webchat",
    "web_form",
    "linkedin",
    "in_person",
    "letter",
    "spreadsheet",
    "api",
    "other",
)
STATES: Final = (
    "scheduled",
    "queued",
    "sent",
    "delivered",
    "read",
    "received",
    "failed",
    "completed",
    "missed",
    "cancelled",
)
DIRECTIONS: Final = ("inbound", "outbound", "internal")

CUSTOMER_SIDE: Final[Mapping[str, str]] = {"inbound": "from", "outbound": "to", "internal": "to"}
"""Which field names the customer; an internal note is from the team, about the person in `to`."""

ROLES: Final[Mapping[str, tuple[str, str]]] = {
    "call": ("caller", "callee"),
    "voicemail": ("caller", "callee"),
    "meeting": ("organizer", "attendee"),
    "note": ("author", "mentioned"),
    "form_submission": ("author", "to"),
    "page_view": ("author", "to"),
    "post": ("author", "to"),
    "comment": ("author", "to"),
    "survey_response": ("author", "to"),
}
"""The roles of `from` and `to` by kind; other kinds have from and to."""

LEAD_KINDS: Final = frozenset({"form_submission"})
"""Kinds by which somebody asks for something, whatever the capture rules know of the person."""
