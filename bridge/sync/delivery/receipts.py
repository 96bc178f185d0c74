"""What became of a write: entered into the books where it stands, else what happens with it next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from bridge.errors import AuthError, BridgeError, RateLimited, Rejected, Unavailable
from bridge.model import Receipt
from bridge.store import collected, entities, looks, people, rejects
from bridge.store import ledger as books
from bridge.store.holds import DELETED, TAKEN, add_holds, field_key
from bridge.store.intents import (
    CONTACT_SLOT,
    ENTRY_SLOT,
    FIELDS_SLOT,
    GROWTH_SLOT,
    LINK_SLOT,
    UNDO_SLOTS,
    UNLINK_SLOT,
    UPDATE_SLOTS,
    Intent,
    drop_intents,
    set_state,
)
from bridge.store.ledger import Stands
from bridge.store.meant import people_meant
from bridge.store.writer import Priority
from bridge.sync.delivery.apart import Apart, kept_apart
from bridge.sync.delivery.entries import link_key
from bridge.sync.delivery.refused import field_named, field_taken, hint_of, place_of
from bridge.sync.delivery.used_contacts import Adopted, enter_adopted, know_contact
from bridge.sync.reversal.undone import file_undone
from bridge.sync.runtime import Connection, Runtime


@dataclass(slots=True, kw_only=True)
class Delivered:
    """
    What one round of writing came to.

    `wait` is how many seconds the vendor asked to be left alone, `settles` how many until the absence
    of a write without an answer counts; None for neither. `stopped` is a refused key. `refused` is what the
    CRM said of writes that were to take something back, by key.
    """

    written: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    wait: float | None = None
    settles: float | None = None
    stopped: AuthError | None = None
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def progress(self) -> int:
        """How many writes came to an end, good or bad."""
        return self.written + self.counts["adopted"] + self.counts["rejected"]


def file_receipts(
    runtime: Runtime,
    connection: Connection,
    by_key: Mapping[str, Intent],
    receipts: Sequence[Receipt],
    delivered: Delivered,
) -> None:
    """
    File receipts in one transaction.

    A contact that was made is known to identity in the same one, so that nothing in between makes it twice.
    """

    def work(c: Transaction) -> None:
        stands = [
            (by_key[one.key], one)
            for one in receipts
            if one.error is None and by_key[one.key].slot not in UNDO_SLOTS
        ]
        _stand(c, runtime, connection, stands)
        delivered.written += len(stands)
        delivered.counts.update(item.slot for item, _ in stands)
        for receipt in receipts:
            if receipt.error is not None or by_key[receipt.key].slot in UNDO_SLOTS:
                _file(c, runtime, connection, by_key[receipt.key], receipt, delivered)
        entries = [item.write.key for item, _ in stands if item.slot == ENTRY_SLOT]
        tell_others(c, runtime, connection, entries, {item.person_id for item in by_key.values()})

    contacts = (CONTACT_SLOT, *UNDO_SLOTS)
    if any(by_key[receipt.key].slot in contacts for receipt in receipts):
        with runtime.identity_lock:
            runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)
    else:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)


def _file(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    item: Intent,
    receipt: Receipt,
    delivered: Delivered,
) -> None:
    """File what was refused or has no answer, and what took something back."""
    account_pk = connection.account_pk
    assert account_pk is not None
    key = item.write.key
    error = receipt.error
    if error is None:
        file_undone(c, runtime, connection, item, receipt.as_read)
        delivered.written += 1
        delivered.counts[item.slot] += 1
    elif item.slot == CONTACT_SLOT and isinstance(error, Rejected) and error.existing_id:
        apart = _apart(c, connection, item.person_id, error.existing_id)
        if apart is None:
            there = Adopted(person_id=item.person_id, key=key, contact_id=error.existing_id)
            enter_adopted(c, runtime, connection, there)
            delivered.counts["adopted"] += 1
        else:
            message = f"{apart.reason}. The CRM makes no second contact: {runtime.message(error)}"
            refuse(c, runtime, connection, item, "rejected", "kept apart", message)
            delivered.counts["rejected"] += 1
    elif isinstance(error, RateLimited):
        _put_back(c, runtime, connection, [item], error)
        delivered.wait = max(delivered.wait or 0.0, error.wait)
    elif isinstance(error, AuthError):
        _put_back(c, runtime, connection, [item], error)
        delivered.stopped = error
    elif isinstance(error, Rejected) and error.code == "parent":
        set_state(c, account_pk, [key], "open", "waits for its contact")
        delivered.counts["waiting"] += 1
    elif isinstance(error, Unavailable):
        set_state(c, account_pk, [key], "uncertain", runtime.message(error))
        delivered.counts["unanswered"] += 1
    elif taken := _taken_field(connection, item, error):
        add_holds(c, account_pk, [taken], TAKEN, runtime.clock())
        _plan_anew(c, runtime, connection, [item])
        delivered.counts["keep"] += 1
    elif item.slot in UNDO_SLOTS:
        drop_intents(c, account_pk, [key])
        delivered.refused[key] = runtime.message(error)
        delivered.counts["rejected"] += 1
    else:
        code = error.code if isinstance(error, Rejected) else type(error).__name__
        refuse(c, runtime, connection, item, "rejected", code or "rejected", runtime.message(error))
        delivered.counts["rejected"] += 1


def _taken_field(connection: Connection, item: Intent, error: BridgeError) -> str:
    """Return the key of the one field for which an update was refused, since another contact has its value."""
    if item.slot != FIELDS_SLOT or not isinstance(error, Rejected) or not error.existing_id:
        return ""
    name = field_taken(connection, item.write, str(error))
    return field_key(item.write.stream, item.write.id or "", name) if name else ""


def _apart(c: Transaction, connection: Connection, person_id: str, contact_id: str) -> Apart | None:
    """Return why a contact is not used for a person though the CRM names it as theirs; None where it may be."""
    now = people.current_person(c, person_id) or person_id
    return kept_apart(c, connection, {now: [contact_id]}).get(now, {}).get(contact_id)


def put_back(runtime: Runtime, connection: Connection, items: Iterable[Intent], error: BridgeError) -> None:
    """Leave writes for later that were surely not carried out."""
    found = list(items)
    runtime.writer.run(_put_back, runtime, connection, found, error, priority=Priority.DELIVERY)


def _put_back(
    c: Transaction, runtime: Runtime, connection: Connection, items: Sequence[Intent], error: BridgeError
) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    keys = [item.write.key for item in items if item.slot not in UPDATE_SLOTS]
    set_state(c, account_pk, keys, "open", runtime.message(error))
    _plan_anew(c, runtime, connection, items)


def plan_anew(runtime: Runtime, connection: Connection, items: Sequence[Intent]) -> None:
    """Drop updates that were not carried out: by now the fields may show something else, so they are read again."""
    if any(item.slot in UPDATE_SLOTS for item in items):
        runtime.writer.run(_plan_anew, runtime, connection, items, priority=Priority.DELIVERY)


def _plan_anew(c: Transaction, runtime: Runtime, connection: Connection, items: Sequence[Intent]) -> None:
    account_pk = connection.account_pk
    assert account_pk is not None
    keys = [item.write.key for item in items if item.slot in UPDATE_SLOTS]
    meant = people_meant(c, account_pk, keys)
    drop_intents(c, account_pk, keys)
    looks.touch(c, account_pk, meant, runtime.sequence())


def refuse(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    item: Intent,
    state: str,
    code: str,
    message: str,
) -> None:
    """Leave a write to a person: `state` is rejected, or held where nobody can say whether it stands."""
    assert connection.account_pk is not None
    set_state(c, connection.account_pk, [item.write.key], state, message)
    refused = state == "rejected"
    field_name = field_named(connection, item.write, message) if refused else ""
    found = rejects.Reject(
        step="push",
        connection=connection.name,
        account_pk=connection.account_pk,
        stream=item.write.stream,
        ext_id=item.write.key,
        intent_key=item.write.key,
        code=code,
        message=message,
        field=field_name,
        place=place_of(connection, item.write.stream, field_name) if field_name else "",
        hint=hint_of(connection, item.write, field_name)
        if refused
        else "Whether it was written is not known. Look in the CRM; a replay asks there again.",
    )
    rejects.save(c, found, runtime.clock())


def stand(runtime: Runtime, connection: Connection, item: Intent, ext_id: str) -> None:
    """Enter a write that was found at the CRM into the books."""

    def work(c: Transaction) -> None:
        _stand(c, runtime, connection, [(item, Receipt(key=item.write.key, id=ext_id))])
        if item.slot == ENTRY_SLOT:
            _keep_deleted(c, runtime, connection, item, ext_id)
            tell_others(c, runtime, connection, [item.write.key])

    with runtime.identity_lock:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)


def _keep_deleted(
    c: Transaction, runtime: Runtime, connection: Connection, item: Intent, ext_id: str
) -> None:
    """Hold an entry that a person deleted before we knew that it stands: the CRM's word of it came too early."""
    account_pk = connection.account_pk
    assert account_pk is not None
    if collected.is_deleted(c, account_pk, item.write.stream, ext_id):
        add_holds(c, account_pk, [item.write.key], DELETED, runtime.clock())


