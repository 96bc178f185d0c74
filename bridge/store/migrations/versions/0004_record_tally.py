"""Counting the records without reading them."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("record_tally", "record", ["run", "account_pk", "stream", "state", "rule", "pk"])
