"""The rehearsal of a conversation: what a test says, what the model will say, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from runllm import operations as ops
from runllm.agent import Agent
from runllm.bridge.buttons import ButtonClicked
from runllm.bridge.core import Conversation, Event
from runllm.bridge.listeners import DiscordListener, SlackListener, WidgetListener, ZendeskListener
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage, Source, UserChatMessage
from runllm.bridge.surfaces import (
    AdminConsole,
    AdminConsoleConfig,
    ChatSurface,
    ChatWidget,
    ChatWidgetConfig,
    DiscordThread,
    DiscordThreadConfig,
    SlackThread,
    SlackThreadConfig,
    SurfaceType,
    ZendeskTicket,
    ZendeskTicketConfig,
    surface_key,
)
from runllm.bridge.triggers import Happening, default_trigger, first_that_fires
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import HandlerLeft, UsageError
from runllm.parameters import bind
from runllm.testing.backstage import PLATFORMS, Backstage, Failure, Sent, Ticket, attachments, operation_of
from runllm.testing.runtime import Click, Meanwhile, RehearsalRuntime, Stage, finish
from runllm.tools import ToolWrapper

S = TypeVar("S", bound=ChatSurface)

SESSION_ID = 1
"""The number of every rehearsed session."""


class Rehearsal:
    """A conversation with a workflow.

    Script what the model says and which buttons are clicked with the `will_...` methods, then `say` something, and look
    at `sent`, `tickets` and `tags`. As a context manager it checks at the end that the whole script was used, and adds
    the transcript to whatever fails.

    Args:
        handler: The function that the conversation starts with: the entrypoint, or with `on` one of the tasks.
        tasks: The functions that it can move on to, as for `Client.publish`.
        surface: Where the conversation happens; the first of `on`, or a place of the entrypoint's first listener,
            where it is None. The listeners' triggers are not asked: the first message always reaches the entrypoint.
        on: What the handler listens on, as if `agent.listen(on, handler)` had been called before.

    Attributes:
        surface: Where the conversation happens.
    """

    def __init__(
        self,
        handler: EntrypointWrapper | TaskWrapper,
        tasks: Sequence[TaskWrapper] = (),
        *,
        surface: ChatSurface | None = None,
        on: Sequence[ChatSurface] = (),
    ) -> None:
        self.surface = surface or (on[0] if on else _place_of(handler))
        handlers: dict[str, EntrypointWrapper | TaskWrapper] = {task.name: task for task in tasks}
        handlers[handler.name] = handler
        listened = [(each, default_trigger(each)) for each in on or [self.surface]]
        self._stage = Stage(handlers=handlers, handler=handler.name, on=listened)
        self._behind = Backstage()
        for surface in [self.surface, *on]:
            self._behind.meet(surface)

    # The script

    def will_answer(
        self,
        text: str,
        category: AnswerCategory = AnswerCategory.ANSWERED,
        sources: Sequence[Source] = (),
    ) -> None:
        """Scripts the next result of `answer`, `chat` or `stream_answer`."""
        answer = AssistantChatMessage(text=text, chat_id=0, category=category, sources=list(sources))
        self._behind.script[ops.Answer].append(answer)

    def will_use(self, tool: ToolWrapper, **arguments: Any) -> None:
        """Scripts that the next `chat` uses a tool, before its answer: the function really runs.

        What it gave is in `used`, as the model would read it.

        Example:
            ```python
            talk.will_use(order_status, order_id="A-1001")
            talk.will_answer("It is on its way.")
            talk.say("Where is my order A-1001?")
            assert talk.used == [("order_status", "shipped")]
            ```
        """
        self._behind.script[ops.Chat].append(ops.ToolCall(id="", name=tool.name, arguments=arguments))

    def will_summarize(self, text: str) -> None:
        """Scripts the next result of `summarize`."""
        self._behind.script[ops.Summarize].append(text)

    def will_learn(self, text: str) -> None:
        """Scripts the next result of `learn`."""
        self._behind.script[ops.Learn].append(text)

    def will_categorize(self, category: str) -> None:
        """Scripts the next result of `categorize`."""
        self._behind.script[ops.Categorize].append(category)

    def will_tag(self, *tags: str) -> None:
        """Scripts which options the next `tag` finds fitting."""
        self._behind.script[ops.Tag].append(list(tags))

    def will_fail(self, what: type[ops.Operation[Any]] | Callable[..., Any], error: Exception) -> None:
        """Scripts that the agent's next call of a method raises, as where a platform refuses it.

        Args:
            what: A method of `Agent`, like `Agent.send_to_slack_thread`; or a class of `runllm.operations`.
            error: What it raises: `Rejected`, `Unavailable`, `NotConnected`, `RateLimited` or `ModelError`.

        Raises:
            UsageError: It is no method of an agent that could fail.

        Example:
            ```python
            talk.will_fail(Agent.send_to_slack_thread, Rejected("the channel is archived"))
            ```
        """
        operation, name, matches = operation_of(what)
        self._behind.script[operation].append(Failure(f"{name} fails", error, matches))

    def will_click(self, button_id: str, *, user: str | None = None, after: timedelta = timedelta(minutes=1)) -> None:
        """Scripts a click for the next handler that waits for a button, that long after the wait began."""
        self._stage.meanwhile.append(Click(button_id, user, after))

    def will_say(self, text: str, *, on: ChatSurface | None = None, user: str = "user", mentions: bool = False) -> None:
        """Scripts a message that arrives while a handler waits for a button: the current handler gets it.

        For one with files, or an internal comment, have `will_look` call `say`; for a change of one, `edit`.
        """
        say = Meanwhile(f"say {text!r}", lambda: self.say(text, on=on, user=user, mentions=mentions))
        self._stage.meanwhile.append(say)

    def will_look(self, look: Callable[[], object]) -> None:
        """Scripts a look behind the scenes while a handler waits for a button: `look` may assert, and `say`."""
        self._stage.meanwhile.append(Meanwhile("look", look))

    # The conversation

    def say(
        self,
        text: str,
        *,
        on: ChatSurface | None = None,
        user: str = "user",
        name: str | None = None,
        mentions: bool = False,
        files: Mapping[str, bytes] | None = None,
        staff: bool = False,
        internal: bool = False,
        bot: bool = False,
    ) -> list[Sent]:
        """Somebody writes a message.

        Args:
            text: What it says.
            on: Where; on the conversation's own surface where it is None.
            user: Who writes it, in the platform's terms.
            name: The name that the platform shows for them.
            mentions: The message mentions the bot.
            files: What comes with it, on Slack, Discord or a ticket: each file's name, and what is in it. The handler
                finds them in the message's `attachments`.
            staff: A member of the support team writes it, on a ticket.
            internal: It is an internal comment on a ticket, which customers do not see.
            bot: A program writes it: only triggers that say `from_bots=True` fire.

        Returns:
            All that was sent because of it.

        Raises:
            NotScripted: The handler asked for something that the script does not have.
            UsageError: The platform has no such thing, like files in the chat widget.
            Exception: Whatever the handler raises.

        Example:
            ```python
            talk.will_answer("Yes.")
            assert talk.say("Is it free?")[0].text == "Yes."
            ```
        """
        place = on or self.surface
        self._behind.meet(place)
        if (staff or internal) and place.type is not SurfaceType.ZENDESK_TICKET:
            raise UsageError(
                f"Only Zendesk tells support staff and internal comments apart, and this is a {place.type}"
            )
        facts = {"is_internal": internal, "is_from_staff": staff or internal}
        attached = attachments(files, place) if files else None
        message = self._behind.said(place, text, user, name, attachments=attached, **facts)
        happening = Happening(surface=SurfaceType(place.type), is_mention=mentions, is_from_bot=bot)
        return self._take_in(place, happening, message)

    def edit(self, old: str, new: str, *, on: ChatSurface | None = None) -> list[Sent]:
        """Somebody changes what they wrote on Slack or Discord, or blackens words of a comment on a ticket.

        No handler runs for it. The record is changed, and with it what is summarized and copied from then on. So are
        the copies on surfaces that are kept in sync, or that got the conversation from `Agent.sync_conversation`.

        Args:
            old: All that the message says: the newest one of a person that says it there.
            new: What it says from now on.
            on: Where; on the conversation's own surface where it is None.

        Returns:
            The copies that changed. A comment on a ticket stays as it is, and is followed by another one.

        Raises:
            AssertionError: Nobody wrote that there.
            UsageError: People cannot change what they wrote there.

        Example:
            ```python
            talk.say("It is on page 12.", on=thread)
            talk.edit("It is on page 12.", "It is on page 13.", on=thread)
            ```
        """
        place, number = self._written(old, on)
        return self._behind.edit(number, new, self._copies_of(place))

    def delete(self, text: str, *, on: ChatSurface | None = None) -> None:
        """Somebody deletes what they wrote on Slack or Discord, or blackens all of a comment on a ticket.

        No handler runs for it. Nothing takes it into account from then on, and its copies are deleted, as for `edit`.

        Args:
            text: All that the message says: the newest one of a person that says it there.
            on: Where; on the conversation's own surface where it is None.

        Raises:
            AssertionError: Nobody wrote that there.
            UsageError: People cannot delete what they wrote there.

        Example:
            ```python
            talk.say("Sorry, wrong thread", on=thread)
            talk.delete("Sorry, wrong thread", on=thread)
            ```
        """
        place, number = self._written(text, on)
        self._behind.delete(number, self._copies_of(place))

    def react(self, emoji: str, *, on: ChatSurface | None = None) -> list[Sent]:
        """Somebody reacts to the last message. Takes and returns what `say` does."""
        place = on or self.surface
        self._behind.lines.append(f"user on {place.type}: :{emoji}:")
        people = [m for m in self._behind.messages.values() if isinstance(m, UserChatMessage)]
        happening = Happening(surface=SurfaceType(place.type), is_message=False, emoji=emoji)
        return self._take_in(place, happening, people[-1] if people else None)

    def set_status(self, status: str, *, on: ZendeskTicket | None = None) -> list[Sent]:
        """Somebody sets the status of a ticket, like `solved`. Returns what was sent because of it.

        Args:
            status: The status, as `Agent.update_zendesk_ticket` knows it.
            on: The ticket; the conversation's own surface where it is None.

        Returns:
            All that was sent because of it.

        Example:
            ```python
            talk.set_status("solved", on=ticket)
            ```
        """
        place = on or self.surface
        self._behind.meet(place)
        self._behind.set_status(place, status)
        happening = Happening(surface=SurfaceType(place.type), is_message=False, status=status)
        return self._take_in(place, happening, None)

    def wait(self, duration: timedelta) -> list[Sent]:
        """Nobody says anything for that long. Returns what was sent because of it.

        Example:
            ```python
            reminders = talk.wait(timedelta(days=1))
            ```
        """
        before, stage, until = len(self.sent), self._stage, self._stage.time + duration
        self._behind.lines.append(f"({duration} pass)")
        while stage.deadline is not None and stage.deadline <= until:
            stage.time, stage.deadline = stage.deadline, None
            surface, trigger = stage.on[0]
            self._behind.lines.append(f"(silence: {stage.on_timeout} runs)")
            event = Event(conversation=self._conversation(surface, None), trigger=trigger, timed_out=True)
            self._run(stage.on_timeout, event)
        stage.time = max(stage.time, until)
        return self.sent[before:]

    # What came of it

    @property
    def handler(self) -> str:
        """Name of the handler that the next event reaches."""
        return self._stage.handler

    @property
    def listening(self) -> list[ChatSurface]:
        """The surfaces that this handler listens on."""
        return [surface for surface, _ in self._stage.on]

    @property
    def parked(self) -> list[str]:
        """Names of the handlers that wait for a button at this moment; for a `will_look`."""
        return list(self._stage.parked)

    @property
    def clicks(self) -> list[ButtonClicked]:
        """The clicks that ended a wait, in order."""
        return self._stage.clicks

    @property
    def refused(self) -> list[ButtonClicked]:
        """The clicks of people who are not among the `allowed_users`."""
        return self._stage.refused

    @property
    def phase(self) -> str:
        """`listening`, `mirroring` or `closed`."""
        return self._stage.phase

    @property
    def time(self) -> datetime:
        """The time that handlers see. Sleeps, waits for buttons and `wait` move it."""
        return self._stage.time

    @property
    def sent(self) -> list[Sent]:
        """All messages that were sent, in order."""
        return self._behind.sent

    @property
    def used(self) -> list[tuple[str, str]]:
        """The tools that chats used, each with what it gave."""
        return self._behind.used

    @property
    def tickets(self) -> dict[str, Ticket]:
        """The Zendesk tickets of the conversation by id, as they are now: those a handler created, and those it met."""
        return self._behind.tickets

    @property
    def tags(self) -> list[str]:
        """The tags on the conversation."""
        return self._behind.tags

    def opened(self, kind: type[S]) -> S:
        """The surface of that kind that a handler opened last, like `opened(SlackThread)`.

        Raises:
            AssertionError: None was opened.
        """
        found = [surface for surface in self._behind.opened if isinstance(surface, kind)]
        assert found, f"no handler opened a {kind.__name__}\n{self.transcript()}"
        return found[-1]

    def texts(self, to: ChatSurface | None = None) -> list[str]:
        """What was sent to a surface, the conversation's own where it is None."""
        wanted = surface_key(to or self.surface)
        return [sent.text for sent in self.sent if surface_key(sent.to) == wanted]

    def transcript(self) -> str:
        """What happened, a line each."""
        return "\n".join(self._behind.lines)

    __repr__ = transcript

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.check_script()
        else:
            error.add_note(f"The conversation:\n{self.transcript()}")

    def check_script(self) -> None:
        """Fails where the script has more than was asked for. The end of a `with` calls it.

        Raises:
            AssertionError: Something is left; the text names it.
        """
        left = [
            each.what if isinstance(each, Failure) else kind.name
            for kind, script in self._behind.script.items()
            for each in script
        ]
        left += [f"click {m.button_id}" if isinstance(m, Click) else m.what for m in self._stage.meanwhile]
        assert not left, f"the script has more than was asked for: {', '.join(left)}\n{self.transcript()}"

    # Turns

    def _take_in(self, place: ChatSurface, happening: Happening, message: UserChatMessage | None) -> list[Sent]:
        before, stage, key = len(self.sent), self._stage, surface_key(place)
        triggers = [trigger for surface, trigger in stage.on if surface_key(surface) == key]
        trigger = first_that_fires(triggers[:1], happening)  # a surface is listened to once, as in the engine
        if stage.phase == "mirroring" and message is not None and key in map(surface_key, stage.mirror):
            for other in stage.mirror:
                if happening.is_message and surface_key(other) != key:  # reactions are not mirrored
                    assert message.chat_id is not None
                    self._behind.copy(message.chat_id, other)
        elif stage.phase != "listening":
            self._behind.lines.append("(no handler runs: the session is over)")
        elif trigger is None:
            why = "it matches no trigger of the surface" if triggers else "it does not listen on this surface"
            self._behind.lines.append(f"({stage.handler} does not run: {why})")
        else:
            handler, waits = stage.handler, stage.deadline is not None
            self._run(handler, Event(conversation=self._conversation(place, message), trigger=trigger))
            if waits and stage.handler == handler and stage.deadline is not None and stage.silence is not None:
                stage.deadline = stage.time + stage.silence
        return self.sent[before:]

    def _written(self, text: str, on: ChatSurface | None) -> tuple[ChatSurface, int]:
        """Where somebody wrote a message, and its number."""
        place = on or self.surface
        if place.type not in PLATFORMS:
            raise UsageError(f"People can neither change nor delete what they wrote on a {place.type}")
        return place, self._behind.newest(place, text)

    def _copies_of(self, place: ChatSurface) -> list[ChatSurface]:
        """The surfaces whose copies follow what happens to a message on a surface."""
        stage, key = self._stage, surface_key(place)
        linked = {"listening": self._behind.copied, "mirroring": stage.mirror, "closed": []}[stage.phase]
        if stage.phase == "mirroring" and key not in map(surface_key, linked):
            return []  # the session ended on this surface
        return [one for one in linked if surface_key(one) != key]

    def _run(self, name: str, event: Event) -> None:
        wrapper = self._stage.published(name)
        agent = Agent(RehearsalRuntime(self._stage, self._behind, name), event)
        arguments = bind(wrapper.function, [surface for surface, _ in self._stage.on])
        with suppress(HandlerLeft):
            finish(wrapper.function, agent, event, **arguments)
        if self._behind.problem is not None:
            raise self._behind.problem

    def _conversation(self, surface: ChatSurface, message: UserChatMessage | None) -> Conversation:
        return Conversation(session_id=SESSION_ID, surface=surface, new_message=message, tags=list(self.tags))


