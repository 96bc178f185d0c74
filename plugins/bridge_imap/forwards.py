"""Mails that pass on another mail: who wrote the original, when, and what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypedDict

from bridge_imap.blocks import block_at, label_of
from bridge_imap.bodies import read_body
from bridge_imap.headers import addresses, instant, message_id, show_instant, text_of
from bridge_imap.mime import Part, content, read_parts
from bridge_imap.reply_words import FORWARD_SUBJECT, FORWARDED_LINE

_SHOWN_ADDRESS = re.compile(r"[\[(](?:mailto:)?([^\s\[\]()<>]+@[^\s\[\]()<>]+)[\])]")
_QUOTE_MARK = re.compile(r"^[ ]?> ?", re.MULTILINE)
_READ_LIMIT = 262_144
_BLOCK_WITHIN = 60
_ENDS = frozenset(":-_*=")
"""Last characters of lines that announce a forwarded mail."""
_MARKS = " \t>"
"""What a quote puts around such a line."""
_TAILS = _ENDS.union(_MARKS)


class Forwarded(TypedDict):
    """
    The original of a forwarded mail.

    `email` is "" where only a name is shown. `date` is RFC 3339 where it could be read, else as
    the program wrote it. `text` is what the original says, `comment` what the forwarder wrote above.
    `part` names the attachment that holds it, None where it stands in the text.
    """

    email: str
    name: str
    date: str | None
    subject: str | None
    message_id: str | None
    text: str
    comment: str
    part: str | None


def find_forwarded(raw: bytes, leaves: Sequence[Part], *, subject: str, text: str) -> Forwarded | None:
    """Return the mail that a mail passes on, attached or in its text; None where it passes on none."""
    return _attached(raw, leaves, text) or _inline(subject, text)


def _attached(raw: bytes, leaves: Sequence[Part], text: str) -> Forwarded | None:
    for part in leaves:
        if part.content_type == "message/rfc822":
            copy = content(raw, part, _READ_LIMIT)
            root = read_parts(copy)
            fields = root.fields
            people = addresses(fields.get(b"from", []))
            if people:
                at = instant(fields.get(b"date", [b""])[0])
                return Forwarded(
                    email=people[0]["email"],
                    name=people[0]["name"],
                    date=show_instant(at) if at else None,
                    subject=text_of(fields.get(b"subject", [b""])[0]) or None,
                    message_id=message_id(fields.get(b"message-id", [])),
                    text=read_body(copy, root, limit=_READ_LIMIT, default="utf-8")[0].text.strip(),
                    comment=text.strip(),
                    part=part.id,
                )
    return None


def _inline(subject: str, text: str) -> Forwarded | None:
    """Find the header block of the original: below a line that says so, or in a mail whose subject says so."""
    announced = FORWARD_SUBJECT.match(subject) is not None
    lines = text.split("\n")
    for number, line in enumerate(lines):
        bare = line.strip(_MARKS) if line[-1:] in _TAILS else ""
        if bare[-1:] in _ENDS and FORWARDED_LINE.match(bare):
            first = next(
                (n for n in range(number + 1, min(number + 6, len(lines))) if label_of(lines[n])), None
            )
            return _read(lines, first, number) if first is not None else None
        if announced and number < _BLOCK_WITHIN and label_of(line) in ("from", "date"):
            found = _read(lines, number, number)
            if found is not None:
                return found
    return None


def _read(lines: Sequence[str], first: int, comment_end: int) -> Forwarded | None:
    block = block_at(lines, first)
    if block is None:
        return None
    people = addresses([_SHOWN_ADDRESS.sub(r"<\1>", block.fields["from"]).encode("utf-8", "replace")])
    shown = block.fields.get("date", "")
    at = instant(shown.encode("utf-8", "replace"))
    body = "\n".join(lines[block.end :])
    if lines[first].lstrip().startswith(">"):
        body = _QUOTE_MARK.sub("", body)
    comment = "\n".join(lines[:comment_end]).rstrip(" \n\t-_=*")
    return Forwarded(
        email=people[0]["email"] if people else "",
        name=people[0]["name"] if people else block.fields["from"].strip("\"' *"),
        date=show_instant(at) if at else shown or None,
        subject=block.fields.get("subject"),
        message_id=None,
        text=body.strip(),
        comment=comment.strip(),
        part=None,
    )
