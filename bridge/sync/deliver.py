"""Deliver: intents before calls, receipts after them, and the question where a write went that got no answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from bridge.connector import Sink
from bridge.errors import AuthError, BridgeError, RateLimited, Rejected, Unavailable
from bridge.journey.handles import Handle
from bridge.model import Found, Link, Receipt, Unknown, Write
from bridge.store import entities, people, rejects
from bridge.store import ledger as books
from bridge.store.ledger import CONTACT_SLOT, ENTRY_SLOT, FIELDS_SLOT, Intent
from bridge.store.writer import Priority
from bridge.sync.identify import Incoming, identify
from bridge.sync.plan import Action
from bridge.sync.runtime import JOURNEY, Connection, Runtime, log

BATCH = 1000
"""Writes handed to a connector in one call; it makes its own batches of them."""

FILE_EVERY = 100
"""Receipts filed in one transaction, or fewer when the connector takes longer than FILE_SECONDS for them."""

FILE_SECONDS = 0.5


@dataclass(slots=True, kw_only=True)
class Delivered:
    """What one round of writing came to; `wait` is how long the vendor asked to be left alone."""

    written: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    wait: float | None = None


def commit(
    runtime: Runtime, connection: Connection, actions: Sequence[Action], *, run: int, done: Mapping[str, int]
) -> int:
    """
    Commit the plan's writes as intents and take the planned people off the queue, in one transaction.

    Returns how many writes there are.
    """
    assert connection.account_pk is not None
    account_pk = connection.account_pk
    now = runtime.clock()
    intents = [
        Intent(
            write=action.write,
            seq=runtime.sequence(),
            run=run,
            person_id=action.person_id,
            slot=action.slot,
            mapping=connection.mapping.digest,
            entity_ids=action.entity_ids,
            before={change.field: change.before for change in action.changes},
        )
        for action in actions
        if action.write is not None
    ]

    def work(c: Transaction) -> None:
        books.add_intents(c, account_pk, intents, now)
        entities.untouch(c, account_pk, done)

    if intents or done:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=bool(intents))
    return len(intents)


def push_open(runtime: Runtime, connection: Connection) -> Delivered:
    """
    Send the open intents of a destination and file their receipts.

    Before each call its intents are marked as sent, so that whatever ends this process, the next
    one asks where they went instead of sending them again. One kind of write goes at a time: what
    was never sent stays open and need not wait until the CRM has settled.
    """
    delivered = Delivered()
    tried: set[str] = set()
    while True:
        batch = [item for item in _sendable(runtime, connection) if item.write.key not in tried]
        if not batch:
            return delivered
        kind = (batch[0].write.op, batch[0].write.stream)
        batch = [item for item in batch if (item.write.op, item.write.stream) == kind]
        tried.update(item.write.key for item in batch)
        before = delivered.written + delivered.counts["rejected"]
        _send(runtime, connection, batch, delivered)
        if delivered.wait is not None or delivered.written + delivered.counts["rejected"] == before:
            return delivered


def _sendable(runtime: Runtime, connection: Connection) -> list[Intent]:
    """Return open intents whose parents stand or go with them, with links to earlier writes resolved."""
    account_pk = connection.account_pk
    assert account_pk is not None
    with runtime.database.read() as c:
        found = books.load_intents(c, account_pk, state="open", limit=BATCH)
        parents = {item.write.key for item in found if item.slot == CONTACT_SLOT}
        linked = {link.to for item in found for link in item.write.links}
        stands = books.written_ids(c, account_pk, linked)
        waiting = {
            item.write.key
            for state in ("uncertain", "held", "rejected", "open")
            for item in books.load_intents(c, account_pk, state=state)
            if item.slot == CONTACT_SLOT
        } - parents
    ready: list[Intent] = []
    for item in sorted(found, key=lambda item: (item.slot != CONTACT_SLOT, item.seq)):
        if any(link.to in waiting for link in item.write.links):
            continue
        links = tuple(replace(link, to=stands.get(link.to, link.to)) for link in item.write.links)
        ready.append(replace(item, write=replace(item.write, links=links)))
    return ready


def _send(runtime: Runtime, connection: Connection, batch: Sequence[Intent], delivered: Delivered) -> None:
    sink = connection.connector
    account_pk = connection.account_pk
    assert isinstance(sink, Sink) and account_pk is not None
    now = runtime.clock()
    by_key = {item.write.key: item for item in batch}
    runtime.writer.run(
        lambda c: books.mark_sent(c, account_pk, by_key, now), priority=Priority.DELIVERY, durable=True
    )
    answered: set[str] = set()
    ids: dict[str, str] = {}
    waiting: list[Receipt] = []
    since = time.monotonic()
    try:
        for receipt in sink.push([item.write for item in batch]):
            if receipt.key not in by_key or receipt.key in answered:
                log.warning("%s: a receipt for no write: %s", connection.name, receipt.key)
                continue
            answered.add(receipt.key)
            waiting.append(receipt)
            if len(waiting) >= FILE_EVERY or time.monotonic() - since > FILE_SECONDS:
                _file(runtime, connection, by_key, waiting, ids, delivered)
                waiting, since = [], time.monotonic()
    except BridgeError as error:
        if waiting:
            _file(runtime, connection, by_key, waiting, ids, delivered)
        if not answered:
            _back_to_open(runtime, connection, by_key, error)
        if isinstance(error, RateLimited):
            delivered.wait = error.wait
            return
        raise
    if waiting:
        _file(runtime, connection, by_key, waiting, ids, delivered)


def _back_to_open(
    runtime: Runtime, connection: Connection, by_key: Mapping[str, Intent], error: BridgeError
) -> None:
    """Nothing was sent: the contract lets `push` raise only before its first call."""
    account_pk = connection.account_pk
    assert account_pk is not None
    message = runtime.message(error)
    runtime.writer.run(
        lambda c: books.set_state(c, account_pk, by_key, "open", message), priority=Priority.DELIVERY
    )


def _file(
    runtime: Runtime,
    connection: Connection,
    by_key: Mapping[str, Intent],
    receipts: Sequence[Receipt],
    ids: dict[str, str],
    delivered: Delivered,
) -> None:
    """File receipts in one transaction; contacts of our making are made known to identity in the same one."""
    ids |= {
        receipt.key: receipt.id for receipt in receipts if receipt.error is None and receipt.id is not None
    }
    for receipt in receipts:
        error = receipt.error
        if by_key[receipt.key].slot == CONTACT_SLOT and isinstance(error, Rejected) and error.existing_id:
            ids[receipt.key] = error.existing_id
    made = any(by_key[receipt.key].slot == CONTACT_SLOT for receipt in receipts)
    if made:
        with runtime.identity_lock:
            runtime.writer.run(
                lambda c: _file_in(c, runtime, connection, by_key, receipts, ids, delivered),
                priority=Priority.DELIVERY,
                durable=True,
            )
    else:
        runtime.writer.run(
            lambda c: _file_in(c, runtime, connection, by_key, receipts, ids, delivered),
            priority=Priority.DELIVERY,
            durable=True,
        )


def _file_in(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    by_key: Mapping[str, Intent],
    receipts: Sequence[Receipt],
    ids: Mapping[str, str],
    delivered: Delivered,
) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    now = runtime.clock()
    for receipt in receipts:
        item = by_key[receipt.key]
        key = receipt.key
        error = receipt.error
        if error is None or (item.slot == CONTACT_SLOT and key in ids):
            ext_id = ids.get(key) or receipt.id or item.write.id or ""
            _stands(c, runtime, connection, item, ext_id, receipt, ids)
            delivered.written += 1
            delivered.counts[item.slot] += 1
        elif isinstance(error, RateLimited):
            books.set_state(c, account_pk, [key], "open", runtime.message(error))
            delivered.wait = max(delivered.wait or 0.0, error.wait)
        elif isinstance(error, AuthError):
            books.set_state(c, account_pk, [key], "open", runtime.message(error))
            delivered.counts["refused key"] += 1
        elif isinstance(error, Rejected) and error.code == "parent":
            books.set_state(c, account_pk, [key], "open", "waits for its contact")
            delivered.counts["waiting"] += 1
        elif isinstance(error, Unavailable) and item.slot == FIELDS_SLOT:
            books.drop_intents(c, account_pk, [key])
            entities.touch(c, account_pk, [item.person_id], runtime.sequence())
        elif isinstance(error, Unavailable):
            books.set_state(c, account_pk, [key], "uncertain", runtime.message(error))
            delivered.counts["uncertain"] += 1
        else:
            books.set_state(c, account_pk, [key], "rejected", runtime.message(error))
            rejects.save(c, _reject(runtime, connection, item, error), now)
            delivered.counts["rejected"] += 1


def _stands(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    item: Intent,
    ext_id: str,
    receipt: Receipt | None,
    ids: Mapping[str, str],
) -> None:
    """Enter a write that stands at the CRM into the books."""
    account_pk = connection.account_pk
    assert account_pk is not None
    contact_id = ext_id if item.slot == CONTACT_SLOT else _contact_of(item, connection, ids)
    books.file_receipt(
        c,
        account_pk,
        item,
        ext_id=ext_id,
        contact_id=contact_id,
        as_read=receipt.as_read if receipt else None,
        now=runtime.clock(),
    )
    rejects.close_for_intent(c, account_pk, item.write.key)
    if item.slot == CONTACT_SLOT:
        _know_contact(c, runtime, connection, item, ext_id)


def _contact_of(item: Intent, connection: Connection, ids: Mapping[str, str]) -> str | None:
    for link in item.write.links:
        if link.stream == connection.spec.contact_stream:
            return ids.get(link.to, link.to)
    return item.write.id


def _know_contact(
    c: Transaction, runtime: Runtime, connection: Connection, item: Intent, contact_id: str
) -> None:
    """
    Tell identity about a contact we made: a handle of our own ties it to the person it was made for.

    What the CRM makes of the contact arrives by its own stream later and replaces the rest.
    """
    stream = connection.spec.contact_stream
    key = connection.node_key(stream, contact_id)
    ours = Handle(
        kind="external", value=item.write.key, scope=f"crmbridge:{connection.account_key}", strength="certain"
    )
    incoming = {}
    known = people.load_nodes(c, [key]).get(key)
    held = tuple(pair[0] for pair in known.handles.values() if not pair[1]) if known else ()
    incoming[key] = Incoming(
        key=key,
        handles=held,
        contact_of=connection.account_pk,
        contact_id=contact_id,
        name=known.name if known else None,
        since=known.since if known else None,
        made=(ours,),
    )
    for node in people.nodes_of(c, [item.person_id]).get(item.person_id, []):
        if node.contact_of is None:
            incoming[node.key] = Incoming(
                key=node.key,
                handles=tuple(pair[0] for pair in node.handles.values() if not pair[1]),
                name=node.name,
                since=node.since,
                made=(ours,),
            )
    change = identify(c, incoming)
    people.save_nodes(c, change.nodes, change.handles, change.dropped, change.persons)
    entities.touch(c, JOURNEY, change.touched, runtime.sequence())


def _reject(runtime: Runtime, connection: Connection, item: Intent, error: BridgeError) -> rejects.Reject:
    code = error.code if isinstance(error, Rejected) else type(error).__name__
    return rejects.Reject(
        step="push",
        connection=connection.name,
        account_pk=connection.account_pk,
        stream=item.write.stream,
        ext_id=item.write.key,
        intent_key=item.write.key,
        code=code or "rejected",
        message=runtime.message(error),
        hint="Mend the cause in the CRM or in the mapping, then replay.",
    )


def settle(runtime: Runtime, connection: Connection, *, at_once: bool = False) -> Delivered:
    """
    Ask the CRM about writes whose outcome is unknown.

    Found files the receipt; absent counts only after the connector's settle time, then the write is
    open again; unknown holds it visibly. `wait` is when the next answer can count.
    """
    sink = connection.connector
    account_pk = connection.account_pk
    assert isinstance(sink, Sink) and account_pk is not None
    delivered = Delivered()
    with runtime.database.read() as c:
        uncertain = books.load_intents(c, account_pk, state="uncertain")
        linked = {link.to for item in uncertain for link in item.write.links}
        stands = books.written_ids(c, account_pk, linked)
    if not uncertain:
        return delivered
    now = runtime.clock()
    by_key = {item.write.key: item for item in uncertain}
    ids = dict(stands)
    for location in sink.locate([_resolved(item.write, stands) for item in uncertain]):
        item = by_key[location.key]
        if isinstance(location, Found):
            ids[location.key] = location.id
            _settle_found(runtime, connection, item, location.id, ids)
            delivered.written += 1
            delivered.counts[item.slot] += 1
        elif isinstance(location, Unknown):
            runtime.writer.run(
                books.set_state,
                account_pk,
                [location.key],
                "held",
                location.reason,
                priority=Priority.DELIVERY,
                durable=True,
            )
            delivered.counts["held"] += 1
        else:
            until = (item.sent_at or now) + timedelta(seconds=connection.spec.settle)
            if now < until and not at_once:
                rest = (until - now).total_seconds()
                delivered.wait = max(delivered.wait or 0.0, rest)
                delivered.counts["uncertain"] += 1
                continue
            runtime.writer.run(
                books.set_state,
                account_pk,
                [location.key],
                "open",
                priority=Priority.DELIVERY,
                durable=True,
            )
            delivered.counts["open again"] += 1
    return delivered


def _resolved(write: Write, stands: Mapping[str, str]) -> Write:
    links: Sequence[Link] = tuple(replace(link, to=stands.get(link.to, link.to)) for link in write.links)
    return replace(write, links=links)


def _settle_found(
    runtime: Runtime, connection: Connection, item: Intent, ext_id: str, ids: Mapping[str, str]
) -> None:
    with runtime.identity_lock:
        runtime.writer.run(
            lambda c: _stands(c, runtime, connection, item, ext_id, None, ids),
            priority=Priority.DELIVERY,
            durable=True,
        )


def adopt(runtime: Runtime, connection: Connection, action: Action, contact_id: str) -> None:
    """Take a contact that the CRM already has for the person instead of making one."""
    assert action.write is not None
    item = Intent(
        write=action.write,
        seq=0,
        run=0,
        person_id=action.person_id,
        slot=CONTACT_SLOT,
        mapping=connection.mapping.digest,
    )
    with runtime.identity_lock:
        runtime.writer.run(
            lambda c: _know_contact(c, runtime, connection, item, contact_id), priority=Priority.DELIVERY
        )


__all__ = ["ENTRY_SLOT", "Delivered", "adopt", "commit", "push_open", "settle"]
