"""What every historian promises: since when a field has its value, of what was asked for and is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.connector import Historian
from bridge.model import FieldTimes
from bridge.testing.bench import Bench, Check
from bridge.testing.kit import HistorianKit

HOUR = 3600.0
MANY = 130
"""More than the batches of the vendors we know (50 with histories, 100 without)."""

COARSE = timedelta(minutes=1)
"""How far a vendor may round its times."""


def a_field_changed_later_tells_a_later_time(bench: Bench[HistorianKit]) -> None:
    """Of two fields, the one that somebody changed an hour after the other has its value since later."""
    first, second = bench.kit.dated
    contact = _edited_an_hour_ago(bench, first, second)
    bench.kit.edit(contact, second, "two")
    at = _of(bench, contact, first, second)
    assert {first, second} <= at.keys(), (
        f"field_times: {first} and {second} were set, it tells of {sorted(at)}"
    )
    assert at[first] < at[second], f"field_times: {second} was changed an hour after {first}: {dict(at)}"


def a_field_has_its_value_since_its_change(bench: Bench[HistorianKit]) -> None:
    """The time of a field is that of its last change, aware and in UTC, so never in the future."""
    first, second = bench.kit.dated
    contact = _edited_an_hour_ago(bench, first, second)
    bench.kit.edit(contact, first, "two")
    at = _of(bench, contact, first)[first]
    assert at.utcoffset() == timedelta(0), f"field_times: {at.isoformat()} is not in UTC"
    # A stand-in's clock stands still like the bench's, or runs, ahead by what was waited.
    earliest, latest = bench.clock(), datetime.now(UTC) + timedelta(seconds=bench.clock.seconds())
    assert earliest - COARSE <= at <= latest + COARSE, (
        f"field_times: changed between {earliest.isoformat()} and {latest.isoformat()}, told as {at.isoformat()}"
    )


def only_fields_that_were_asked_for_are_told(bench: Bench[HistorianKit]) -> None:
    """A field that was not asked for is not told, nor one that the vendor does not know."""
    first, second = bench.kit.dated
    contact = _edited_an_hour_ago(bench, first, second)
    told = set(_of(bench, contact, first, "crmbridge_no_such_field"))
    assert told == {first}, f"field_times: asked for {first} and an unknown one, it tells of {sorted(told)}"


def who_is_gone_is_left_out_and_disturbs_nobody(bench: Bench[HistorianKit]) -> None:
    """Of more contacts than a batch each comes once with its times; the one that is gone does not come."""
    field, _ = bench.kit.dated
    ids = [bench.kit.add_contact(f"ana{n}@one.example", f"+5511{n:09d}") for n in range(MANY)]
    first, gone, last = ids[0], ids[MANY // 2], ids[-1]
    for id in (first, gone, last):
        bench.kit.edit(id, field, "one")
    bench.kit.delete(bench.spec.contact_stream, gone)
    told = _told(bench, [*ids, first], field)
    counted = Counter(one.id for one in told)
    assert gone not in counted, f"field_times: {gone} was deleted and comes all the same"
    twice = sorted(id for id, times in counted.items() if times > 1)
    assert not twice, f"field_times: {twice} came more than once; {first} was asked for twice, and comes once"
    assert set(counted) == set(ids) - {gone}, (
        f"field_times: of {MANY - 1} contacts that are there, {len(counted)} came"
    )
    silent = {first, last} - {one.id for one in told if field in one.at}
    assert not silent, f"field_times: {field} was changed, and nothing is told of it on {silent}"


CHECKS = (
    Check(
        run=a_field_changed_later_tells_a_later_time,
        of=(Historian,),
        levers=("add_contact", "dated", "edit", "wait"),
    ),
    Check(
        run=a_field_has_its_value_since_its_change,
        of=(Historian,),
        levers=("add_contact", "dated", "edit", "wait"),
    ),
    Check(
        run=only_fields_that_were_asked_for_are_told,
        of=(Historian,),
        levers=("add_contact", "dated", "edit", "wait"),
    ),
    Check(
        run=who_is_gone_is_left_out_and_disturbs_nobody,
        of=(Historian,),
        levers=("add_contact", "dated", "edit", "delete"),
    ),
)


def _edited_an_hour_ago(bench: Bench[HistorianKit], *fields: str) -> str:
    contact = bench.kit.add_contact("ana@one.example", "+5511973914862")
    for field in fields:
        bench.kit.edit(contact, field, "one")
    bench.kit.wait(HOUR)
    bench.clock.sleep(HOUR)
    return contact


def _of(bench: Bench[HistorianKit], contact: str, *fields: str) -> dict[str, datetime]:
    (told,) = _told(bench, [contact], *fields)
    return dict(told.at)


def _told(bench: Bench[HistorianKit], ids: Sequence[str], *fields: str) -> list[FieldTimes]:
    return list(bench.historian.field_times(bench.spec.contact_stream, ids, fields))
