"""What every source promises: nothing lost, nothing twice, wherever a pull is cut off."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC

from bridge.connector import Decoder, Fetcher, Source, Waiter
from bridge.model import Json, Page, Record
from bridge.testing.bench import At, Bench, Check, records_of
from bridge.testing.kit import SourceKit

PAGES = 3
LATE = 30.0
NONSENSE: tuple[Json, ...] = (b"", b"\xff\xfe\x00 nonsense", b"\r\n\r\n", {}, [], None, "text", 7)


def every_record_comes_once(bench: Bench[SourceKit], at: At) -> None:
    """A pull that nobody disturbs yields each record that is there exactly once."""
    cursor = _start(bench, at)
    ids = bench.kit.seed(at.stream.name, _many(bench))
    came = Counter(record.id for record in records_of(_pull(bench, at, cursor)))
    lost = [id for id in ids if came[id] == 0]
    twice = [id for id in ids if came[id] > 1]
    assert not lost, f"{at}: {len(lost)} of {len(ids)} records were lost, first {lost[0]}"
    assert not twice, f"{at}: {len(twice)} of {len(ids)} records came more than once, first {twice[0]}"


def a_pull_resumes_after_every_page(bench: Bench[SourceKit], at: At) -> None:
    """Killed after any page, a new connector goes on from that page's cursor and misses nothing."""
    cursor = _start(bench, at)
    ids = set(bench.kit.seed(at.stream.name, _many(bench)))
    pages = _pull(bench, at, cursor)
    assert len(pages) >= PAGES, (
        f"{at}: {len(ids)} records in {len(pages)} page(s), the kit's page_size is {bench.kit.page_size};"
        f' where the vendor has no pages, say so: cannot = {{"pages {at.stream.name}": "..."}}'
    )
    for number, page in enumerate(pages):
        kept = json.loads(json.dumps(page.cursor))
        assert kept == page.cursor, f"{at}: the cursor of page {number} is no JSON: {page.cursor!r}"
        bench.reopen()
        known = {record.id for record in records_of(pages[: number + 1])}
        known |= {record.id for record in records_of(_pull(bench, at, kept))}
        lost = ids - known
        assert not lost, f"{at}: killed after page {number} and resumed, {len(lost)} records are lost"


def a_second_pull_brings_nothing_new(bench: Bench[SourceKit], at: At) -> None:
    """What did not change comes again, if at all, under the same (id, version)."""
    cursor = _start(bench, at)
    ids = set(bench.kit.seed(at.stream.name, _many(bench)))
    first = _pull(bench, at, cursor)
    known = _versions(first, ids)
    bench.reopen()
    bench.clock.sleep(1.0)
    for words, again in (("from its last cursor", _end(first, cursor)), ("from where it began", cursor)):
        new = _versions(_pull(bench, at, again), ids) - known
        assert not new, f"{at}: pulled again {words}, {len(new)} unchanged records have a new version"


def a_change_comes_with_a_new_version(bench: Bench[SourceKit], at: At) -> None:
    """A record changed since the cursor comes again, under a version it never had."""
    cursor = _start(bench, at)
    ids = bench.kit.seed(at.stream.name, 3)
    pages = _pull(bench, at, cursor)
    known = _versions(pages, set(ids))
    bench.kit.change(at.stream.name, ids[0])
    bench.reopen()
    new = _versions(_pull(bench, at, _end(pages, cursor)), set(ids)) - known
    assert {id for id, _ in new} == {ids[0]}, f"{at}: record {ids[0]} was changed; new versions came of {new}"


def a_change_between_two_pages_loses_nothing(bench: Bench[SourceKit], at: At) -> None:
    """Somebody changes a record that was read already while the rest is being read: all others still come."""
    cursor = _start(bench, at)
    ids = bench.kit.seed(at.stream.name, _many(bench))
    pages: list[Page] = []
    changed = ""
    for page in bench.pull(at.stream.name, at.phase, cursor):
        pages.append(page)
        read = [record.id for record in page.records if record.id in ids]
        if read and not changed:
            changed = read[0]
            bench.kit.change(at.stream.name, changed)
    lost = set(ids) - {record.id for record in records_of(pages)}
    assert not lost, f"{at}: {changed} was changed while pulling, and {len(lost)} other records never came"


def live_and_backfill_leave_no_gap(bench: Bench[SourceKit], at: At) -> None:
    """What was there before the first live pull comes by the backfill, what came later by the live phase."""
    old = set(bench.kit.seed(at.stream.name, 3))
    live = list(bench.pull(at.stream.name, "live"))
    new = set(bench.kit.seed(at.stream.name, 3))
    bench.reopen()
    came = records_of(live) + records_of(list(bench.pull(at.stream.name, "live", _end(live, None))))
    came += records_of(list(bench.pull(at.stream.name, "backfill")))
    lost = (old | new) - {record.id for record in came}
    assert not lost, f"{at.stream.name}: neither live nor backfill brought {sorted(lost)}"


def a_deletion_is_seen_as_the_stream_declares(bench: Bench[SourceKit], at: At) -> None:
    """A deleted record comes as deleted, in the phase that `deletes` names, or is missing from a snapshot."""
    cursor = _start(bench, at)
    ids = bench.kit.seed(at.stream.name, 3)
    pages = _pull(bench, at, cursor)
    cursor = _end(pages, None) if at.stream.deletes == "tombstone" else None
    bench.kit.delete(at.stream.name, ids[1])
    bench.reopen()
    came = records_of(_pull(bench, at, cursor))
    if at.stream.deletes == "snapshot":
        left = {record.id for record in came if not record.deleted} & set(ids)
        assert left == {ids[0], ids[2]}, (
            f"{at}: of {list(ids)} {ids[1]} was deleted; the snapshot shows {left}"
        )
    else:
        gone = {record.id for record in came if record.deleted}
        assert ids[1] in gone, f"{at}: {ids[1]} was deleted, but no record with deleted=True came for it"
        assert not gone & {ids[0], ids[2]}, f"{at}: {gone} came as deleted, only {ids[1]} was"


