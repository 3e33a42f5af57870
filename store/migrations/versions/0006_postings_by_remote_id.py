"""A reaction names its message and not the thread, so postings are looked up by what the platform calls them."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_postings_remote_id", "postings", ["remote_id"])
