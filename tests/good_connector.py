"""A good connector with every protocol and every way of reading that the suite knows, and its kit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge import (
    ConnectorSpec,
    Context,
    FieldTimes,
    Json,
    Page,
    Phase,
    Record,
    StreamSpec,
)
from bridge_memory import Memory
from bridge_memory.sandbox import DifficultFolder, Levers, MemoryKit

STREAMS = (
    StreamSpec(name="owners", deletes="sweep", phases=("live", "sweep")),
    StreamSpec(name="contacts", after=("owners",), deletes="tombstone", phases=("live", "backfill")),
    StreamSpec(name="messages", deletes="snapshot"),
    StreamSpec(name="entries", deletes="none"),
)


class Full(Memory):
    """
    A good connector with every protocol and every way of reading that the suite knows.

    Contacts are read live from the present on, the past by backfill; owners' deletions are seen
    by a sweep; messages are read as a snapshot.
    """

    def __init__(self, settings: Mapping[str, Json], context: Context, levers: Levers) -> None:
        self.directory = Path(settings["directory"])
        self.folder = DifficultFolder(self.directory, settings["key"], levers)
        self.context = context
        super().__init__(self.folder, settings["key"], settings["page_size"], context)

    def __repr__(self) -> str:
        return "Full()"

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        if phase == "sweep":
            gone = [id for id, thing in self.folder.latest(stream).items() if thing.get("deleted")]
            yield Page(records=list(self.fetch(stream, gone)), cursor={"swept": True})
            return
        if stream == "contacts" and phase == "live" and cursor is None:
            self.began(stream)
            yield Page(records=[], cursor={"offset": self.folder.lines(stream, 0, 1_000_000).after})
            return
        for page in super().pull(stream, phase, cursor, fields):
            known = self.folder.latest(stream)
            shown = [
                record
                for record in page.records
                if stream not in ("owners", "messages") or not known[record.id].get("deleted")
            ]
            yield replace(page, records=[self.shape(item) for item in shown if isinstance(item, Record)])

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Record]:
        return (self.shape(record) for record in super().fetch(stream, ids))

    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        there = {id: thing for id, thing in self.folder.latest(stream).items() if not thing.get("deleted")}
        versions = self.folder.lines(stream, 0, 1_000_000).things
        for id in dict.fromkeys(one for one in ids if one in there):
            at: dict[str, datetime] = {}
            was: Mapping[str, Any] = {}
            for thing in (one for one in versions if one["id"] == id):
                changed = (name for name in fields if thing.get(name) != was.get(name))
                at |= dict.fromkeys(changed, datetime.fromisoformat(thing["modified"]))
                was = thing
            yield FieldTimes(id=id, at=at)

    def decode(self, record: Record) -> Iterator[Record]:
        yield record

    def wait(self, stream: str, seconds: float) -> bool:
        return False

    def shape(self, record: Record) -> Record:
        return record

    def began(self, stream: str) -> None:
        pass


class FullKit(MemoryKit):
    """The kit of `Full`, or of a connector that breaks one of its promises."""

    connector: type[Full] = Full
    changed: Mapping[str, Any] = {}
    dated = ("name", "phone")

    def __init__(self) -> None:
        super().__init__()
        self.spec: ConnectorSpec = replace(
            self.spec,
            open=lambda settings, context: self.connector(settings, context, self.levers),
            **{"streams": STREAMS, **self.changed},
        )

    def edit(self, id: str, field: str, word: str) -> None:
        self._folder.append("contacts", {**self._folder.latest("contacts")[id], field: word})
