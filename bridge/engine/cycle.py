"""The steps as loops: pull what is due, resolve what waits, deliver what differs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import select

from bridge.connector import Receiver, Source
from bridge.engine import undo
from bridge.engine.opening import fault_of, own_of
from bridge.errors import AuthError, BridgeError, CursorExpired, StoreError
from bridge.model import Phase
from bridge.store import collected, cursors, looks, runs
from bridge.store.intents import intent_counts
from bridge.store.tables import cursor
from bridge.store.writer import Priority
from bridge.sync.delivery import deliver
from bridge.sync.delivery.anew import queue_everybody
from bridge.sync.delivery.answers import hear
from bridge.sync.delivery.mass import Guard
from bridge.sync.delivery.plan_values import Destination
from bridge.sync.delivery.receipts import Delivered
from bridge.sync.delivery.settle import settle
from bridge.sync.delivery.wanted import destination_of, plan_people
from bridge.sync.identity.reidentify import reidentify
from bridge.sync.intake import resolve
from bridge.sync.intake.collect import collect
from bridge.sync.intake.own import forget_own
from bridge.sync.intake.project import project
from bridge.sync.intake.split import split
from bridge.sync.runtime import Connection, Runtime, log

PEOPLE = 200
"""People planned in one go: few look-ups for each call, and a crash repeats little."""

ROUNDS = 3
"""How often one delivery asks again for what the CRM left without an answer."""

BACKFILL_PAGES = 5
"""Pages of the past pulled between two looks for news."""

Progress = Callable[[str, int], None]


def quiet(step: str, count: int) -> None:
    """Show nothing."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """
    What one round over a connection came to; `errors` are shown to people as they are.

    `failed` and `worked` are the (stream, phase) pairs that raised and that went through; a stream that
    rests is in neither. `more` says that there is more to read at once.
    """

    errors: list[str] = field(default_factory=list)
    failed: set[tuple[str, Phase]] = field(default_factory=set)
    worked: set[tuple[str, Phase]] = field(default_factory=set)
    paused: bool = False
    more: bool = False


def phases_due(runtime: Runtime, connection: Connection, *, force: bool) -> Iterator[tuple[str, Phase]]:
    """
    Yield the (stream, phase) pairs to pull now: today's first, parents before children, the past last.

    A clock that was set back since the last pull tells nothing of how long ago that was: then it is time.
    """
    assert connection.account_pk is not None
    now = runtime.clock()
    backfills: list[tuple[str, Phase]] = []
    for spec in connection.streams():
        for phase in spec.phases:
            with runtime.database.read() as c:
                at = cursors.load_cursor(c, connection.account_pk, spec.name, phase)
            set_back = at is not None and at.pulled_at is not None and now < at.pulled_at
            if at is not None and at.not_before is not None and now < at.not_before and not set_back:
                continue
            if phase == "backfill":
                rule = connection.mapping.pull.get(spec.name)
                fields = set(rule.fields_read) if rule else set()
                if at is None or not at.complete or not fields <= at.fields:
                    backfills.append((spec.name, phase))
                continue
            every = spec.every.get(phase, 60.0)
            if phase == "live" and connection.config.every is not None:
                every = connection.config.every
            last = None if at is None or at.broken_off else at.pulled_at
            due = last is None or set_back or now >= last + timedelta(seconds=every)
            if due or (force and phase == "live"):
                yield spec.name, phase
    yield from backfills


def pull(
    runtime: Runtime,
    connection: Connection,
    *,
    run: int,
    force: bool = False,
    whole: bool = False,
    progress: Progress = quiet,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """
    Pull every phase of a connection that is due; a stream in trouble does not stop its neighbours.

    `whole` reads the past to its end; otherwise a few pages of it. A refused key pauses the connection.
    """
    outcome = Outcome()
    if not isinstance(connection.connector, Source):
        return outcome
    for stream, phase in phases_due(runtime, connection, force=force):
        if stopping():
            return outcome
        pages = None if whole or phase != "backfill" else BACKFILL_PAGES
        try:
            try:
                found = collect(runtime, connection, stream, phase, run=run, pages=pages, stopping=stopping)
            except CursorExpired as error:
                log.info("%s", runtime.told(connection, error))
                found = collect(runtime, connection, stream, phase, run=run, pages=pages, stopping=stopping)
        except StoreError:
            raise
        except (Exception, SystemExit) as error:  # one stream's fault must not stop the others
            told = error if isinstance(error, BridgeError) else fault_of(connection, error)
            outcome.failed.add((stream, phase))
            outcome.errors.append(f"{runtime.told(connection, told)} ({stream})")
            if isinstance(error, AuthError):
                outcome.paused = True
                return outcome
            continue
        outcome.worked.add((stream, phase))
        outcome.more = outcome.more or not found.finished
        progress(f"{connection.name} {stream}", found.records)
    return outcome


def unread_crms(runtime: Runtime, connection: Connection) -> list[str]:
    """
    Return the CRMs whose contacts a connection must wait for, since its capture rules ask who is known.

    Judged before they are read, everybody would be a stranger, and what is skipped is never asked for
    again. A connection that was left out may be a CRM.
    """
    if connection.config.capture.only_with == "anyone":
        return []
    left_out = [problem.path.split(".")[1] for problem in runtime.config.left_out]
    return left_out + [
        crm.name
        for crm in runtime.connections.values()
        if crm.spec.contact_stream and crm is not connection and not _knows_contacts(runtime, crm)
    ]


def waiting_for(connection: Connection, unread: Sequence[str]) -> str:
    """Say why a connection is not read yet."""
    return (
        f"{connection.name}: waits until the contacts of {', '.join(unread)} are read, as its capture rules ask"
        " who is known. Nothing of it is lost. If it stays so, see: crmbridge status"
    )


def _knows_contacts(runtime: Runtime, crm: Connection) -> bool:
    """Tell whether the contacts of a CRM were all read once and stand in the store."""
    spec = crm.spec.stream(crm.spec.contact_stream)
    if crm.account_pk is None:
        return False
    past = "backfill" in spec.phases
    here = [cursor.c.account_pk == crm.account_pk, cursor.c.stream == spec.name]
    done = cursor.c.complete if past else cursor.c.succeeded_at.is_not(None)
    read = select(cursor.c.phase).where(*here, cursor.c.phase == ("backfill" if past else "live"), done)
    with runtime.database.read() as c:
        return c.execute(read).first() is not None and not collected.is_waiting(c, crm.account_pk, spec.name)


def settle_inbox(
    runtime: Runtime,
    *,
    run: int,
    progress: Progress = quiet,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Split, resolve and project until nothing waits; returns how many records were resolved."""
    total = 0
    reidentify(runtime)
    while not stopping():
        done = 0
        time.sleep(runtime.rest())
        for connection in runtime.connections.values():
            known = connection.account_pk is not None and not unread_crms(runtime, connection)
            if known and isinstance(connection.connector, Receiver):
                done += split(runtime, connection, run=run)
        for connection, stream in resolve.waiting_work(runtime):
            time.sleep(runtime.rest())
            count = resolve.resolve(runtime, connection, stream)
            if stream_has_users(connection, stream):
                before, runtime.own = runtime.own, own_of(runtime.config, runtime.database)
                forget_own(runtime, before)
            done += count
            total += count
            progress("resolved", count)
        done += project(runtime, limit=PEOPLE)
        if not done:
            break
    return total


