"""What stands behind a rehearsal: a record, a scripted model, and platforms that remember what they were told."""

from collections import defaultdict, deque
from itertools import count
from typing import Any, TypeVar

from pydantic import BaseModel

from runllm import operations as ops
from runllm.arguments import button_ids
from runllm.bridge.messages import AssistantChatMessage, MessageType, UserChatMessage, recorded
from runllm.bridge.surfaces import (
    AnySurface,
    ChatSurface,
    DiscordThread,
    DiscordThreadConfig,
    SlackThread,
    SlackThreadConfig,
    ZendeskTicket,
    ZendeskTicketConfig,
    surface_key,
)
from runllm.errors import Rejected, UsageError

R = TypeVar("R")
Message = AssistantChatMessage | UserChatMessage


class NotScripted(AssertionError):
    """A handler asked for something that the test's script does not have; the text says what to add."""


class Sent(BaseModel):
    """A message that a surface was sent.

    Attributes:
        to: Where.
        text: What it says.
        message: The message in the record.
        prefix, ephemeral, enable_feedback, blocks: What the handler gave.
        internal: Only the support team sees it.
    """

    to: AnySurface
    text: str
    message: Message
    prefix: str | None = None
    ephemeral: bool = False
    enable_feedback: bool = True
    blocks: list[dict[str, Any]] = []
    internal: bool = False

    @property
    def buttons(self) -> list[str]:
        """The ids of its buttons."""
        return button_ids(self.blocks)


class Ticket(BaseModel):
    """A Zendesk ticket as it is now."""

    title: str
    description: str
    tags: list[str]
    status: str = "new"
    follow_up_of: str | None = None


