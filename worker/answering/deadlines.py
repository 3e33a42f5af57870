"""How long a model's service may take. Services hang, too, without an error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runllm.operations import Frozen
from worker.answering.completion import ModelBusy


class Limits(Frozen):
    """Of one request.

    Attributes:
        first_token: Seconds until the first piece of the reply.
        total: Seconds until its end.
    """

    first_token: float = 20.0
    total: float = 90.0


class Clock:
    """Runs while a service replies."""

    def __init__(self, timeout: asyncio.Timeout, ends: float) -> None:
        self._timeout, self._ends, self.has_begun = timeout, ends, False

    def begun(self) -> None:
        """The first piece is there: from here on only the total counts."""
        if not self.has_begun:
            self.has_begun = True
            self._timeout.reschedule(self._ends)


@asynccontextmanager
async def within(limits: Limits, model: str) -> AsyncIterator[Clock]:
    """Ends what takes too long.

    Raises:
        ModelBusy: It took too long.
    """
    now = asyncio.get_running_loop().time()
    ends = now + limits.total
    clock: Clock | None = None
    try:
        async with asyncio.timeout_at(min(now + limits.first_token, ends)) as timeout:
            clock = Clock(timeout, ends)
            yield clock
    except TimeoutError:
        if clock is not None and clock.has_begun:
            raise ModelBusy(f"The model {model} did not finish in {limits.total:g} s") from None
        raise ModelBusy(f"The model {model} said nothing for {limits.first_token:g} s") from None
