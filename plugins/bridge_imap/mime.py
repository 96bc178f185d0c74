"""The parts of a mail and where their bytes stand: header fields, media types, boundaries (RFC 5322, RFC 2045-2046)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from bridge_imap.charsets import decode

Fields = dict[bytes, list[bytes]]
"""Raw values of header fields by lower-case name, in order; folded, undecoded."""

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)\n?")
_TYPE = re.compile(r"\s*([\w!#$&^.+-]{1,120})\s*/\s*([\w!#$&^.+-]{1,120})", re.ASCII)
_PARAMETER = re.compile(
    r";\s*([\w.'%!#$&^+-]+)(\*\d+)?(\*)?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)(?:\"|$)|([^;]*))", re.ASCII
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_DEEPEST = 50
_MOST_PARTS = 1000
_LONGEST_VALUE = 16_384
_KEPT = frozenset(
    b"from sender reply-to to cc bcc date subject message-id in-reply-to references thread-index thread-topic "
    b"content-type content-transfer-encoding content-disposition content-id auto-submitted x-auto-response-suppress "
    b"x-autoreply x-autorespond x-autoresponder x-autoreply-from precedence list-id list-post list-unsubscribe "
    b"x-mailing-list return-path x-failed-recipients x-original-from x-original-message-id final-recipient "
    b"original-recipient action status diagnostic-code original-message-id disposition".split()
)


@dataclass(slots=True, kw_only=True)
class Part:
    """
    One part of a mail: its bytes are `raw[start:end]`, still encoded.

    `id` is the IMAP section number (RFC 9051, section 6.4.5.1), "" for a multipart that is the whole mail.
    `content_type` is lower case; `params` its parameters by lower-case name. `children` are in order.
    """

    id: str
    fields: Fields
    content_type: str
    params: Mapping[str, str]
    start: int
    end: int
    children: list[Part] = field(default_factory=list)


def read_parts(raw: bytes) -> Part:
    """
    Find the parts of a mail; never raises.

    A multipart without its boundary line is read as text. Parts deeper than 50 levels or beyond the
    thousandth are left as they are, so that the time stays in proportion to the mail.
    """
    fields, body = read_fields(raw, 0, len(raw))
    root = _part("1", fields, body, len(raw), "text/plain")
    waiting = [(root, 0)]
    count = 1
    while waiting:
        part, depth = waiting.pop()
        if not part.content_type.startswith("multipart/"):
            continue
        pieces = _pieces(raw, part) if depth < _DEEPEST else []
        if not pieces:
            part.content_type = "text/plain" if depth < _DEEPEST else "application/octet-stream"
            continue
        if part is root:
            part.id = ""
        kind = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        for number, (start, end) in enumerate(pieces[: _MOST_PARTS - count], 1):
            fields, body = read_fields(raw, start, end)
            name = f"{part.id}.{number}" if part.id else str(number)
            part.children.append(_part(name, fields, body, end, kind))
        count += len(part.children)
        waiting += [(child, depth + 1) for child in part.children]
    return root


def read_fields(raw: bytes, start: int, end: int) -> tuple[Fields, int]:
    """
    Read header fields and return them with the place where the body begins.

    An mbox `From ` line is passed over, as are lines of white space before the first field; the first line
    that is no field ends the header, as a mail without the empty line needs.
    """
    fields: Fields = {}
    place = start
    match = _FIELD.match
    while place < end:
        found = match(raw, place, end)
        if found is not None:
            place = found.end()
            name = found[1].lower()
            if name in _KEPT:
                values = fields.get(name)
                if values is None:
                    fields[name] = [found[2]]
                else:
                    values.append(found[2])
            continue
        if raw.startswith(b"\n", place):
            return fields, place + 1
        if raw.startswith(b"\r\n", place):
            return fields, place + 2
        if not (raw.startswith((b"From ", b">From "), place) or (not fields and raw[place] in b" \t")):
            break
        line_end = raw.find(b"\n", place, end)
        place = end if line_end < 0 else line_end + 1
    return fields, place


def content(raw: bytes, part: Part, limit: int | None = None) -> bytes:
    """Return the decoded bytes of a part; damage in the encoding is passed over. `limit` cuts before decoding."""
    body = raw[part.start : part.end if limit is None else min(part.end, part.start + limit)]
    encoding = part.fields.get(b"content-transfer-encoding")
    if encoding is None:
        return body
    word = encoding[0].strip().lower()
    if word.startswith(b"quoted-printable"):
        return binascii.a2b_qp(body)
    if word.startswith(b"base64"):
        return _base64(body)
    if word.startswith((b"x-uuencode", b"uuencode", b"x-uue")):
        return _uuencoded(body)
    return body


def parse_value(value: bytes) -> tuple[str, Mapping[str, str]]:
    """
    Split a Content-Type or Content-Disposition value into its word and its parameters.

    Continuations and charsets of RFC 2231 are put together; encoded words (RFC 2047) stay as they are.
    """
    return _parsed(value[:_LONGEST_VALUE])


@lru_cache(maxsize=512)
def _parsed(value: bytes) -> tuple[str, Mapping[str, str]]:
    text = decode(value, None).replace("\r", "").replace("\n", "")
    word = text.partition(";")[0].strip().lower()
    if ";" not in text:
        return word, {}
    params: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for found in _PARAMETER.finditer(text):
        name, number, encoded, quoted, plain = found.groups()
        name = name.lower()
        given = (
            plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted) if "\\" in quoted else quoted
        )
        if number or encoded:
            pieces.setdefault(name, []).append((int(number[1:6]) if number else 0, bool(encoded), given))
        else:
            params.setdefault(name, given)
    for name, found_pieces in pieces.items():
        params[name] = _joined(sorted(found_pieces, key=lambda piece: piece[0]))
    return word, params


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    charset: str | None = None
    joined = b""
    for place, (_, encoded, given) in enumerate(pieces):
        if encoded and place == 0 and given.count("'") >= 2:
            charset, _, given = given.split("'", 2)
        joined += unquote_to_bytes(given) if encoded else given.encode("utf-8", "replace")
    return decode(joined, charset or None)


def _part(id: str, fields: Fields, start: int, end: int, kind: str) -> Part:
    declared = fields.get(b"content-type")
    if declared is None:
        return Part(id=id, fields=fields, content_type=kind, params={}, start=start, end=end)
    word, params = parse_value(declared[0])
    found = _TYPE.match(word)
    kind = f"{found[1]}/{found[2]}" if found else "text/plain"
    return Part(id=id, fields=fields, content_type=kind, params=params, start=start, end=end)


def _pieces(raw: bytes, part: Part) -> list[tuple[int, int]]:
    """Return where the pieces of a multipart stand; none if its boundary never comes."""
    boundary = part.params.get("boundary", "").rstrip()
    if not boundary:
        return []
    mark = b"--" + boundary.encode("utf-8", "replace")
    pieces: list[tuple[int, int]] = []
    opened = -1
    place = raw.find(mark, part.start, part.end)
    while place >= 0:
        after = place + len(mark)
        if place == part.start or raw[place - 1] == 10:
            line_end = raw.find(b"\n", after, part.end)
            line_end = part.end if line_end < 0 else line_end
            rest = raw[after:line_end].strip()
            if not rest or rest == b"--":
                if opened >= 0:
                    pieces.append((opened, _before_line_end(raw, opened, place)))
                opened = min(line_end + 1, part.end)
                if rest:
                    return pieces
        place = raw.find(mark, after, part.end)
    if opened >= 0:
        pieces.append((opened, part.end))
    return pieces


def _before_line_end(raw: bytes, start: int, end: int) -> int:
    """Return `end` less the line end before it: that belongs to the boundary (RFC 2046, section 5.1.1)."""
    if end > start and raw[end - 1] == 10:
        end -= 1
        if end > start and raw[end - 1] == 13:
            end -= 1
    return end


def _base64(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:
        clean = _NOT_BASE64.sub(b"", body)
        clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def _uuencoded(body: bytes) -> bytes:
    """Decode the lines between `begin` and `end`."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    begin = next((number for number, line in enumerate(lines) if line.startswith(b"begin ")), -1)
    decoded = []
    for line in lines[begin + 1 :]:
        if line.strip() == b"end":
            break
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            octets = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                decoded.append(binascii.a2b_uu(line[:octets]))
            except binascii.Error:
                continue
    return b"".join(decoded)
