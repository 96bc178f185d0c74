"""Repair: what a reconciliation found and is surely ours to put right; nothing that a person did."""

from __future__ import annotations

from sqlalchemy import Connection as Transaction

from bridge.connector import Sink
from bridge.model import Absent, Found, Link, Write
from bridge.store import counted, entities, looks, people
from bridge.store import ledger as books
from bridge.store.intents import ENTRY_SLOT
from bridge.store.writer import Priority
from bridge.sync.completeness.reconcile_values import Findings
from bridge.sync.runtime import Connection, Runtime


def repair(runtime: Runtime, connection: Connection, findings: Findings) -> None:
    """
    Repair what `findings` hold for it, and note there what was done.

    Books follow a merge. An entry whose write was lost is looked for in the CRM: found, it is entered into
    the books; absent, it is planned anew; where the CRM cannot say it is left. Raises what the connector raises.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    found = findings.repairs
    merged = list(dict.fromkeys(found.merged))
    placed = _look_for(runtime, connection, found.orphans)
    gone = {key: found.orphans[key] for key, place in placed.items() if place is None}
    stands = {key: place for key, place in placed.items() if place is not None}

    def work(c: Transaction) -> None:
        for stream, old, new in merged:
            counted.follow_merge(c, account_pk, stream, old, new)
        for key, (stream, ext_id, contact_id, person_id) in stands.items():
            books.file_found(
                c,
                account_pk,
                key=key,
                slot=ENTRY_SLOT,
                stream=stream,
                ext_id=ext_id,
                contact_ids=[contact_id],
                linked={},
                person_id=person_id,
                mapping=connection.mapping.digest,
                now=runtime.clock(),
            )
        counted.release_members(c, account_pk, gone)
        lost = {entity_id for ids in gone.values() for entity_id in ids}
        again = entities.people_of(c, lost) | people.current_people(c, found.unplanned)
        looks.touch(c, account_pk, again, runtime.sequence())

    if merged or placed or found.unplanned:
        runtime.writer.run(work, priority=Priority.DELIVERY, durable=True)
        runtime.wake("deliver")
    for count, what in (
        (len(merged), "merged objects followed"),
        (len(stands), "entries found in the CRM and entered into the books"),
        (len(gone), "entries to be written again by the next delivery"),
        (len(found.unplanned), "people queued for the next delivery"),
        (len(found.orphans) - len(placed), "entries left, since the CRM cannot say whether they stand"),
    ):
        if count:
            findings.repaired.append(f"{count:,} {what}")


def _look_for(
    runtime: Runtime, connection: Connection, orphans: dict[str, list[str]]
) -> dict[str, tuple[str, str, str, str] | None]:
    """Return (stream, id, contact, person) of each entry that stands in the CRM, None for one that does not."""
    rules = connection.mapping.push_interaction
    sink = connection.connector
    account_pk = connection.account_pk
    if not orphans or rules is None or not isinstance(sink, Sink) or account_pk is None:
        return {}
    contact_stream = connection.spec.contact_stream
    with runtime.database.read() as c:
        owners = {key: sorted(entities.people_of(c, ids)) for key, ids in orphans.items()}
        contacts = people.contacts_of(c, account_pk, {one for found in owners.values() for one in found})
    anchored = {
        key: (min(contacts[person_id]), person_id)
        for key, found in owners.items()
        for person_id in found
        if person_id in contacts
    }
    placed: dict[str, tuple[str, str, str, str] | None] = {}
    unsure: set[str] = set()
    for stream in rules.streams:
        writes = [
            Write(
                key=key,
                op="create",
                stream=stream,
                links=(Link(stream=contact_stream, to=contact_id, role="contact"),),
            )
            for key, (contact_id, _) in anchored.items()
        ]
        for location in sink.locate(writes) if writes else ():
            if isinstance(location, Found):
                placed[location.key] = (stream, location.id, *anchored[location.key])
            elif isinstance(location, Absent):
                placed.setdefault(location.key, None)
            else:
                unsure.add(location.key)
    return {key: place for key, place in placed.items() if place or key not in unsure}
