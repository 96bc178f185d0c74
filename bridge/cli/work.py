"""Commands that work: plan, sync, run."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Annotated, Any

import typer

from bridge.cli import output, report
from bridge.cli.options import DEFAULT, AsJson, ConfigPath, Verbose, held_by_daemon, opened, read_config
from bridge.engine import commands, cycle
from bridge.engine.local import Daemon
from bridge.engine.memory import spare_what_stays
from bridge.engine.opening import (
    fault_of,
    learn_account,
    need_secrets,
    note_error,
    open_runtime,
    recall_accounts,
)
from bridge.engine.reading import unread_streams
from bridge.errors import AuthError, BridgeError, StoreError
from bridge.redact import Redactor
from bridge.store import people, runs
from bridge.store.held_back import held_people, held_reasons
from bridge.store.writer import Priority
from bridge.sync.delivery.anew import is_everybody_due, people_due
from bridge.sync.delivery.mass import held_by
from bridge.sync.delivery.plan_values import Action
from bridge.sync.delivery.rounds import stopped_count
from bridge.sync.delivery.wanted import destination_of, plan_people
from bridge.sync.runtime import Connection, Runtime, log

SWITCH_SECONDS = 0.001
"""How long a busy thread of the daemon may keep the interpreter from the webhook receiver; Python's own is 5 ms."""

LEAST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks whether a pull brought anything; longer as long as it brings nothing."""

SETTLE_PATIENCE = 120.0
"""Seconds a `sync` waits for writes whose outcome the CRM has not settled yet."""


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(plan)
    app.command()(sync)
    app.command()(run)


def plan(
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    verbose: Verbose = False,
    details: Annotated[bool, typer.Option("--details", help="Show every entry's text.")] = False,
) -> None:
    """Show what would be written, before anything is. Reads the CRM, changes nothing."""
    with opened(config, verbose=verbose) as runtime:
        crms = _to_plan(runtime)
        need_secrets(crms)
        found = {connection.name: plan_all(runtime, connection) for connection in crms}
        most = None if as_json or details else report.HELD
        more: Counter[str] = Counter()
        for connection in crms:
            held, count = held_before(runtime, connection, most)
            found[connection.name] += held
            more[connection.name] = count - len(held)
        if as_json:
            output.emit(
                {name: [report.action_json(action) for action in actions] for name, actions in found.items()}
            )
            return
        if not found and (empty := [connection.name for connection in runtime.crms()]):
            output.say(f"There is nothing to plan: {', '.join(empty)} holds no contacts and has no `push`.")
            output.say("To let people become contacts there, add `push:` to its connection.")
        elif not found:
            output.say("There is nothing to plan: no CRM was reached yet.")
            output.say("Collect first with: crmbridge sync --collect-only")
        for name, actions in found.items():
            if len(found) > 1:
                output.say(f"In {name}:")
            report.show_plan(actions, more=more[name], details=details)
            report.show_limits(runtime.connections[name])
            if mass := held_by(runtime, runtime.connections[name]):
                output.say(str(mass))
            if stopped := _stopped(runtime, runtime.connections[name]):
                output.say(report.stopped_line(stopped))


def _stopped(runtime: Runtime, connection: Connection) -> int:
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        return stopped_count(c, connection.account_pk)


def _to_plan(runtime: Runtime) -> list[Connection]:
    """Return the CRMs that may be written to, and those that could be: without contacts it is used as a channel."""
    with runtime.database.read() as c:
        return [
            connection
            for connection in runtime.crms()
            if connection.config.push is not None
            or (connection.account_pk is not None and people.has_contacts(c, connection.account_pk))
        ]


def plan_all(runtime: Runtime, connection: Connection) -> list[Action]:
    """Plan everybody in a destination's queue without changing anything."""
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        due = people_due(c, connection)
    destination = destination_of(runtime, connection)
    actions: list[Action] = []
    for start in range(0, len(due), cycle.PEOPLE):
        due_now = due[start : start + cycle.PEOPLE]
        planned = plan_people(runtime, connection, destination, due_now, dry=True).actions
        asked = sum(action.kind == "ask" for action in planned)
        destination = replace(destination, asked=destination.asked + asked)
        actions += planned
    return actions


