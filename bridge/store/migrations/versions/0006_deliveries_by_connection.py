"""The latest delivery of each connection, and those of it that wait, found without looking through the others."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    waits, split = sa.text("state = 0"), sa.text("state <> 0")
    op.create_index(
        "delivery_split", "delivery", ["connection", "pk"], sqlite_where=split, postgresql_where=split
    )
    op.drop_index("delivery_waiting", "delivery")
    op.create_index(
        "delivery_waiting", "delivery", ["connection", "pk"], sqlite_where=waits, postgresql_where=waits
    )
