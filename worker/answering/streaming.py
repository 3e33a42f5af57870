"""Reads a reply while it is streamed, whoever streams it."""

from collections.abc import AsyncIterable
from typing import Any, Protocol

from worker.answering.completion import ModelBusy, Take
from worker.answering.deadlines import Clock

_BROKEN = (ValueError, TypeError, AttributeError, LookupError)
"""What reading an event raises that is not JSON, or lacks what it must have: the clients do not validate."""


class Reading(Protocol):
    """A reply as far as it has been streamed.

    Attributes:
        says_something: A word of the answer has come, or a tool is asked for: the model has begun.
    """

    says_something: bool

    def add(self, event: Any, /) -> str:
        """Takes one event in, and returns the text that it brought."""
        ...


async def read(stream: AsyncIterable[Any], reading: Reading, take: Take, clock: Clock) -> None:
    """Adds all events of a stream to a reading, and gives each piece of text on.

    Raises:
        ModelBusy: An event is none of the service's protocol.
    """
    events = aiter(stream)
    while True:
        try:
            text = reading.add(await anext(events))
        except StopAsyncIteration:
            return
        except _BROKEN as error:
            raise ModelBusy(f"The model service broke its own protocol ({type(error).__name__})") from error
        if reading.says_something:
            clock.begun()
        if text:
            await take(text)
