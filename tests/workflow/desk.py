"""A support desk for tests of the session: the real workflow on a real server, with activities played by name.

The activities keep what was asked of them. They are as strict as the real ones where a session could tell: an unknown
`chat_id` is an error, and the second call with one key returns what the first returned.
"""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from gateways.wire import (
    ACTIVITY_QUEUE,
    EVENT_SIGNAL,
    AskUpgrade,
    Call,
    Envelope,
    HandOver,
    Outcome,
    OwnUp,
    Relay,
    Relayed,
    Report,
    SessionStart,
    UpgradeAdvice,
    workflow_id,
    workflow_queue,
)
from runllm import operations as ops
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage, UserChatMessage
from runllm.bridge.surfaces import AnySurface, ChatWidget, ChatWidgetConfig, SurfaceType
from runllm.bridge.triggers import AllMessages, Happening
from runllm.bundle import BundleEntry
from worker.session.hosting import Published, prepare, session_worker

DESKS = Path(__file__).parent / "desks"
_numbers = itertools.count(1)


@dataclass
class Desk:
    """What the activities were asked for."""

    client: Client
    published: Published
    posts: list[tuple[str, str]] = field(default_factory=list)
    """(handler, text) of each message sent, once an effect."""
    calls: list[Call[Any]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    """(level, text) of the session log."""
    reports: list[Report] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    on_relay: Callable[[Call[Relay]], Relayed | None] = lambda call: None
    before_post: Callable[[Call[ops.PostMessage]], None] = lambda call: None
    before_own_up: Callable[[Call[OwnUp]], None] = lambda call: None
    apologies: list[tuple[str, OwnUp]] = field(default_factory=list)
    """(handler, what) of each time that somebody was told of a failed handler."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _done: dict[str, Any] = field(default_factory=dict)

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Waits until `condition` holds; activities wake it."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    async with self.changed:
                        try:
                            await asyncio.wait_for(self.changed.wait(), 0.25)
                        except TimeoutError:
                            continue
        except TimeoutError:
            raise AssertionError(f"posts={self.posts} lines={self.lines} outcomes={self.outcomes}") from None

    async def until_posted(self, *texts: str) -> None:
        """Waits until exactly these texts were posted, in order."""
        await self.until(lambda: len(self.posts) >= len(texts))
        assert [text for _, text in self.posts] == list(texts)

    # Talking to it

    def session(self) -> "Talk":
        """A new conversation."""
        number = next(_numbers) * 100_000 + uuid.uuid4().int % 100_000
        return Talk(self, number, ChatWidget(config=ChatWidgetConfig(convo_identifier=f"c{number}")))

    # The activities

    def activities(self) -> list[Callable[..., Any]]:
        """All activities a session may call."""
        return [
            self.answer, self.stream_answer, self.summarize, self.post_message, self.tag, self.apply_tag,
            self.categorize, self.hand_over, self.own_up, self.report, self.relay, self.may_upgrade,
            self.create_slack_thread,
        ]  # fmt: skip

    async def _begin(self, call: Call[Any]) -> None:
        self.calls.append(call)
        self.outcomes.extend(call.outcomes)
        async with self.changed:
            self.changed.notify_all()

    @activity.defn(name=ops.Answer.name)
    async def answer(self, call: Call[ops.Answer]) -> AssistantChatMessage:
        await self._begin(call)
        text = self.texts[call.operation.question.chat_id or 0]
        if text == "model is down":
            raise ApplicationError("the model is down", type="ModelError", non_retryable=True)
        if text == "nobody survives this":
            raise ApplicationError("the disk is full", type="OSError", non_retryable=True)
        chat_id = self.record(f"answer to {text}", call.key)
        category = AnswerCategory.UNANSWERED if "unanswerable" in text else AnswerCategory.ANSWERED
        return AssistantChatMessage(text=self.texts[chat_id], chat_id=chat_id, category=category)

    @activity.defn(name=ops.StreamAnswer.name)
    async def stream_answer(self, call: Call[ops.StreamAnswer]) -> AssistantChatMessage:
        answer = await self.answer(
            Call[ops.Answer](**(dict(call) | {"operation": ops.Answer(question=call.operation.question)}))
        )
        if f"{call.key} posted" not in self._done:
            self._done[f"{call.key} posted"] = True
            self.posts.append((call.handler, answer.text))
        return answer

    @activity.defn(name="handover.tell")
    async def hand_over(self, call: Call[HandOver]) -> AssistantChatMessage:
        await self._begin(call)
        operation = call.operation
        chat_id = self.record("a person will look at it", operation.answer)
        if operation.to is not None:
            self.posts.append((call.handler, self.texts[chat_id]))
        return AssistantChatMessage(text=self.texts[chat_id], chat_id=chat_id, category=AnswerCategory.UNANSWERED)

    @activity.defn(name="handover.own_up")
    async def own_up(self, call: Call[OwnUp]) -> None:
        self.before_own_up(call)
        if call.key not in self._done:
            self._done[call.key] = True
            self.apologies.append((call.handler, call.operation))
        await self._begin(call)

    @activity.defn(name=ops.Summarize.name)
    async def summarize(self, call: Call[ops.Summarize]) -> str:
        await self._begin(call)
        return "a summary"

    @activity.defn(name=ops.PostMessage.name)
    async def post_message(self, call: Call[ops.PostMessage]) -> ops.Posted:
        self.before_post(call)
        if call.key not in self._done:
            self._done[call.key] = True
            ref = call.operation.message
            self.posts.append((call.handler, ref.text if ref.text is not None else self.texts[ref.chat_id or 0]))
            if call.operation.wait:
                self.waits.append(call.operation.wait.wait_id)
        await self._begin(call)
        return ops.Posted(remote_id=call.key)

    @activity.defn(name=ops.Tag.name)
    async def tag(self, call: Call[ops.Tag]) -> ops.Tagged:
        await self._begin(call)
        return ops.Tagged(applied=list(call.operation.options), tags=list(call.operation.options))

    @activity.defn(name=ops.ApplyTag.name)
    async def apply_tag(self, call: Call[ops.ApplyTag]) -> ops.Tagged:
        await self._begin(call)
        return ops.Tagged(applied=[call.operation.tag], tags=[call.operation.tag])

    @activity.defn(name=ops.Categorize.name)
    async def categorize(self, call: Call[ops.Categorize]) -> ops.Categorized:
        await self._begin(call)
        return ops.Categorized(category=call.operation.default, tags=[])

    @activity.defn(name=ops.CreateSlackThread.name)
    async def create_slack_thread(self, call: Call[ops.CreateSlackThread]) -> Any:
        await self._begin(call)
        raise ApplicationError("Slack is not connected", type="NotConnected", non_retryable=True)

    @activity.defn(name="session.report")
    async def report(self, call: Call[Report]) -> None:
        self.reports.append(call.operation)
        self.lines.extend((line.level, line.text) for line in call.operation.lines)
        await self._begin(call)

    @activity.defn(name="surfaces.relay")
    async def relay(self, call: Call[Relay]) -> Relayed | None:
        became = self.on_relay(call)
        self.relays.append(call.operation)
        await self._begin(call)
        return became

    @activity.defn(name="deployments.may_upgrade")
    async def may_upgrade(self, call: Call[AskUpgrade]) -> UpgradeAdvice:
        await self._begin(call)
        return UpgradeAdvice(yes=True)

    def record(self, text: str, key: str = "") -> int:
        """Adds a message to the record; the same key gets the same message."""
        if key and key in self._done:
            return int(self._done[key])
        chat_id = len(self.texts) + 1
        self.texts[chat_id] = text
        if key:
            self._done[key] = chat_id
        return chat_id


@dataclass
class Talk:
    """One conversation, from the gateway's side."""

    desk: Desk
    session_id: int
    surface: AnySurface
    events: int = 0

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The session's workflow."""
        return self.desk.client.get_workflow_handle(workflow_id(self.session_id))

    async def say(self, text: str, *, event_id: str = "", surface: AnySurface | None = None, **more: Any) -> None:
        """Sends a message."""
        where = surface or self.surface
        message = UserChatMessage(text=text, chat_id=self.desk.record(text), user_identifier="u1")
        more.setdefault("happening", Happening(surface=SurfaceType(where.type)))
        await self.send(kind="message", surface=where, message=message, event_id=event_id, **more)

    async def click(self, button_id: str, wait_id: int, user: str = "u1") -> None:
        """Clicks a button."""
        await self.send(kind="button", wait_id=wait_id, button_id=button_id, user=user, surface=self.surface)

    async def send(self, **fields: Any) -> None:
        """Sends an event, and starts the session where there is none yet."""
        self.events += 1
        fields["event_id"] = fields.get("event_id") or f"{self.session_id}-{self.events}"
        fields.setdefault("inbox_id", self.session_id % 100_000 * 1000 + self.events)
        first = self.events == 1
        fields.setdefault("trigger", AllMessages() if first and fields["kind"] == "message" else None)
        await self.signal(Envelope(**fields))

    async def signal(self, argument: Any) -> None:
        """Sends anything at all."""
        name = self.desk.published.name
        await self.desk.client.start_workflow(
            name,
            SessionStart(session_id=self.session_id, published_name=name),
            id=workflow_id(self.session_id),
            task_queue=workflow_queue(name),
            start_signal=EVENT_SIGNAL,
            start_signal_args=[argument],
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )

    async def outcomes(self) -> dict[int, tuple[str, str]]:
        """What became of the events: recorded already, or still with the session."""
        unrecorded = [Outcome.model_validate(x) for x in await self.handle.query("outcomes")]
        return {o.inbox_id: (o.outcome, o.reason) for o in [*self.desk.outcomes, *unrecorded]}


def published(module: str, entrypoint: str, *tasks: str, build_id: str = "test") -> Published:
    """A desk's handlers as a published version. The name differs each time, so that tests share a server."""
    return Published(
        name=f"{module}_{uuid.uuid4().hex[:8]}",
        build_id=build_id,
        directory=DESKS,
        entrypoint=BundleEntry(name=entrypoint, module=module, function=entrypoint),
        tasks=[BundleEntry(name=task, module=module, function=task) for task in tasks],
    )


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Asks until `condition` holds: for what only the server can say, such as visibility."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_desk(client: Client, version: Published, **options: Any) -> AsyncIterator[Desk]:
    """A desk with its workers running."""
    prepare(version)
    desk = Desk(client, version)
    queue = ACTIVITY_QUEUE
    async with (
        Worker(client, task_queue=queue, activities=desk.activities(), max_concurrent_activities=50),
        session_worker(client, version, versioned=False, **options),
    ):
        yield desk
