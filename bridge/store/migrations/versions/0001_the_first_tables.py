"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column(
            "pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "connector", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "vendor_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("connector", "vendor_id"),
    )
    op.create_table(
        "alias",
        sa.Column("key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "entity_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("alias", schema=None) as batch_op:
        batch_op.create_index("alias_by_entity", ["entity_id"], unique=False)

    op.create_table(
        "command",
        sa.Column(
            "pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("name", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("arguments", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_table(
        "connection",
        sa.Column("name", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "connector", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("account_pk", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("error_since", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "cursor",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("phase", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=True),
        sa.Column("pulled_at", sa.BigInteger(), nullable=True),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("error_since", sa.BigInteger(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_pk", "stream", "phase"),
    )
    op.create_table(
        "delivery",
        sa.Column(
            "pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "connection", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("blob", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sender", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "idempotency_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(
            "delivery_once",
            ["connection", "sender", "idempotency_key"],
            unique=True,
            sqlite_where=sa.text("idempotency_key IS NOT NULL"),
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        )
        batch_op.create_index(
            "delivery_waiting",
            ["pk"],
            unique=False,
            sqlite_where=sa.text("state = 0"),
            postgresql_where=sa.text("state = 0"),
        )

    op.create_table(
        "entity",
        sa.Column(
            "pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("ext_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "entity_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=True),
        sa.Column("record_pk", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column(
            "mapping", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("account_pk", "stream", "ext_id", "part"),
    )
    with op.batch_alter_table("entity", schema=None) as batch_op:
        batch_op.create_index("entity_by_id", ["entity_id"], unique=False)
        batch_op.create_index("entity_by_type", ["type"], unique=False)

    op.create_table(
        "field_ledger",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("ext_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("field", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("sent", sa.LargeBinary(), nullable=False),
        sa.Column("as_read", sa.LargeBinary(), nullable=True),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_pk", "stream", "ext_id", "field"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "intent",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("op", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "target_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column(
            "person_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("links", sa.LargeBinary(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("slot", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "mapping", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("account_pk", "key"),
    )
    op.create_table(
        "journey",
        sa.Column(
            "person_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("waiting_since", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
    )
    with op.batch_alter_table("journey", schema=None) as batch_op:
        batch_op.create_index(
            "journey_waiting",
            ["waiting_since"],
            unique=False,
            sqlite_where=sa.text("waiting_since IS NOT NULL"),
            postgresql_where=sa.text("waiting_since IS NOT NULL"),
        )

    op.create_table(
        "ledger",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("ext_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "contact_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column(
            "person_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("slot", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("as_read", sa.LargeBinary(), nullable=True),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column(
            "mapping", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_pk", "key"),
    )
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.create_index("ledger_by_object", ["account_pk", "stream", "ext_id"], unique=False)
        batch_op.create_index("ledger_by_run", ["run"], unique=False)

    op.create_table(
        "member",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column(
            "entity_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("account_pk", "entity_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.create_index("member_by_key", ["account_pk", "key"], unique=False)

    op.create_table(
        "mention",
        sa.Column("handle_hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("ref", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("handle_hash", "kind", "ref"),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "node",
        sa.Column("key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "person_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("contact_of", sa.BigInteger(), nullable=True),
        sa.Column(
            "contact_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("name_at", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("aliases", sa.LargeBinary(), nullable=True),
        sa.Column("candidates", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("node", schema=None) as batch_op:
        batch_op.create_index("node_by_person", ["person_id"], unique=False)

    op.create_table(
        "node_handle",
        sa.Column(
            "node_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "handle_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("kind", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("scope", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("value", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "strength", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("node_key", "handle_key"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("node_handle", schema=None) as batch_op:
        batch_op.create_index("node_handle_by_handle", ["handle_key"], unique=False)

    op.create_table(
        "participation",
        sa.Column(
            "entity_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "node_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("occurred_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("entity_id", "node_key"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("participation", schema=None) as batch_op:
        batch_op.create_index("participation_by_node", ["node_key"], unique=False)

    op.create_table(
        "person",
        sa.Column("id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "founder", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record",
        sa.Column(
            "pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("ext_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "version", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("modified_at", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("delivery_pk", sa.BigInteger(), nullable=True),
        sa.Column("is_json", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("blob", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(), nullable=True),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("rule", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("account_pk", "stream", "ext_id", "version"),
    )
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.create_index(
            "record_delivery",
            ["delivery_pk"],
            unique=False,
            sqlite_where=sa.text("delivery_pk IS NOT NULL"),
            postgresql_where=sa.text("delivery_pk IS NOT NULL"),
        )
        batch_op.create_index(
            "record_waiting",
            ["account_pk", "stream", "pk"],
            unique=False,
            sqlite_where=sa.text("state = 0"),
            postgresql_where=sa.text("state = 0"),
        )

    op.create_table(
        "reference",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("to_ref", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "from_ref", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("account_pk", "to_ref", "from_ref"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("reference", schema=None) as batch_op:
        batch_op.create_index("reference_from", ["account_pk", "from_ref"], unique=False)

    op.create_table(
        "reject",
        sa.Column(
            "pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("step", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("account_pk", sa.BigInteger(), nullable=True),
        sa.Column(
            "connection", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("ext_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("record_pk", sa.BigInteger(), nullable=True),
        sa.Column("delivery_pk", sa.BigInteger(), nullable=True),
        sa.Column(
            "intent_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("code", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("hint", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column(
            "group_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    with op.batch_alter_table("reject", schema=None) as batch_op:
        batch_op.create_index("reject_open", ["state"], unique=False)
        batch_op.create_index("reject_record", ["record_pk"], unique=False)

    op.create_table(
        "run",
        sa.Column(
            "pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True),
        sa.Column("counts", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_table(
        "suppression",
        sa.Column("handle_hash", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("handle_hash"),
    )
    op.create_table(
        "touched",
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column(
            "person_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target", "person_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("touched", schema=None) as batch_op:
        batch_op.create_index("touched_by_seq", ["target", "seq"], unique=False)

    op.create_table(
        "unknown_word",
        sa.Column(
            "connector", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("stream", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("field", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("word", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connector", "stream", "field", "word"),
    )


def downgrade() -> None:
    raise RuntimeError("tables are not taken back; restore a backup made before the update")