def held_before(runtime: Runtime, connection: Connection, most: int | None) -> tuple[list[Action], int]:
    """
    Return whom an earlier look held back, at most `most` (None: all of them), and how many they are in all.

    Whoever the next delivery looks at is left out, as they are planned anew.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    with runtime.database.read() as c:
        if is_everybody_due(c, connection):
            return [], 0
        reasons = held_reasons(c, account_pk)
        found = held_people(c, account_pk, reasons, limit=most)
    held = [Action(kind="hold", person_id=one.person_id, name=one.name, reason=one.reason) for one in found]
    return held, sum(reasons.values())


def sync(
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
    verbose: Verbose = False,
    collect_only: Annotated[
        bool, typer.Option("--collect-only", help="Collect and resolve; write nothing to any account.")
    ] = False,
) -> None:
    """Do one whole cycle: collect, resolve, deliver."""
    try:
        with (
            opened(config, lock_as="crmbridge sync", verbose=verbose, secrets=True) as runtime,
            output.progress(not as_json) as show,
        ):
            spare_what_stays()
            said = [str(problem) for problem in runtime.config.left_out]
            result = sync_once(runtime, deliver=not collect_only, progress=show)
    except StoreError as error:
        if not held_by_daemon(error):
            raise
        if collect_only:
            raise StoreError(
                f"{error} A daemon writes what differs as soon as it has collected it, so --collect-only was not"
                " handed to it. Look at what it writes with: crmbridge plan"
            ) from error
        with opened(config, verbose=verbose) as runtime:
            handed = commands.hand_over(runtime, "sync", {})
        output.emit(handed) if as_json else output.say(
            f"The daemon looks at {output.plural(handed['connections'], 'connection')} now; see: crmbridge status"
        )
        return
    if as_json:
        output.emit(result)
    else:
        report.show_sync(result, said=said)
    if result["outcome"] != "ok":
        causes = {"auth": output.AUTH, "unavailable": output.UNAVAILABLE, None: output.PARTIAL}
        output.stop(causes[result["cause"]])


def sync_once(
    runtime: Runtime, *, deliver: bool = True, progress: cycle.Progress = cycle.quiet
) -> dict[str, Any]:
    """Run one cycle and return its numbers; its outcome is ok, partial or failed, by arithmetic."""
    now = runtime.clock()
    number = runtime.writer.run(lambda c: runs.start_run(c, "sync", now), priority=Priority.LIVE)
    with ThreadPoolExecutor(max_workers=max(1, len(runtime.connections))) as pool:
        problems = dict(
            zip(
                runtime.connections,
                pool.map(lambda connection: learn_account(runtime, connection), runtime.connections.values()),
                strict=True,
            )
        )
    errors = [str(problem) for problem in runtime.config.left_out]
    errors += [
        runtime.told(runtime.connections[name], problem) for name, problem in problems.items() if problem
    ]
    reached = [connection for name, connection in runtime.connections.items() if problems[name] is None]
    first = [connection for connection in reached if not cycle.unread_crms(runtime, connection)]
    blind: set[str] = set()
    errors += _pull(runtime, first, number, progress, blind)
    for connection in reached:
        if connection not in first and (unread := cycle.unread_crms(runtime, connection)):
            errors.append(cycle.waiting_for(connection, unread))
        elif connection not in first:
            errors += _pull(runtime, [connection], number, progress, blind)
    written: Counter[str] = Counter()
    unwritten: list[str] = []
    writes = 0
    if deliver:
        for connection in runtime.destinations():
            if connection not in reached:
                continue
            if connection.name in blind:
                unwritten.append(connection.name)
                continue
            try:
                done = _deliver(runtime, connection, number, progress)
                writes += done[0]
                written.update(done[1])
            except StoreError:
                raise
            except (Exception, SystemExit) as fault:  # one CRM's fault must not stop the others
                if not isinstance(fault, BridgeError):
                    log.exception("%s", connection.name)
                error = fault if isinstance(fault, BridgeError) else fault_of(connection, fault)
                errors.append(runtime.told(connection, error))
                note_error(runtime, connection, error)
    result = report.finish_sync(runtime, number, writes=writes, written=written, errors=errors)
    result["errors"] += [
        f"{name}: nothing was written, as what stands there could not be read" for name in unwritten
    ]
    kinds = [type(problem) for problem in problems.values() if problem]
    return {**result, "cause": _cause(kinds) if result["outcome"] == "failed" else None}


def _cause(kinds: Sequence[type[BridgeError]]) -> str:
    return "auth" if AuthError in kinds else "unavailable"


def _pull(
    runtime: Runtime,
    connections: Sequence[Connection],
    number: int,
    progress: cycle.Progress,
    blind: set[str],
) -> list[str]:
    """
    Pull connections side by side, each in a thread, while what they bring is resolved; return the errors.

    Adds to `blind` the names of CRMs of which not everything that we write to could be read.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=max(1, len(connections))) as pool:
        pulls = [
            pool.submit(
                cycle.pull,
                runtime,
                connection,
                run=number,
                force=True,
                whole=True,
                progress=progress,
                stopping=stop.is_set,
            )
            for connection in connections
        ]
        pause = LEAST_PAUSE
        try:
            while wait(pulls, timeout=pause).not_done:
                found = cycle.settle_inbox(runtime, run=number, progress=progress)
                pause = LEAST_PAUSE if found else min(2 * pause, LONGEST_PAUSE)
        finally:
            stop.set()  # Ctrl-C: the pages at hand are the last
    cycle.settle_inbox(runtime, run=number, progress=progress)
    outcomes = [(connection, pull.result()) for connection, pull in zip(connections, pulls, strict=True)]
    blind.update(
        connection.name for connection, outcome in outcomes if unread_streams(connection, outcome.worked)
    )
    return [error for _, outcome in outcomes for error in outcome.errors]


