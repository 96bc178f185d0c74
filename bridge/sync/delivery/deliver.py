"""Deliver: intents before calls, and receipts after them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection as Transaction

from bridge.connector import Sink
from bridge.errors import BridgeError, PluginError, RateLimited, Unavailable
from bridge.model import Receipt
from bridge.store import ledger as books
from bridge.store import looks, people, rejects
from bridge.store.held_back import note_held
from bridge.store.holds import DELETED, EDITED, MOVED, ROUNDS, add_holds
from bridge.store.intents import (
    CONTACT_SLOT,
    ENTRY_SLOT,
    FIELDS_SLOT,
    GROWTH_SLOT,
    LINK_SLOT,
    UPDATE_SLOTS,
    Intent,
    add_intents,
    drop_intents,
    load_intents,
    mark_sent,
    refused_fields,
)
from bridge.store.members import save_members
from bridge.store.sightings import forget_sightings
from bridge.store.writer import Priority
from bridge.sync.delivery.adopted import take_over
from bridge.sync.delivery.ask import enter_questions
from bridge.sync.delivery.corrections import correct
from bridge.sync.delivery.entries import link_key
from bridge.sync.delivery.plan_values import Action
from bridge.sync.delivery.receipts import (
    Delivered,
    file_receipts,
    plan_anew,
    put_back,
    tell_others,
)
from bridge.sync.intake.enter import enter_merge
from bridge.sync.runtime import Connection, Runtime, log

BATCH = 1000
"""Writes handed to a connector in one call; it makes its own batches of them."""

FILE_EVERY = 500
"""Receipts filed in one transaction, or fewer when the connector takes longer than FILE_SECONDS for them."""

FILE_SECONDS = 0.5


def commit(
    runtime: Runtime,
    connection: Connection,
    actions: Sequence[Action],
    *,
    run: int,
    done: Mapping[str, int],
    looked: Collection[str] = (),
    stranded: Collection[str] = (),
) -> int:
    """
    Commit the plan's writes as intents and take the planned people off the queue, in one transaction.

    Entries that an older store left in the CRM are taken over in the same one, and what people decided by moving
    entries there is decided; `looked` are entries that were looked at for that. Of `stranded` ones the others who
    took part are looked at again. Returns how many writes there are.
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
            entry=action.entry,
            told=action.told,
            before={change.field: change.before for change in action.changes},
        )
        for action in actions
        if action.write is not None
    ]
    found = [action for action in actions if action.kind == "adopt" and action.slot == ENTRY_SLOT]
    seen = [action for action in actions if action.kind == "adopt" and action.slot == GROWTH_SLOT]
    moved = [action for action in actions if action.kind == "adopt" and action.slot == LINK_SLOT]
    stood = [action.standing.key for action in moved if action.standing is not None]
    merged = [action for action in moved if action.standing is not None and action.standing.heir]
    kept = [action for action in actions if action.kind == "keep"]
    corrected = [action for action in kept if action.correction is not None]
    stopped = [action for action in kept if action.hold == ROUNDS]
    touched = [action for action in kept if action.hold in (DELETED, EDITED, MOVED)]
    updated = {item.write.id for item in intents if item.slot == FIELDS_SLOT and item.write.id}
    reasons: dict[str, list[str]] = {}
    for action in actions:
        if action.kind == "hold" and action.reason not in reasons.setdefault(action.person_id, []):
            reasons[action.person_id].append(action.reason)
    held_back = {person_id: "; ".join(some) for person_id, some in reasons.items()}

    def work(c: Transaction) -> None:
        for action in found:
            take_over(c, runtime, connection, action)
            if action.hold and action.standing is not None:
                add_holds(c, account_pk, [action.standing.key], action.hold, now)
        for there in filter(None, (action.standing for action in moved)):
            first, *others = there.contacts
            linked = {link_key(connection.account_key, there.key, one): one for one in others}
            books.put_on(c, account_pk, there.key, first, linked)
        replaced = refused_fields(c, account_pk, updated)
        drop_intents(c, account_pk, replaced)
        rejects.close_for_intents(c, account_pk, replaced)
        for action in kept:
            assert action.entry is not None
            add_holds(c, account_pk, [action.entry], action.hold, now)
            save_members(c, account_pk, {action.entry: action.entity_ids})
        for action in merged:
            enter_merge(c, runtime, connection, action)
        for action in corrected:
            correct(c, runtime, connection, action)
        forget_sightings(c, account_pk, looked)
        enter_questions(c, runtime, connection, actions)
        for action in seen:
            assert action.entry is not None
            books.refile(
                c,
                account_pk,
                action.entry,
                fields={change.field: change.after for change in action.changes},
                as_read={change.field: change.before for change in action.changes},
                told=action.told,
                entity_ids=action.entity_ids,
                now=now,
            )
        add_intents(c, account_pk, intents, now)
        looks.untouch(c, account_pk, done)
        note_held(c, account_pk, done, held_back)
        again = {action.person_id for action in (*seen, *stopped, *touched, *moved)}
        looks.touch(c, account_pk, people.current_people(c, again), runtime.sequence())
        tell_others(c, runtime, connection, stood, again)
        tell_others(c, runtime, connection, stranded, done.keys())

    if corrected or merged:
        with runtime.identity_lock:
            runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)
    elif intents or done or found or moved or kept or seen or looked or stranded:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=bool(intents))
    return len(intents)


