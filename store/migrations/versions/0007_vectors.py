"""Vectors of passages, internal sources, calibrated answers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "knowledge_sources", sa.Column("is_internal", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "passage_vectors",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("passage_id", sa.Integer(), nullable=False),
        sa.Column("embedder", sa.String(length=60), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["passage_id"], ["passages.id"], name="fk_passage_vectors_passage_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_passage_vectors"),
        sa.UniqueConstraint("passage_id", "embedder", name="uq_passage_vectors_passage_id_embedder"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passage_vectors_agent", "passage_vectors", ["agent_id", "embedder", "id"])
    op.create_table(
        "embedder_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("embedder", sa.String(length=60), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_embedder_state"),
    )
    op.create_table(
        "calibrations",
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("embedder", sa.String(length=60), nullable=False),
        sa.Column("fitted", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_calibrations_agent_id"),
        sa.PrimaryKeyConstraint("agent_id", "embedder", name="pk_calibrations"),
    )