def every_time_is_aware_and_utc(bench: Bench[SourceKit], at: At) -> None:
    """Each modified_at and watermark is None or an aware instant in UTC."""
    cursor = _start(bench, at)
    bench.kit.seed(at.stream.name, 3)
    pages = _pull(bench, at, cursor)
    times = [("modified_at", record.modified_at) for record in records_of(pages)]
    times += [("watermark", page.watermark) for page in pages]
    for name, when in times:
        aware = when is None or when.utcoffset() == UTC.utcoffset(None)
        assert aware, f"{at}: {name} {when!r} is not an aware instant in UTC"


def fetch_brings_the_present_state(bench: Bench[SourceKit], at: At) -> None:
    """Fetch yields each record as a pull would, in the same version, and what is gone as deleted."""
    cursor = _start(bench, at)
    ids = bench.kit.seed(at.stream.name, 3)
    pulled = _versions(_pull(bench, at, cursor), set(ids))
    fetched = list(bench.fetcher.fetch(at.stream.name, ids))
    assert sorted(record.id for record in fetched) == sorted(ids), f"{at.stream.name}: fetched other ids"
    assert {(record.id, record.version) for record in fetched} == pulled, (
        f"{at.stream.name}: a fetched record has another version than the pulled one, so it counts as new"
    )


def decoding_is_pure_and_never_raises(bench: Bench[SourceKit], at: At) -> None:
    """Decode gives the same records each time, and something for bytes that make no sense."""
    connector = bench.connector
    assert isinstance(connector, Decoder)
    cursor = _start(bench, at)
    bench.kit.seed(at.stream.name, 3)
    records: Sequence[Record] = records_of(_pull(bench, at, cursor))
    for record in records:
        once = list(connector.decode(record))
        assert once, f"{at}: record {record.id} decoded to nothing"
        assert once == list(connector.decode(record)), (
            f"{at}: record {record.id} decodes differently each time"
        )
        for nonsense in NONSENSE:
            odd = Record(stream=record.stream, id="odd", version="1", modified_at=None, data=nonsense)
            assert list(connector.decode(odd)), f"{at}: {nonsense!r} decoded to nothing, so it is lost"


def waiting_ends_in_time(bench: Bench[SourceKit], at: At) -> None:
    """Wait returns False when nothing happens for so long."""
    connector = bench.connector
    assert isinstance(connector, Waiter)
    _pull(bench, at, _start(bench, at))
    began = time.monotonic()
    assert connector.wait(at.stream.name, 0.2) is False, (
        f"wait {at.stream.name}: nothing happened, it said news"
    )
    took = time.monotonic() - began
    assert took < LATE, f"wait {at.stream.name}: asked to wait 0.2 s, it took {took:.1f} s"


def _seen_here(at: At) -> bool:
    """Say whether this is the phase in which the stream's deletions are seen."""
    return at.phase == {"tombstone": "live", "snapshot": "live", "sweep": "sweep"}.get(at.stream.deletes)


def _beside_live(at: At) -> bool:
    return at.phase == "backfill" and "live" in at.stream.phases


def _live(at: At) -> bool:
    return at.phase == "live"


def _new_records(at: At) -> bool:
    return at.phase != "sweep"


SEED = ("seed",)
CHECKS = (
    Check(run=every_record_comes_once, of=(Source,), where=_new_records, levers=SEED),
    Check(run=a_pull_resumes_after_every_page, of=(Source,), where=_new_records, levers=("seed", "pages")),
    Check(run=a_second_pull_brings_nothing_new, of=(Source,), where=_new_records, levers=SEED),
    Check(run=a_change_comes_with_a_new_version, of=(Source,), where=_live, levers=("seed", "change")),
    Check(
        run=a_change_between_two_pages_loses_nothing,
        of=(Source,),
        where=_new_records,
        levers=("seed", "change", "pages"),
    ),
    Check(run=live_and_backfill_leave_no_gap, of=(Source,), where=_beside_live, levers=SEED),
    Check(
        run=a_deletion_is_seen_as_the_stream_declares,
        of=(Source,),
        where=_seen_here,
        levers=("seed", "delete"),
    ),
    Check(run=every_time_is_aware_and_utc, of=(Source,), where=_new_records, levers=SEED),
    Check(run=fetch_brings_the_present_state, of=(Source, Fetcher), where=_live, levers=SEED),
    Check(run=decoding_is_pure_and_never_raises, of=(Source, Decoder), where=_new_records, levers=SEED),
    Check(run=waiting_ends_in_time, of=(Source, Waiter), where=_live),
)


def _many(bench: Bench[SourceKit]) -> int:
    return (PAGES - 1) * bench.kit.page_size + 1


def _start(bench: Bench[SourceKit], at: At) -> Json:
    """
    Return the cursor from which new records are awaited.

    A live phase beside a backfill may begin at the vendor's present; so it is begun first.
    """
    if at.phase == "live" and "backfill" in at.stream.phases:
        return _end(list(bench.pull(at.stream.name, "live")), None)
    return None


def _pull(bench: Bench[SourceKit], at: At, cursor: Json) -> list[Page]:
    return list(bench.pull(at.stream.name, at.phase, cursor))


def _end(pages: Sequence[Page], cursor: Json) -> Json:
    return pages[-1].cursor if pages else cursor


def _versions(pages: Sequence[Page], ids: set[str]) -> set[tuple[str, str]]:
    return {(record.id, record.version) for record in records_of(pages) if record.id in ids}
