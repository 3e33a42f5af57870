"""What the first question would otherwise wait for: models that load when they are first asked, rules that compile."""

import asyncio
import gc
import logging

from store import published
from worker.activities.context import Context
from worker.answering.protocol import Question
from worker.answering.redaction import Redaction

log = logging.getLogger(__name__)

_MOST_AGENTS = 50
_SAMPLE = "How do I begin? Write to somebody@example.com or +1 650 253 0000."


async def warm_up(context: Context) -> None:
    """Does once what questions do, for every agent that is published. What goes wrong is left to the questions."""
    try:
        await asyncio.to_thread(Redaction().hide, _SAMPLE)
        await context.retriever.expect_more(Question(text=_SAMPLE))  # there may be no agent yet
        async with context.store.read() as db:
            agents = list(dict.fromkeys(agent for _, agent, _ in await published.routes(db)))
        for agent in agents[:_MOST_AGENTS]:
            await context.retriever.find(agent, Question(text=_SAMPLE))
        # What is loaded by now stays: the collector need not look through it again, which takes a tenth of a second.
        gc.collect()
        gc.freeze()
    except Exception:
        log.exception("The worker could not warm up; the first questions take longer")
