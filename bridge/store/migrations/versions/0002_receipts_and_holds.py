"""Receipts and holds, and what each entry tells."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    for name, kind in (("entry", KEY), ("told", KEY), ("entity_ids", sa.LargeBinary())):
        op.add_column("intent", sa.Column(name, kind, nullable=True))
    op.add_column("ledger", sa.Column("told", KEY, nullable=True))
    op.create_table(
        "receipt",
        sa.Column("pk", SERIAL, autoincrement=True, nullable=False),
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("entry", KEY, nullable=True),
        sa.Column("op", KEY, nullable=False),
        sa.Column("slot", KEY, nullable=False),
        sa.Column("stream", KEY, nullable=False),
        sa.Column("ext_id", KEY, nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.Column("as_read", sa.LargeBinary(), nullable=True),
        sa.Column("links", sa.LargeBinary(), nullable=False),
        sa.Column("entity_ids", sa.LargeBinary(), nullable=False),
        sa.Column("mapping", KEY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("taken_back", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_index("receipt_by_run", "receipt", ["run"])
    op.create_index("receipt_by_person", "receipt", ["person_id"])
    op.create_index("receipt_by_object", "receipt", ["account_pk", "stream", "ext_id"])
    op.create_table(
        "hold",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("reason", KEY, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_pk", "key"),
        sqlite_with_rowid=False,
    )
