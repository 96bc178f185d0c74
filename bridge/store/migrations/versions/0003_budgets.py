"""What is used of the long call budgets of each account."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "budget",
        sa.Column("account", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("used", sa.LargeBinary(), nullable=False),
        sa.Column("allowed", sa.BigInteger(), nullable=True),
        sa.Column("others", sa.BigInteger(), nullable=True),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("blocked_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", "name"),
        sqlite_with_rowid=False,
    )
