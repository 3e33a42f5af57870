"""What evaluations cost is accounted for, too: they belong to an agent, and to no session."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("spending", table_kwargs={"sqlite_autoincrement": True}) as spending:
        spending.alter_column("session_id", existing_type=sa.Integer(), nullable=True)
        spending.add_column(sa.Column("agent_id", sa.Integer(), nullable=True))
        spending.create_foreign_key("fk_spending_agent_id", "agents", ["agent_id"], ["id"])
