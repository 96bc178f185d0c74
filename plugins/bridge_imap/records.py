"""How one mail travels in a Record: who it is, where it stood, and its bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import orjson

from bridge import Detail, Record
from bridge_imap.headers import addresses as mailboxes

STREAM = "messages"

META = b"X-Crmbridge-Meta: "
"""The first line of every record's data; the mail as the server sent it follows."""

_PEOPLE = ("from", "sender", "reply-to", "to", "cc", "bcc")
_ENVELOPE = (
    *_PEOPLE,
    "date",
    "message-id",
    "list-id",
    "in-reply-to",
    "references",
    "thread-index",
    "return-path",
    "auto-submitted",
    "x-auto-response-suppress",
    "precedence",
    "content-type",
)
KEPT: Mapping[Detail, tuple[str, ...]] = {
    "metadata": _ENVELOPE,
    "subject": (*_ENVELOPE, "subject", "thread-topic"),
}
"""The fields that less than "full" keeps: who, when, in answer to what; and the subject."""

_NAMING = (*_PEOPLE, "x-original-from")
"""The fields that name somebody: the last is how a group that rewrites From tells who it was."""

_JUDGED = (*_NAMING, "date", "subject", "message-id", "list-id")


def header_item(names: Iterable[str]) -> bytes:
    """Return the FETCH item for some header fields."""
    return f"BODY.PEEK[HEADER.FIELDS ({' '.join(names).upper()})]".encode()


JUDGED_ITEM = header_item(_JUDGED)
"""What identity and the capture rules look at before it is known what may be kept."""

_MESSAGE_ID = re.compile(r"<([^<>]+)>")
_ADDRESS = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s<>()",;:@]+)@[^\s<>()",;:@]+|"(?:[^"\\]|\\.)*"')
"""An address, or a quoted name, which may look like an address."""
_INTERNAL_DATE = re.compile(rb" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})")
_MONTHS = {m: n for n, m in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_ID_LIMIT = 250
_HASH = "mail-hash:"


class Attachment(TypedDict):
    """
    An attachment that was not fetched, as BODYSTRUCTURE tells of it.

    `id` is its section number, such as 2.1; `size` is in bytes, decoded, as near as can be told.
    """

    id: str
    filename: str | None
    content_type: str
    size: int


class Meta(TypedDict, total=False):
    """
    What the server knows of a mail and the mail itself doesn't say.

    `internal_date` is RFC 3339 in UTC. `size` is the whole mail's, in bytes. `detail` is full, subject,
    metadata, "cut" (too large: its beginning, and `attachments` by name only) or "unreadable"
    (the server failed to give it out; `reason` is what it said).
    """

    folder: str
    role: str
    uidvalidity: int
    uid: int
    internal_date: str | None
    size: int
    detail: str
    attachments: list[Attachment]
    reason: str


_READ = {name.encode(): name for name in _JUDGED}


def pack(meta: Meta, raw: bytes) -> bytes:
    """Return a record's data: one line of JSON, then the mail."""
    return META + orjson.dumps(meta) + b"\r\n" + raw


def unpack(data: bytes) -> tuple[Meta, bytes]:
    """Return what `pack` was given; a mail without a good first line comes back whole with an empty Meta."""
    line, _, raw = data.partition(b"\r\n")
    if not line.startswith(META):
        return Meta(), data
    try:
        meta: Meta = orjson.loads(line[len(META) :])
    except orjson.JSONDecodeError:
        return Meta(), data
    return meta, raw


def fields(header: bytes) -> dict[str, list[str]]:
    """Return the fields of JUDGED_ITEM, unfolded, by lower-case name; what is no UTF-8 is taken for Latin-1."""
    found: dict[str, list[str]] = {}
    for line in _lines(header):
        name, _, value = line.partition(b":")
        known = _READ.get(name.strip().lower())
        if known:
            found.setdefault(known, []).append(_decoded(value).strip())
    return found


def identity(header: Mapping[str, list[str]], size: int) -> str:
    """
    Return the id of a mail, the same in every folder and after every move.

    It is the Message-ID without brackets, or a hash of date, people, subject and size where
    there is none. A copy that came through a mailing list is a record of its own: its footer and
    `List-Id` must not stand for the mail that the customer sent directly as well.
    """
    said = " ".join(header.get("message-id", [""])[0].split()).replace("\0", "")
    bare = _MESSAGE_ID.search(said)
    name = (bare[1] if bare else said).strip().strip("<>")
    if not name:
        told = [value for field in ("date", "from", "to", "subject") for value in header.get(field, [""])]
        name = f"{_HASH}{_hash([*told, str(size)])}"
    elif len(name) > _ID_LIMIT:
        name = f"long-id:{_hash([name])}"
    return f"{name}#list" if header.get("list-id") else name


def identity_with_body(id: str, raw: bytes) -> str:
    """Return `id`, told apart by the body as well where it is a hash: a script may send two mails in one second."""
    if not id.startswith(_HASH):
        return id
    body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return f"{_HASH}{_hash([id, hashlib.sha256(body).hexdigest()])}"


def addresses(header: Mapping[str, list[str]]) -> set[str]:
    """
    Return every address the mail names, in lower case.

    Those that the mail's reader will find as well, however they are written: what is judged here must be
    what is shown later.
    """
    found: set[str] = set()
    for name in _NAMING:
        values = header.get(name, ())
        for value in values:
            found.update(text.lower() for text in _ADDRESS.findall(value) if text[-1] != '"')
        found.update(one["email"] for one in mailboxes(value.encode() for value in values))
    return found


def keep(header: bytes, detail: Detail) -> bytes:
    """Return those fields of a header that KEPT allows; a server may send more than it was asked for."""
    allowed = {name.encode() for name in KEPT[detail]}
    kept = [line for line in _lines(header) if line.partition(b":")[0].strip().lower() in allowed]
    return b"".join(line + b"\r\n" for line in kept) + b"\r\n"


def _lines(header: bytes) -> list[bytes]:
    text = header.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return text.replace(b"\n ", b" ").replace(b"\n\t", b" ").split(b"\n")


def internal_date(value: object) -> datetime | None:
    """Return INTERNALDATE (RFC 9051, date-time) in UTC, or None where it is no date."""
    match = _INTERNAL_DATE.fullmatch(value) if isinstance(value, bytes) else None
    if match is None or match[2].lower() not in _MONTHS:
        return None
    day, month, year, hour, minute, second, zone = match.groups()
    offset = (int(zone[1:3]) * 60 + int(zone[3:])) * (-1 if zone[:1] == b"-" else 1)
    try:
        local = datetime(
            int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
        return local - timedelta(minutes=offset) if offset else local
    except (ValueError, OverflowError):
        return None


def record(id: str, at: datetime | None, meta: Meta, raw: bytes) -> Record:
    """
    Return the record of a mail.

    Its version is how much of it was fetched: a mail's bytes never change, so the same mail seen again is
    a repeat, and only a rule that allows more or less of it makes a new version.
    """
    return Record(stream=STREAM, id=id, version=meta["detail"], modified_at=at, data=pack(meta, raw))


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
