"""One mail, from its bytes to the JSON view that the mapping reads."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict

from bridge_imap.automated import Event, Report, recognise
from bridge_imap.bodies import Attachment, Body, leaves_of, read_attachments, read_body
from bridge_imap.forms import Form, read_form
from bridge_imap.forwards import Forwarded, find_forwarded
from bridge_imap.headers import Address, addresses, instant, message_id, message_ids, show_instant, text_of
from bridge_imap.html_text import explodes, marks_quotes
from bridge_imap.mime import Fields, read_parts
from bridge_imap.people import (
    MailContext,
    Participant,
    asker_of,
    direction_of,
    is_own,
    is_own_list,
    is_passed_on,
    mailbox_of,
    participants_of,
    recipients_of,
)
from bridge_imap.replies import Split, split_html, split_page, split_text

__all__ = ["MailContext", "MailView", "parse"]

_OLDEST_YEAR = 1990
_NEWEST_YEAR = 2100
_MOST_FILES = 200
_CLOCK_SKEW = timedelta(days=1)


class File(TypedDict):
    """An attachment in the words of the journey schema; `id` is its IMAP section number."""

    id: str
    filename: NotRequired[str]
    content_type: str
    size: int
    sha256: str


MailView = TypedDict(
    "MailView",
    {
        "message_id": str | None,
        "mail_hash": str | None,
        "dedupe_keys": list[str],
        "occurred_at": str | None,
        "date_claimed": str | None,
        "internal_date": str | None,
        "subject": str | None,
        "from": list[Address],
        "reply_to": list[Address],
        "to": list[Address],
        "cc": list[Address],
        "bcc": list[Address],
        "participants": list[Participant],
        "channel_account": str | None,
        "direction": str,
        "state": str | None,
        "tells": str,
        "text_new": str,
        "text_full": str,
        "body_full": str | None,
        "html": str | None,
        "in_reply_to": str | None,
        "references": list[str],
        "thread_key": str | None,
        "attachments": list[Attachment],
        "files": list[File],
        "automated_by": str | None,
        "is_automated": bool,
        "report": Report | None,
        "event": Event | None,
        "list_id": str | None,
        "forwarded": Forwarded | None,
        "form": Form | None,
        "visibility": str,
        "unreadable": str | None,
    },
)
"""
What the mapping reads: JSON, times in RFC 3339 with Z, addresses in lower case, ids without brackets.

`dedupe_keys` name the mail itself, or the mail that a report speaks of: then `tells` is "status" and `state` what
became of it. `occurred_at` is the Date field where it can be true, else when the mail came; `date_claimed` is what
the field says. `text_new` is what the sender typed this time, of a mail that a colleague forwards what its author
typed; `body_full` the whole text where it differs. `html` is as sent, not safe to show. `files` are the attachments a
reader would call so, `attachments` all of them. `thread_key` is the same for all mails of a conversation.
`unreadable` says why nothing more could be read; None for every mail that could.
"""


def parse(raw: bytes, context: MailContext) -> MailView:
    """
    Return the view of one mail in RFC 5322 form; pure, and never raises, whatever the bytes are.

    The same bytes and context give the same view. Time and memory stay in proportion to the mail.
    """
    try:
        return _read(raw, context)
    except Exception as error:
        # Bytes of strangers must not stop the queue; what cannot be read is still shown and counted.
        return _unreadable(raw, context, error)


def _read(raw: bytes, context: MailContext) -> MailView:
    root = read_parts(raw)
    leaves = leaves_of(root)
    fields = root.fields
    body, parts = read_body(raw, root, limit=context.max_body, default=context.charset)
    charset = body.charset or context.charset
    subject = text_of(fields[b"subject"][0], charset) if b"subject" in fields else ""
    people = {
        name: _people(fields, name, charset) for name in ("from", "sender", "reply-to", "to", "cc", "bcc")
    }
    authors = people["from"] or people["sender"]
    author = authors[0]["email"] if authors else ""
    asker = asker_of(fields, author, people["reply-to"], body.text, context)
    automated = recognise(
        raw,
        root,
        leaves,
        sender=author,
        subject=subject,
        text=body.text,
        own_list=is_own_list(fields, context) and (asker is not None or not is_own(author, context)),
    )
    form = None
    if asker is not None and automated["by"] in (None, "notification"):
        form = read_form(asker["email"], asker["name"], body.text)
        automated["by"] = None
    report = automated["report"]
    forwarded = None if report else find_forwarded(raw, leaves, subject=subject, text=body.text)
    recipients = people["to"] + people["cc"] + people["bcc"]
    direction = direction_of(author, recipients, context)
    passed_on = is_passed_on(forwarded, direction, recipients, context)
    if form is not None or passed_on:
        direction = "inbound"
    split = split_text(forwarded["text"]) if forwarded is not None and passed_on else _split(body)
    own_id = message_id(fields.get(b"message-id", ()))
    references = _references(fields, own_id)
    answered = [found for found in message_ids(fields.get(b"in-reply-to", ())) if found != own_id]
    claimed = instant(fields[b"date"][0]) if b"date" in fields else None
    occurred = claimed if _is_sane(claimed, context.internal_date) else context.internal_date
    mail_hash = None if own_id else _mail_hash(fields, people, subject, body.text)
    attachments = read_attachments(raw, parts[:_MOST_FILES], body.html, charset)
    original = forwarded if passed_on else None
    full = body.text.strip()
    view = MailView(
        {
            "message_id": own_id,
            "mail_hash": mail_hash,
            "dedupe_keys": [f"message-id:{own_id}" if own_id else f"mail-hash:{mail_hash}"],
            "occurred_at": show_instant(occurred) if occurred else None,
            "date_claimed": show_instant(claimed) if claimed else None,
            "internal_date": show_instant(context.internal_date) if context.internal_date else None,
            "subject": subject or None,
            "from": authors,
            "reply_to": people["reply-to"],
            "to": people["to"],
            "cc": people["cc"],
            "bcc": people["bcc"],
            "participants": participants_of(people, authors, context, automated["by"], form, original),
            "channel_account": mailbox_of(author, recipients, context),
            "direction": direction,
            "state": {"inbound": "received", "unknown": None}.get(direction, "sent"),
            "tells": "whole",
            "text_new": full if split.new == full else split.new,  # one text, so that it is pickled once
            "text_full": full,
            "body_full": full if passed_on or split.quoted or split.signature else None,
            "html": None if body.html is None or explodes(body.html) else body.html[: context.max_body],
            "in_reply_to": answered[0] if answered else None,
            "references": references,
            "thread_key": _thread_key(fields, own_id, mail_hash, references, answered),
            "attachments": attachments,
            "files": [_file(attachment) for attachment in attachments if not attachment["inline"]],
            "automated_by": automated["by"],
            "is_automated": automated["by"] is not None,
            "report": report,
            "event": automated["event"],
            "list_id": automated["list_id"],
            "forwarded": forwarded,
            "form": form,
            "visibility": context.detail,
            "unreadable": None,
        }
    )
    if report is not None and report["state"] and report["message_id"]:
        ours = automated["by"] == "bounce" or not is_own(author, context)
        return _as_status(view, report, "outbound" if ours else "inbound", context)
    return view


def _as_status(view: MailView, report: Report, direction: str, context: MailContext) -> MailView:
    """Make of a report's view what it tells of the mail it speaks of: its fate, and whom that mail went to."""
    view["dedupe_keys"] = [f"message-id:{report['message_id']}"]
    view["participants"] = recipients_of(report, context)
    view["direction"] = direction
    view["state"] = report["state"]
    view["tells"] = "status"
    view["files"] = []
    view["thread_key"] = None
    return view


