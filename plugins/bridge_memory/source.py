"""Reading the folder: lines to records, page by page, under the capture rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from bridge import Capture, Context, CursorExpired, Json, Page, Record, Skip
from bridge_memory.client import Folder, Thing, instant


def pull(folder: Folder, context: Context, page_size: int, stream: str, cursor: Json) -> Iterator[Page]:
    """
    Yield the lines after `cursor` as pages of `page_size`, oldest first; None starts at the first.

    The cursor is {"offset": bytes}: it stands after a whole line, and lines never change.
    """
    offset = _offset(cursor)
    while True:
        now = context.clock()
        things, after = folder.lines(stream, offset, page_size)
        last = len(things) < page_size
        yield Page(
            records=[record_or_skip(stream, thing, context.capture) for thing in things],
            cursor={"offset": after},
            watermark=now if last else None,
        )
        if last:
            return
        offset = after


def fetch(folder: Folder, stream: str, ids: Sequence[str]) -> Iterator[Record]:
    """Yield the present state of each id once; one that the folder never had comes as deleted."""
    known = folder.latest(stream)
    for identifier in dict.fromkeys(ids):
        yield record(stream, known.get(identifier, {"id": identifier, "deleted": True}))


def record_or_skip(stream: str, thing: Thing, capture: Capture) -> Record | Skip:
    """Turn a thing into a record; a message that the capture rules keep out becomes a skip."""
    taken = record(stream, thing)
    if stream != "messages" or taken.deleted or "unreadable" in thing:
        return taken
    addresses = [*_addresses(thing.get("from")), *_addresses(thing.get("to"))]
    decision = capture.decide(at=instant(thing.get("at")), addresses=addresses)
    if decision.rule is not None:
        return Skip(stream=stream, id=taken.id, version=taken.version, rule=decision.rule)
    if decision.detail == "full":
        return taken
    return record(stream, {name: value for name, value in thing.items() if name != "text"})


def _addresses(value: Json) -> list[str]:
    """Return one address, or the addresses of a list, as text."""
    return [str(one) for one in (value if isinstance(value, list) else [value]) if one]


def record(stream: str, thing: Thing) -> Record:
    """Turn a thing into a record; its version is its `modified`, or a digest where that is missing."""
    digest = hashlib.sha256(json.dumps(thing, sort_keys=True).encode()).hexdigest()[:16]
    return Record(
        stream=stream,
        id=thing["id"],
        version=str(thing.get("modified") or digest),
        modified_at=instant(thing.get("modified")),
        data=thing,
        deleted=bool(thing.get("deleted")),
    )


def _offset(cursor: Json) -> int:
    if cursor is None:
        return 0
    if isinstance(cursor, dict) and isinstance(cursor.get("offset"), int):
        return int(cursor["offset"])
    raise CursorExpired(
        f"the cursor {cursor!r} is not of this connector; the stream is read again from the start"
    )
