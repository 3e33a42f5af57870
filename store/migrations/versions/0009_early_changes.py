"""Edits and deletions that came before their messages."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "early_changes",
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.Column("surface_key", sa.String(length=300), nullable=False),
        sa.Column("remote_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name="fk_early_changes_inbox_id"),
        sa.PrimaryKeyConstraint("inbox_id", name="pk_early_changes"),
    )
    op.create_index("ix_early_changes_message", "early_changes", ["surface_key", "remote_id"])