def _people(fields: Fields, name: str, charset: str) -> list[Address]:
    values = fields.get(name.encode())
    return addresses(values, charset) if values else []


def _split(body: Body) -> Split:
    """Cut quotes by the text; where it shows none, by the marks in the HTML beside it."""
    if body.page is not None:
        return split_page(body.page)
    split = split_text(body.text)
    if not split.quoted and body.html is not None and marks_quotes(body.html):
        marked = split_html(body.html)
        if marked.quoted:
            return marked
    return split


def _references(fields: Fields, own_id: str | None) -> list[str]:
    return [found for found in message_ids(fields.get(b"references", ())) if found != own_id]


def _thread_key(
    fields: Fields, own_id: str | None, mail_hash: str | None, references: list[str], answered: list[str]
) -> str | None:
    """
    Return the first mail of the conversation, as far as this one tells.

    An Outlook answer without References has its place in Thread-Index: 22 bytes for the conversation, 5 more for
    each answer (Microsoft [MS-OXOMSG] 2.2.1.3, read 2026-11-21); one without the 5 begins a conversation.
    """
    if references or answered:
        return (references or answered)[0]
    if b"thread-index" in fields:
        try:
            place = base64.b64decode("".join(text_of(fields[b"thread-index"][0]).split()), validate=True)
        except ValueError:
            place = b""
        if len(place) > 22:
            topic = text_of(fields.get(b"thread-topic", [b""])[0]).lower()
            return f"outlook:{place[:22].hex()}:{hashlib.sha256(topic.encode()).hexdigest()[:16]}"
    return own_id or mail_hash


def _is_sane(claimed: datetime | None, internal: datetime | None) -> bool:
    """Tell whether a Date can be true: not from before there was mail, nor from after the mail came."""
    if claimed is None or not _OLDEST_YEAR <= claimed.year < _NEWEST_YEAR:
        return False
    return internal is None or claimed <= internal + _CLOCK_SKEW


def _mail_hash(fields: Fields, people: dict[str, list[Address]], subject: str, text: str) -> str:
    """Hash what is the same in every copy of a mail without Message-ID; line ends and spaces don't count."""
    told = [
        text_of(fields.get(b"date", [b""])[0]),
        ",".join(person["email"] for person in people["from"]),
        ",".join(person["email"] for person in people["to"]),
        subject,
        " ".join(text.split()),
    ]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _file(attachment: Attachment) -> File:
    file = File(
        id=attachment["id"],
        content_type=attachment["content_type"],
        size=attachment["size"],
        sha256=attachment["sha256"],
    )
    if attachment["filename"]:
        file["filename"] = attachment["filename"]
    return file


def _unreadable(raw: bytes, context: MailContext, error: Exception) -> MailView:
    at = show_instant(context.internal_date) if context.internal_date else None
    digest = hashlib.sha256(raw).hexdigest()
    return MailView(
        {
            "message_id": None,
            "mail_hash": digest,
            "dedupe_keys": [f"mail-hash:{digest}"],
            "occurred_at": at,
            "date_claimed": None,
            "internal_date": at,
            "subject": None,
            "from": [],
            "reply_to": [],
            "to": [],
            "cc": [],
            "bcc": [],
            "participants": [],
            "channel_account": None,
            "direction": "outbound" if context.folder_role == "sent" else "unknown",
            "state": None,
            "tells": "whole",
            "text_new": "",
            "text_full": "",
            "body_full": None,
            "html": None,
            "in_reply_to": None,
            "references": [],
            "thread_key": digest,
            "attachments": [],
            "files": [],
            "automated_by": None,
            "is_automated": False,
            "report": None,
            "event": None,
            "list_id": None,
            "forwarded": None,
            "form": None,
            "visibility": context.detail,
            "unreadable": f"{type(error).__name__}: {error}"[:300],
        }
    )
