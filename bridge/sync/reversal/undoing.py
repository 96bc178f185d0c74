"""Carrying out an undo: its steps committed as intents, and what was broken off looked at again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection as Transaction

from bridge.store import receipts
from bridge.store.intents import (
    REDO_SLOT,
    UNDO_SLOT,
    UNDO_SLOTS,
    Intent,
    add_intents,
    drop_intents,
    load_intents,
)
from bridge.store.writer import Priority
from bridge.sync.reversal.undo import shows
from bridge.sync.reversal.undo_state import read_present
from bridge.sync.reversal.undo_values import Place, Present, Step
from bridge.sync.reversal.undone import drop_pending, file_undone, holds_of, let_go
from bridge.sync.runtime import Connection, Runtime

CHUNK = 200
"""Steps committed in one transaction."""


def commit_steps(
    runtime: Runtime, connection: Connection, steps: Sequence[Step], *, run: int, again: bool
) -> int:
    """
    Commit the writes of an undo as intents, and do what needs no write at once; returns how many writes there are.

    `again` says that it takes an undo back.
    """
    count = 0
    for start in range(0, len(steps), CHUNK):
        some = steps[start : start + CHUNK]
        intents = [_intent(runtime, connection, step, run=run, again=again) for step in some if step.write]
        runtime.writer.run(
            _commit, runtime, connection, some, intents, run, priority=Priority.DELIVERY, durable=True
        )
        count += len(intents)
    return count


def _commit(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    steps: Sequence[Step],
    intents: Sequence[Intent],
    run: int,
) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    add_intents(c, account_pk, intents, runtime.clock())
    drop_pending(c, runtime, connection, [step for step in steps if step.dropped is not None], run)
    released = [step for step in steps if step.kind == "release"]
    receipts.take_back(c, [pk for step in released for pk in step.receipts], run)
    for stands in (False, True):
        keys = {step.entry for step in released if step.entry and step.stands == stands}
        if keys:
            let_go(c, runtime, connection, holds_of(c, account_pk, keys), restored=stands)


def _intent(runtime: Runtime, connection: Connection, step: Step, *, run: int, again: bool) -> Intent:
    assert step.write is not None
    return Intent(
        write=step.write,
        seq=runtime.sequence(),
        run=run,
        person_id=step.person_id,
        slot=REDO_SLOT if again else UNDO_SLOT,
        mapping=connection.mapping.digest,
        entity_ids=step.entity_ids,
        entry=step.entry,
        before=step.before,
    )


def pending(c: Transaction, connection: Connection, *, run: int | None = None) -> list[Intent]:
    """Return the writes of undo runs, or of one, that have no receipt yet."""
    assert connection.account_pk is not None
    return [
        item
        for slot in UNDO_SLOTS
        for item in load_intents(c, connection.account_pk, slot=slot)
        if run in (None, item.run)
    ]


def recall(runtime: Runtime, connection: Connection, run: int) -> int:
    """
    Look at what an undo began: what stands in the CRM by now is filed, the rest is dropped to be decided anew.

    Returns how many were filed. Raises what the connector raises.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    with runtime.database.read() as c:
        begun = pending(c, connection, run=run)
    if not begun:
        return 0
    sent = [item for item in begun if item.state == "uncertain" and item.write.op in ("archive", "update")]
    wanted: dict[str, dict[str, Collection[str]]] = {}
    for item in sent:
        wanted.setdefault(item.write.stream, {})[item.write.id or ""] = item.write.fields.keys()
    present = read_present(connection, wanted)
    done = [item for item in sent if _stands(item, present)]
    keys = {item.write.key for item in done}

    def work(c: Transaction) -> None:
        for item in done:
            now = present[item.write.stream, item.write.id or ""]
            file_undone(c, runtime, connection, item, None if now.gone else now.fields)
        drop_intents(c, account_pk, [item.write.key for item in begun if item.write.key not in keys])

    with runtime.identity_lock:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)
    return len(done)


def _stands(item: Intent, present: dict[Place, Present]) -> bool:
    """Tell whether the CRM shows what a write was to bring about."""
    now = present.get((item.write.stream, item.write.id or ""))
    if now is None:
        return False
    if item.write.op == "archive":
        return now.gone
    return not now.gone and all(
        shows(now.fields.get(name), value) for name, value in item.write.fields.items()
    )