def push_open(runtime: Runtime, connection: Connection, *, run: int | None = None) -> Delivered:
    """
    Send the open intents of a destination, or only those of a run, and file their receipts.

    Before each call its intents are marked as sent, so that whatever ends this process, the next
    one asks where they went instead of sending them again. One kind of write goes at a time: what
    was never sent stays open and need not wait until the CRM has settled.
    """
    delivered = Delivered()
    tried: set[str] = set()
    while True:
        batch = _sendable(runtime, connection, tried, run)
        if not batch:
            return delivered
        tried.update(item.write.key for item in batch)
        before = delivered.progress
        _send(runtime, connection, batch, delivered)
        if delivered.stopped or delivered.wait is not None or delivered.progress == before:
            return delivered


def _sendable(runtime: Runtime, connection: Connection, tried: set[str], run: int | None) -> list[Intent]:
    """
    Return up to BATCH open intents of one kind whose contacts stand, their links to earlier writes resolved.

    Contacts to be made come first. One kind fills the batch, so that the CRM is asked in full calls.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    with runtime.database.read() as c:
        contacts = load_intents(c, account_pk, slot=CONTACT_SLOT)
        unmade = {item.write.key for item in contacts}
        contacts = [item for item in contacts if run in (None, item.run)]
        ready = _alike([item for item in contacts if item.state == "open" and item.write.key not in tried])
        after: int | None = None if ready else -1
        while after is not None and len(ready) < BATCH:
            found = load_intents(c, account_pk, state="open", after=after, limit=BATCH)
            after = found[-1].seq if found else None
            found = [item for item in found if run in (None, item.run)]
            if unmade:
                found = [item for item in found if not any(link.to in unmade for link in item.write.links)]
            ready = _alike([*ready, *(item for item in found if item.write.key not in tried)])
        stands = books.written_ids(c, account_pk, {link.to for item in ready for link in item.write.links})
    return [with_ids(item, stands) for item in ready[:BATCH]] if stands else ready[:BATCH]


def _alike(items: Sequence[Intent]) -> list[Intent]:
    """Return those of the same kind of write as the first."""
    kinds = [(item.write.op, item.write.stream) for item in items]
    return [item for item, kind in zip(items, kinds, strict=True) if kind == kinds[0]]


def with_ids(item: Intent, stands: Mapping[str, str]) -> Intent:
    """Return an intent whose links name vendor ids where they named our writes; most name such ids already."""
    if not any(link.to in stands for link in item.write.links):
        return item
    links = tuple(replace(link, to=stands.get(link.to, link.to)) for link in item.write.links)
    return replace(item, write=replace(item.write, links=links))


def _send(runtime: Runtime, connection: Connection, batch: Sequence[Intent], delivered: Delivered) -> None:
    sink = connection.connector
    account_pk = connection.account_pk
    assert isinstance(sink, Sink) and account_pk is not None
    now = runtime.clock()
    by_key = {item.write.key: item for item in batch}
    runtime.writer.run(
        lambda c: mark_sent(c, account_pk, by_key, now), priority=Priority.DELIVERY, durable=True
    )
    answered: set[str] = set()
    waiting: list[Receipt] = []
    since = time.monotonic()
    try:
        for receipt in sink.push([item.write for item in batch]):
            if receipt.key not in by_key or receipt.key in answered:
                log.warning("%s: a receipt for no write: %s", connection.name, receipt.key)
                continue
            answered.add(receipt.key)
            waiting.append(_with_id(receipt, by_key[receipt.key], connection))
            if len(waiting) >= FILE_EVERY or time.monotonic() - since > FILE_SECONDS:
                file_receipts(runtime, connection, by_key, waiting, delivered)
                waiting, since = [], time.monotonic()
    except BridgeError as error:
        if waiting:
            file_receipts(runtime, connection, by_key, waiting, delivered)
        if not answered:  # the contract lets `push` raise only before its first call
            put_back(runtime, connection, batch, error)
        if not isinstance(error, RateLimited):
            raise
        delivered.wait = error.wait
        return
    except (Exception, SystemExit) as error:  # a third party's code: what it did is asked for later
        if waiting:
            file_receipts(runtime, connection, by_key, waiting, delivered)
        name = connection.spec.name
        raise PluginError(
            f"connector {name} failed while it wrote: {type(error).__name__}: {runtime.message(error)}."
            f" {len(by_key) - len(answered)} writes are looked for before anything is sent again. Update {name}."
        ) from error
    if waiting:
        file_receipts(runtime, connection, by_key, waiting, delivered)
    if len(answered) < len(by_key):
        delivered.counts["unanswered"] += len(by_key) - len(answered)


def _with_id(receipt: Receipt, item: Intent, connection: Connection) -> Receipt:
    """Return a receipt that can be filed: one that does not say what was made leaves the outcome unknown."""
    if receipt.error is not None or receipt.id or item.write.op != "create":
        return receipt
    said = f"connector {connection.spec.name} reports {item.write.stream} as made without an id; it is looked for"
    return Receipt(key=receipt.key, error=Unavailable(said))


def put_back_updates(runtime: Runtime, connection: Connection) -> None:
    """Plan those updates anew that were decided and not sent, before this process or a pause."""
    assert connection.account_pk is not None
    with runtime.database.read() as c:
        left = [
            item
            for slot in UPDATE_SLOTS
            for item in load_intents(c, connection.account_pk, state="open", slot=slot)
        ]
    plan_anew(runtime, connection, left)