def _place_of(handler: EntrypointWrapper | TaskWrapper) -> ChatSurface:
    """A place where an entrypoint's first listener hears of a new conversation."""
    if isinstance(handler, TaskWrapper):
        raise UsageError(f"{handler.name} is a task and listens nowhere by itself: rehearse it with on=[surface, ...]")
    match listener := handler.listeners[0]:
        case WidgetListener():
            return ChatWidget(config=ChatWidgetConfig(convo_identifier="rehearsal"))
        case SlackListener(team_id=team_id, channels=slack):
            channel = slack[0].channel_id if slack else "C0000000000"
            config = SlackThreadConfig(bot_conn_token="rehearsal", team_id=team_id, channel=channel, thread_ts="0")
            return SlackThread(config=config)
        case DiscordListener(guild_id=guild_id, channels=discord):
            channel = discord[0].channel_id if discord else "0"
            return DiscordThread(config=DiscordThreadConfig(guild_id=guild_id, channel_id=channel, thread_id="0"))
        case ZendeskListener(subdomain=subdomain):
            return ZendeskTicket(config=ZendeskTicketConfig(subdomain=subdomain, id="0"))
        case _:
            return AdminConsole(config=AdminConsoleConfig(agent_id=listener.agent_id, convo_identifier="rehearsal"))
