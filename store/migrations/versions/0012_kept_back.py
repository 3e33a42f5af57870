"""A sync that misses most of a source's documents keeps them until somebody says that they are gone."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("knowledge_sources", sa.Column("kept_back", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "knowledge_sources", sa.Column("accepts_removals", sa.Boolean(), nullable=False, server_default=sa.false())
    )
