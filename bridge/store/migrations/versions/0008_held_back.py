"""Who is held back from a CRM, and why; whoever may be is looked at once more to know it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "held_back",
        sa.Column("account_pk", sa.BigInteger(), nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("account_pk", "person_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("held_back_by_reason", "held_back", ["account_pk", "reason"])
    op.execute(
        """
        INSERT INTO touched (target, person_id, seq)
        SELECT crm.pk, journey.person_id, 0
        FROM journey CROSS JOIN (
            SELECT CAST(substr(key, 7) AS BIGINT) AS pk FROM meta WHERE key LIKE 'rules:%'
        ) AS crm
        WHERE (
            SELECT count(*) FROM node
            WHERE node.person_id = journey.person_id AND node.contact_of = crm.pk
        ) <> 1
        AND NOT EXISTS (
            SELECT 1 FROM touched AS queued
            WHERE queued.target = crm.pk AND queued.person_id = journey.person_id
        )
        """
    )
