"""Collect: store what came, as it came, together with the cursor that stands behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from bridge import refusals
from bridge.budgets import reading_the_past
from bridge.connector import Source
from bridge.errors import BridgeError, CursorExpired, PluginError, RateLimited, Unavailable
from bridge.model import Json, Page, Phase, Record, Skip
from bridge.store import collected, cursors
from bridge.store.bodies import json_bytes
from bridge.store.traces import suppressed
from bridge.store.writer import Priority
from bridge.sync.runtime import Connection, Runtime, log

ERASED_RULE = "erased person"
LAGGING_CURSOR = 1.0
"""Seconds that a cursor may stay behind pages with nothing new: they are read again after a crash, not lost."""

MOST_UNMOVED = 1000
"""Empty pages in a row that do not move the cursor, after which nobody believes that there will be another."""

OUTAGE_WAIT = 30.0
"""Seconds a stream rests after an outage whose end the vendor does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one pull brought; `finished` is False when it stopped early and may have more."""

    pages: int
    records: int
    finished: bool


def collect(
    runtime: Runtime,
    connection: Connection,
    stream: str,
    phase: Phase,
    *,
    run: int,
    pages: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Collected:
    """
    Pull one phase of one stream from its cursor and store every page with the cursor behind it.

    `pages` bounds one call, so that a long backfill shares its connection with today's news; once
    `stopping` says so, the page at hand is the last. Raises what the connector raised, after noting it
    on the cursor; nothing stored is lost.
    """
    assert connection.account_pk is not None and isinstance(connection.connector, Source)
    spec = connection.spec.stream(stream)
    rule = connection.mapping.pull.get(stream)
    fields = sorted(rule.fields_read) if rule else []
    with runtime.database.read() as c:
        at = cursors.load_cursor(c, connection.account_pk, stream, phase)
        out = suppressed(c)
    value = at.value if at else None
    asked = at.fields if at else frozenset(fields)
    if phase == "backfill" and at is not None and not set(fields) <= asked:
        log.info(
            "%s %s: the mapping reads fields never asked for; reading the past again", connection.name, stream
        )
        value = None
    count = records = 0
    priority = Priority.LIVE if phase == "live" else Priority.BACKFILL
    lookback = timedelta(seconds=spec.lookback)
    account_pk = connection.account_pk
    saved = time.monotonic()

    def unseen(page: Page) -> Sequence[Record | Skip]:
        with runtime.database.read() as c:
            return collected.unseen(c, account_pk, page.records)

    def store(page: Page, *, last: bool) -> None:
        nonlocal saved
        now = runtime.clock()
        check_streams(connection, page.records)
        items = leave_out(runtime, unseen(page) if at is not None else page.records, out)
        rows = collected.record_rows(items, account_pk=account_pk, run=run, now=now, blobs=runtime.blobs)
        watermark = min(page.watermark, now - lookback) if page.watermark else None
        if not rows and watermark is None and not last and time.monotonic() - saved < LAGGING_CURSOR:
            return

        def work(c: Transaction) -> None:
            collected.insert_records(c, rows)
            cursors.save_cursor(
                c, account_pk, stream, phase, value=page.cursor, fields=fields, now=now, watermark=watermark
            )

        runtime.writer.run(work, priority=priority)
        saved = time.monotonic()
        if rows:
            runtime.wake("resolve")

    unmoved = 0
    try:
        for page in _pull(connection.connector, stream, phase, value, fields):
            count += 1
            unmoved = 0 if page.records or page.cursor != value else unmoved + 1
            if unmoved > MOST_UNMOVED:
                raise PluginError(
                    f"connector {connection.spec.name} yields empty pages without end at {stream} {phase};"
                    " reading it was stopped. Update the connector."
                )
            last = stopping() or (pages is not None and count >= pages)
            store(page, last=last)
            value = page.cursor
            records += len(page.records)
            if last:
                return Collected(pages=count, records=records, finished=False)
    except BridgeError as error:
        _note_failure(
            runtime,
            connection,
            stream,
            phase,
            None if isinstance(error, CursorExpired) else value,
            fields,
            error,
        )
        raise
    now = runtime.clock()
    runtime.writer.run(
        lambda c: cursors.save_cursor(
            c,
            account_pk,
            stream,
            phase,
            value=value,
            fields=fields,
            now=now,
            complete=phase == "backfill",
            succeeded=True,
        ),
        priority=priority,
    )
    return Collected(pages=count, records=records, finished=True)


def _pull(source: Source, stream: str, phase: Phase, cursor: Json, fields: Sequence[str]) -> Iterator[Page]:
    """Pull, letting everybody else call first unless it is for news; what is done with a page is not held back."""
    pages = iter(source.pull(stream, phase, cursor, fields))
    while True:
        with reading_the_past(phase != "live"):
            page = next(pages, None)
        if page is None:
            return
        yield page


def _note_failure(
    runtime: Runtime,
    connection: Connection,
    stream: str,
    phase: Phase,
    value: object,
    fields: list[str],
    error: BridgeError,
) -> None:
    now = runtime.clock()
    wait = None
    if isinstance(error, RateLimited):
        wait = error.wait
    elif isinstance(error, Unavailable):
        wait = error.wait or OUTAGE_WAIT
    wait = min(wait, refusals.LONGEST_WAIT) if wait else None
    patient = isinstance(error, RateLimited) and phase != "live"  # a past that waits for calls is no trouble
    account_pk = connection.account_pk
    assert account_pk is not None
    runtime.writer.run(
        lambda c: cursors.save_cursor(
            c,
            account_pk,
            stream,
            phase,
            value=value,
            fields=fields,
            now=now,
            error=None if patient else runtime.message(error),
            not_before=now + timedelta(seconds=wait) if wait else None,
        ),
        priority=Priority.LIVE,
    )


def check_streams(connection: Connection, items: Sequence[Record | Skip]) -> None:
    """Raise PluginError for a record of a stream that its connector does not declare: nobody would ever read it."""
    declared = {spec.name for spec in connection.spec.streams}
    for item in items:
        if item.stream not in declared:
            raise PluginError(
                f"connector {connection.spec.name} brought {item.id!r} of stream {item.stream!r}, which it does"
                f" not declare; it declares {', '.join(sorted(declared))}. Nothing of it was stored; update the"
                " connector."
            )


def leave_out(
    runtime: Runtime, items: Sequence[Record | Skip], out: frozenset[bytes]
) -> Sequence[Record | Skip]:
    """Put a skip in the place of each record that names somebody who was erased (`out`, by hash)."""
    return [_unless_erased(runtime, item, out) for item in items] if out else items


def _unless_erased(runtime: Runtime, item: Record | Skip, out: frozenset[bytes]) -> Record | Skip:
    if isinstance(item, Skip):
        return item
    body = item.data if isinstance(item.data, bytes) else json_bytes(item.data)
    if not runtime.traces.in_bytes(body) & out:
        return item
    return Skip(stream=item.stream, id=item.id, version=item.version, rule=ERASED_RULE)
