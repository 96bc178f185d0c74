"""Taking a run back: one plan after another until the CRM shows nothing more of it, and letting go of what is held."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection as Transaction

from bridge.engine.opening import learn_account, need_secrets
from bridge.errors import ConfigError
from bridge.store import receipts, runs
from bridge.store.holds import Hold
from bridge.store.intents import UNDO_SLOT
from bridge.store.runs import Run
from bridge.store.writer import Priority
from bridge.sync.delivery import deliver
from bridge.sync.delivery.receipts import Delivered
from bridge.sync.delivery.settle import settle
from bridge.sync.intake.project import project
from bridge.sync.reversal import undoing
from bridge.sync.reversal.undo import plan_undo
from bridge.sync.reversal.undo_state import UNDO, Scope, accounts_of, load_state, unfinished, why_not
from bridge.sync.reversal.undo_values import Step, step_json
from bridge.sync.reversal.undone import holds_of, let_go, restored
from bridge.sync.runtime import Connection, Runtime

PATIENCE = 120.0
"""Seconds that an undo waits in all where the CRM asks to be left alone; the next delivery goes on with the rest."""

ROUNDS = 3
"""How often an undo asks again for what the CRM left without an answer."""

RECENT = 50
"""Among how many of the latest runs an undo is looked for that was broken off with nothing under way."""

PEOPLE = 200


@dataclass(slots=True, kw_only=True)
class Undone:
    """What an undo came to in one CRM; `steps` are those of its first plan, `refused` the CRM's words by key."""

    steps: list[Step] = field(default_factory=list)
    written: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    wait: float | None = None

    @property
    def left(self) -> int:
        """How many things stay as they are."""
        return sum(1 for step in self.steps if step.kind == "leave") + len(self.refused)


def plan(runtime: Runtime, scope: Scope) -> dict[str, list[Step]]:
    """
    Return what would take a run or mapping back, by connection; reads the CRM and changes nothing.

    Raises ConfigError where it cannot be taken back at all, and what a connector raises.
    """
    check(runtime, scope)
    found = {
        connection.name: plan_undo(load_state(runtime, connection, scope))
        for connection in _written_by(runtime, scope)
    }
    return {name: steps for name, steps in found.items() if steps}


def check(runtime: Runtime, scope: Scope) -> None:
    """Raise ConfigError where a run or mapping cannot be taken back at all."""
    with runtime.database.read() as c:
        reason = why_not(c, runtime, scope)
    if reason:
        raise ConfigError(reason)


def undo(runtime: Runtime, scope: Scope) -> dict[str, Any]:
    """
    Take a run or mapping back and return what became of it; one that was broken off goes on as the same run.

    Nothing else writes to these CRMs meanwhile. `again` says that the run was an undo itself. Raises ConfigError
    where it cannot be taken back, and what a connector raises; the next delivery then goes on with the rest.
    """
    connections = _asked(runtime, _written_by(runtime, scope))
    with ExitStack() as stack:
        for connection in connections:
            stack.enter_context(connection.writing)
            settle(runtime, connection)
        with runtime.database.read() as c:
            run = unfinished(c, scope)
        if run is not None:
            for connection in connections:
                undoing.recall(runtime, connection, run.number)
        found = plan(runtime, scope) if run is None or not _is_over(runtime, scope) else {}
        if run is None and any(step.kind != "leave" for steps in found.values() for step in steps):
            run = _begin(runtime, scope)
        done = {
            connection.name: take_back(runtime, connection, run, patience=PATIENCE)
            for connection in connections
            if run is not None
        }
        finished = run is not None and _end(runtime, run, done.values())
        while project(runtime, limit=PEOPLE):
            pass
    with runtime.database.read() as c:
        number = scope.run or 0
        again = UNDO_SLOT in receipts.sums(c, [number]).get(number, {}).get("written", ())
    steps = {name: [step_json(step) for step in some] for name, some in found.items()}
    refused = [message for one in done.values() for message in one.refused.values()]
    left = sum(1 for some in found.values() for step in some if step.kind == "leave")
    return {
        "run": scope.run,
        "mapping": scope.mapping,
        "undo": None if run is None else run.number,
        "again": again,
        "finished": finished or run is None,
        "written": sum(one.written for one in done.values()),
        "left": left + len(refused),
        "refused": refused,
        "connections": steps,
    }


def _is_over(runtime: Runtime, scope: Scope) -> bool:
    with runtime.database.read() as c:
        return bool(why_not(c, runtime, scope))


def _written_by(runtime: Runtime, scope: Scope) -> list[Connection]:
    """Return the CRMs that it wrote to; raises ConfigError where secrets of one are not there."""
    with runtime.database.read() as c:
        accounts = accounts_of(c, runtime, scope)
    found = [connection for connection in runtime.crms() if connection.account_pk in accounts]
    need_secrets(found)
    return found


