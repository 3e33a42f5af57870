"""Messages know who may see them, and whether a person of the team or a program wrote them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("is_internal", "is_from_staff", "is_from_bot"):
        op.add_column("messages", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))
