"""Renewing what opens a platform and ends by itself: never half.

The platform takes the old tokens back as it gives new ones, or soon after. Between its answer and our record they are
in this process alone, so nothing but a killed process may come in between.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from runllm.errors import NotConnected
from store import whole

T = TypeVar("T")

log = logging.getLogger(__name__)

ASK_AGAIN = 600.0
"""Seconds after which a platform that refused to renew is asked once more."""

_PAUSES = (0.1, 0.5, 2.0, 5.0)


class RenewalRefused(NotConnected):
    """The platform does not know the refresh token, or no longer takes it: a person has to connect again."""


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Does all of `work` even where whoever waits for it is cancelled; the cancellation is passed on after it.

    A deploy that stops this process, a turn that is given up, a caller that hangs up: none of them costs a sign-in.
    """
    return await whole.to_the_end(work, lambda failure: log.warning("tokens were not renewed: %s", failure))


async def written_down(write: Callable[[], Awaitable[T]], whose: str) -> T:
    """Writes new tokens into the record, again where the database does not take them at once."""
    for pause in _PAUSES:
        try:
            return await write()
        except (SQLAlchemyError, OSError) as error:
            log.error("the new tokens of %s are not in the record yet (%s)", whose, type(error).__name__)
        await asyncio.sleep(pause)
    return await write()


def left_open(asked_at: float) -> str:
    """What is to be said where new tokens were asked for and the answer never came into the record."""
    if not asked_at:
        return ""
    at = datetime.fromtimestamp(asked_at, UTC)
    return f" The engine asked for new tokens at {at:%Y-%m-%d %H:%M} UTC and did not come to write them down."
