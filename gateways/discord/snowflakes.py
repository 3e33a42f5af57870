"""Discord's numbers hold the time at which they were given out.

https://discord.com/developers/docs/reference#snowflakes
"""

from datetime import datetime

_EPOCH_MS = 1_420_070_400_000


def at_snowflake(at: datetime) -> str:
    """The smallest number that something made at that time can have."""
    return str(max(int(at.timestamp() * 1000) - _EPOCH_MS, 0) << 22)


def position_of(snowflake: str) -> str:
    """A number as a cursor's position: with zeros, so that a later one compares greater as text."""
    return snowflake.zfill(20)
