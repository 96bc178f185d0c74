"""Decisions on who is who, what became of people and handles, and what a name and a handle rest on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("node", sa.Column("legal", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE node SET legal = true WHERE contact_of IS NOT NULL")
    op.add_column(
        "node_handle", sa.Column("claimed", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("node_handle", sa.Column("seen", sa.String(), nullable=True))
    op.create_table(
        "former_handle",
        sa.Column("node_key", KEY, nullable=False),
        sa.Column("handle_key", KEY, nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_key", "handle_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "decision",
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "decision_key",
        sa.Column("node_key", KEY, nullable=False),
        sa.Column("decision_id", KEY, nullable=False),
        sa.PrimaryKeyConstraint("node_key", "decision_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity_event",
        sa.Column("pk", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_table(
        "identity_event_person",
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "event"),
        sqlite_with_rowid=False,
    )
