"""
The tables of a store: what was collected, what it means, who is who, and what was written where.

Times are UTC microseconds since 1970. Bodies are bytes (orjson, or the raw bytes of the source);
large ones lie in files beside the database and `blob` holds their SHA-256. Keys sort by bytes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

metadata = MetaData()

Serial = BigInteger().with_variant(Integer(), "sqlite")
Key = String().with_variant(String(collation="C"), "postgresql")

WAITING, MAPPED, SKIPPED, REJECTED = 0, 1, 2, 3
"""States of a record; read = the sum of all four."""


def _pk() -> Column[Any]:
    return Column("pk", Serial, primary_key=True, autoincrement=True)


meta = Table("meta", metadata, Column("key", Key, primary_key=True), Column("value", String, nullable=False))

account = Table(
    "account",
    metadata,
    _pk(),
    Column("connector", Key, nullable=False),
    Column("vendor_id", Key, nullable=False),
    Column("name", String, nullable=False, default=""),
    Column("time_zone", String),
    Column("currency", String),
    UniqueConstraint("connector", "vendor_id"),
)

connection = Table(
    "connection",
    metadata,
    Column("name", Key, primary_key=True),
    Column("connector", Key, nullable=False),
    Column("account_pk", BigInteger),
    Column("error", String),
    Column("error_since", BigInteger),
)

cursor = Table(
    "cursor",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("stream", Key, primary_key=True),
    Column("phase", Key, primary_key=True),
    Column("value", LargeBinary),
    Column("fields", LargeBinary, nullable=False),
    Column("watermark", BigInteger),
    Column("pulled_at", BigInteger),
    Column("succeeded_at", BigInteger),
    Column("complete", Boolean, nullable=False, default=False),
    Column("error", String),
    Column("error_since", BigInteger),
    Column("not_before", BigInteger),
)

delivery = Table(
    "delivery",
    metadata,
    _pk(),
    Column("connection", Key, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary),
    Column("blob", Key),
    Column("body_hash", LargeBinary, nullable=False),
    Column("sender", Key, nullable=False, default=""),
    Column("idempotency_key", Key),
    Column("state", SmallInteger, nullable=False, default=WAITING),
    Index(
        "delivery_once",
        "connection",
        "sender",
        "idempotency_key",
        unique=True,
        sqlite_where=text("idempotency_key IS NOT NULL"),
    ),
    Index(
        "delivery_split",
        "connection",
        "pk",
        sqlite_where=text("state <> 0"),
    ),
    Index(
        "delivery_waiting",
        "connection",
        "pk",
        sqlite_where=text("state = 0"),
    ),
)

record = Table(
    "record",
    metadata,
    _pk(),
    Column("account_pk", BigInteger, nullable=False),
    Column("stream", Key, nullable=False),
    Column("ext_id", Key, nullable=False),
    Column("version", Key, nullable=False),
    Column("modified_at", BigInteger),
    Column("received_at", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("delivery_pk", BigInteger),
    Column("is_json", Boolean, nullable=False),
    Column("body", LargeBinary),
    Column("blob", Key),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("actor", String),
    Column("state", SmallInteger, nullable=False, default=WAITING),
    Column("rule", String),
    UniqueConstraint("account_pk", "stream", "ext_id", "version"),
    Index(
        "record_waiting",
        "account_pk",
        "stream",
        "pk",
        sqlite_where=text("state = 0"),
    ),
    Index("record_tally", "run", "account_pk", "stream", "state", "rule", "pk"),
    Index(
        "record_delivery",
        "delivery_pk",
        sqlite_where=text("delivery_pk IS NOT NULL"),
    ),
)

DELIVERY_WAITS = delivery.c.state == literal_column(str(WAITING))
DELIVERY_SPLIT = delivery.c.state != literal_column(str(WAITING))
RECORD_WAITS = record.c.state == literal_column(str(WAITING))
"""Spelled out, not bound, as only so the partial indexes are used."""

entity = Table(
    "entity",
    metadata,
    _pk(),
    Column("account_pk", BigInteger, nullable=False),
    Column("stream", Key, nullable=False),
    Column("ext_id", Key, nullable=False),
    Column("part", SmallInteger, nullable=False, default=0),
    Column("type", Key, nullable=False),
    Column("entity_id", Key, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("modified_at", BigInteger),
    Column("record_pk", BigInteger, nullable=False),
    Column("occurred_at", BigInteger),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("mapping", Key, nullable=False),
    UniqueConstraint("account_pk", "stream", "ext_id", "part"),
    Index("entity_by_id", "entity_id"),
    Index("entity_by_type", "type"),
)

alias = Table(
    "alias",
    metadata,
    Column("key", Key, primary_key=True),
    Column("entity_id", Key, nullable=False),
    Index("alias_by_entity", "entity_id"),
    sqlite_with_rowid=False,
)

reference = Table(
    "reference",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("to_ref", Key, primary_key=True),
    Column("from_ref", Key, primary_key=True),
    Index("reference_from", "account_pk", "from_ref"),
    sqlite_with_rowid=False,
)

node = Table(
    "node",
    metadata,
    Column("key", Key, primary_key=True),
    Column("person_id", Key, nullable=False),
    Column("contact_of", BigInteger),
    Column("contact_id", Key),
    Column("name", String),
    Column("name_at", BigInteger),
    Column("since", BigInteger),
    Column("aliases", LargeBinary),
    Column("candidates", LargeBinary),
    Column("legal", Boolean, nullable=False, server_default=false()),
    Index("node_by_person", "person_id"),
    sqlite_with_rowid=False,
)

node_handle = Table(
    "node_handle",
    metadata,
    Column("node_key", Key, primary_key=True),
    Column("handle_key", Key, primary_key=True),
    Column("kind", Key, nullable=False),
    Column("scope", Key, nullable=False),
    Column("value", Key, nullable=False),
    Column("strength", Key, nullable=False),
    Column("made", Boolean, nullable=False, default=False),
    Column("claimed", Boolean, nullable=False, server_default=false()),
    Column("seen", String),
    Index("node_handle_by_handle", "handle_key"),
    sqlite_with_rowid=False,
)

former_handle = Table(
    "former_handle",
    metadata,
    Column("node_key", Key, primary_key=True),
    Column("handle_key", Key, primary_key=True),
    Column("ended_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

decision = Table(
    "decision",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", Key, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("author", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("revoked_by", String),
    sqlite_with_rowid=False,
)

decision_key = Table(
    "decision_key",
    metadata,
    Column("node_key", Key, primary_key=True),
    Column("decision_id", Key, primary_key=True),
    sqlite_with_rowid=False,
)

identity_event = Table(
    "identity_event",
    metadata,
    _pk(),
    Column("at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

identity_event_person = Table(
    "identity_event_person",
    metadata,
    Column("person_id", Key, primary_key=True),
    Column("event", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)

participation = Table(
    "participation",
    metadata,
    Column("entity_id", Key, primary_key=True),
    Column("node_key", Key, primary_key=True),
    Column("occurred_at", BigInteger),
    Index("participation_by_node", "node_key"),
    sqlite_with_rowid=False,
)

person = Table(
    "person",
    metadata,
    Column("id", Key, primary_key=True),
    Column("founder", Key, nullable=False),
    sqlite_with_rowid=False,
)

journey = Table(
    "journey",
    metadata,
    Column("person_id", Key, primary_key=True),
    Column("name", String),
    Column("waiting_since", BigInteger),
    Column("body", LargeBinary, nullable=False),
    Index(
        "journey_waiting",
        "waiting_since",
        sqlite_where=text("waiting_since IS NOT NULL"),
    ),
)

touched = Table(
    "touched",
    metadata,
    Column("target", BigInteger, primary_key=True),
    Column("person_id", Key, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Index("touched_by_seq", "target", "seq"),
    sqlite_with_rowid=False,
)
"""
People to look at again: target 0 is the journey itself, else the account_pk of a destination; a negative one are
those who wait there until somebody may be asked who they are.
"""

held_back = Table(
    "held_back",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("person_id", Key, primary_key=True),
    Column("reason", String, nullable=False),
    Index("held_back_by_reason", "account_pk", "reason"),
    sqlite_with_rowid=False,
)
"""Of whom the last look wrote nothing, or not all, to a destination, and why; until the next look."""

budget = Table(
    "budget",
    metadata,
    Column("account", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("used", LargeBinary, nullable=False),
    Column("allowed", BigInteger),
    Column("others", BigInteger),
    Column("told_at", BigInteger),
    Column("blocked_until", BigInteger),
    sqlite_with_rowid=False,
)
"""
The call budgets of an hour or more, by `connector:vendor account`; what a process has on lease counts as used.

