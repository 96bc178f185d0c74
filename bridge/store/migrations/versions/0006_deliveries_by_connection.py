"""The latest delivery of each connection, found without looking through those of the others."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("delivery_by_connection", "delivery", ["connection", "pk"])
