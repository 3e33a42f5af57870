"""Clicks know what people call the one who clicked."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("button_waits", sa.Column("clicked_by_name", sa.String(length=200), nullable=True))
