"""What of a mail is to be read and what is attached (RFC 8621, section 4.1.4), with the readable part as text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from bridge_imap.charsets import decode
from bridge_imap.headers import decode_words, message_ids, text_of
from bridge_imap.html_text import HtmlText, read_html
from bridge_imap.mime import Part, content, parse_value, read_fields

_MACHINE_PARTS = frozenset(
    (
        "message/delivery-status",
        "message/disposition-notification",
        "message/feedback-report",
        "message/global-delivery-status",
        "text/rfc822-headers",
    )
)
_SIGNATURE_PARTS = frozenset(
    ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w:.-]{1,40})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN = re.compile(r"cid:([^\s\"'<>()]{1,900})")
_LONGEST_NAME = 255


class Attachment(TypedDict):
    """
    One file of a mail.

    `id` is the IMAP section number, "2.1". `size` in bytes and `sha256` are of the decoded file. `inline` marks
    images that the text shows and signatures of the mail itself; `content_id` is without brackets.
    """

    id: str
    filename: str | None
    content_type: str
    size: int
    sha256: str
    disposition: str | None
    content_id: str | None
    inline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """
    The readable part of a mail: `text` is all of it as text, `html` the HTML as sent, if there is any.

    `page` is the HTML read, where the text comes from it. `charset` is the first declared one.
    """

    text: str
    html: str | None
    page: HtmlText | None
    charset: str | None


def leaves_of(root: Part) -> list[Part]:
    """Return the parts that hold no others, in order."""
    leaves: list[Part] = []
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.children:
            waiting += reversed(part.children)
        else:
            leaves.append(part)
    return leaves


def read_body(raw: bytes, root: Part, *, limit: int, default: str) -> tuple[Body, list[Part]]:
    """
    Return the readable part of a mail, from at most about `limit` encoded bytes, and the parts that are files.

    The plain text counts where there is one that says something, else the HTML. Flowed text is put together.
    """
    files: list[Part] = []
    text_parts, html_parts = _sort(root, 0, "", files)
    html_parts = [part for part in html_parts if part.content_type == "text/html"]
    text_parts, html_parts = _within(text_parts, limit), _within(html_parts, limit)
    html = "\n".join(_html(raw, part, limit, default) for part in html_parts) if html_parts else None
    charset = next(
        (part.params["charset"] for part in text_parts + html_parts if "charset" in part.params), None
    )
    plain = [_plain(raw, part, limit, default) for part in text_parts if part.content_type == "text/plain"]
    page = None
    if html is not None and not any(piece.strip() for piece in plain):
        page = read_html(html)
        text = page.text
    elif len(plain) == len(text_parts):
        text = "\n".join(plain)
    else:
        text = "\n".join(_as_text(raw, part, limit, default) for part in text_parts)
    return Body(text=text, html=html, page=page, charset=charset), files


def read_attachments(raw: bytes, files: Sequence[Part], html: str | None, default: str) -> list[Attachment]:
    """Return the files of a mail, without the parts that only machines read."""
    shown = (
        set(_SHOWN.findall(html)) if html and any(b"content-id" in part.fields for part in files) else set()
    )
    return [
        _attachment(raw, part, shown, default)
        for part in files
        if part.content_type not in _MACHINE_PARTS
        and not (part.content_type == "text/calendar" and filename(part, default) is None)
    ]


def filename(part: Part, default: str) -> str | None:
    """Return the name of a file as sent, without folders and control characters; None where it has none."""
    named = _disposition(part)[1].get("filename") or part.params.get("name")
    if not named:
        return None
    name = decode_words(named, default).replace("\\", "/").rpartition("/")[2]
    return _CONTROL.sub("", name).strip()[-_LONGEST_NAME:] or None


def _disposition(part: Part) -> tuple[str, Mapping[str, str]]:
    values = part.fields.get(b"content-disposition")
    return parse_value(values[0]) if values else ("", {})


def _sort(part: Part, number: int, kind: str, files: list[Part]) -> tuple[list[Part], list[Part]]:
    """Return the parts to read as text and those to read as HTML; what is to be read in neither is added to `files`."""
    if not part.children:
        if _is_readable(part, number, kind):
            return [part], [part]
        files.append(part)
        return [], []
    inner = part.content_type.partition("/")[2]
    found = [_sort(child, place, inner, files) for place, child in enumerate(part.children)]
    texts = [text for text, _ in found if text]
    htmls = [html for _, html in found if html]
    if inner == "alternative":
        plain = [text for text in texts if all(part.content_type == "text/plain" for part in text)]
        rich = [html for html in htmls if any(part.content_type == "text/html" for part in html)]
        texts, htmls = plain or rich, rich or plain
    return [part for text in texts for part in text], [part for html in htmls for part in html]


def _within(parts: Sequence[Part], limit: int) -> list[Part]:
    """Return the parts up to the one with which they reach `limit` bytes: nobody reads on after a million letters."""
    kept: list[Part] = []
    for part in parts:
        if limit > 0:
            kept.append(part)
        limit -= part.end - part.start
    return kept


def _is_readable(part: Part, number: int, kind: str) -> bool:
    if part.content_type not in ("text/plain", "text/html"):
        return False
    word, params = _disposition(part)
    if word == "attachment":
        return False
    return number == 0 or (kind != "related" and not params.get("filename") and "name" not in part.params)


def _as_text(raw: bytes, part: Part, limit: int, default: str) -> str:
    if part.content_type == "text/html":
        return read_html(_html(raw, part, limit, default)).text
    return _plain(raw, part, limit, default)


def _html(raw: bytes, part: Part, limit: int, default: str) -> str:
    body = content(raw, part, limit)
    charset = part.params.get("charset")
    if charset is None:
        declared = _META_CHARSET.search(body[:2048])
        charset = declared[1].decode("ascii") if declared else None
    return decode(body, charset, default)


def _plain(raw: bytes, part: Part, limit: int, default: str) -> str:
    text = decode(content(raw, part, limit), part.params.get("charset"), default)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if part.params.get("format", "").lower() == "flowed":
        return _joined(text, part.params.get("delsp", "").lower() == "yes")
    return text


def _joined(text: str, delete_space: bool) -> str:
    """Join the lines that end with a space to the next of the same quote depth (RFC 3676, section 4)."""
    if " \n" not in text:
        return text
    out: list[str] = []
    open_depth = -1
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        bare = bare[1:] if bare.startswith(" ") else bare
        flowed = bare.endswith(" ") and bare != "-- "
        if flowed and delete_space:
            bare = bare[:-1]
        if depth == open_depth and bare != "-- ":
            out.append(bare)
        else:
            out += ("\n" if out else "", f"{'>' * depth} {bare}" if depth else bare)
        open_depth = depth if flowed else -1
    return "".join(out)


def _attachment(raw: bytes, part: Part, shown: set[str], default: str) -> Attachment:
    body = content(raw, part)
    word, _ = _disposition(part)
    ids = message_ids(part.fields.get(b"content-id", []))
    name = filename(part, default)
    if name is None and part.content_type == "message/rfc822":
        fields, _ = read_fields(body, 0, len(body))
        subject = text_of(fields.get(b"subject", [b""])[0])
        name = f"{_CONTROL.sub('', subject).replace('/', '-')[: _LONGEST_NAME - 4]}.eml" if subject else None
    return Attachment(
        id=part.id,
        filename=name,
        content_type=part.content_type,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        disposition=word or None,
        content_id=ids[0] if ids else None,
        inline=not shown.isdisjoint(ids) or part.content_type in _SIGNATURE_PARTS,
    )
