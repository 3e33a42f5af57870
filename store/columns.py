"""Types of columns that hold the same on SQLite and on PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A UTC time that comes back timezone-aware from SQLite too, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Times in other zones become UTC: SQLite compares what is written."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Adds the zone that SQLite dropped."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Clean(TypeDecorator[str]):
    """A text of any length. What databases cannot hold (NUL, half a surrogate pair) becomes a replacement character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Takes out what PostgreSQL or UTF-8 refuses: people's messages may hold anything."""
        return _clean(value) if value is not None else None


class Cut(TypeDecorator[str]):
    """A short text for people to read, cut at its length, as PostgreSQL would refuse a longer one. Not for keys."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As `Clean`, and cut."""
        return _clean(value)[: self.length] if value is not None else None


def _clean(text: str) -> str:
    if "\0" not in text and text.isascii():
        return text
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
