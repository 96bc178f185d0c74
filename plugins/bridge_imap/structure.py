"""The attachments that a BODYSTRUCTURE names (RFC 9051, section 7.5.2), for mails too large to be read whole."""

from __future__ import annotations

from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from typing import TypeGuard

from bridge_imap.records import Attachment
from bridge_imap.wire import Value

DEPTH_LIMIT = 30
"""Nobody nests mails deeper; whoever does, does it to break readers."""


def attachments(structure: Value) -> list[Attachment]:
    """Return the named parts and those that are no text, in order; what makes no sense is left out."""
    return list(_walk(structure, "", DEPTH_LIMIT))


def _walk(part: Value, section: str, depth: int) -> Iterator[Attachment]:
    if not isinstance(part, list) or not part or depth == 0:
        return
    if isinstance(part[0], list):
        for place, inner in enumerate(part, 1):
            if not isinstance(inner, list):
                return  # the parts end where the subtype begins
            yield from _walk(inner, f"{section}.{place}" if section else str(place), depth - 1)
        return
    if len(part) < 7:
        return
    kind = f"{_text(part[0])}/{_text(part[1])}".lower()
    disposition = next((x for x in part[7:] if _is_disposition(x)), [])
    name = _filename(disposition[1] if len(disposition) > 1 else None, part[2])
    attached = bool(disposition) and _text(disposition[0]).lower() == "attachment"
    if name or attached or not kind.startswith("text/"):
        octets = part[6]
        size = int(octets) if isinstance(octets, bytes) and octets.isdigit() else 0
        if _text(part[5]).lower() == "base64":
            size = (size + 2) * 57 // 78  # a line of 76 characters and CRLF holds 57 bytes
        yield Attachment(id=section or "1", filename=name or None, content_type=kind, size=size)


def _is_disposition(value: Value) -> TypeGuard[list[Value]]:
    return isinstance(value, list) and bool(value) and _text(value[0]).lower() in ("attachment", "inline")


def _filename(disposition: Value, parameters: Value) -> str:
    """Return the name of a part; RFC 2231 and the forbidden but common RFC 2047 are decoded."""
    for values, field in ((disposition, "Content-Disposition"), (parameters, "Content-Type")):
        if not isinstance(values, list):
            continue
        message = Message()
        pairs = zip(values[::2], values[1::2], strict=False)
        message[field] = "x/x" + "".join(f'; {_text(k)}="{_quoted(_text(v))}"' for k, v in pairs)
        name = message.get_filename()
        if name:
            return _decoded(name).strip()
    return ""


def _decoded(name: str) -> str:
    try:
        return str(make_header(decode_header(name)))
    except (LookupError, ValueError):  # an unknown charset or a broken encoding
        return name


def _text(value: Value) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "")
