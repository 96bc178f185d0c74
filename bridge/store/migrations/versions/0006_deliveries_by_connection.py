"""The latest delivery of each connection, and those of it that wait, found without looking through the others."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("delivery_by_connection", "delivery", ["connection", "pk"])
    waits = sa.text("state = 0")
    op.drop_index("delivery_waiting", "delivery")
    op.create_index(
        "delivery_waiting", "delivery", ["connection", "pk"], sqlite_where=waits, postgresql_where=waits
    )
