"""Chats turn by turn, what models cost, summaries of long conversations, notices."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chats",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("question", sa.JSON(), nullable=False),
        sa.Column("tools", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_chats_session_id"),
        sa.PrimaryKeyConstraint("key", name="pk_chats"),
    )
    op.create_index("ix_chats_session_id", "chats", ["session_id"])
    op.create_table(
        "chat_steps",
        sa.Column("chat_key", sa.String(length=64), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(length=200), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["chat_key"], ["chats.key"], name="fk_chat_steps_chat_key", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chat_key", "turn", "call_id", name="pk_chat_steps"),
    )
    op.create_table(
        "spending",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("published_name", sa.String(length=100), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("purpose", sa.String(length=60), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_read_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False),
        sa.Column("microdollars", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_spending_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_spending"),
        sa.UniqueConstraint("key", name="uq_spending_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_spending_session_id", "spending", ["session_id"])
    op.create_index("ix_spending_day_workflow", "spending", ["day", "published_name"])
    op.create_table(
        "summaries",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("until_chat_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_summaries_session_id"),
        sa.ForeignKeyConstraint(["until_chat_id"], ["messages.id"], name="fk_summaries_until_chat_id"),
        sa.PrimaryKeyConstraint("session_id", name="pk_summaries"),
    )
    op.create_table(
        "notices",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("level", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_notices"),
    )