def _asked(runtime: Runtime, connections: Iterable[Connection]) -> list[Connection]:
    """Return CRMs by name, each asked in this process whose account it is; raises what one answers."""
    found = sorted(connections, key=lambda connection: connection.name)
    for connection in found:
        problem = None if connection.asked else learn_account(runtime, connection)
        if problem is not None:
            raise problem
    return found


def _begin(runtime: Runtime, scope: Scope) -> Run:
    now = runtime.clock()

    def work(c: Transaction) -> Run:
        counts = {"of": scope.run, "person": scope.person, "mapping": scope.mapping}
        run = runs.load_run(c, runs.start_run(c, UNDO, now, counts))
        assert run is not None
        return run

    return runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)


def _end(runtime: Runtime, run: Run, done: Collection[Undone]) -> bool:
    """Close an undo unless something of it has no receipt yet; tells whether it is over."""
    with runtime.database.read() as c:
        if any(undoing.pending(c, connection, run=run.number) for connection in runtime.crms()):
            return False
    counts = {
        **run.counts,
        "writes": sum(one.written for one in done),
        "left": sum(one.left for one in done),
    }
    outcome = "partial" if counts["left"] else "ok"
    now = runtime.clock()
    runtime.writer.run(
        lambda c: runs.end_run(c, run.number, outcome=outcome, counts=counts, now=now),
        priority=Priority.DELIVERY,
    )
    return True


def take_back(runtime: Runtime, connection: Connection, run: Run, *, patience: float = 0.0) -> Undone:
    """
    Plan what an undo has to do in one CRM and do it, again until nothing is left or the CRM does not answer.

    Whoever calls it holds `connection.writing`. Raises what the connector raises.
    """
    scope = Scope.of(run)
    total = Undone()
    until = time.monotonic() + patience
    for turn in range(ROUNDS):
        total.written += undoing.recall(runtime, connection, run.number)
        state = load_state(runtime, connection, scope)
        steps = plan_undo(state)
        if not turn:
            total.steps = steps
        todo = [step for step in steps if step.kind != "leave" and _key(step) not in total.refused]
        if not todo:
            break
        undoing.commit_steps(runtime, connection, todo, run=run.number, again=state.again)
        while True:
            found = deliver.push_open(runtime, connection, run=run.number)
            total.written += found.written
            total.refused |= found.refused
            total.wait = found.wait
            if found.stopped is not None:
                raise found.stopped
            if found.wait is None or time.monotonic() + found.wait > until:
                break
            time.sleep(found.wait + 0.01)
        if total.wait is not None:
            break
    return total


def _key(step: Step) -> str | None:
    return None if step.write is None else step.write.key


def go_on(runtime: Runtime, connection: Connection) -> Delivered | None:
    """
    Go on with what an undo began in one CRM before this process, or a pause.

    Returns None where nothing of it is left, so that the CRM may be written to; else for how long to wait.
    """
    with runtime.database.read() as c:
        found = {run.number: run for run in runs.latest_runs(c, RECENT) if run.kind == UNDO}
        begun = {number for number, run in found.items() if run.ended_at is None}
        begun |= {item.run for item in undoing.pending(c, connection)}
        found |= {one: run for one in begun - found.keys() if (run := runs.load_run(c, one)) is not None}
    for run in (found[number] for number in sorted(begun)):
        done = take_back(runtime, connection, run)
        if not _end(runtime, run, [done]):
            settles = None if done.wait is not None else max(connection.spec.settle, 1.0)
            return Delivered(written=done.written, wait=done.wait, settles=settles)
    return None


def release(runtime: Runtime, wanted: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """
    Let go of what is held, given as keys by connection; what should stand there is planned again.

    An object that was archived or deleted and that a person restored is used again instead. Returns how many
    were `released`. Raises what a connector raises.
    """
    count = 0
    for connection in _asked(runtime, [runtime.connections[name] for name in wanted]):
        keys = wanted[connection.name]
        with connection.writing:
            with runtime.database.read() as c:
                found = holds_of(c, connection.account_pk or 0, keys)
            back = restored(runtime, connection, found)
            _let_go(runtime, connection, [one for one in found if one.key in back], restored=True)
            _let_go(runtime, connection, [one for one in found if one.key not in back], restored=False)
        count += len(found)
    runtime.wake("deliver")
    return {"released": count}


def _let_go(runtime: Runtime, connection: Connection, found: Sequence[Hold], *, restored: bool) -> None:
    if found:
        runtime.writer.run(
            lambda c: let_go(c, runtime, connection, found, restored=restored), priority=Priority.DELIVERY
        )