def _stand(
    c: Transaction, runtime: Runtime, connection: Connection, found: Sequence[tuple[Intent, Receipt]]
) -> None:
    """Enter writes that were carried out into the books."""
    account_pk = connection.account_pk
    assert account_pk is not None
    stands = [_as_filed(connection, item, receipt) for item, receipt in found]
    books.file_receipts(c, account_pk, stands, runtime.clock())
    rejects.close_for_intents(c, account_pk, [item.write.key for item, _ in found])
    for one in stands:
        if one.item.slot == CONTACT_SLOT:
            know_contact(c, runtime, connection, one.item.person_id, one.item.write.key, one.ext_id)
    # What was said while nobody knew whether an entry stands could not be told in it.
    again = {
        item.person_id
        for item, _ in found
        if item.slot in (GROWTH_SLOT, LINK_SLOT) or (item.slot == ENTRY_SLOT and item.attempts)
    }
    if again:
        looks.touch(c, account_pk, people.current_people(c, again), runtime.sequence())
    moved: dict[str, list[str]] = {}
    for one in stands:
        if one.item.slot in (GROWTH_SLOT, LINK_SLOT, UNLINK_SLOT):
            moved.setdefault(one.item.write.stream, []).append(one.ext_id)
    for stream, ext_ids in moved.items():
        keys = books.entries_at(c, account_pk, stream, ext_ids).values()
        tell_others(c, runtime, connection, keys, again)


def _as_filed(connection: Connection, item: Intent, receipt: Receipt) -> Stands:
    write = item.write
    ext_id = receipt.id or write.id or ""
    contacts = [link.to for link in write.links if link.stream == connection.spec.contact_stream]
    if write.stream == connection.spec.contact_stream:
        contacts = [ext_id]
    return Stands(
        item=item,
        ext_id=ext_id,
        contact_id=contacts[0] if contacts else None,
        linked={link_key(connection.account_key, write.key, one): one for one in contacts[1:]},
        as_read=receipt.as_read,
    )


def tell_others(
    c: Transaction,
    runtime: Runtime,
    connection: Connection,
    keys: Iterable[str],
    known: Collection[str] = frozenset(),
) -> None:
    """
    Look again at whoever took part in entries that stand now, or elsewhere by now, but for those `known`.

    More may belong in such an entry, or on it; and who took part in one that left their contact may need another.
    """
    assert connection.account_pk is not None
    others = entities.people_in(c, connection.account_pk, keys) - set(known)
    looks.touch(c, connection.account_pk, others, runtime.sequence())
