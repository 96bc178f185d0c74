"""What was written, compared with what stands in the CRM: as written, edited, moved, merged, deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from bridge.connector import Sink
from bridge.model import Absent, Json, Link, Record, Write
from bridge.store import counted, holds
from bridge.store.counted import Row
from bridge.store.intents import ENTRY_SLOT
from bridge.sync.completeness.reconcile_values import Findings, Sum
from bridge.sync.runtime import Connection, Runtime, asked_id

BATCH = 100
"""Objects read in one call."""

AS_WRITTEN = "as written"
EDITED = "edited by a person"
DELETED = "deleted by a person"
MOVED = "no more on their contact"
TAKEN_BACK = "taken back by an undo"
MERGED = "merged into another"
UNSAID = "not told by the CRM"


def compare_crm(runtime: Runtime, connection: Connection, findings: Findings) -> None:
    """
    Read every entry and contact of the ledger in the CRM and say how it stands there.

    What a person deleted, edited or moved is their decision and no drift. Raises what the connector raises.
    """
    account_pk = connection.account_pk
    assert account_pk is not None
    stream = connection.spec.contact_stream
    with runtime.database.read() as c:
        rows = counted.rows(c, account_pk)
        written = counted.fields_of(c, account_pk, stream)
        marks = counted.unknown_marks(c, account_pk, connection.account_key)
        merged = counted.merged(c, f"{connection.account_key}:{stream}:")
        kept = holds.held(c, account_pk, [row.key for row in rows])
        streams = {row.stream for row in rows} | {stream}
        archived = {(one, ext_id) for one in streams for ext_id in counted.archived(c, account_pk, one)}
    entries = [row for row in rows if row.slot == ENTRY_SLOT]
    ours = {row.ext_id for row in rows if row.slot != ENTRY_SLOT}
    ours |= {row.contact_id for row in entries if row.contact_id}
    contacts = {one: written.get(one, {}) for one in sorted(ours | (written.keys() - merged))}
    undone = {(row.stream, row.ext_id) for row in rows if kept.get(row.key) == holds.UNDONE} | archived
    found = _contacts(connection, stream, contacts, undone, findings)
    findings.sums.append(Sum(name="contacts", total=len(contacts), parts=found))
    parts = _entries(connection, entries, kept, undone, findings)
    findings.sums.append(Sum(name="entries", total=len(entries), parts=parts))
    findings.drift(
        "objects in the CRM with our marker that the books lack",
        [f"{place} ({key})" for key, place in sorted(marks.items())],
        "The next crmbridge sync enters those whose messages are stored. Another store wrote the others: delete"
        " them in the CRM, or let them stand.",
    )


def _contacts(
    connection: Connection,
    stream: str,
    contacts: Mapping[str, Mapping[str, Json]],
    undone: Collection[tuple[str, str]],
    findings: Findings,
) -> Counter[str]:
    parts: Counter[str] = Counter()
    fields = sorted({name for shown in contacts.values() for name in shown})
    there = dict(_read(connection, stream, contacts, fields))
    for ext_id, shown in contacts.items():
        word = _how(ext_id, there.get(ext_id), shown)
        parts[TAKEN_BACK if word == DELETED and (stream, ext_id) in undone else word] += 1
        if word == MERGED:
            findings.repairs.merged.append((stream, ext_id, there[ext_id].id))
    _drift_of_merges(findings, stream)
    return parts


def _entries(
    connection: Connection,
    entries: Sequence[Row],
    kept: Mapping[str, str],
    undone: Collection[tuple[str, str]],
    findings: Findings,
) -> Counter[str]:
    parts: Counter[str] = Counter()
    standing: list[Row] = []
    for stream in dict.fromkeys(row.stream for row in entries):
        some = [row for row in entries if row.stream == stream]
        fields = sorted({name for row in some for name in row.shown})
        there = dict(_read(connection, stream, {row.ext_id for row in some}, fields))
        for row in some:
            word = _how(row.ext_id, there.get(row.ext_id), row.shown)
            if word == MERGED:
                findings.repairs.merged.append((stream, row.ext_id, there[row.ext_id].id))
            if word == AS_WRITTEN:
                standing.append(row)
            elif word == DELETED and (stream, row.ext_id) in undone:
                parts[TAKEN_BACK] += 1
            else:
                parts[word] += 1
        _drift_of_merges(findings, stream)
    merged = {old: new for _, old, new in findings.repairs.merged}
    moved = _moved(connection, standing, merged)
    for row in standing:
        gone = row.key in moved or kept.get(row.key) == holds.MOVED
        parts[MOVED if gone else AS_WRITTEN] += 1
    return parts


def _moved(connection: Connection, rows: Sequence[Row], merged: Mapping[str, str]) -> set[str]:
    """Return the entries that stand no more on the contact the ledger names, by asking for that very link."""
    sink = connection.connector
    assert isinstance(sink, Sink)
    writes = [
        Write(
            key=row.key,
            op="link",
            stream=row.stream,
            id=row.ext_id,
            links=(
                Link(
                    stream=connection.spec.contact_stream,
                    to=merged.get(row.contact_id, row.contact_id),
                    role="contact",
                ),
            ),
        )
        for row in rows
        if row.contact_id
    ]
    return {
        location.key
        for start in range(0, len(writes), BATCH)
        for location in sink.locate(writes[start : start + BATCH])
        if isinstance(location, Absent)
    }


def _drift_of_merges(findings: Findings, stream: str) -> None:
    merged = [f"{old} is now {new}" for found, old, new in findings.repairs.merged if found == stream]
    findings.drift(
        f"{stream} of the books that were merged in the CRM",
        merged,
        "--repair lets the books follow; so does the next crmbridge sync where the vendor tells merges.",
        repair=True,
    )


def _how(ext_id: str, record: Record | None, shown: Mapping[str, Json]) -> str:
    """Say how an object stands, from what the CRM shows now and what it showed after our last write."""
    if record is None:
        return UNSAID
    if record.deleted:
        return DELETED
    if record.id != ext_id:
        return MERGED
    now = record.data.get("properties", record.data) if isinstance(record.data, dict) else {}
    same = all((now.get(name) or None) == (value or None) for name, value in shown.items())
    return AS_WRITTEN if same else EDITED


def _read(
    connection: Connection, stream: str, ids: Collection[str], fields: Iterable[str]
) -> Iterator[tuple[str, Record]]:
    """Yield each object as the CRM shows it now, by the id it was asked for."""
    sink = connection.connector
    assert isinstance(sink, Sink)
    names, wanted = list(fields), sorted(ids)
    for start in range(0, len(wanted), BATCH):
        for record in sink.read(stream, wanted[start : start + BATCH], names):
            yield asked_id(record), record
