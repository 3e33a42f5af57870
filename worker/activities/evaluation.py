"""The model's word on a conversation that is only evaluated: the same retrieval and model, and nothing written down."""

import time

from temporalio import activity

from gateways.wire import EVALUATE, Evaluate, Evaluated
from runllm.categories import with_examples
from worker.activities.chats import reason
from worker.activities.context import Context
from worker.answering.protocol import Question, RetrieverOf, Turn, nobody


class EvaluationActivities:
    """What `runllm eval` asks, through the gateways. Sessions never do."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=EVALUATE)
    async def ask(self, asked: Evaluate) -> Evaluated:
        """Answers, chooses or summarizes as for a conversation with these messages."""
        began = time.perf_counter()
        turns = [Turn(author=message.author, text=message.text) for message in asked.said]
        found = await self._asked(asked, turns)
        return found.model_copy(update={"seconds": round(time.perf_counter() - began, 4)})

    async def _asked(self, asked: Evaluate, turns: list[Turn]) -> Evaluated:
        model, options = self._context.model, with_examples(asked.options, asked.examples)
        match asked.what:
            case "categorize":
                chosen = await model.categorize(turns, options, asked.default, asked.guidelines)
                return Evaluated(chosen=[chosen])
            case "tag":
                return Evaluated(chosen=await model.tag(turns, options, asked.guidelines))
            case "summarize":
                return Evaluated(text=await model.summarize(turns))
            case "answer" | "chat":
                return await self._answered(asked, Question(text=turns[-1].text, history=turns[:-1]))

    async def _answered(self, asked: Evaluate, question: Question) -> Evaluated:
        bound = RetrieverOf(asked.agent_id, self._context.retriever)
        if asked.what == "chat":
            answer = await reason(self._context, asked.agent_id, question)
        else:
            answer = await self._context.model.answer(question, await bound.find(question), nobody)
        return Evaluated(
            text=answer.text,
            category=answer.category,
            sources=answer.sources,
            model=answer.model,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
        )
