"""WhatsApp's words: which webhook fields carry what, message types, and what is left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Event = Literal["message", "echo", "history", "status", "call", "preference", "succession", "other"]
"""What one item of a webhook is to us, whatever Meta calls the list it came in."""

LISTS: Final[Mapping[str, Event]] = {
    "messages": "message",
    "message_echoes": "echo",
    "statuses": "status",
    "calls": "call",
    "user_preferences": "preference",
    "user_id_update": "succession",
}
"""Lists inside a change's `value`, by name, with what their items are."""

FRAME: Final = frozenset({"messaging_product", "metadata", "contacts", "errors", "history", *LISTS})
"""Names inside `value` that are no event of their own or are read elsewhere."""

STATUS_STREAM: Final = "statuses"
MESSAGE_STREAM: Final = "messages"

SKIPPED_FIELDS: Final[Mapping[str, str]] = {
    "account_alerts": "account update",
    "account_review_update": "account update",
    "account_settings_update": "account update",
    "account_update": "account update",
    "automatic_events": "ad tracking",
    "business_capability_update": "account update",
    "business_status_update": "account update",
    "business_username_update": "account update",
    "flows": "account update",
    "group_lifecycle_update": "group membership",
    "group_participants_update": "group membership",
    "group_settings_update": "group membership",
    "group_status_update": "group membership",
    "message_template_components_update": "template update",
    "message_template_quality_update": "template update",
    "message_template_status_update": "template update",
    "partner_solutions": "account update",
    "payment_configuration_update": "account update",
    "phone_number_name_update": "account update",
    "phone_number_quality_update": "account update",
    "security": "account update",
    "smb_app_state_sync": "own phone book",
    "template_category_update": "template update",
    "template_correct_category_detection": "template update",
    "tracking_events": "ad tracking",
}
"""
Webhook fields that tell nothing of a customer's journey, with the rule people see.

The phone book of a number that stays in the WhatsApp Business app is left out because it
holds everybody the owner knows, private people included; a customer's name comes with the
customer's own first message.
"""

MEDIA: Final = frozenset({"image", "video", "audio", "document", "sticker", "media_placeholder"})
"""
Message types that are one file.

In the chat history a placeholder comes first, and for files of the last 14 days the file itself
in a later webhook under the same message id.
"""

SYSTEM_TYPES: Final = frozenset({"system", "request_welcome"})
"""Message types that nobody wrote: the platform tells of something."""

TEMPLATE_CATEGORIES: Final = frozenset(
    {"marketing", "marketing_lite", "utility", "authentication", "authentication-international"}
)
"""
Price categories that only a template message can have; "service" is a reply a person or an app wrote.

Under the old conversation pricing ("CBP") the category is that of the 24-hour conversation
and says nothing of the single message.
"""

SITES: Final[Mapping[str, str]] = {
    "instagram.com": "instagram",
    "facebook.com": "facebook",
    "fb.com": "facebook",
    "fb.me": "facebook",
}
"""Where an ad or post stands, by the host of its address."""

HISTORY_REFUSED: Final = 2593109
"""The error that says the business did not share its chat history when the number was connected."""
