"""Connectors that break one promise each, by the name of the test that must notice."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO

from good_connector import STREAMS, Full, FullKit
from seeded_sink_faults import (
    DatesFieldsByTheirRecord,
    DatesWhatIsGone,
    FindsWhatIsNotThere,
    ForgetsTheLastReceipt,
    GivesNoReason,
    LeavesOutWhatIsGone,
    LeavesStrangersOut,
    LinksToTheWrongContact,
    SendsAWriteAgain,
    StopsAtABadWrite,
    TakesLocalTimesForUtc,
    TakesWritesAsTheyCome,
    TellsOfEveryField,
)

from bridge import (
    Account,
    AuthError,
    Context,
    Created,
    Delivery,
    Field,
    Hint,
    Json,
    Match,
    Page,
    Person,
    Phase,
    RateLimited,
    Record,
    Rejected,
    Reply,
    Request,
    Skip,
    Unavailable,
)
from bridge_memory import SPEC, receiver
from bridge_memory.sandbox import Levers


class ShowsItsKey(Full):
    def __repr__(self) -> str:
        return f"Full({self._key})"


class ReadsOnOpen(Full):
    def __init__(self, settings: Mapping[str, Json], context: Context, levers: Levers) -> None:
        super().__init__(settings, context, levers)
        self.things = os.listdir(self.directory)


class ForgetsItsAccount(Full):
    def check(self) -> Account:
        return replace(super().check(), id=str(id(self)))


class CallsARefusedKeyAnOutage(Full):
    def check(self) -> Account:
        try:
            return super().check()
        except AuthError as error:
            raise Unavailable(str(error)) from None


class WaitsForTooShort(Full):
    def read(self, stream: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Record]:
        try:
            yield from super().read(stream, ids, fields)
        except RateLimited as error:
            raise RateLimited(str(error), wait=1.0) from None


class FindsNobodyInAnOutage(Full):
    def find(self, people: Sequence[Person]) -> Iterator[Match]:
        try:
            yield from super().find(people)
        except Unavailable as error:
            if "out of order" not in str(error):
                raise
            yield from [Match(key=person.key, ids=()) for person in people]


class RejectsWhatTimedOut(Full):
    def describe(self, stream: str) -> Sequence[Field]:
        try:
            return super().describe(stream)
        except Unavailable as error:
            if "in time" in str(error):
                raise Rejected(str(error)) from None
            raise


class TakesNonsenseForNothing(Full):
    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        try:
            yield from super().pull(stream, phase, cursor, fields)
        except Unavailable as error:
            if "makes no sense" not in str(error):
                raise


class LogsItsKey(Full):
    def check(self) -> Account:
        try:
            return super().check()
        except AuthError:
            logging.getLogger("bridge_full").debug("refused: %s", self._key)
            raise


class DescribesTwice(Full):
    def describe(self, stream: str) -> Sequence[Field]:
        fields = super().describe(stream)
        return [*fields, fields[0]]


class CreatesAFieldAgain(Full):
    def create(self, stream: str, fields: Sequence[Field]) -> Created:
        super().create(stream, fields)
        return Created(created=tuple(field.name for field in fields))


class CutsAttachmentsOff(Full):
    def open(self, ref: str) -> BinaryIO:
        with super().open(ref) as file:
            return BytesIO(file.read(65536))


class YieldsTwice(Full):
    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        for page in super().pull(stream, phase, cursor, fields):
            yield replace(page, records=[*page.records[:1], *page.records])


class MovesItsCursorTooFar(Full):
    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        for page in super().pull(stream, phase, cursor, fields):
            yield replace(page, cursor={"offset": self.folder.lines(stream, 0, 1_000_000).after})


class StampsAVersionOfItsOwn(Full):
    def __init__(self, settings: Mapping[str, Json], context: Context, levers: Levers) -> None:
        super().__init__(settings, context, levers)
        self.born = context.clock()

    def shape(self, record: Record) -> Record:
        late = self.context.clock() > self.born
        return replace(record, version=f"{record.version} again") if late else record


class KeepsTheVersion(Full):
    def shape(self, record: Record) -> Record:
        return replace(record, version="1")


class CountsFromTheFront(Full):
    """Pages by position: when the list moves under it, the next page begins one too far on."""

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        lines = None
        for page in super().pull(stream, phase, cursor, fields):
            now = self.lines(stream)
            lines = now if lines is None else lines
            yield replace(page, records=page.records[1:] if now != lines else page.records)

    def lines(self, stream: str) -> int:
        return len(self.folder.lines(stream, 0, 1_000_000).things)


class LeavesAGapBeforeLive(Full):
    def began(self, stream: str) -> None:
        things = self.folder.lines(stream, 0, 1_000_000).things
        (self.directory / "last").write_text(things[-1]["id"] if things else "")

    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        last = self.directory / "last"
        for page in super().pull(stream, phase, cursor, fields):
            if phase == "backfill" and last.exists():
                yield replace(page, records=[item for item in page.records if item.id != last.read_text()])
            else:
                yield page


class OverlooksDeletions(Full):
    def pull(self, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
        for page in super().pull(stream, phase, cursor, fields):
            kept = [item for item in page.records if isinstance(item, Record) and not item.deleted]
            yield replace(page, records=kept)


class TellsLocalTime(Full):
    def shape(self, record: Record) -> Record:
        if record.modified_at is not None:
            object.__setattr__(record, "modified_at", record.modified_at.replace(tzinfo=None))
        return record


class FetchesUnderAnotherVersion(Full):
    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Record]:
        return (replace(record, version=f"fetched {record.version}") for record in super().fetch(stream, ids))


class StumblesOnNonsense(Full):
    def decode(self, record: Record) -> Iterator[Record]:
        if not isinstance(record.data, dict):
            raise TypeError("not a JSON object")
        yield record


class AlwaysHasNews(Full):
    def wait(self, stream: str, seconds: float) -> bool:
        return True


class RefusesShortRequests(Full):
    def verify(self, request: Request) -> Reply:
        return super().verify(request) if len(request.body) > 150 else Reply(status=403)


class KnowsAnotherKeyToo(Full):
    def verify(self, request: Request) -> Reply:
        reply = super().verify(request)
        return reply if reply.status != 401 else receiver.verify(request, "another key")


class SignsWithoutBlanks(Full):
    def verify(self, request: Request) -> Reply:
        return super().verify(replace(request, body=request.body.rstrip()))


class TakesAnyAge(Full):
    def verify(self, request: Request) -> Reply:
        reply = super().verify(request)
        return reply if reply.status != 403 else Reply(store=True)


class CountsAReplayAsNew(Full):
    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        for item in super().split(delivery):
            assert isinstance(item, Record)
            yield replace(item, version=delivery.received_at.isoformat())


class ReadsFiveHundredEvents(Full):
    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        return islice(super().split(delivery), 500)


class DropsOddEvents(Full):
    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        return (item for item in super().split(delivery) if isinstance(item, Record) and "from" in item.data)


class StumblesOnAnotherBody(Full):
    def split(self, delivery: Delivery) -> Iterator[Record | Skip | Hint]:
        json.loads(delivery.body)["events"]
        return super().split(delivery)


def with_key(**words: Json) -> Mapping[str, Json]:
    schema: dict[str, Any] = json.loads(json.dumps(dict(SPEC.settings)))
    schema["properties"]["key"].update(words)
    return schema


FAULTS: Mapping[str, type[Full] | Mapping[str, Any]] = {
    "the_spec_is_sane": {"streams": (*STREAMS[:3], replace(STREAMS[3], after=("nobody",)))},
    "the_settings_schema_is_closed": {"settings": {**SPEC.settings, "additionalProperties": True}},
    "secrets_are_write_only": {"settings": with_key(writeOnly=False)},
    "the_mapping_fits_and_passes_its_tests": {"mapping": "api.yaml"},
    "opening_reads_and_writes_nothing": ReadsOnOpen,
    "no_repr_shows_a_secret": ShowsItsKey,
    "check_tells_whose_account_it_is": ForgetsItsAccount,
    "a_refused_key_is_an_auth_error": CallsARefusedKeyAnOutage,
    "too_many_calls_tell_how_long_to_wait": WaitsForTooShort,
    "an_outage_is_unavailable": FindsNobodyInAnOutage,
    "a_vendor_that_never_answers_is_unavailable": RejectsWhatTimedOut,
    "an_answer_that_makes_no_sense_is_unavailable": TakesNonsenseForNothing,
    "no_secret_is_told_or_logged": LogsItsKey,
    "describe_names_each_field_once": DescribesTwice,
    "a_field_is_created_once": CreatesAFieldAgain,
    "an_attachment_is_opened_whole": CutsAttachmentsOff,
    "every_record_comes_once": YieldsTwice,
    "a_pull_resumes_after_every_page": MovesItsCursorTooFar,
    "a_second_pull_brings_nothing_new": StampsAVersionOfItsOwn,
    "a_change_comes_with_a_new_version": KeepsTheVersion,
    "a_change_between_two_pages_loses_nothing": CountsFromTheFront,
    "live_and_backfill_leave_no_gap": LeavesAGapBeforeLive,
    "a_deletion_is_seen_as_the_stream_declares": OverlooksDeletions,
    "every_time_is_aware_and_utc": TellsLocalTime,
    "fetch_brings_the_present_state": FetchesUnderAnotherVersion,
    "decoding_is_pure_and_never_raises": StumblesOnNonsense,
    "waiting_ends_in_time": AlwaysHasNews,
    "a_genuine_request_is_stored": RefusesShortRequests,
    "a_forged_request_is_refused": KnowsAnotherKeyToo,
    "a_request_with_another_body_is_refused": SignsWithoutBlanks,
    "a_stale_request_is_refused": TakesAnyAge,
    "a_replayed_request_is_recognised": CountsAReplayAsNew,
    "a_body_of_a_thousand_events_loses_none": ReadsFiveHundredEvents,
    "an_odd_event_loses_no_other": DropsOddEvents,
    "nonsense_is_answered_and_not_stored": StumblesOnAnotherBody,
    "find_gives_one_match_per_person": LeavesStrangersOut,
    "each_write_gets_one_receipt": ForgetsTheLastReceipt,
    "a_bad_write_fails_alone": StopsAtABadWrite,
    "a_receipt_tells_the_id_of_what_was_made": LinksToTheWrongContact,
    "a_lost_receipt_creates_once": SendsAWriteAgain,
    "a_late_commit_creates_once": {"settle": 0.0},
    "what_was_never_sent_is_not_found": FindsWhatIsNotThere,
    "a_link_to_a_write_of_the_same_plan_is_resolved": TakesWritesAsTheyCome,
    "a_child_of_a_failed_parent_is_rejected": GivesNoReason,
    "what_is_gone_is_read_as_deleted": LeavesOutWhatIsGone,
    "a_field_changed_later_tells_a_later_time": DatesFieldsByTheirRecord,
    "a_field_has_its_value_since_its_change": TakesLocalTimesForUtc,
    "only_fields_that_were_asked_for_are_told": TellsOfEveryField,
    "who_is_gone_is_left_out_and_disturbs_nobody": DatesWhatIsGone,
}


def seeded(fault: type[Full] | Mapping[str, Any]) -> type[FullKit]:
    words = {"connector": fault} if isinstance(fault, type) else {"changed": fault}
    return type("SeededKit", (FullKit,), words)
