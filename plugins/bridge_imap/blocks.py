"""Blocks of header lines inside a text (From:, Sent:, To:, Subject:), as Outlook and forwards write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge_imap.reply_words import LABELS

_MARKS = " \t*_>|\u200e\u200f\u202a\u202b\u202c"
_SPACES = _MARKS.replace(">", "")
_LONGEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Header lines `start` up to and without `end`; `fields` maps from, date, to, cc, subject to the text found."""

    start: int
    end: int
    fields: dict[str, str]


def label_of(line: str) -> str | None:
    """Return from, date, to, cc or subject if the line starts with such a label in any known language, else None."""
    head, colon, _ = line.lstrip(_MARKS)[:32].replace("\uff1a", ":").partition(":")
    if not colon:
        return None
    return LABELS.get(
        head.strip(_MARKS + "\xa0").replace(" ", "").replace("\xa0", "").replace("’", "'").lower()
    )


def block_at(lines: Sequence[str], start: int) -> Block | None:
    """
    Read the header block whose first label stands in line `start`; None if there is none.

    A block names the sender and two more of date, recipient, copy and subject; empty lines
    between labels and one wrapped line per label are allowed.
    """
    fields: dict[str, str] = {}
    end = start
    current = ""
    gap = False
    for index in range(start, min(start + _LONGEST, len(lines))):
        line = lines[index].lstrip(_MARKS).rstrip(_SPACES)
        if not line:
            if gap:
                break
            gap = True
            continue
        kind = label_of(line)
        if kind is not None and kind not in fields:
            fields[kind] = line.replace("\uff1a", ":").partition(":")[2].strip(_SPACES)
            current = kind
        elif gap or kind is not None:
            break
        elif not _other_header(line):
            if not current:
                break
            fields[current] = f"{fields[current]} {line}".strip()
            current = ""
        gap = False
        end = index + 1
    if "from" not in fields or len(fields) < 3:
        return None
    return Block(start=start, end=end, fields=fields)


def _other_header(line: str) -> bool:
    """Tell whether a line is a header we need not read, such as `Importance: High`."""
    head, colon, _ = line.partition(":")
    return bool(colon) and len(head) < 24 and head.count(" ") < 3