def _deliver(
    runtime: Runtime, connection: Connection, number: int, progress: cycle.Progress
) -> tuple[int, Counter[str]]:
    """Deliver, waiting as long as the vendor asks within reason, so that one `sync` ends settled."""
    writes = 0
    counts: Counter[str] = Counter()
    until = time.monotonic() + SETTLE_PATIENCE
    while True:
        done = cycle.deliver_all(runtime, connection, run=number, progress=progress)
        writes += done.written
        for name in ("entry", "contact", "fields"):
            if done.counts[name]:
                counts[name] += done.counts[name]
        pause = done.wait if done.wait is not None else done.settles
        if pause is None or time.monotonic() + pause > until:
            return writes, counts
        time.sleep(pause + 0.01)


def run(config: ConfigPath = DEFAULT, verbose: Verbose = False) -> None:
    """
    Run the daemon: schedules, webhooks, health, metrics.

    It collects, resolves and delivers until SIGTERM or Ctrl-C ends it cleanly.
    """
    # The web server is the daemon's alone; without it every other command starts half a second faster.
    from bridge.web.app import make_app
    from bridge.web.metrics import Metrics
    from bridge.web.serving import Server

    redactor = Redactor()
    output.start_logging(redactor, verbose=verbose)
    loaded = read_config(config)
    stopping = threading.Event()
    sys.setswitchinterval(SWITCH_SECONDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with open_runtime(loaded, lock_as="crmbridge run", redactor=redactor) as runtime:
        recall_accounts(runtime)
        failed: str | None = None
        daemon = Daemon(runtime)
        spare_what_stays()
        server = Server(
            make_app(runtime, Metrics(runtime, daemon.alive)),
            host=loaded.web.host,
            port=loaded.web.port,
            file=loaded.file,
        )
        server.start()
        daemon.start()
        output.say(
            f"crmbridge runs; webhooks at {server.address}/hooks/<connection>, health at {server.address}/readyz"
        )
        while not stopping.wait(0.2) and (failed := daemon.failed() or server.failed()) is None:
            pass
        daemon.begin_stop()
        server.stop()
        daemon.stop()
    if failed is not None:
        raise StoreError(failed)
    output.say("crmbridge stopped; everything it held is stored.")
