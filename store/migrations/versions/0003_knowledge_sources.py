"""Pages of knowledge sources, schedules, dates of documents, and what becomes of learned facts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "knowledge_pages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("wanted", sa.String(length=64), nullable=False),
        sa.Column("stamp", sa.String(length=64), nullable=False),
        sa.Column("etag", sa.String(length=300), nullable=False),
        sa.Column("last_modified", sa.String(length=100), nullable=False),
        sa.Column("links", sa.JSON(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("is_gone", sa.Boolean(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["knowledge_sources.id"], name="fk_knowledge_pages_source_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_pages"),
        sa.UniqueConstraint("source_id", "path", name="uq_knowledge_pages_source_id_path"),
        sqlite_autoincrement=True,
    )
    op.add_column("knowledge_sources", sa.Column("every_seconds", sa.Integer(), nullable=True))
    op.add_column("documents", sa.Column("dated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("agents", sa.Column("learns", sa.String(length=10), nullable=False, server_default="propose"))
    op.add_column("learned_facts", sa.Column("quote", sa.Text(), nullable=False, server_default=""))
    op.add_column("learned_facts", sa.Column("chat_id", sa.Integer(), nullable=True))
    op.add_column("learned_facts", sa.Column("relations", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("learned_facts", sa.Column("decided_by", sa.String(length=200), nullable=True))
    op.add_column("learned_facts", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
