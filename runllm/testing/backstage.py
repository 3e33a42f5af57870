"""What stands behind a rehearsal: a record, a scripted model, and platforms that remember what they were told."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    SurfaceType,
    ZendeskTicket,
    ZendeskTicketConfig,
    surface_key,
)
from runllm.errors import Rejected, UsageError
from runllm.testing.platforms.file_kinds import kind_of

R = TypeVar("R")
Message = AssistantChatMessage | UserChatMessage

BACKSTAGE = (SurfaceType.ZENDESK_TICKET, SurfaceType.ADMIN_CONSOLE)
"""Surfaces that can show a message to the support team alone."""

PLATFORMS = {
    SurfaceType.SLACK_THREAD: "slack",
    SurfaceType.DISCORD_THREAD: "discord",
    SurfaceType.ZENDESK_TICKET: "zendesk",
}
"""Where people can attach files, and change or delete what they wrote."""


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


@dataclass(frozen=True)
class Failure:
    """An error in the script.

    Attributes:
        what: What fails, in the author's words.
        matches: Whether an operation of that kind is one that fails.
    """

    what: str
    error: Exception
    matches: Callable[[Any], bool] = lambda operation: True


def operation_of(
    what: type[ops.Operation[Any]] | Callable[..., Any],
) -> tuple[type[ops.Operation[Any]], str, Callable[[Any], bool]]:
    """What a method of `Agent` asks for: the operation, its name, and whether an operation of that kind is such a one.

    Raises:
        UsageError: It is no such method, or one that asks for nothing that could fail.
    """
    if isinstance(what, type) and issubclass(what, ops.Operation):
        return what, what.name, lambda operation: True
    name = getattr(what, "__name__", "")
    if name in _SENDS_TO:
        return ops.PostMessage, name, lambda operation: operation.to.type is _SENDS_TO[name]
    if name in _OPENS:
        return _OPENS[name], name, lambda operation: operation.reuse == ("_or_get_" in name)
    if name in _ASKS_FOR:
        return _ASKS_FOR[name], name, lambda operation: True
    raise UsageError(f"{name or what!r} cannot be scripted to fail. Pass a method like Agent.send_to_slack_thread")


_SENDS_TO = {f"send_to_{kind}": kind for kind in SurfaceType}
_OPENS: dict[str, type[ops.Operation[Any]]] = {
    "create_discord_thread": ops.CreateDiscordThread,
    "create_or_get_discord_thread": ops.CreateDiscordThread,
    "create_or_get_slack_thread": ops.CreateSlackThread,
    "create_slack_thread": ops.CreateSlackThread,
}
_ASKS_FOR: dict[str, type[ops.Operation[Any]]] = {
    "answer": ops.Answer,
    "apply_tag": ops.ApplyTag,
    "categorize": ops.Categorize,
    "chat": ops.Chat,
    "create_zendesk_ticket": ops.CreateZendeskTicket,
    "learn": ops.Learn,
    "stream_answer": ops.StreamAnswer,
    "summarize": ops.Summarize,
    "sync_conversation": ops.SyncConversation,
    "tag": ops.Tag,
    "update_zendesk_ticket": ops.UpdateZendeskTicket,
}


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
        self.copied: list[ChatSurface] = []
        self._internal: set[int] = set()
        self._written: dict[int, str] = {}
        self._groups: list[set[str]] = []
        self._threads: dict[tuple[str, str, str], ChatSurface] = {}
        self._numbers = count(1)
        self._shown: dict[str, list[int]] = defaultdict(list)

    # What a rehearsal calls

    def meet(self, surface: ChatSurface) -> None:
        """Takes note of a surface that people are on: a ticket that somebody opened is there."""
        if isinstance(surface, ZendeskTicket):
            self.tickets.setdefault(surface.id, Ticket(title="", description="", tags=[]))

    def set_status(self, at: ChatSurface, status: str) -> None:
        """Takes in that somebody set a ticket's status."""
        if isinstance(at, ZendeskTicket) and at.id in self.tickets:
            self.tickets[at.id].status = status
        self.lines.append(f"user on {at.type}: the status is {status}")

    def said(self, at: ChatSurface, text: str, user: str, name: str | None = None, **more: Any) -> UserChatMessage:
        """A person's message, in the record."""
        number = next(self._numbers)
        message = UserChatMessage(text=text, chat_id=number, user_identifier=user, author_name=name, **more)
        self.messages[number] = message
        if message.is_internal:
            self._internal.add(number)
        files = "".join(f" 📎 {one['name']}" for one in message.attachments or ())
        internal = " (internal)" if message.is_internal else ""
        self._written[number] = surface_key(at)
        self._shown[surface_key(at)].append(number)
        self.lines.append(f"{name or user} on {at.type}{internal}: {text}{files}")
        return recorded(message.model_copy())

    def newest(self, at: ChatSurface, text: str) -> int:
        """The number of the newest message of a person on a surface that says exactly that.

        Raises:
            AssertionError: There is none.
        """
        here = [number for number in self._shown[surface_key(at)] if self._written.get(number) == surface_key(at)]
        found = [number for number in here if self.messages[number].text == text]
        if not found:
            raise AssertionError("\n".join([f"nobody wrote {text!r} on {at.type}", *self.lines]))
        return found[-1]

    def edit(self, number: int, text: str, targets: Sequence[ChatSurface]) -> list[Sent]:
        """Changes a message in the record, and its copies on the targets; on a ticket a further comment corrects it."""
        message = self.messages[number] = self.messages[number].model_copy(update={"text": text})
        self.lines.append(f"(it is changed to: {text})")
        copies = [index for index, sent in enumerate(self.sent) if self._is_copy(sent, number, targets)]
        for index in copies:
            if not isinstance(self.sent[index].to, ZendeskTicket):
                self.sent[index] = self.sent[index].model_copy(update={"text": text, "message": message})
        changed = [self.sent[index] for index in copies if not isinstance(self.sent[index].to, ZendeskTicket)]
        tickets = {surface_key(self.sent[index].to): self.sent[index].to for index in copies}
        return changed + [self.post(message, to) for to in tickets.values() if isinstance(to, ZendeskTicket)]

    def delete(self, number: int, targets: Sequence[ChatSurface]) -> None:
        """Takes a message out of what is shown, and removes its copies on the targets."""
        self.lines.append(f"(it is deleted: {self.messages[number].text})")
        for shown in self._shown.values():
            shown[:] = [one for one in shown if one != number]
        self.sent = [one for one in self.sent if not self._is_copy(one, number, targets)]

    def _is_copy(self, sent: Sent, number: int, targets: Sequence[ChatSurface]) -> bool:
        return sent.message.chat_id == number and surface_key(sent.to) in map(surface_key, targets)

    def copy(self, number: int, to: ChatSurface) -> None:
        """Shows a message on a further surface, where it may be shown."""
        if number not in self._internal or to.type in BACKSTAGE:
            self.post(self.messages[number], to, internal=number in self._internal)

    def perform(self, operation: ops.Operation[R]) -> R:
        """The result of an operation. Both travel as JSON, as they do in the engine."""
        asked = type(operation).model_validate_json(operation.model_dump_json())
        if (failure := self._next_failure(asked)) is not None:
            raise failure.error
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

    def _next_failure(self, operation: ops.Operation[Any]) -> Failure | None:
        """The failure that is next in the script for it; None where something else comes first."""
        scripted = self.script[type(operation)]
        for index, each in enumerate(scripted):
            if not isinstance(each, Failure):
                return None
            if each.matches(operation):
                del scripted[index]
                return each
        return None

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
                row = self._message(ref)
                internal = self._stays_internal(row, to, is_internal=operation.is_internal)
                sent = self.post(row, to, blocks=blocks or [], internal=internal, **how)
                return ops.Posted(remote_id=str(sent.message.chat_id))
            case ops.SyncConversation(to=to):
                self.copied.append(to)
                there = list(self._shown[surface_key(to)])
                for chat_id in self._all_shown():
                    if chat_id not in there:
                        self.copy(chat_id, to)
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
        shown = [self.messages[chat_id] for chat_id in self._all_shown() if chat_id not in self._internal]
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

    def _stays_internal(self, message: Message, to: ChatSurface, *, is_internal: bool) -> bool:
        """Whether only the support team will see a message, which no surface where customers are can promise.

        Raises:
            UsageError: It is to be shown to customers, and is not for them.
        """
        number = self._number(message)
        if isinstance(message, AssistantChatMessage):  # its words are internal as long as it says them internally only
            is_new = not any(number in shown for shown in self._shown.values())
            stays = is_internal and (is_new or number in self._internal)
            (self._internal.add if stays else self._internal.discard)(number)
        if number in self._internal and to.type not in BACKSTAGE:
            raise UsageError(
                f"Message {number} is an internal comment, and customers can see a {to.type}. "
                "Send it to a Zendesk ticket or the console, or send text of your own"
            )
        return is_internal or number in self._internal

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
        if row is not None and self._number(row) in self._internal:
            self._internal.add(number)
        return changed

    def _number(self, message: Message) -> int:
        assert message.chat_id is not None
        return message.chat_id


def attachments(files: Mapping[str, bytes], at: ChatSurface) -> list[dict[str, Any]]:
    """Files as a handler finds them in `attachments` of a message.

    Raises:
        UsageError: Nobody can attach files there.
    """
    if at.type not in PLATFORMS:
        raise UsageError(f"Nobody can attach a file on a {at.type}: files come from Slack, Discord and Zendesk")
    return [
        {
            "name": name,
            "mimetype": kind_of(name),
            "size": len(data),
            "platform": PLATFORMS[at.type],
            "ref": f"rehearsal:{name}",
        }
        for name, data in files.items()
    ]
