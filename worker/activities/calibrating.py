"""Fits how sure answers have to be to one knowledge base: for `runllm docs calibrate`, through the gateways."""

import asyncio
from collections.abc import Sequence

from temporalio import activity

from gateways.wire import CALIBRATE, Calibrate, Calibrated, LabelledQuestion, ToldRight
from runllm.errors import UsageError
from store import vectors
from worker.activities.context import Context
from worker.answering import calibration
from worker.answering.calibration import Figures, Judged
from worker.answering.embedding import Chosen
from worker.answering.protocol import Fitted, Question, Turn


class CalibrationActivities:
    """What `runllm docs calibrate` asks. Sessions never do."""

    def __init__(self, context: Context, chosen: Chosen) -> None:
        self._context, self._chosen = context, chosen

    @activity.defn(name=CALIBRATE)
    async def calibrate(self, asked: Calibrate) -> Calibrated:
        """Looks each question up, fits, and keeps what is better. Done again by a retry, it comes to the same."""
        embedder = self._chosen.embedder
        if embedder is None:
            raise UsageError(f"{self._chosen.as_sentence.rstrip('.')}. Only with vectors there is something to fit")
        made = await embedder.embed([one.question for one in asked.questions])
        judged = [
            await self._judged(asked.agent_id, one, vector.tolist())
            for one, vector in zip(asked.questions, made, strict=True)
        ]
        before, after, fitted = await asyncio.to_thread(_fitted, judged)
        kept = asked.keeps and after.balanced > before.balanced
        if kept:
            figures = {"before": before.model_dump(), "after": after.model_dump()}
            content = fitted.model_dump(mode="json")
            async with self._context.store.begin() as db:
                await vectors.keep_calibration(db, asked.agent_id, embedder.name, content, figures)
        return Calibrated(
            before=ToldRight.model_validate(before.model_dump()),
            after=ToldRight.model_validate(after.model_dump()),
            fitted=fitted.model_dump(mode="json"),
            embedder=embedder.name,
            kept=kept,
        )

    async def _judged(self, agent_id: int, one: LabelledQuestion, vector: Sequence[float]) -> Judged:
        history = [Turn(author="user", text=text) for text in one.history]
        found = await self._context.retriever.find(agent_id, Question(text=one.question, history=history))
        if not found.searched:
            raise UsageError("The knowledge base is empty. `runllm docs add FOLDER` indexes documentation")
        if found.evidence is None and found.passages:
            raise UsageError("The passages have no vectors yet. The engine makes them: try again in a moment")
        return Judged(label=one.label, found=found, vector=vector)


def _fitted(judged: Sequence[Judged]) -> tuple[Figures, Figures, Fitted]:
    return calibration.measure(judged, None), calibration.cross_validated(judged), calibration.fit(judged)
