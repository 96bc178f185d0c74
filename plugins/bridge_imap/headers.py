"""What header fields say: words in any charset, addresses, ids and dates (RFC 5322, RFC 2047)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TypedDict

from bridge_imap.charsets import decode

_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*(?:\?(?!=)[^?]*)?)\?=")
_FOLD = re.compile(r"[\r\n]+[ \t]*")
_SPACE = re.compile(r"\s+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TOKEN = re.compile(
    r'"((?:[^"\\]|\\.)*)("|$)|<([^<>]*)(?:>|$)|\(((?:[^()\\]|\\.)*)(?:\)|$)|([,;])|([^"<>(),;]+)|(.)',
    re.DOTALL,
)
_END = ("", "", "", "", ",", "", "")
_ID = re.compile(r"<([^<>]*)>")
_DATE = re.compile(
    r"(?:[A-Za-z]{2,9}\.?,?\s*)?(\d{1,2})[\s-]+([A-Za-z]{3})[a-z]*\.?,?[\s-]+(\d{4}|\d\d)\s+(\d{1,2}):(\d\d)(?::(\d\d))?"
    r"(?:\.\d+)?\s*([+-]\d{4}\b|[A-Za-z]{1,5}\b)?"
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_ZONES = {
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
    "cet": 1,
    "cest": 2,
}
_LONGEST = 65_536
_LONGEST_NAME = 200
_LONGEST_ADDRESS = 320
_LONGEST_ID = 900
_MOST_IDS = 200


class Address(TypedDict):
    """One mailbox: `email` in lower case, `name` as shown, "" where there is none."""

    email: str
    name: str


def text_of(value: bytes, default: str = "utf-8") -> str:
    """Return an unstructured field as one line of text, its encoded words decoded."""
    return _SPACE.sub(" ", decode_words(_unfolded(value[:_LONGEST], default), default)).strip()


def decode_words(text: str, default: str = "utf-8") -> str:
    """Decode the encoded words in a text; neighbours of one charset are joined before, as broken programs need."""
    if "=?" not in text:
        return text
    out: list[str] = []
    pending = b""
    charset = ""
    place = 0
    for word in _WORD.finditer(text):
        between = text[place : word.start()]
        place = word.end()
        label = word[1].partition("*")[0].lower()
        if pending and (between.strip() or label != charset):
            out.append(decode(pending, charset, default))
            pending = b""
        if between.strip() or not (out or pending):
            out.append(between)
        charset = label
        pending += _word_bytes(word[2], word[3])
    if pending:
        out.append(decode(pending, charset, default))
    out.append(text[place:])
    return "".join(out)


def addresses(values: Iterable[bytes], default: str = "utf-8") -> list[Address]:
    """
    Return the mailboxes of address fields, each address once, in order.

    Groups are taken apart, comments serve as names, `;` separates as `,` does, and a name whose comma
    was not quoted is put together again. What has no @ is left out.
    """
    found: dict[str, Address] = {}
    for value in values:
        text = _unfolded(value[:_LONGEST], default)
        if "@" not in text and "=?" in text:
            text = decode_words(text, default)
        for address in _mailboxes(text, default):
            if address["email"] not in found or not found[address["email"]]["name"]:
                found[address["email"]] = address
    return list(found.values())


def message_ids(values: Iterable[bytes]) -> list[str]:
    """Return the message ids of a field without brackets, each once, in order; junk between them is passed over."""
    found: dict[str, None] = {}
    for value in values:
        text = _unfolded(value[:_LONGEST], "utf-8")
        words = _ID.findall(text) if "<" in text else text.split()
        for word in words:
            bare = "".join(word.split()).strip("<>")
            if bare and len(bare) <= _LONGEST_ID and ("@" in bare or "<" in text):
                found[bare] = None
    return list(found)[:_MOST_IDS]


def message_id(values: Iterable[bytes]) -> str | None:
    """Return the id of a mail without brackets, also one that lacks them or its @; None where there is none."""
    for value in values:
        text = _unfolded(value[:_LONGEST], "utf-8").strip()
        inside = _ID.search(text)
        bare = "".join((inside[1] if inside else text.partition(" ")[0]).split()).strip("<>")
        if bare and len(bare) <= _LONGEST_ID:
            return bare
    return None


def instant(value: bytes) -> datetime | None:
    """Return a Date field in UTC, None where it makes no sense; a zone nobody knows counts as UTC."""
    text = _unfolded(value[:200], "utf-8")
    found = _DATE.match(text.strip())
    try:
        if found is None or found[2].lower() not in _MONTHS:
            return _other_date(text)
        day, month, year, hour, minute, second, zone = found.groups()
        number = int(year)
        if len(year) == 2:
            number += 2000 if number < 70 else 1900
        return datetime(
            number,
            _MONTHS[month.lower()],
            int(day),
            int(hour),
            int(minute),
            min(int(second or 0), 59),
            tzinfo=timezone(_offset(zone or "")),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def show_instant(value: datetime) -> str:
    """Return an instant in RFC 3339 with Z, to the second."""
    return f"{value.isoformat()[:19]}Z"


def _other_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, IndexError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _offset(zone: str) -> timedelta:
    if zone[:1] in ("+", "-"):
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
        return -offset if zone[0] == "-" else offset
    return timedelta(hours=_ZONES.get(zone.lower(), 0))


def _unfolded(value: bytes, default: str) -> str:
    text = decode(value, None, default)
    return _FOLD.sub(" ", text) if "\n" in text or "\r" in text else text


def _word_bytes(encoding: str, content: str) -> bytes:
    if encoding in "qQ":
        return binascii.a2b_qp(content.replace(" ", "_").encode("utf-8", "replace"), header=True)
    raw = re.sub(r"[^A-Za-z0-9+/]", "", content)
    raw = raw[:-1] if len(raw) % 4 == 1 else raw
    return base64.b64decode(raw + "=" * (-len(raw) % 4))


def _mailboxes(text: str, default: str) -> Iterator[Address]:
    said: list[str] = []
    comment = angle = carried = ""
    for quoted, closed, inside, remark, separator, plain, _ in (*_TOKEN.findall(text), _END):
        if separator:
            words = _SPACE.sub(" ", "".join(said)).strip()
            if "@" in angle or "@" in words:
                if "@" in angle:
                    yield from _named(f"{carried} {words}", angle, comment, default)
                else:
                    yield from _bare(words, comment, default)
                carried = ""
            else:
                joinable = words and separator == "," and len(carried) < _LONGEST_NAME
                carried = f"{carried} {words},".strip() if joinable else ""
            said, comment, angle = [], "", ""
        elif quoted or closed:
            if not closed and "@" in quoted:
                yield from _mailboxes(quoted.replace('"', " "), default)
                return
            said.append(_ESCAPED.sub(r"\1", quoted))
        elif inside and not angle:
            angle = inside
        elif remark:
            comment = remark
        else:
            said.append(plain)


def _named(name: str, email: str, comment: str, default: str) -> Iterator[Address]:
    """Yield the address between angle brackets; a group's name in front of the person's is left out."""
    name = _name(name, default)
    if ":" in name and "@" not in name:
        name = name.rpartition(":")[2].strip()
    return _checked([email], name or _name(comment, default))


def _bare(words: str, comment: str, default: str) -> Iterator[Address]:
    """Yield the address or, where only spaces separate them, the addresses that stand without brackets."""
    return _checked(
        [word for word in words.rpartition(":")[2].split() if "@" in word], _name(comment, default)
    )


def _name(text: str, default: str) -> str:
    name = _SPACE.sub(" ", decode_words(text, default)).strip(" ,")
    while len(name) > 1 and name[0] in "'\"" and name[-1] == name[0]:
        name = name[1:-1].strip()
    return name


def _checked(emails: Iterable[str], name: str) -> Iterator[Address]:
    for given in emails:
        email = "".join(given.rpartition(":")[2].split()).strip("<>.'\"[]").lower()
        local, _, domain = email.rpartition("@")
        if local and domain and len(email) <= _LONGEST_ADDRESS:
            yield Address(email=email, name="" if name.lower() == email else name)
