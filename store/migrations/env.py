"""How Alembic is run here: always inside a transaction that `store.migrations.upgrade` was given."""

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

from store.columns import UtcTime
from store.migrations.full_text import is_part_of_models
from store.models import Row


def written(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """What a new revision says for our own column types: what the database sees, for the types may change later."""
    match item:
        case UtcTime():
            return "sa.DateTime(timezone=True)"
        case TypeDecorator():
            return f"sa.{item.impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,
    include_object=is_part_of_models,
    render_item=written,
)
with context.begin_transaction():
    context.run_migrations()
