"""From the record of a mail to the view that the mapping reads; knows the mailbox's own addresses and no server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bridge import Detail, Json, Record
from bridge_imap.mail import parse
from bridge_imap.people import MailContext
from bridge_imap.records import Meta, unpack

_SHOWN: Mapping[str, Detail] = {"metadata": "metadata", "subject": "subject", "unreadable": "subject"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """How the mails of one mailbox are read; a value that can be pickled, so that another process may read them."""

    own: MailContext

    def decode(self, record: Record) -> Iterator[Record]:
        """
        Yield the mail as the JSON view that the mapping reads (mail.MailView).

        Of what was not fetched the view says so: `files` of a mail that was cut have the state "skipped",
        and `unreadable` says why the server gave a mail out only in part or not at all.
        """
        meta, raw = unpack(record.data if isinstance(record.data, bytes) else b"")
        view: dict[str, Json] = {**parse(raw, self._context_of(meta))}
        view["size"] = meta.get("size", len(raw))
        if meta.get("detail") == "cut":
            view["files"] = [{**file, "sha256": None, "state": "skipped"} for file in meta["attachments"]]
            view["attachments"] = view["files"]
        if meta.get("reason"):
            view["unreadable"] = meta["reason"]
        yield replace(record, data=view)

    def _context_of(self, meta: Meta) -> MailContext:
        at = meta.get("internal_date")
        return replace(
            self.own,
            folder_role=meta.get("role", ""),
            internal_date=datetime.fromisoformat(at) if at else None,
            detail=_SHOWN.get(meta.get("detail", "full"), "full"),
        )
