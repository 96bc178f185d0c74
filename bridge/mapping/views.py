"""What a push mapping may read: the views of an entry, a person and a task, field by field."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.yaml_file import did_you_mean

View = Mapping[str, "str | View"]
"""Fields of a view with their meaning; `*` holds those of every item of a list."""

_PARTY: View = {
    "email": "E-mail address.",
    "phone": "Phone number in E.164.",
    "name": "Name as it is known.",
}

ENTRY_VIEW: View = {
    "key": "The 12 characters that mark the entry as ours.",
    "channel": "Where it happened: email, whatsapp, phone.",
    "kind": "What happened: message, email, call, form_submission.",
    "direction": "inbound, outbound, internal or unknown.",
    "occurred_at": "When it happened, an instant in UTC.",
    "subject": "Subject line.",
    "text": "The whole timeline text; its last line holds the key.",
    "body_text": "The text as it was written, without the frame of the timeline.",
    "from": _PARTY,
    "to": {"*": _PARTY},
    "cc": {"*": _PARTY},
    "duration_ms": "How long it took, in milliseconds.",
    "outcome": "Result of a call or meeting.",
    "state": "How far it got: sent, delivered, missed.",
    "message_id": "The bare Message-ID of a mail.",
    "owner_id": "The CRM's id of the owner.",
    "count": "How many messages the entry holds.",
}

PERSON_VIEW: View = {
    "person_id": "Our id of the person.",
    "display_name": "Full name.",
    "given_name": "First name.",
    "family_name": "Last name.",
    "email": "The main e-mail address.",
    "phone": "The main phone number in E.164.",
    "waiting_since": "Since when they wait for an answer, an instant; nothing where they do not.",
    "waiting_channel": "The channel of what they have waited for longest.",
    "waiting_text": "What they wrote then, the first that nobody answered.",
    "last_inbound_at": "When they last wrote or called, an instant.",
    "last_outbound_at": "When we last wrote or called, an instant.",
    "first_seen_at": "When they were first seen, an instant.",
    "source": "Where they came from, as text.",
    "channels": "The channels they used, as text.",
}

TASK_VIEW: View = {
    "key": "The 12 characters that mark the task as ours.",
    "subject": "What is asked, in one line.",
    "text": "The whole question; its last line holds the key.",
    "due_at": "By when, an instant in UTC.",
    "due_on": "By which day, 2026-11-24.",
    "done": "Whether the task is done, true or false.",
    "owner_id": "The CRM's id of the user whose task it is.",
}

ANSWER_FIELDS = {
    "text": "What stands in the task now, as plain text.",
    "done": "Whether it is done, true or false.",
    "by": "The CRM's id of the user who changed it last, or whose task it is where the CRM does not tell.",
}
"""What `push.task.answer` reads back from a task."""


def view_fault(view: View, keys: tuple[str, ...]) -> str | None:
    """Return None where a view has these keys, else what may have been meant."""
    node: str | View = view
    for key in keys:
        if isinstance(node, str):
            return f'Nothing is below "{key}".' if key == "*" else f'There is no "{key}" in it.'
        if "*" in node:
            if key != "*" and not key.isdigit():
                return "It is a list: name a position, or go through it with `each`."
            node = node["*"]
        elif key in node:
            node = node[key]
        else:
            return did_you_mean(key, node) or f"Known: {', '.join(node)}."
    return None
