"""Settle: where a write went that got no answer, or that an earlier process was about to send."""

from __future__ import annotations

from datetime import timedelta

from bridge.connector import Sink
from bridge.model import Found, Unknown
from bridge.store import entities
from bridge.store import ledger as books
from bridge.store.intents import (
    CONTACT_SLOT,
    ENTRY_SLOT,
    TASK_SLOT,
    UNDO_SLOTS,
    UPDATE_SLOTS,
    load_intents,
    mark_sent,
    set_state,
)
from bridge.store.writer import Priority
from bridge.sync.delivery.deliver import with_ids
from bridge.sync.delivery.receipts import Delivered, plan_anew, refuse, stand
from bridge.sync.delivery.used_contacts import follow_gone
from bridge.sync.intake.marks import seen_as
from bridge.sync.runtime import Connection, Runtime, log


def settle(runtime: Runtime, connection: Connection) -> Delivered:
    """
    Ask the CRM about writes whose outcome is unknown.

    Found files the receipt; absent counts only after the connector's settle time, then the write is
    open again; unknown holds it visibly. An update that is not found is planned anew by then: earlier the CRM
    could still carry it out, over what is written next.
    """
    seen = _file_seen(runtime, connection)
    follow_gone(runtime, connection)
    delivered = _settle_uncertain(runtime, connection)
    delivered.written += seen
    delivered.counts[ENTRY_SLOT] += seen
    if not connection.looked:
        _look_for_open(runtime, connection, delivered)
        connection.looked = True
    return delivered


def _file_seen(runtime: Runtime, connection: Connection) -> int:
    """
    Enter entries into the books that the CRM has shown since they were decided; return how many.

    After a backup they may stand on another contact by now than the one where they would be looked for.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    with runtime.database.read() as c:
        items = {
            seen_as(connection.account_key, item.write.key): item
            for slot in (ENTRY_SLOT, TASK_SLOT)
            for item in load_intents(c, account_pk, slot=slot)
        }
        places = entities.load_aliases(c, items) if items else {}
        links = {link.to for name in places for link in items[name].write.links}
        stands = books.written_ids(c, account_pk, links)
    count = 0
    for name, place in places.items():
        stream, _, ext_id = place.partition("/")
        item = items[name]
        if stream == item.write.stream:
            stand(runtime, connection, with_ids(item, stands), ext_id)
            count += 1
    return count


def _settle_uncertain(runtime: Runtime, connection: Connection) -> Delivered:
    sink = connection.connector
    account_pk = connection.account_pk
    assert isinstance(sink, Sink) and account_pk is not None
    delivered = Delivered()
    with runtime.database.read() as c:
        uncertain = [
            item for item in load_intents(c, account_pk, state="uncertain") if item.slot not in UNDO_SLOTS
        ]
        stands = books.written_ids(
            c, account_pk, {link.to for item in uncertain for link in item.write.links}
        )
    if not uncertain:
        return delivered
    now = runtime.clock()
    by_key = {item.write.key: with_ids(item, stands) for item in uncertain}
    ahead = [key for key, item in by_key.items() if item.sent_at is not None and item.sent_at > now]
    if ahead:  # the clock was set back: how long ago they were sent is not known, so they settle from now on
        runtime.writer.run(mark_sent, account_pk, ahead, now, priority=Priority.DELIVERY, durable=True)
    for location in sink.locate([item.write for item in by_key.values()]):
        item = by_key.pop(location.key, None)
        if item is None:
            log.warning("%s: an answer about no write that was asked for: %s", connection.name, location.key)
        elif isinstance(location, Found):
            stand(runtime, connection, item, location.id)
            delivered.written += 1
            delivered.counts[item.slot] += 1
        elif isinstance(location, Unknown) and item.slot not in UPDATE_SLOTS:
            runtime.writer.run(
                refuse,
                runtime,
                connection,
                item,
                "held",
                "unknown outcome",
                location.reason,
                priority=Priority.DELIVERY,
                durable=True,
            )
            delivered.counts["held"] += 1
        else:
            sent_at = min(item.sent_at or now, now)
            rest = (sent_at - now + timedelta(seconds=connection.spec.settle)).total_seconds()
            if rest > 0:
                delivered.settles = max(delivered.settles or 0.0, rest)
                delivered.counts["unsettled"] += 1
                continue
            if item.slot in UPDATE_SLOTS:
                plan_anew(runtime, connection, [item])
                continue
            runtime.writer.run(
                set_state, account_pk, [location.key], "open", priority=Priority.DELIVERY, durable=True
            )
            delivered.counts["open again"] += 1
    return delivered


def _look_for_open(runtime: Runtime, connection: Connection, delivered: Delivered) -> None:
    """
    Look once in a process for what an earlier one was about to make, contacts before entries.

    Where the store was restored from a backup it was sent since. What is not found is sent at once.
    """
    sink = connection.connector
    account_pk = connection.account_pk
    assert isinstance(sink, Sink) and account_pk is not None
    for slot in (CONTACT_SLOT, ENTRY_SLOT, TASK_SLOT):
        with runtime.database.read() as c:
            unmade = {item.write.key for item in load_intents(c, account_pk, slot=CONTACT_SLOT)}
            items = load_intents(c, account_pk, state="open", slot=slot)
            stands = books.written_ids(
                c, account_pk, {link.to for item in items for link in item.write.links}
            )
        ready = {
            item.write.key: with_ids(item, stands)
            for item in items
            if not any(link.to in unmade for link in item.write.links)
        }
        for location in sink.locate([item.write for item in ready.values()]) if ready else ():
            if isinstance(location, Found) and location.key in ready:
                stand(runtime, connection, ready[location.key], location.id)
                delivered.written += 1
                delivered.counts[slot] += 1
