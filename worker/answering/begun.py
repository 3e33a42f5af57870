"""An answer that is begun before anybody wants it."""

import asyncio
from collections.abc import Sequence

from worker.answering.completion import Spent
from worker.answering.metering import metered, note
from worker.answering.protocol import Emit, Found, Model, ModelAnswer, Question


class Begun:
    """What a model says to a question is kept until somebody takes it over. Needs a running event loop."""

    def __init__(self, model: Model, question: Question, found: Found) -> None:
        self.question, self.found = question, found
        self._pieces: list[str] = []
        self._emit: Emit | None = None
        self._bill: list[Spent] = []
        self._answer = asyncio.create_task(self._make(model), name="answer ahead")
        # Where nobody wants it, its failure is nobody's either.
        self._answer.add_done_callback(lambda job: job.cancelled() or job.exception())

    async def taken_over(self, emit: Emit) -> ModelAnswer:
        """What the model says, as if it were asked now; also its failure, and the bill, are the caller's.

        Raises:
            ModelError: It could not produce an answer.
        """
        try:
            while self._pieces:
                so_far, self._pieces = "".join(self._pieces), []
                await emit(so_far)
            self._emit = emit
            return await self._answer
        finally:
            for spent in await self.given_up():
                note(spent)

    async def given_up(self) -> Sequence[Spent]:
        """Ends it, unless it has ended, and returns what it has cost."""
        self._answer.cancel()
        await asyncio.gather(self._answer, return_exceptions=True)
        return self._bill

    async def _make(self, model: Model) -> ModelAnswer:
        with metered() as self._bill:
            return await model.answer(self.question, self.found, self._take)

    async def _take(self, piece: str) -> None:
        if self._emit is None:
            self._pieces.append(piece)
        else:
            await self._emit(piece)
