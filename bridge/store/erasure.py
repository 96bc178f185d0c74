"""
The seam for erasing a person: where the store holds anything about them, and who must not come back.

Most of it is reachable by keys: handle -> node -> participation -> entity -> record -> file,
and entity -> entry -> ledger. What no entity speaks of (a rejected record, a webhook body that
cannot be read) is indexed here by salted hashes of the addresses and numbers in its bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from bridge.store.database import Database, micros, upsert
from bridge.store.people import chunks
from bridge.store.tables import (
    delivery,
    entity,
    field_ledger,
    intent,
    journey,
    ledger,
    member,
    mention,
    node,
    node_handle,
    participation,
    record,
    reject,
    suppression,
)

_EMAIL = re.compile(rb"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_NUMBER = re.compile(rb"\+?[0-9][0-9 ().\-]{6,20}[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Every row that speaks of a person: keys by table, and the names of body files."""

    rows: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    blobs: tuple[str, ...] = ()


class Traces:
    """Salted hashes of addresses and numbers; the salt lies in the store, so hashes of two stores differ."""

    def __init__(self, database: Database) -> None:
        self._salt = database.value("salt").encode()

    def hash(self, text: str) -> bytes:
        """Return the salted hash of an e-mail address or of the digits of a number."""
        return hashlib.blake2b(text.strip().lower().encode(), key=self._salt, digest_size=16).digest()

    def in_bytes(self, body: bytes) -> set[bytes]:
        """Return the hashes of every address and number that stands in a body in the clear."""
        found = {self.hash(match.decode()) for match in _EMAIL.findall(body)}
        for match in _NUMBER.findall(body):
            digits = re.sub(rb"[^0-9]", b"", match)
            if 7 <= len(digits) <= 15:
                found.add(self.hash(digits.decode()))
        return found

    def of_handles(self, values: Iterable[str]) -> set[bytes]:
        """Return the hashes under which handles may be mentioned: an address as it is, a number by its digits."""
        found = set()
        for value in values:
            digits = re.sub(r"[^0-9]", "", value)
            found.add(self.hash(value if "@" in value else digits or value))
        return found


def save_mentions(c: Connection, traces: Traces, kind: str, ref: int, body: bytes) -> None:
    """Index who is named in a body that no entity speaks of; `kind` is record or delivery."""
    rows = [{"handle_hash": found, "kind": kind, "ref": ref} for found in traces.in_bytes(body)]
    upsert(c, mention, rows, conflict=["handle_hash", "kind", "ref"])


def suppress(c: Connection, traces: Traces, values: Iterable[str], now: datetime) -> None:
    """Keep a person out from now on: collect skips what names one of these handles."""
    rows = [{"handle_hash": found, "added_at": micros(now)} for found in traces.of_handles(values)]
    upsert(c, suppression, rows, conflict=["handle_hash"])


def suppressed(c: Connection) -> frozenset[bytes]:
    """Return the hashes of everybody who must not be collected."""
    return frozenset(c.execute(select(suppression.c.handle_hash)).scalars())