`used` is by the start of a slot of the span. `allowed` and `others` are what the vendor told at `told_at`.
"""

intent = Table(
    "intent",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("op", Key, nullable=False),
    Column("stream", Key, nullable=False),
    Column("target_id", Key),
    Column("person_id", Key, nullable=False),
    Column("fields", LargeBinary, nullable=False),
    Column("links", LargeBinary, nullable=False),
    Column("before", LargeBinary),
    Column("slot", Key, nullable=False),
    Column("mapping", Key, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("attempts", Integer, nullable=False, default=0),
    Column("state", Key, nullable=False),
    Column("reason", String),
    Column("entry", Key),
    Column("told", Key),
    Column("entity_ids", LargeBinary),
)
"""States: open (not sent, or surely not executed), uncertain (sent, outcome unknown), held (for a person), rejected."""

ledger = Table(
    "ledger",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("stream", Key, nullable=False),
    Column("ext_id", Key, nullable=False),
    Column("contact_id", Key),
    Column("person_id", Key, nullable=False),
    Column("slot", Key, nullable=False),
    Column("fields", LargeBinary, nullable=False),
    Column("as_read", LargeBinary),
    Column("run", BigInteger, nullable=False),
    Column("mapping", Key, nullable=False),
    Column("written_at", BigInteger, nullable=False),
    Column("told", Key),
    Index("ledger_by_run", "run"),
    Index("ledger_by_object", "account_pk", "stream", "ext_id"),
)

member = Table(
    "member",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("entity_id", Key, primary_key=True),
    Column("key", Key, nullable=False),
    Index("member_by_key", "account_pk", "key"),
    sqlite_with_rowid=False,
)
"""Which entry of a destination an interaction stands in, from the moment its intent is committed."""

question = Table(
    "question",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("suggestion", Key, nullable=False),
    Column("evidence", Key, nullable=False),
    Column("kind", Key, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", Key, nullable=False),
    Column("said", String, nullable=False),
    Column("by", String, nullable=False),
    Index("question_by_suggestion", "suggestion"),
    sqlite_with_rowid=False,
)
"""
Who somebody is, asked in a task of a CRM, by the key under which the ledger holds that task.

