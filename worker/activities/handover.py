"""When no model answers: the customer is told that a person will look at it, and the session says why."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import activity

from gateways.wire import Call, HandOver, OwnUp
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage, MessageType
from runllm.errors import ModelError
from runllm.operations import Answer, StreamAnswer
from store import messages, notices, sessions
from store.engine import Store
from store.models import Message, now
from worker.activities.contents import content_of
from worker.activities.context import Context
from worker.activities.conversations import assistant_message
from worker.activities.failures import without_words
from worker.activities.ledger import Entry, account, close_entry, reopen
from worker.activities.posting import post_once
from worker.answering.completion import ModelRefused
from worker.answering.ladder import will_be_tried_again
from worker.answering.protocol import ModelAnswer

T = TypeVar("T")

log = logging.getLogger(__name__)

_NOTICED = timedelta(hours=1)
"""After the last refusal: it may have been put right."""

NOBODY_ANSWERED = (
    "No attempt at an answer came to an end: the worker died or was stopped in each, or met an error that it does not "
    "know. The customer was told that a person will look at the question. The log of the activity worker says more"
)

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
        return _a_person_will_look(context)
    return answer


class HandOverActivities:
    """What customers are told where nothing else would be: an answer of which no attempt came to an end, since the
    process that worked at it died each time, and a handler that failed."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name="handover.tell")
    async def tell(self, call: Call[HandOver]) -> AssistantChatMessage:
        """The answer that one of the attempts wrote down; otherwise that a person will look at it."""
        key, to, store = call.operation.answer, call.operation.to, self._context.store
        async with store.begin() as db:
            await account(db, call)
            entry = await reopen(db, key, call.session_id, StreamAnswer.name if to else Answer.name, to)
            row = await messages.by_key(db, key)
            if row is None:
                line = {"level": "error", "handler": call.handler, "text": NOBODY_ANSWERED}
                await sessions.add_log(db, call.session_id, f"{key}:died", [line])
        if row is None:
            log.error("Session %d was handed over to a person: %s", call.session_id, NOBODY_ANSWERED)
            row = await record_answer(store, call.session_id, key, _a_person_will_look(self._context))
        if to is not None and not entry.is_done:
            await post_once(self._context, entry, to, content_of(row), {"chat_id": row.id})
        elif not entry.is_done:
            async with store.begin() as db:
                await close_entry(db, entry, {"chat_id": row.id})
        return assistant_message(row)

    @activity.defn(name="handover.own_up")
    async def own_up(self, call: Call[OwnUp]) -> None:
        """Says that the handler failed, unless this installation wants nothing said."""
        operation, context = call.operation, self._context
        async with context.store.begin() as db:
            await account(db, call)
            if not context.apology:
                return
            entry = await reopen(db, call.key, call.session_id, "handover.own_up", operation.to)
            row = await messages.by_key(db, call.key) or await messages.add(
                db,
                session_id=call.session_id,
                author=MessageType.ASSISTANT,
                text=context.apology,
                is_internal=operation.is_internal,
                key=call.key,
            )
        if not entry.is_done:
            content = content_of(row, is_internal=operation.is_internal, enable_feedback=False)
            await post_once(context, entry, operation.to, content)


def _a_person_will_look(context: Context) -> ModelAnswer:
    return ModelAnswer(text=context.handover, category=AnswerCategory.UNANSWERED)


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