class Backstage:
    """Performs operations in memory, as strictly as the engine does."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.sent: list[Sent] = []
        self.tickets: dict[str, Ticket] = {}
        self.opened: list[ChatSurface] = []
        self.tags: list[str] = []
        self.lines: list[str] = []
        self.used: list[tuple[str, str]] = []
        self.script: dict[type[ops.Operation[Any]], deque[Any]] = defaultdict(deque)
        self.problem: NotScripted | None = None
        self._groups: list[set[str]] = []
        self._threads: dict[tuple[str, str, str], ChatSurface] = {}
        self._numbers = count(1)
        self._shown: dict[str, list[int]] = defaultdict(list)

    # What a rehearsal calls

    def add(self, author: str, message: Message, at: ChatSurface) -> None:
        """Takes in a message that somebody wrote on a surface."""
        self._shown[surface_key(at)].append(self._number(message))
        self.lines.append(f"{author} on {at.type}: {message.text}")

    def set_status(self, at: ChatSurface, status: str) -> None:
        """Takes in that somebody set a ticket's status."""
        if isinstance(at, ZendeskTicket) and at.id in self.tickets:
            self.tickets[at.id].status = status
        self.lines.append(f"user on {at.type}: the status is {status}")

    def said(self, text: str, user: str, name: str | None = None) -> UserChatMessage:
        """A person's message, in the record."""
        message = UserChatMessage(text=text, chat_id=next(self._numbers), user_identifier=user, author_name=name)
        self.messages[self._number(message)] = message
        return recorded(message.model_copy())

    def perform(self, operation: ops.Operation[R]) -> R:
        """The result of an operation. Both travel as JSON, as they do in the engine."""
        asked = type(operation).model_validate_json(operation.model_dump_json())
        scripted = self.script[type(operation)]
        if scripted and isinstance(scripted[0], Exception):
            raise scripted.popleft()
        result: Any = self._perform(asked)
        if isinstance(result, BaseModel):
            result = type(result).model_validate_json(result.model_dump_json())
        return recorded(result) if isinstance(result, AssistantChatMessage) else result  # type: ignore[return-value]

    def next_of(self, operation: type[ops.Operation[Any]], hint: str) -> Any:
        """What the script has for an operation.

        Raises:
            NotScripted: Nothing more.
        """
        if self.script[operation]:
            return self.script[operation].popleft()
        raise self.missing(f"the handler asks for {operation.name}, and the script has none: call {hint} before")

    def missing(self, text: str) -> NotScripted:
        """The error for a gap in the script. It is kept, so that no `except Exception` in a handler can hide it."""
        self.problem = NotScripted(text)
        return self.problem

    def post(self, message: Message, to: ChatSurface, **how: Any) -> Sent:
        """Shows a message on a surface; in place of another one, where `chat_ts` of a Slack thread says so."""
        sent = Sent(to=to, text=message.text, message=message, **how)
        replaced = to.config.chat_ts if isinstance(to, SlackThread) else None
        if replaced is not None:
            self.sent = [each for each in self.sent if each.message.chat_id != int(replaced)]
        self.sent.append(sent)
        self._shown[surface_key(to)].append(self._number(message))
        buttons = f" [{'] ['.join(sent.buttons)}]" if sent.buttons else ""
        internal = " (internal)" if sent.internal else ""
        self.lines.append(f"→ {to.type}{internal}: {message.text}{buttons}")
        return sent

    # Operations

    def _perform(self, operation: Any) -> Any:
        match operation:
            case ops.Answer() | ops.Chat() | ops.StreamAnswer():
                return self._answer(operation)
            case ops.Summarize():
                return self.next_of(ops.Summarize, "will_summarize(text)")
            case ops.Learn():
                return self.next_of(ops.Learn, "will_learn(text)")
            case ops.Categorize():
                return self._categorize(operation)
            case ops.Tag():
                return self._tag(operation)
            case ops.ApplyTag(tag=tag):
                return ops.Tagged(applied=self._apply([tag]), tags=self.tags)
            case ops.CreateSlackThread() | ops.CreateDiscordThread():
                return self._open(operation)
            case ops.CreateZendeskTicket():
                return self._create_ticket(operation)
            case ops.UpdateZendeskTicket(to=to, tags=tags, status=status):
                ticket = self._ticket(to)
                ticket.tags, ticket.status = list(dict.fromkeys([*ticket.tags, *tags])), status
                self.lines.append(f"ticket {to.id} is {status}, tags {', '.join(ticket.tags)}")
                return None
            case ops.PostMessage(to=to, message=ref, blocks=blocks):
                if isinstance(to, ZendeskTicket) and to.id in self.tickets:
                    self._ticket(to)  # refuses a closed one
                how = {name: getattr(operation, name) for name in ("prefix", "ephemeral", "enable_feedback")}
                sent = self.post(self._message(ref), to, blocks=blocks or [], internal=operation.is_internal, **how)
                return ops.Posted(remote_id=str(sent.message.chat_id))
            case ops.SyncConversation(to=to):
                there = list(self._shown[surface_key(to)])
                for chat_id in self._all_shown():
                    if chat_id not in there:
                        self.post(self.messages[chat_id], to)
                return None
        raise NotImplementedError(f"a rehearsal cannot perform {operation.name}")

    def _answer(self, operation: Any) -> AssistantChatMessage:
        self._resolve(operation.question)
        scripted: AssistantChatMessage = self.next_of(ops.Answer, "will_answer(text)")
        answer = scripted.model_copy(update={"chat_id": next(self._numbers)})
        self.messages[answer.chat_id] = answer
        if isinstance(operation, ops.StreamAnswer):
            self.post(answer, operation.to)
        return answer

    def _categorize(self, operation: ops.Categorize) -> ops.Categorized:
        category: str = self.next_of(ops.Categorize, "will_categorize(category)")
        group = {*operation.categories, operation.default}
        if category not in group:
            raise self.missing(f"will_categorize({category!r}) is none of the categories {sorted(group)}")
        if operation.apply_as_tag:
            self._groups.append(group)
            self._apply([category])
        return ops.Categorized(category=category, tags=self.tags)

    def _tag(self, operation: ops.Tag) -> ops.Tagged:
        chosen: list[str] = self.next_of(ops.Tag, "will_tag(*tags)")
        strangers = sorted({*chosen} - {*operation.options})
        if strangers:
            raise self.missing(f"will_tag({strangers[0]!r}) is none of the options {sorted(operation.options)}")
        return ops.Tagged(applied=self._apply(chosen), tags=self.tags)

    def _apply(self, tags: list[str]) -> list[str]:
        """Tags that are new. One of a pinned group takes the place of the group's others."""
        new: list[str] = []
        for tag in dict.fromkeys(tags):
            others = {name for group in self._groups if tag in group for name in group}
            if tag not in self.tags and others.isdisjoint(new):
                self.tags = [*(name for name in self.tags if name not in others), tag]
                self.lines.append(f"tag {tag}")
                new.append(tag)
        return new

    def _open(self, operation: ops.CreateSlackThread | ops.CreateDiscordThread) -> ChatSurface:
        number = str(next(self._numbers))
        thread: ChatSurface
        if isinstance(operation, ops.CreateSlackThread):
            place = ("slack", operation.team_id, operation.channel_id)
            config = SlackThreadConfig(bot_conn_token="rehearsal", team_id=place[1], channel=place[2], thread_ts=number)
            thread = SlackThread(config=config)
        else:
            place = ("discord", operation.guild_id, operation.channel_id)
            thread = DiscordThread(config=DiscordThreadConfig(guild_id=place[1], channel_id=place[2], thread_id=number))
        if operation.reuse and self._threads.setdefault(place, thread) is not thread:
            return self._threads[place]
        self.opened.append(thread)
        return thread

    def _create_ticket(self, operation: ops.CreateZendeskTicket) -> ZendeskTicket:
        subdomain = (operation.domain or "rehearsal").removesuffix(".zendesk.com")
        ticket = ZendeskTicket(config=ZendeskTicketConfig(subdomain=subdomain, id=str(next(self._numbers))))
        shown = [self.messages[chat_id] for chat_id in self._all_shown()]
        first = next((m.text for m in shown if m.type is MessageType.USER), "Support conversation")
        said = "\n\n".join(f"{m.type}: {m.text}" for m in shown)
        description = (operation.description or "Conversation:\n\n{conversation}").replace("{conversation}", said)
        title = operation.title or first
        before = operation.follow_up_of
        if before is not None and before.id in self.tickets and self.tickets[before.id].status != "closed":
            raise Rejected(f"Ticket {before.id} is not closed, so nothing can follow it up")
        self.tickets[ticket.id] = Ticket(
            title=title,
            description=description,
            tags=operation.tags or [],
            follow_up_of=before.id if before is not None else None,
        )
        self.opened.append(ticket)
        self.lines.append(f"ticket {ticket.id}: {title}")
        return ticket

    def _ticket(self, surface: ZendeskTicket) -> Ticket:
        if surface.id not in self.tickets:
            raise Rejected(f"Zendesk {surface.subdomain} has no ticket {surface.id}")
        if self.tickets[surface.id].status == "closed":
            raise Rejected(f"Ticket {surface.id} is closed and takes no more changes")
        return self.tickets[surface.id]

    # The record

    def _all_shown(self) -> list[int]:
        return sorted({chat_id for shown in self._shown.values() for chat_id in shown})

    def _resolve(self, ref: ops.MessageRef) -> Message | None:
        if ref.chat_id is not None and ref.chat_id not in self.messages:
            raise UsageError(
                f"This session has no message {ref.chat_id}. Pass a message of this conversation, or plain text"
            )
        return self.messages.get(ref.chat_id or 0)

    def _message(self, ref: ops.MessageRef) -> Message:
        """The message to show. A text that a handler changed gets a row of its own."""
        row = self._resolve(ref)
        if row is not None and ref.text in (None, row.text):
            return row
        number, text = next(self._numbers), ref.text or ""
        changed = row.model_copy() if row is not None else AssistantChatMessage(text=text, chat_id=number)
        changed.text, changed.chat_id = text, number
        self.messages[number] = changed
        return changed

    def _number(self, message: Message) -> int:
        assert message.chat_id is not None
        return message.chat_id
