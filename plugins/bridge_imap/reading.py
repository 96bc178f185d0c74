"""Reading mails by UID: headers first, then only what the capture rules allow, with commands under way ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Unpack

from bridge import Capture, Decision, Detail, Record, Skip, Unavailable
from bridge_imap.client import Client, Folder
from bridge_imap.people import MailContext, is_own
from bridge_imap.records import (
    JUDGED_ITEM,
    KEPT,
    STREAM,
    Meta,
    addresses,
    fields,
    header_item,
    identity,
    identity_with_body,
    internal_date,
    keep,
    record,
)
from bridge_imap.structure import attachments
from bridge_imap.wire import Value, number

CHUNK = 500
"""Mails whose headers are asked for at once; as a list of UIDs they stay under 8000 octets (RFC 7162, section 4)."""

AHEAD = 4
"""Commands under way, so that a round trip costs next to nothing; more would only cost memory."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bodies asked for at once, and so the size of a page; a larger mail goes alone."""

CUT_BYTES = 256 * 1024
"""How much is read of the body of a mail that is larger than `max_message_bytes`."""

_WHOLE = b"UID BODY.PEEK[]"
_CUT = b"UID BODYSTRUCTURE BODY.PEEK[HEADER] BODY.PEEK[TEXT]<0.%d>" % CUT_BYTES
_LESS: Mapping[Detail, bytes] = {detail: b"UID " + header_item(names) for detail, names in KEPT.items()}
_DRAFT = {b"\\draft", b"\\drafts"}
_GMAIL_ROLES = {b"\\sent": "sent", b"\\inbox": "inbox"}