def stream_has_users(connection: Connection, stream: str) -> bool:
    """Tell whether a stream brings the CRM's users, whose addresses are the team's own."""
    rule = connection.mapping.pull.get(stream)
    return rule is not None and rule.entity == "user"


def deliver_all(
    runtime: Runtime,
    connection: Connection,
    *,
    run: int | None,
    rests: bool = False,
    progress: Progress = quiet,
    stopping: Callable[[], bool] = lambda: False,
) -> Delivered:
    """
    Settle what is uncertain, then plan and write until nothing differs, the vendor asks to wait, or nothing moves.

    With `rests` an entry that was written a moment ago takes in nothing more yet: its people stay queued.
    A mass change is held: nothing at all is written until a person approves it or it is mended.
    An undo that was broken off goes on first. What is decided here belongs to `run`; None opens a run of its
    own once there is something. Raises what the connector raised.
    """
    assert connection.account_pk is not None
    with connection.writing:
        unfinished = undo.go_on(runtime, connection)
        if unfinished is not None:
            return unfinished
        with _run_of(runtime, connection, run) as number:
            return _deliver_all(
                runtime, connection, run=number, rests=rests, progress=progress, stopping=stopping
            )


@contextmanager
def _run_of(runtime: Runtime, connection: Connection, run: int | None) -> Iterator[Callable[[], int]]:
    """
    Lend what returns the number of the run that decides now: the one given, else one opened when first asked for.

    One that was opened here is partial where any of its writes does not stand at the end.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    opened: list[int] = []

    def number() -> int:
        if run is not None:
            return run
        if not opened:
            now = runtime.clock()
            opened.append(runtime.writer.run(runs.start_run, "delivery", now, priority=Priority.DELIVERY))
        return opened[0]

    def end(*, broken_off: bool) -> None:
        if not opened:
            return
        with runtime.database.read() as c:
            pending = intent_counts(c, account_pk, run=opened[0])
        counts = {"connection": connection.name, "pending_writes": pending}
        outcome = "partial" if pending or broken_off else "ok"
        now = runtime.clock()
        runtime.writer.run(
            lambda c: runs.end_run(c, opened[0], outcome=outcome, counts=counts, now=now),
            priority=Priority.DELIVERY,
        )

    try:
        yield number
    except Exception:  # whatever broke it off, the run says so; a dying process writes nothing more
        end(broken_off=True)
        raise
    end(broken_off=False)


def _deliver_all(
    runtime: Runtime,
    connection: Connection,
    *,
    run: Callable[[], int],
    rests: bool,
    progress: Progress,
    stopping: Callable[[], bool],
) -> Delivered:
    queue_everybody(runtime, connection)
    deliver.put_back_updates(runtime, connection)
    if hear(runtime, connection, rests=rests):
        project(runtime, limit=PEOPLE)
    total = Delivered()
    guard = Guard(runtime, connection)
    if guard.holds():
        return total
    for _ in range(ROUNDS):
        found = settle(runtime, connection)
        _add(total, found, progress)
        total.settles = found.settles
        unanswered = total.counts["unanswered"]
        _write_all(
            runtime, connection, total, guard, run=run, rests=rests, progress=progress, stopping=stopping
        )
        if total.counts["unanswered"] == unanswered or total.wait is not None:
            break
        total.settles = connection.spec.settle
    if total.stopped is not None:
        raise total.stopped
    return total


def _write_all(
    runtime: Runtime,
    connection: Connection,
    total: Delivered,
    guard: Guard,
    *,
    run: Callable[[], int],
    rests: bool,
    progress: Progress,
    stopping: Callable[[], bool],
) -> None:
    """Send what is open, then plan and send until nothing differs, or the CRM does not answer."""
    assert connection.account_pk is not None
    unanswered = total.counts["unanswered"]
    _add(total, deliver.push_open(runtime, connection), progress)
    destination: Destination | None = None
    resting: set[str] = set()
    for turn in itertools.count():
        troubled = total.wait is not None or total.stopped or total.counts["unanswered"] != unanswered
        if stopping() or troubled:
            return
        with runtime.database.read() as c:
            found = looks.next_touched(c, connection.account_pk, PEOPLE + len(resting))
        wishes = {person: seq for person, seq in found.items() if person not in resting}
        if not wishes:
            guard.settled()
        if not wishes or guard.holds():
            return
        destination = destination or destination_of(runtime, connection, rests=rests)
        planned = plan_people(runtime, connection, destination, list(wishes))
        resting |= {action.person_id for action in planned.actions if action.kind == "later"}
        done = {one: seq for one, seq in wishes.items() if one not in planned.adopted | resting}
        writes = any(action.write is not None for action in planned.actions)
        committed = deliver.commit(
            runtime,
            connection,
            planned.actions,
            run=run() if writes else 0,
            done=done,
            looked=planned.looked,
            stranded=planned.stranded,
        )
        for action in planned.actions:
            if action.kind in ("hold", "keep", "later", "skip", "conflict", "adopt"):
                total.counts[action.kind] += 1
        if committed:
            _add(total, deliver.push_open(runtime, connection), progress)
        project(runtime, limit=PEOPLE)
        if planned.adopted and not done and turn > 50:
            log.warning("%s: contacts found in the CRM do not come to rest", connection.name)
            return


def _add(total: Delivered, found: Delivered, progress: Progress) -> None:
    total.written += found.written
    total.counts.update(found.counts)
    total.wait = found.wait if found.wait is not None else total.wait
    total.stopped = found.stopped or total.stopped
    if found.written:
        progress("written", found.written)
