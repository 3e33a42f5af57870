"""When no model answers: the customer is told that a person will look at it, and the session says why."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from gateways.wire import Call
from runllm.bridge.messages import AnswerCategory, MessageType
from runllm.errors import ModelError
from store import messages, notices, sessions
from store.engine import Store
from store.models import Message, now
from worker.activities.context import Context
from worker.activities.failures import without_words
from worker.activities.ledger import Entry, close_entry
from worker.answering.completion import ModelRefused
from worker.answering.ladder import will_be_tried_again
from worker.answering.protocol import ModelAnswer

T = TypeVar("T")

log = logging.getLogger(__name__)

_NOTICED = timedelta(hours=1)
"""After the last refusal: it may have been put right."""

MODEL_NOTICE = "model"
"""The notice that says that the model's service refuses us."""


async def or_handed_over(context: Context, call: Call[Any], ask: Callable[[], Awaitable[T]]) -> T | ModelAnswer:
    """What the model says; where nobody will try again, that a person will look at it.

    Raises:
        ModelError: It will be tried again.
    """
    try:
        answer = await ask()
    except ModelError as error:
        if will_be_tried_again(error):
            raise
        await _say_why(context, call, error)
        return ModelAnswer(text=context.handover, category=AnswerCategory.UNANSWERED)
    return answer


async def record_answer(
    store: Store, session_id: int, key: str, answer: ModelAnswer, *, close: Entry | None = None
) -> Message:
    """Writes an answer down under its effect's key, so that no retry asks the model again; `close` ends the effect."""
    async with store.begin() as db:
        row = await messages.add(
            db,
            session_id=session_id,
            author=MessageType.ASSISTANT,
            text=answer.text,
            category=answer.category,
            sources=[source.model_dump(mode="json") for source in answer.sources],
            key=key,
            model=answer.model,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
        )
        if close is not None:
            await close_entry(db, close, {"chat_id": row.id})
    return row


async def _say_why(context: Context, call: Call[Any], error: ModelError) -> None:
    """On the session, in this process's log and, where it concerns every session, for `runllm doctor`."""
    why = without_words(error).rstrip(".")
    log.error("Session %d was handed over to a person: %s", call.session_id, why)
    text = f"No model answered: {why}. The customer was told that a person will look at the question"
    line = {"level": "error", "handler": call.handler, "text": text}
    async with context.store.begin() as db:
        await sessions.add_log(db, call.session_id, f"{call.key}:model", [line])
        if isinstance(error, ModelRefused):
            text = f"{why}. Customers are told that a person will look at their questions"
            await notices.put(db, MODEL_NOTICE, "bad", text, until=now() + _NOTICED)
