"""Connectors that break one promise each of a sink, or of a historian."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from good_connector import Full

from bridge import (
    Absent,
    FieldTimes,
    Found,
    Location,
    Match,
    Person,
    Receipt,
    Record,
    Rejected,
    Unavailable,
    Write,
)
from bridge_memory.client import Folder


class LeavesStrangersOut(Full):
    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        return (match for match in super().find(people) if match.ids)


class ForgetsTheLastReceipt(Full):
    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        return islice(super().push(writes), 100)


class StopsAtABadWrite(Full):
    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        broken = False
        for receipt in super().push(writes):
            if broken:
                yield Receipt(key=receipt.key, error=Rejected("after a bad one", code="parent"))
            else:
                yield receipt
            broken = broken or isinstance(receipt.error, Rejected)


class LinksToTheWrongContact(Full):
    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        stranger = Folder(self.directory, self._key, self.context.clock).append("contacts", {})["id"]
        ours = {write.key for write in writes}
        return super().push(
            [
                replace(
                    write,
                    links=[link if link.to in ours else replace(link, to=stranger) for link in write.links],
                )
                for write in writes
            ]
        )


class SendsAWriteAgain(Full):
    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        for receipt in super().push(writes):
            if isinstance(receipt.error, Unavailable) and "broke off" in str(receipt.error):
                yield from super().push([write for write in writes if write.key == receipt.key])
            else:
                yield receipt


class FindsWhatIsNotThere(Full):
    def locate(self, writes: Sequence[Write]) -> Iterator[Location]:
        for location in super().locate(writes):
            yield Found(key=location.key, id="1") if isinstance(location, Absent) else location


class TakesWritesAsTheyCome(Full):
    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        later = [write.key for write in writes]
        for write in writes:
            later.remove(write.key)
            if any(link.to in later for link in write.links):
                yield Receipt(key=write.key, error=Rejected("its parent is not there yet", code="parent"))
            else:
                yield from super().push([write])


class GivesNoReason(Full):
    def push(self, writes: Sequence[Write]) -> Iterator[Receipt]:
        for receipt in super().push(writes):
            error = receipt.error
            if isinstance(error, Rejected) and error.code == "parent":
                error = Rejected(str(error))
            yield replace(receipt, error=error)


class LeavesOutWhatIsGone(Full):
    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        return (record for record in super().read(stream, ids, fields) if not record.deleted)


class DatesFieldsByTheirRecord(Full):
    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        for one in super().field_times(stream, ids, fields):
            yield replace(one, at=dict.fromkeys(one.at, max(one.at.values(), default=self.context.clock())))


class TakesLocalTimesForUtc(Full):
    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        for one in super().field_times(stream, ids, fields):
            yield replace(one, at={name: at + timedelta(hours=3) for name, at in one.at.items()})


class TellsOfEveryField(Full):
    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        return super().field_times(stream, ids, [*fields, "email"])


class DatesWhatIsGone(Full):
    def field_times(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[FieldTimes]:
        yield from super().field_times(stream, ids, fields)
        for record in self.read(stream, ids, fields):
            if record.deleted:
                yield FieldTimes(id=record.id, at={})
