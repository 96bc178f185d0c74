"""The shape of an interaction entity, and what code in several places wants to know of one."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Address(TypedDict):
    """A handle as an entity holds it."""

    kind: str
    value: str
    scope: NotRequired[str]


class Participant(TypedDict, total=False):
    """Somebody who took part."""

    role: str
    side: str
    display_name: str
    handles: list[Address]


class Attachment(TypedDict, total=False):
    """A file that came with an interaction."""

    id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    duration_s: float
    is_voice: bool
    state: str
    ref: str


class Reaction(TypedDict, total=False):
    """An emoji somebody put on an interaction; none or an empty one was taken back."""

    by: str
    emoji: str
    at: str


class Attribution(TypedDict, total=False):
    """Where somebody came from."""

    source: str
    medium: str
    campaign: str
    ad_id: str
    headline: str


class Interaction(TypedDict, total=False):
    """Something that happened between people; the fields are those of interaction.schema.json."""

    kind: str
    channel: str
    channel_account: str
    direction: str
    occurred_at: str
    duration_s: float
    subject: str
    body_text: str
    body_full: str
    participants: list[Participant]
    attachments: list[Attachment]
    state: str
    outcome: str
    is_automated: bool
    automated_by: str
    visibility: str
    edited_at: str
    deleted_at: str
    reactions: list[Reaction]
    attribution: Attribution
    owner_ref: str
    dedupe_keys: list[str]
    tells: str
    custom: dict[str, Any]


_UNREACHED = frozenset(
    ("no answer", "busy", "left voicemail", "left live message", "voicemail", "missed", "wrong number")
)


def was_unanswered(call: Interaction) -> bool:
    """Tell whether nobody was reached: by the state, or by the outcome that a person entered."""
    outcome = call.get("outcome", "").lower().replace("_", " ")
    return call.get("state") in ("missed", "failed", "cancelled") or outcome in _UNREACHED
