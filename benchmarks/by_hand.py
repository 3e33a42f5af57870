"""What somebody would write without the engine: the same turn as a plain asynchronous Temporal workflow."""

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gateways.wire import ACTIVITY_QUEUE, Call, Envelope, SessionStart
    from runllm.bridge.messages import AssistantChatMessage
    from runllm.operations import Answer, MessageRef, Posted, PostMessage

_TIME = timedelta(minutes=1)
_WEEKS = timedelta(days=30)


@workflow.defn
class ByHand:
    """A conversation, one event at a time."""

    def __init__(self) -> None:
        self._inbox: list[Envelope] = []

    @workflow.signal
    def event(self, envelope: Envelope) -> None:
        """Takes an event in."""
        self._inbox.append(envelope)

    @workflow.run
    async def run(self, start: SessionStart) -> None:
        """Answers and posts, for ever."""
        effect = 0
        while True:
            await workflow.wait_condition(lambda: bool(self._inbox))
            envelope = self._inbox.pop(0)
            assert envelope.message is not None
            assert envelope.surface is not None
            effect += 1
            answer = await workflow.execute_activity(
                Answer.name,
                Call[Answer](
                    session_id=start.session_id,
                    key=f"{start.session_id}:{effect}",
                    operation=Answer(question=MessageRef(chat_id=envelope.message.chat_id)),
                ),
                task_queue=ACTIVITY_QUEUE,
                result_type=AssistantChatMessage,
                start_to_close_timeout=_TIME,
            )
            effect += 1
            await workflow.execute_activity(
                PostMessage.name,
                Call[PostMessage](
                    session_id=start.session_id,
                    key=f"{start.session_id}:{effect}",
                    operation=PostMessage(to=envelope.surface, message=MessageRef(chat_id=answer.chat_id)),
                ),
                task_queue=ACTIVITY_QUEUE,
                result_type=Posted,
                start_to_close_timeout=_TIME,
            )


@workflow.defn
class ByHandParks:
    """Posts, and waits in a task of its own for something that does not come, as for a button; with a time limit."""

    def __init__(self) -> None:
        self._inbox: list[Envelope] = []
        self._clicked = False

    @workflow.signal
    def event(self, envelope: Envelope) -> None:
        """Takes an event in."""
        self._inbox.append(envelope)

    @workflow.run
    async def run(self, start: SessionStart) -> None:
        """Parks a task for each event."""
        tasks: list[asyncio.Task[None]] = []
        while True:
            await workflow.wait_condition(lambda: bool(self._inbox))
            tasks.append(asyncio.create_task(self._park(start, self._inbox.pop(0))))

    async def _park(self, start: SessionStart, envelope: Envelope) -> None:
        assert envelope.surface is not None
        await workflow.execute_activity(
            PostMessage.name,
            Call[PostMessage](
                session_id=start.session_id,
                key=f"{start.session_id}:1",
                operation=PostMessage(to=envelope.surface, message=MessageRef(text="Shall I?")),
            ),
            task_queue=ACTIVITY_QUEUE,
            result_type=Posted,
            start_to_close_timeout=_TIME,
        )
        await workflow.wait_condition(lambda: self._clicked, timeout=_WEEKS)


@workflow.defn(sandboxed=False)
class Empty:
    """Takes an event, posts once and waits: what the SDK needs for any workflow that it has cached."""

    def __init__(self) -> None:
        self._event: Envelope | None = None

    @workflow.signal
    def event(self, envelope: Envelope) -> None:
        """Takes an event in."""
        self._event = envelope

    @workflow.run
    async def run(self, start: SessionStart) -> None:
        """Posts once, and waits for ever."""
        await workflow.wait_condition(lambda: self._event is not None)
        assert self._event is not None
        assert self._event.surface is not None
        await workflow.execute_activity(
            PostMessage.name,
            Call[PostMessage](
                session_id=start.session_id,
                key=f"{start.session_id}:1",
                operation=PostMessage(to=self._event.surface, message=MessageRef(text="x")),
            ),
            task_queue=ACTIVITY_QUEUE,
            result_type=Posted,
            start_to_close_timeout=_TIME,
        )
        self._event = None
        await workflow.wait_condition(lambda: self._event is not None)
