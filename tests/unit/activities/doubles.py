"""Platforms, a hub and a model for tests of activities: strict where the real ones are."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateways.adapter import Content, Effect, Requester
from runllm.bridge.messages import AnswerCategory, Source
from runllm.bridge.surfaces import (
    ChatSurface,
    DiscordThread,
    DiscordThreadConfig,
    SlackThread,
    SlackThreadConfig,
    ZendeskTicket,
    ZendeskTicketConfig,
    surface_key,
)
from worker.answering.protocol import (
    BoundRetriever,
    Emit,
    Found,
    ModelAnswer,
    Question,
    Statement,
    Talk,
    ToolsWanted,
    Turn,
)


class Killed(BaseException):
    """The process was killed: no `except Exception` sees it."""


async def _nothing(*_: object) -> None:
    return None


@dataclass
class Platform:
    """A platform that keeps what it was sent, and accepts nothing twice.

    Like a real one it would show a message twice if asked to: a second post under one key is only forgiven to an
    attempt that says that there was an earlier one, and gets the first one's identifier.
    """

    shown: dict[str, tuple[str, Content]] = field(default_factory=dict)
    """Key of the effect -> (surface, content), in order."""
    calls: list[str] = field(default_factory=list)
    opened: dict[str, tuple[object, ...]] = field(default_factory=dict)
    requesters: list[tuple[Requester | None, ZendeskTicket | None]] = field(default_factory=list)
    settled: list[tuple[str, str, str]] = field(default_factory=list)
    before: Callable[[Effect, ChatSurface | None], Awaitable[None]] = _nothing
    after: Callable[[Effect, ChatSurface | None], Awaitable[None]] = _nothing

    @property
    def texts(self) -> list[str]:
        """What is shown, in order."""
        return [content.text for _, content in self.shown.values()]

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        await self._taken(effect, to, "post", lambda: self.shown.setdefault(effect.key, (surface_key(to), content)))
        return f"remote-{effect.key}"

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        key = remote_id.removeprefix("remote-")
        await self._taken(effect, to, "edit", lambda: self.shown.__setitem__(key, (surface_key(to), content)))

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        await self._taken(effect, to, "delete", lambda: self.shown.pop(remote_id.removeprefix("remote-"), None))

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        await self.before(Effect(key="", session_id=0), to)
        self.settled.append((surface_key(to), remote_id, note))

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        return f"content of {attachment['name']}".encode()

    async def open_slack_thread(self, effect: Effect, team_id: str, channel_id: str) -> SlackThread:
        await self._taken(effect, None, "open", lambda: self.opened.setdefault(effect.key, (team_id, channel_id)))
        number = list(self.opened).index(effect.key) + 1
        return SlackThread(
            config=SlackThreadConfig(bot_conn_token="ref", team_id=team_id, channel=channel_id, thread_ts=f"{number}.0")
        )

    async def open_discord_thread(self, effect: Effect, guild_id: str, channel_id: str) -> DiscordThread:
        await self._taken(effect, None, "open", lambda: self.opened.setdefault(effect.key, (guild_id, channel_id)))
        number = list(self.opened).index(effect.key) + 1
        return DiscordThread(
            config=DiscordThreadConfig(guild_id=guild_id, channel_id=channel_id, thread_id=str(number))
        )

    async def open_ticket(
        self,
        effect: Effect,
        domain: str | None,
        title: str,
        description: str,
        tags: Sequence[str],
        requester: Requester | None = None,
        follow_up_of: ZendeskTicket | None = None,
    ) -> ZendeskTicket:
        self.requesters.append((requester, follow_up_of))
        wanted = (domain, title, description, tuple(tags))
        await self._taken(effect, None, "open", lambda: self.opened.setdefault(effect.key, wanted))
        number = list(self.opened).index(effect.key) + 1
        return ZendeskTicket(config=ZendeskTicketConfig(subdomain=domain or "acme", id=str(number)))

    async def update_ticket(self, effect: Effect, to: ZendeskTicket, tags: Sequence[str], status: str) -> None:
        wanted = (to.id, status, tuple(tags))
        await self._taken(effect, to, "update", lambda: self.opened.setdefault(effect.key, wanted))

    async def _taken(self, effect: Effect, to: ChatSurface | None, call: str, take: Callable[[], object]) -> None:
        await self.before(effect, to)
        doubled = f"{call} {effect.key}" in self.calls and not effect.earlier
        assert not doubled, f"{call} for {effect.key} a second time, and nobody said that there was a first"
        self.calls.append(f"{call} {effect.key}")
        take()
        await self.after(effect, to)


def once(error: BaseException) -> Callable[[Effect, ChatSurface | None], Awaitable[None]]:
    """Raises `error` the first time."""
    errors = [error]

    async def fail(effect: Effect, to: ChatSurface | None) -> None:
        if errors:
            raise errors.pop()

    return fail


@dataclass
class Hub:
    """Keeps what was shown of answers in the making."""

    pieces: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    async def push(self, surface_key: str, message: str, attempt: int, offset: int, text: str) -> None:
        self.pieces.append((surface_key, message, attempt, offset, text))

    def stage(self, surface_key: str, text: str) -> None:
        self.stages.append(text)

    def text(self, message: str) -> str:
        """What was shown of a message."""
        return "".join(text for _, shown, _, _, text in self.pieces if shown == message)


@dataclass
class CountingModel:
    """A model whose calls cost something: each is counted."""

    name: str = "counting"
    longest: int = 0
    paid: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    histories: list[Sequence[Turn]] = field(default_factory=list)
    pieces: Sequence[str] = ("The ", "answer", ".")
    category: AnswerCategory = AnswerCategory.ANSWERED
    choose: str = "billing"
    fitting: Sequence[str] = ()
    facts: Sequence[Statement] = ()
    before: Callable[[], Awaitable[None]] = _nothing

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        return await self._say("answer", question, emit)

    async def chat(self, talk: Talk, retriever: BoundRetriever, emit: Emit) -> ModelAnswer | ToolsWanted:
        await retriever.find(talk.question)
        return await self._say("chat", talk.question, emit)

    async def summarize(self, history: Sequence[Turn], before: str = "") -> str:
        self.paid.append("summarize")
        self.histories.append(history)
        return f"{len(history)} messages"

    async def categorize(
        self, history: Sequence[Turn], categories: dict[str, str], default: str, guidelines: str | None
    ) -> str:
        self.paid.append("categorize")
        return self.choose if self.choose in categories else default

    async def tag(self, history: Sequence[Turn], options: dict[str, str], guidelines: str | None) -> list[str]:
        self.paid.append("tag")
        return [name for name in self.fitting if name in options]

    async def learn(self, history: Sequence[Turn]) -> list[Statement]:
        self.paid.append("learn")
        return list(self.facts)

    async def _say(self, call: str, question: Question, emit: Emit) -> ModelAnswer:
        self.paid.append(call)
        self.questions.append(question)
        for piece in self.pieces:
            await emit(piece)
        await self.before()
        return ModelAnswer(
            text="".join(self.pieces),
            category=self.category,
            sources=[Source(title="Page", url="https://docs.example.com/page", quote="The answer.")],
            model=self.name,
            input_tokens=10,
            output_tokens=3,
        )


@dataclass
class NoKnowledge:
    """A retriever that finds nothing, and remembers what it was asked."""

    asked: list[tuple[int, str]] = field(default_factory=list)

    async def expect_more(self, question: Question) -> None:
        """Nothing is faster for it."""

    async def find(self, agent_id: int, question: Question, limit: int = 8) -> Found:
        self.asked.append((agent_id, question.text))
        return Found()