Items = dict[bytes, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """`uids` are done; `records` is what became of them."""

    uids: Sequence[int]
    records: Sequence[Record | Skip]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mail:
    """A mail as its header shows it, and what the rules say."""

    uid: int
    id: str
    at: datetime | None
    meta: Meta
    decision: Decision

    @property
    def asks(self) -> bytes | None:
        """What is to be fetched of it; None for a mail that is skipped."""
        if self.decision.skip:
            return None
        if self.meta["detail"] == "cut":
            return _CUT
        return _LESS.get(self.decision.detail, _WHOLE)

    def skip(self) -> Skip:
        assert self.decision.rule is not None
        return Skip(stream=STREAM, id=self.id, version="skip", rule=self.decision.rule)

    def record(self, raw: bytes, **more: Unpack[Meta]) -> Record:
        return record(self.id, self.at, Meta(**{**self.meta, **more}), raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Headers:
    """Headers asked for with `tag`."""

    uids: Sequence[int]
    tag: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Mails of which the same is asked at once, if anything is; `uids` count those that are gone as well."""

    uids: Sequence[int]
    mails: Sequence[_Mail]
    asks: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bodies:
    """A part, asked for with `tag`; None where nothing had to be."""

    part: _Part
    tag: bytes | None


class Reader:
    """Reads mails of the folder that `client` has open."""

    def __init__(
        self,
        client: Client,
        folder: Folder,
        uidvalidity: int,
        *,
        capture: Capture,
        own: MailContext,
        limit: int,
    ) -> None:
        self._client = client
        self._folder = folder
        self._uidvalidity = uidvalidity
        self._capture = capture
        self._own = own
        self._limit = limit
        self._came: dict[int, Items] = {}
        self._header_items = b"UID RFC822.SIZE INTERNALDATE FLAGS " + JUDGED_ITEM
        if client.gmail:
            self._header_items = b"X-GM-LABELS " + self._header_items

    def read(self, uids: Sequence[int]) -> Iterator[Batch]:
        """
        Yield what becomes of every mail, in the order of `uids`; one that is gone is done without a record.

        Raises Unavailable when a command fails; the batches before it are good, and the
        client must be closed, since answers are under way. The same holds when the iterator is left early.
        """
        chunks = iter([uids[start : start + CHUNK] for start in range(0, len(uids), CHUNK)])
        parts: deque[_Part] = deque()
        under_way: deque[_Headers | _Bodies] = deque()
        while True:
            while len(under_way) < AHEAD:
                if parts:
                    under_way.append(self._ask_bodies(parts.popleft()))
                elif (chunk := next(chunks, None)) is not None:
                    under_way.append(self._ask_headers(chunk))
                else:
                    break
            if not under_way:
                return
            step = under_way.popleft()
            if isinstance(step, _Headers):
                parts.extend(_divide(step.uids, self._take_headers(step)))
            else:
                yield Batch(uids=step.part.uids, records=self._take_bodies(step))

    def read_header(self, uid: int, reason: str) -> Batch:
        """Return a mail that the server fails to give out whole: its header, marked with the `reason`."""
        records: list[Record | Skip] = []
        for mail in self._take_headers(self._ask_headers([uid])):
            if mail.decision.skip:
                records.append(mail.skip())
                continue
            detail: Detail = "metadata" if mail.decision.detail == "metadata" else "subject"
            self._collect(self._client.send_fetch([uid], _LESS[detail]))
            header = _bytes(self._came.pop(uid, {}).get(b"BODY[HEADER.FIELDS"))
            records.append(mail.record(keep(header, detail), detail="unreadable", reason=reason))
        return Batch(uids=[uid], records=records)

    def lost(self, uid: int, reason: str) -> Batch:
        """Return a mail of which the server gives out nothing at all, so that a person can look for it."""
        meta = self._meta(uid, self._folder.role, None, 0, "unreadable")
        meta["reason"] = reason
        return Batch(uids=[uid], records=[record(self._place("unreadable", uid), None, meta, b"\r\n")])

    def _ask_headers(self, uids: Sequence[int]) -> _Headers:
        return _Headers(uids=uids, tag=self._client.send_fetch(uids, self._header_items))

    def _take_headers(self, asked: _Headers) -> list[_Mail]:
        self._collect(asked.tag)
        came = [(uid, self._came.pop(uid, {})) for uid in asked.uids]
        return [self._judge(uid, items) for uid, items in came if b"BODY[HEADER.FIELDS" in items]

    def _collect(self, tag: bytes) -> None:
        """Take what comes up to the end of a fetch; of one mail a server may tell in several responses."""
        for uid, items in self._client.fetched(tag):
            self._came.setdefault(uid, {}).update(items)

    def _judge(self, uid: int, items: Items) -> _Mail:
        size = number(items.get(b"RFC822.SIZE"))
        at = internal_date(items.get(b"INTERNALDATE"))
        labels = {label.lower() for label in _list(items.get(b"X-GM-LABELS"))}
        role = next((name for label, name in _GMAIL_ROLES.items() if label in labels), self._folder.role)
        named = fields(_bytes(items[b"BODY[HEADER.FIELDS"]))
        id = identity(named, size)
        if role != "sent" and _DRAFT & {*labels, *(flag.lower() for flag in _list(items.get(b"FLAGS")))}:
            # not under its own id: what is sent later may carry the same Message-ID
            id, decision = self._place("draft", uid), Decision(rule="draft")
        else:
            outside = sorted(address for address in addresses(named) if not is_own(address, self._own))
            decision = self._capture.decide(at=at, addresses=outside)
        cut = decision.detail == "full" and size > self._limit
        meta = self._meta(uid, role, at, size, "cut" if cut else decision.detail)
        return _Mail(uid=uid, id=id, at=at, meta=meta, decision=decision)

    def _meta(self, uid: int, role: str, at: datetime | None, size: int, detail: str) -> Meta:
        return Meta(
            folder=self._folder.name,
            role=role,
            uidvalidity=self._uidvalidity,
            uid=uid,
            internal_date=at.isoformat().replace("+00:00", "Z") if at else None,
            size=size,
            detail=detail,
        )

    def _place(self, what: str, uid: int) -> str:
        return f"{what}:{self._folder.name}:{self._uidvalidity}:{uid}"

    def _ask_bodies(self, part: _Part) -> _Bodies:
        wanted = [mail.uid for mail in part.mails if not mail.decision.skip]
        tag = self._client.send_fetch(wanted, part.asks) if part.asks is not None else None
        return _Bodies(part=part, tag=tag)

    def _take_bodies(self, asked: _Bodies) -> list[Record | Skip]:
        if asked.tag is not None:
            self._collect(asked.tag)
        became = [self._become(mail, self._came.pop(mail.uid, {})) for mail in asked.part.mails]
        return [item for item in became if item is not None]

    def _become(self, mail: _Mail, items: Items) -> Record | Skip | None:
        """Return what becomes of a mail; None when it vanished after its header was read."""
        if mail.asks is None:
            return mail.skip()
        if mail.asks == _WHOLE and b"BODY[" in items:
            whole = items[b"BODY["]
            if not isinstance(whole, bytes):
                raise Unavailable(f"the server sent NIL instead of the mail with the UID {mail.uid}")
            return record(identity_with_body(mail.id, whole), mail.at, mail.meta, whole)
        if mail.asks == _CUT and b"BODY[HEADER" in items:
            raw = _bytes(items[b"BODY[HEADER"]) + _bytes(items.get(b"BODY[TEXT"))
            return mail.record(raw, attachments=attachments(items.get(b"BODYSTRUCTURE")))
        if b"BODY[HEADER.FIELDS" in items:
            return mail.record(keep(_bytes(items[b"BODY[HEADER.FIELDS"]), mail.decision.detail))
        return None


def _divide(uids: Sequence[int], mails: Sequence[_Mail]) -> Iterator[_Part]:
    """Divide a chunk into parts of which the same is asked, of bearable size; a mail that is cut goes alone."""
    by_uid = {mail.uid: mail for mail in mails}
    start = total = 0
    asks: bytes | None = None
    for position, uid in enumerate(uids):
        mail = by_uid.get(uid)
        if mail is None or mail.asks is None:
            continue
        size = mail.meta["size"] if mail.asks == _WHOLE else 0
        if asks is not None and (asks != mail.asks or asks == _CUT or total + size > BATCH_BYTES):
            yield _part(uids[start:position], by_uid, asks)
            start, total = position, 0
        asks, total = mail.asks, total + size
    yield _part(uids[start:], by_uid, asks)


def _part(uids: Sequence[int], by_uid: Mapping[int, _Mail], asks: bytes | None) -> _Part:
    return _Part(uids=uids, mails=[by_uid[uid] for uid in uids if uid in by_uid], asks=asks)


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _list(value: Value) -> list[bytes]:
    return [item for item in value if isinstance(item, bytes)] if isinstance(value, list) else []
