"""PostgreSQL knows the same words as SQLite: all of them, with Porter's stems."""

from alembic import op

from store.migrations import full_text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        for statement in full_text.POSTGRESQL_LIKE_SQLITE:
            op.execute(statement)