def about(c: Connection, traces: Traces, handles: Sequence[str]) -> About:
    """
    Find every row about whoever carries these handles (normalised addresses, numbers or platform ids).

    The result names keys only; erasing them is the caller's decision.
    """
    nodes: set[str] = set()
    for part in chunks(handles):
        nodes.update(c.execute(select(node_handle.c.node_key).where(node_handle.c.value.in_(part))).scalars())
    rows: dict[str, tuple[object, ...]] = {"node": tuple(sorted(nodes))}
    blobs: set[str] = set()
    entity_ids: set[str] = set()
    people: set[str] = set()
    contact_entities: set[tuple[int, str, str]] = set()
    for part in chunks(nodes):
        entity_ids.update(
            c.execute(select(participation.c.entity_id).where(participation.c.node_key.in_(part))).scalars()
        )
        for row in c.execute(select(node).where(node.c.key.in_(part))):
            people.add(row.person_id)
            if row.contact_of is not None and row.contact_id is not None:
                contact_entities.add((row.contact_of, row.key.split(":")[2], row.contact_id))
    records: set[int] = set()
    entities: set[int] = set()
    for part in chunks(entity_ids):
        for row in c.execute(select(entity).where(entity.c.entity_id.in_(part))):
            contact_entities.add((row.account_pk, row.stream, row.ext_id))
    for account_pk, stream, ext_id in contact_entities:
        same = (entity.c.account_pk == account_pk, entity.c.stream == stream, entity.c.ext_id == ext_id)
        entities.update(c.execute(select(entity.c.pk).where(*same)).scalars())
        where = (record.c.account_pk == account_pk, record.c.stream == stream, record.c.ext_id == ext_id)
        records.update(c.execute(select(record.c.pk).where(*where)).scalars())
    deliveries: set[int] = set()
    for start in range(0, len(hashes := sorted(traces.of_handles(handles))), 500):
        for row in c.execute(select(mention).where(mention.c.handle_hash.in_(hashes[start : start + 500]))):
            (records if row.kind == "record" else deliveries).add(row.ref)
    for start in range(0, len(pks := sorted(records)), 500):
        query = select(record.c.blob, record.c.delivery_pk).where(record.c.pk.in_(pks[start : start + 500]))
        for row in c.execute(query):
            blobs.update(filter(None, [row.blob]))
            deliveries.update(filter(None, [row.delivery_pk]))
    for start in range(0, len(found := sorted(deliveries)), 500):
        query = select(delivery.c.blob).where(delivery.c.pk.in_(found[start : start + 500]))
        blobs.update(filter(None, c.execute(query).scalars()))
    keys: set[tuple[int, str]] = set()
    for part in chunks(entity_ids):
        keys.update(
            (row[0], row[1])
            for row in c.execute(
                select(member.c.account_pk, member.c.key).where(member.c.entity_id.in_(part))
            )
        )
    for part in chunks(people):
        for table in (ledger, intent):
            query = select(table.c.account_pk, table.c.key).where(table.c.person_id.in_(part))
            keys.update((row[0], row[1]) for row in c.execute(query))
    contacts = sorted((account_pk, ext_id) for account_pk, _, ext_id in contact_entities)
    fields: set[tuple[int, str, str]] = set()
    for account_pk, ext_id in contacts:
        query = select(field_ledger.c.stream, field_ledger.c.field).where(
            field_ledger.c.account_pk == account_pk, field_ledger.c.ext_id == ext_id
        )
        fields.update((account_pk, ext_id, row.field) for row in c.execute(query))
    rejects: set[int] = set()
    for start in range(0, len(pks := sorted(records)), 500):
        rejects.update(
            c.execute(select(reject.c.pk).where(reject.c.record_pk.in_(pks[start : start + 500]))).scalars()
        )
    for start in range(0, len(pks := sorted(deliveries)), 500):
        rejects.update(
            c.execute(select(reject.c.pk).where(reject.c.delivery_pk.in_(pks[start : start + 500]))).scalars()
        )
    for account_pk, key in keys:
        query = select(reject.c.pk).where(reject.c.account_pk == account_pk, reject.c.intent_key == key)
        rejects.update(c.execute(query).scalars())
    rows |= {
        "person": tuple(sorted(people)),
        "journey": tuple(
            sorted(
                row
                for part in chunks(people)
                for row in c.execute(
                    select(journey.c.person_id).where(journey.c.person_id.in_(part))
                ).scalars()
            )
        ),
        "entity": tuple(sorted(entities)),
        "record": tuple(sorted(records)),
        "delivery": tuple(sorted(deliveries)),
        "entry": tuple(sorted(keys)),
        "field": tuple(sorted(fields)),
        "reject": tuple(sorted(rejects)),
    }
    return About(rows=rows, blobs=tuple(sorted(blobs)))
