"""What other crmbridge processes may ask of the one that holds the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection as Transaction

from bridge.engine import undo
from bridge.errors import BridgeError, ConfigError, StoreError
from bridge.store import cursors, mass, rejects, runs
from bridge.store.database import micros
from bridge.store.writer import Priority
from bridge.sync.completeness.reconcile import reconcile
from bridge.sync.completeness.repair import repair
from bridge.sync.identity.decide import decide, new_decision, revoke
from bridge.sync.identity.dismissals import enter_dismissal, take_back_dismissal
from bridge.sync.intake import remap
from bridge.sync.reversal.undo_state import Scope
from bridge.sync.runtime import Connection, Runtime

Result = dict[str, Any]

LONGEST = 900.0
"""Seconds that a command is waited for once somebody carries it out: an undo may have to wait for a CRM."""


def sync(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """Make every live stream due now."""
    count = 0
    for connection in runtime.connections.values():
        if connection.account_pk is not None:
            runtime.writer.run(cursors.make_due, connection.account_pk, priority=Priority.LIVE)
        runtime.wake(f"collect:{connection.name}")
        count += 1
    return {"connections": count}


def replay(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """
    Put rejects back in their queues; `group` names one group, None means all.

    Raises ConfigError where this process works with other `mappings`.
    """
    _check_mappings(runtime, arguments)
    group = arguments.get("group")
    count = runtime.writer.run(
        lambda c: rejects.replay(c, group, seq=runtime.sequence()), priority=Priority.RESOLVE
    )
    runtime.wake("resolve")
    runtime.wake("deliver")
    return {"replayed": count}


def apply_remap(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """
    Map the stored records of a connection again; raises KeyError for an unknown one.

    Raises ConfigError where this process works with other `mappings`.
    """
    _check_mappings(runtime, arguments)
    return {"records": remap.remap(runtime, runtime.connections[arguments["connection"]])}


def _held(c: Transaction, runtime: Runtime) -> list[tuple[Connection, mass.Hold]]:
    found = [(one, mass.load_hold(c, one.account_pk)) for one in runtime.destinations() if one.account_pk]
    return [(connection, hold) for connection, hold in found if hold is not None]


def not_held(c: Transaction, runtime: Runtime, run: int) -> str:
    """Return why a run cannot be approved, an empty text where it holds a mass change."""
    held = _held(c, runtime)
    if any(hold.run == run for _, hold in held):
        return ""
    more = " ".join(f"{connection.name}: {hold}" for connection, hold in held) or "Nothing is held."
    return f"run {run} holds nothing: it never did, it was released, or what is queued has changed. {more}"


def approve(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """
    Let the mass change go that run `run` held: exactly what was counted then.

    Returns the connection and how many contacts change. Raises ConfigError where that run holds nothing now,
    or this process works with other `mappings`.
    """
    _check_mappings(runtime, arguments)
    wanted = arguments["run"]

    def work(c: Transaction) -> Result:
        for connection, hold in _held(c, runtime):
            if hold.run == wanted:
                assert connection.account_pk is not None
                mass.approve(c, connection.account_pk, hold)
                return {"run": wanted, "connection": connection.name, "contacts": hold.count}
        raise ConfigError(not_held(c, runtime, wanted))

    result = runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)
    runtime.wake("deliver")
    return result


def compare(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """
    Compare source, store, journeys and CRM of the connection `connection`, None for all; `repair` mends what is ours.

    A connection that cannot be asked is told among the errors. Raises ConfigError where this process works
    with other `mappings`.
    """
    _check_mappings(runtime, arguments)
    found: list[dict[str, Any]] = []
    errors: list[str] = []
    for connection in runtime.connections.values():
        if arguments.get("connection") not in (None, connection.name):
            continue
        if connection.account_pk is None:
            errors.append(f"{connection.name}: nothing is stored yet. Collect first with: crmbridge sync")
            continue
        try:
            findings = reconcile(runtime, connection)
            if arguments.get("repair"):
                repair(runtime, connection, findings)
            found.append(findings.as_json())
        except StoreError:
            raise
        except BridgeError as error:
            errors.append(runtime.told(connection, error))
    return {"connections": found, "errors": errors}


def _check_mappings(runtime: Runtime, arguments: Mapping[str, Any]) -> None:
    """Refuse what was asked for in view of mappings (digest by connection) that this process does not have."""
    for name, digest in arguments.get("mappings", {}).items():
        connection = runtime.connections.get(name)
        if connection is None:
            raise ConfigError(
                f"{name}: the daemon was started without this connection. Restart it, then do this again."
            )
        if connection.mapping.digest != digest:
            raise ConfigError(
                f"{name}: the daemon was started with another mapping than {connection.mapping.file} holds now."
                " Restart it, then do this again."
            )


def take_back(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """
    Take the run `run` back, or what the version `mapping` of a mapping wrote: all of it, or what it wrote for `person`.

    Raises ConfigError where it cannot be taken back, and what a connector raises.
    """
    scope = Scope(run=arguments.get("run"), person=arguments.get("person"), mapping=arguments.get("mapping"))
    return undo.undo(runtime, scope)


def let_go(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """Let go of what is held under `keys` of each connection; raises what a connector raises."""
    return undo.release(runtime, arguments["keys"])


def decide_who(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """
    Keep what `author` decided: `records` are one person (`kind` link), or apart from `others` (split).

    Returns the decision's id, and what became of persons, as events.
    """
    at = micros(runtime.clock())
    assert at is not None
    decision = new_decision(
        arguments["kind"],
        arguments["records"],
        arguments.get("others", ()),
        at=at,
        author=arguments["author"],
        reason=arguments.get("reason", ""),
    )
    change = decide(runtime, decision)
    runtime.wake("resolve")
    return {"decision": decision.id, "events": change.events}


def revoke_decision(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """Take back the decision `id` in the name of `by`; raises ConfigError where it cannot be."""
    stated, change = revoke(runtime, arguments["id"], by=arguments["by"])
    runtime.wake("resolve")
    return {"decision": stated.decision.id, "events": change.events}


def dismiss_suggestion(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """
    Remember that the suggestion `key`, of these `records`, is none while its `evidence` is the same.

    Raises ConfigError where that was said before.
    """
    at = micros(runtime.clock())
    assert at is not None
    entered = runtime.writer.run(
        lambda c: enter_dismissal(
            c,
            runtime,
            arguments["key"],
            arguments["evidence"],
            arguments["records"],
            author=arguments["author"],
            reason=arguments.get("reason", ""),
            at=at,
        ),
        priority=Priority.LIVE,
        durable=True,
    )
    if not entered:
        raise ConfigError(f"{arguments['key']} was dismissed before. See: crmbridge review --dismissed")
    runtime.wake("deliver")
    return {"dismissed": arguments["key"]}


def reopen_suggestion(runtime: Runtime, arguments: Mapping[str, Any]) -> Result:
    """Take back in the name of `by` that the suggestion `key` was dismissed; raises ConfigError where it is not."""
    take_back_dismissal(runtime, arguments["key"], by=arguments["by"], reason=arguments.get("reason", ""))
    runtime.wake("deliver")
    return {"reopened": arguments["key"]}


COMMANDS: dict[str, Callable[[Runtime, Mapping[str, Any]], Result]] = {
    "sync": sync,
    "replay": replay,
    "remap": apply_remap,
    "approve": approve,
    "reconcile": compare,
    "undo": take_back,
    "release": let_go,
    "decide": decide_who,
    "revoke": revoke_decision,
    "dismiss": dismiss_suggestion,
    "reopen": reopen_suggestion,
}


def hand_over(runtime: Runtime, name: str, arguments: Mapping[str, Any], *, seconds: float = 60.0) -> Result:
    """
    Leave a command for the process that holds the store and wait for its result.

    Raises StoreError when nobody takes it within `seconds`, it takes too long, or it failed.
    """
    now = runtime.clock()
    number = runtime.writer.run(lambda c: runs.add_command(c, name, arguments, now), priority=Priority.LIVE)
    began = time.monotonic()
    state = "open"
    while time.monotonic() < began + (LONGEST if state == "taken" else seconds):
        with runtime.database.read() as c:
            state, result = runs.command_result(c, number)
        if state == "done":
            return result
        if state == "failed":
            raise StoreError(f"the daemon could not do it: {result.get('error', 'no reason given')}")
        time.sleep(0.2)
    if state == "taken":
        raise StoreError(f"the daemon is still at it after {LONGEST:.0f} s; it goes on. See: crmbridge runs")
    runtime.writer.run(
        lambda c: runs.finish_command(c, number, {"error": "nobody came"}, failed=True),
        priority=Priority.LIVE,
    )
    raise StoreError(
        f"store: held by another process that took no command in {seconds:.0f} s."
        " If it is no daemon (a sync, a demo), wait until it ends."
    )