`body` holds the records that it is about and those to choose from, in order. `said` is what was written there
that is no answer, `by` whose word it is.
"""

field_ledger = Table(
    "field_ledger",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("stream", Key, primary_key=True),
    Column("ext_id", Key, primary_key=True),
    Column("field", Key, primary_key=True),
    Column("sent", LargeBinary, nullable=False),
    Column("as_read", LargeBinary),
    Column("before", LargeBinary),
    Column("run", BigInteger, nullable=False),
    Column("written_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

receipt = Table(
    "receipt",
    metadata,
    _pk(),
    Column("account_pk", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("key", Key, nullable=False),
    Column("entry", Key),
    Column("op", Key, nullable=False),
    Column("slot", Key, nullable=False),
    Column("stream", Key, nullable=False),
    Column("ext_id", Key, nullable=False),
    Column("person_id", Key, nullable=False),
    Column("fields", LargeBinary, nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("as_read", LargeBinary),
    Column("links", LargeBinary, nullable=False),
    Column("entity_ids", LargeBinary, nullable=False),
    Column("mapping", Key, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("taken_back", BigInteger),
    Index("receipt_by_run", "run"),
    Index("receipt_by_person", "person_id"),
    Index("receipt_by_object", "account_pk", "stream", "ext_id"),
)
"""
Every write that was carried out, in order; the ledger is what they come to.

`before` are the values a write replaced, `entity_ids` the interactions an entry took in with it, `taken_back`
the run that undid it.
"""

hold = Table(
    "hold",
    metadata,
    Column("account_pk", BigInteger, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("reason", Key, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("run", BigInteger),
    sqlite_with_rowid=False,
)
"""
What stays as it is until somebody releases it.

`key` is an entry's, or `<stream>/<id>/<field>` of a contact. Reasons: edited, deleted, moved (by a person in
the CRM), undone (by the run `run`), back and forth (another program changes it in turn).
"""

reject = Table(
    "reject",
    metadata,
    _pk(),
    Column("step", Key, nullable=False),
    Column("account_pk", BigInteger),
    Column("connection", Key),
    Column("stream", Key, nullable=False),
    Column("ext_id", Key, nullable=False),
    Column("record_pk", BigInteger),
    Column("delivery_pk", BigInteger),
    Column("intent_key", Key),
    Column("code", Key, nullable=False),
    Column("message", String, nullable=False),
    Column("hint", String, nullable=False, default=""),
    Column("field", String, nullable=False, default=""),
    Column("place", String, nullable=False, default=""),
    Column("group_key", Key, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=1),
    Column("state", Key, nullable=False, default="open"),
    Index("reject_record", "record_pk"),
    Index("reject_open", "state"),
)

run = Table(
    "run",
    metadata,
    _pk(),
    Column("kind", Key, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("outcome", Key),
    Column("counts", LargeBinary),
)

command = Table(
    "command",
    metadata,
    _pk(),
    Column("name", Key, nullable=False),
    Column("arguments", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Key, nullable=False, default="open"),
    Column("result", LargeBinary),
)

unknown_word = Table(
    "unknown_word",
    metadata,
    Column("connector", Key, primary_key=True),
    Column("stream", Key, primary_key=True),
    Column("field", Key, primary_key=True),
    Column("word", Key, primary_key=True),
    Column("seen", BigInteger, nullable=False),
)

mention = Table(
    "mention",
    metadata,
    Column("handle_hash", LargeBinary, primary_key=True),
    Column("kind", Key, primary_key=True),
    Column("ref", BigInteger, primary_key=True),
)
"""Who is named in what no entity speaks of (rejected records, unread deliveries): the rest of the erasure index."""

suppression = Table(
    "suppression",
    metadata,
    Column("handle_hash", LargeBinary, primary_key=True),
    Column("added_at", BigInteger, nullable=False),
)


def limit_on_postgresql() -> None:
    """
    Limit the partial indexes on PostgreSQL to the same rows.

    Not said where they are defined, as that imports PostgreSQL's dialect: a tenth of the start of a command.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
