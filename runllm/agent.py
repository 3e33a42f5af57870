"""What a handler can do: one short method an action. Each builds an operation and hands it to the runtime."""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Dict, List, ParamSpec, TypeVar, overload  # noqa: UP035 - the documented form of the signatures

from runllm import arguments as check
from runllm import operations as ops
from runllm.bridge.buttons import ButtonClicked
from runllm.bridge.core import Conversation, Event
from runllm.bridge.messages import AssistantChatMessage, ChatMessage
from runllm.bridge.surfaces import (
    AdminConsole,
    ChatSurface,
    ChatWidget,
    DiscordThread,
    SlackThread,
    ZendeskTicket,
)
from runllm.bridge.triggers import Trigger
from runllm.categories import examples_in, plain
from runllm.decorators import TaskWrapper
from runllm.errors import SurfaceError, UsageError
from runllm.operations import Runtime
from runllm.tools import ToolWrapper

P = ParamSpec("P")
T = TypeVar("T")


class Agent:
    """What a handler is given to act with.

    Every method is durable: it is done once, also when a process is killed in the middle, and its result is remembered.
    You never make an agent yourself; `runllm.testing` makes one for your tests.
    """

    def __init__(self, runtime: Runtime, event: Event) -> None:
        self._runtime = runtime
        self._event = event

    # Answers

    def answer(self, target: Conversation) -> AssistantChatMessage:
        """Answers the last question of a conversation from the knowledge base. Nothing is sent.

        Args:
            target: The conversation; somebody must have written its `new_message`.

        Returns:
            The answer, with its `category` and `sources`. Where no model answers, it says that a person will look at
            the question, and its category is `UNANSWERED`.

        Raises:
            UsageError: Nobody wrote a message in this event.

        Example:
            ```python
            answer = agent.answer(event.conversation)
            if answer.category is AnswerCategory.ANSWERED:
                agent.send_to_chat_widget(answer, widget)
            ```
        """
        check.conversation("answer", target, self._event.conversation)
        question = check.question("answer", target)
        return self._runtime.perform(ops.Answer(question=question))

    def chat(
        self,
        conversation: Conversation,
        *,
        tools: List[ToolWrapper] | None = None,  # noqa: UP006
    ) -> AssistantChatMessage:
        """Answers with several rounds of searching, reading and using tools. Nothing is sent.

        Each turn of the model and each use of a tool is remembered, so none is repeated when a process is killed.

        Args:
            conversation: The conversation; somebody must have written its `new_message`.
            tools: The functions marked with `@tool` that the model may use; all in the workflow's files where it is
                None.

        Returns:
            The answer, with its `category` and `sources`. Where no model answers, it says that a person will look at
            the question, and its category is `UNANSWERED`.

        Raises:
            UsageError: Nobody wrote a message in this event, or something in `tools` is no tool.

        Example:
            ```python
            agent.send_to_chat_widget(agent.chat(event.conversation), widget)
            ```
        """
        check.conversation("chat", conversation, self._event.conversation)
        check.tools("chat", tools)
        question = check.question("chat", conversation)
        return self._runtime.chat(question, None if tools is None else list(tools))

    def stream_answer(self, convo: Conversation) -> AssistantChatMessage:
        """Answers the last question where it was asked, while the answer is being made.

        Args:
            convo: A conversation on a chat widget or in the admin console.

        Returns:
            The answer, which has been sent already. Where no model answers, it says that a person will look at the
            question, and its category is `UNANSWERED`.

        Raises:
            UsageError: The surface cannot stream, or nobody wrote a message in this event.

        Example:
            ```python
            answer = agent.stream_answer(event.conversation)
            print(answer.category)
            ```
        """
        check.conversation("stream_answer", convo, self._event.conversation)
        to = check.streaming(convo.surface)
        question = check.question("stream_answer", convo)
        return self._runtime.perform(ops.StreamAnswer(question=question, to=to))

    def summarize(self, conversation: Conversation | None = None) -> str:
        """Puts the conversation into a few sentences, such as fit the description of a ticket.

        Args:
            conversation: The conversation; the event's where it is None.

        Returns:
            The summary.

        Raises:
            ModelError: The model could not summarize, after five attempts.

        Example:
            ```python
            agent.create_zendesk_ticket(event.conversation, description=agent.summarize())
            ```
        """
        if conversation is not None:
            check.conversation("summarize", conversation, self._event.conversation)
        return self._runtime.perform(ops.Summarize())

    def learn(self, conversation: Conversation) -> str:
        """Takes facts from what people other than the asker stated. Behaviour is never learned.

        Args:
            conversation: The conversation to learn from.

        Returns:
            What was learned, in a few sentences.

        Raises:
            ModelError: The model could not read the conversation, after five attempts.

        Example:
            ```python
            print(agent.learn(event.conversation))
            ```
        """
        check.conversation("learn", conversation, self._event.conversation)
        return self._runtime.perform(ops.Learn())

    # Tags

    def tag(
        self,
        conversation: Conversation,
        options: Dict[str, str],  # noqa: UP006
        guidelines: str | None = None,
    ) -> List[str]:  # noqa: UP006
        """Applies those tags that fit the conversation and are not on it yet.

        Args:
            conversation: The conversation; its `tags` are brought up to date.
            options: Each tag with a description of when it fits, or a `Category` with examples, too.
            guidelines: What to pay attention to.

        Returns:
            The tags that are new.

        Raises:
            UsageError: There are no options.
            ModelError: The model could not decide, after five attempts.

        Example:
            ```python
            new = agent.tag(event.conversation, {"billing": "invoices, prices, refunds", "bug": "something is broken"})
            ```
        """
        check.conversation("tag", conversation, self._event.conversation)
        check.described("tag", options=options)
        check.optional_texts("tag", guidelines=guidelines)
        tagged = self._runtime.perform(
            ops.Tag(options=plain(options), guidelines=guidelines, examples=examples_in(options))
        )
        self._bring_up_to_date(conversation, tagged.tags)
        return tagged.applied

    def apply_tag(self, tag: str, to: Conversation) -> None:
        """Applies one tag.

        Args:
            tag: The tag.
            to: The conversation; its `tags` are brought up to date.

        Raises:
            UsageError: The tag is empty.

        Example:
            ```python
            agent.apply_tag("escalated", event.conversation)
            ```
        """
        check.conversation("apply_tag", to, self._event.conversation)
        check.texts("apply_tag", tag=tag)
        self._bring_up_to_date(to, self._runtime.perform(ops.ApplyTag(tag=tag)).tags)

    def categorize(
        self,
        conversation: Conversation,
        categories: Dict[str, str],  # noqa: UP006
        default: str,
        guidelines: str | None = None,
        apply_as_tag: bool = False,
    ) -> str:
        """Chooses the one category that fits the conversation best.

        Args:
            conversation: The conversation.
            categories: Each category with a description of what belongs to it, or a `Category` with examples, too.
            default: What to return where none fits.
            guidelines: What to pay attention to.
            apply_as_tag: Apply the category as a tag, too. At most one category of this group is then on the
                conversation at any time: choosing another one replaces it.

        Returns:
            One of `categories`, or `default`.

        Raises:
            UsageError: There are no categories.
            ModelError: The model could not decide, after five attempts.

        Example:
            ```python
            topic = agent.categorize(event.conversation, {"sales": "prices", "bug": "errors"}, default="other")
            ```
        """
        check.conversation("categorize", conversation, self._event.conversation)
        check.described("categorize", categories=categories)
        check.texts("categorize", default=default)
        check.optional_texts("categorize", guidelines=guidelines)
        chosen = self._runtime.perform(
            ops.Categorize(
                categories=plain(categories),
                default=default,
                guidelines=guidelines,
                apply_as_tag=apply_as_tag,
                examples=examples_in(categories),
            )
        )
        self._bring_up_to_date(conversation, chosen.tags)
        return chosen.category

    # Slack

    def create_slack_thread(self, team_id: str, channel_id: str) -> SlackThread:
        """Opens a new thread in a Slack channel.

        Args:
            team_id: The workspace, like `T0123456789`.
            channel_id: The channel, like `C0123456789`.

        Returns:
            The thread.

        Raises:
            NotConnected: The engine has no access to that workspace.
            Rejected: Slack refused, for example because the bot is not in the channel.

        Example:
            ```python
            thread = agent.create_slack_thread("T0123456789", "C0123456789")
            ```
        """
        check.texts("create_slack_thread", team_id=team_id, channel_id=channel_id)
        return self._runtime.perform(ops.CreateSlackThread(team_id=team_id, channel_id=channel_id))

    def create_or_get_slack_thread(self, convo: Conversation, team_id: str, channel_id: str) -> SlackThread:
        """The thread that this conversation has in a Slack channel; opens one the first time.

        Args:
            convo: The conversation.
            team_id: The workspace, like `T0123456789`.
            channel_id: The channel, like `C0123456789`.

        Returns:
            The same thread on every call.

        Raises:
            NotConnected: The engine has no access to that workspace.
            Rejected: Slack refused, for example because the bot is not in the channel.

        Example:
            ```python
            thread = agent.create_or_get_slack_thread(event.conversation, "T0123456789", "C0123456789")
            ```
        """
        check.conversation("create_or_get_slack_thread", convo, self._event.conversation)
        check.texts("create_or_get_slack_thread", team_id=team_id, channel_id=channel_id)
        return self._runtime.perform(ops.CreateSlackThread(team_id=team_id, channel_id=channel_id, reuse=True))

    def send_to_slack_thread(
        self,
        message: ChatMessage,
        to: SlackThread,
        ephemeral: bool = False,
        prefix: str | None = None,
        enable_feedback: bool = True,
        blocks: List[Dict[str, Any]] | None = None,  # noqa: UP006
        block_until_button_clicked: bool = False,
        *,
        timeout: timedelta | float | None = None,
        allowed_users: List[str] | None = None,  # noqa: UP006
    ) -> ButtonClicked | None:
        """Sends a message to a Slack thread.

        Args:
            message: The message, in Markdown.
            to: The thread.
            ephemeral: Only the person who wrote last sees it.
            prefix: Text to put in front.
            enable_feedback: Ask below the message whether it helped.
            blocks: Block Kit blocks to put below the message, and our own
                `{"type": "buttons", "buttons": [{"id", "style", "text"}]}`.
            block_until_button_clicked: Park the handler until one of the buttons is clicked. New messages are handled
                by the current handler meanwhile.
            timeout: How long to wait for a click, as a timedelta or in seconds; 30 days where it is None.
            allowed_users: Who may click; anyone in the thread where it is None.

        Returns:
            The click; None where nothing was waited for, or time was up.

        Raises:
            UsageError: It should wait, and there is no button.
            NotConnected: The engine has no access to that workspace.
            Rejected: Slack refused, for example because the channel is gone.

        Example:
            ```python
            buttons = [{"type": "buttons", "buttons": [{"id": "ok", "style": "primary", "text": "That helped"}]}]
            click = agent.send_to_slack_thread(
                answer, thread, blocks=buttons, block_until_button_clicked=True, timeout=timedelta(days=3)
            )
            ```

        Slack's limits: [message length](https://docs.slack.dev/reference/methods/chat.postMessage),
        [blocks](https://docs.slack.dev/reference/block-kit/blocks).
        """
        check.surface("send_to_slack_thread", to, SlackThread)
        check.optional_texts("send_to_slack_thread", prefix=prefix)
        target = to.model_copy(deep=True)
        to.config.chat_ts = None  # it names the message that this send replaces, and no later one
        try:
            click = self._send(
                "send_to_slack_thread",
                message,
                target,
                blocks,
                block_until_button_clicked,
                timeout,
                allowed_users,
                ephemeral=ephemeral,
                prefix=prefix,
                enable_feedback=enable_feedback,
            )
        except (SurfaceError, UsageError):
            to.config.chat_ts = target.config.chat_ts  # nothing was replaced
            raise
        to.config.last_ts = target.config.last_ts
        return click

    # Zendesk

    def create_zendesk_ticket(
        self,
        conversation: Conversation,
        tags: List[str] | None = None,  # noqa: UP006
        title: str | None = None,
        description: str | None = None,
        domain: str | None = None,
        *,
        follow_up_of: ZendeskTicket | None = None,
    ) -> ZendeskTicket:
        """Opens a Zendesk ticket about the conversation.

        Args:
            conversation: The conversation.
            tags: Tags of the ticket.
            title: Its title; the first message of the conversation where it is None.
            description: Its text. `{conversation}` in it stands for all messages, which are the whole text where it is
                None. Other braces stay as they are.
            domain: Which Zendesk, like `company.zendesk.com`; the only one that is connected where it is None.
            follow_up_of: A closed ticket that this one goes on from: Zendesk links the two.

        Returns:
            The ticket.

        Raises:
            NotConnected: No Zendesk is connected, or not that one.
            Rejected: Zendesk refused.

        Example:
            ```python
            ticket = agent.create_zendesk_ticket(event.conversation, tags=["from-docs"], description=agent.summarize())
            ```
        """
        method = "create_zendesk_ticket"
        check.conversation(method, conversation, self._event.conversation)
        check.optional_texts(method, title=title, description=description, domain=domain)
        check.names(method, tags=tags or [])
        if follow_up_of is not None:
            check.surface(method, follow_up_of, ZendeskTicket, name="follow_up_of")
        return self._runtime.perform(
            ops.CreateZendeskTicket(
                tags=tags, title=title, description=description, domain=domain, follow_up_of=follow_up_of
            )
        )

    def send_to_zendesk_ticket(self, message: ChatMessage, to: ZendeskTicket, *, internal: bool = False) -> None:
        """Adds a comment to a Zendesk ticket.

        Args:
            message: The comment, in Markdown.
            to: The ticket.
            internal: Only the support team may see it. Without it, the customer may, too.

        Raises:
            NotConnected: That Zendesk is not connected.
            Rejected: Zendesk refused, for example because the ticket is closed.

        Example:
            ```python
            agent.send_to_zendesk_ticket("The customer says that it works now.", ticket)
            ```
        """
        check.surface("send_to_zendesk_ticket", to, ZendeskTicket)
        check.flags("send_to_zendesk_ticket", internal=internal)
        self._send("send_to_zendesk_ticket", message, to, is_internal=internal)

    def update_zendesk_ticket(self, tags: List[str], status: str, to: ZendeskTicket) -> None:  # noqa: UP006
        """Adds tags to a Zendesk ticket and sets its status.

        Args:
            tags: Tags to add; those of others stay.
            status: `new`, `open`, `pending`, `on-hold`, `solved` or `closed`.
            to: The ticket.

        Raises:
            UsageError: The status is none of these.
            NotConnected: That Zendesk is not connected.
            Rejected: Zendesk refused, for example because the ticket is closed.

        Example:
            ```python
            agent.update_zendesk_ticket(tags=["resolved-by-docs"], status="solved", to=ticket)
            ```
        """
        check.surface("update_zendesk_ticket", to, ZendeskTicket)
        check.names("update_zendesk_ticket", tags=tags)
        check.status("update_zendesk_ticket", status)
        self._runtime.perform(ops.UpdateZendeskTicket(to=to, tags=tags, status=status))

    # Discord

    def create_discord_thread(self, guild_id: str, channel_id: str) -> DiscordThread:
        """Opens a new thread in a Discord channel.

        Args:
            guild_id: The server.
            channel_id: The channel.

        Returns:
            The thread.

        Raises:
            NotConnected: The bot is not connected to that server.
            Rejected: Discord refused, for example for lack of a permission.

        Example:
            ```python
            thread = agent.create_discord_thread("123456789012345678", "876543210987654321")
            ```
        """
        check.texts("create_discord_thread", guild_id=guild_id, channel_id=channel_id)
        return self._runtime.perform(ops.CreateDiscordThread(guild_id=guild_id, channel_id=channel_id))

    def create_or_get_discord_thread(self, conversation: Conversation, guild_id: str, channel_id: str) -> DiscordThread:
        """The thread that this conversation has in a Discord channel; opens one the first time.

        Args:
            conversation: The conversation.
            guild_id: The server.
            channel_id: The channel.

        Returns:
            The same thread on every call.

        Raises:
            NotConnected: The bot is not connected to that server.
            Rejected: Discord refused, for example for lack of a permission.

        Example:
            ```python
            thread = agent.create_or_get_discord_thread(event.conversation, "123456789012345678", "876543210987654321")
            ```
        """
        check.conversation("create_or_get_discord_thread", conversation, self._event.conversation)
        check.texts("create_or_get_discord_thread", guild_id=guild_id, channel_id=channel_id)
        return self._runtime.perform(ops.CreateDiscordThread(guild_id=guild_id, channel_id=channel_id, reuse=True))

    def send_to_discord_thread(
        self,
        message: ChatMessage,
        to: DiscordThread,
        *,
        blocks: List[Dict[str, Any]] | None = None,  # noqa: UP006
        block_until_button_clicked: bool = False,
        timeout: timedelta | float | None = None,
        allowed_users: List[str] | None = None,  # noqa: UP006
    ) -> ButtonClicked | None:
        """Sends a message to a Discord thread.

        Args:
            message: The message, in Markdown.
            to: The thread.
            blocks: Buttons: `[{"type": "buttons", "buttons": [{"id", "style", "text"}]}]`.
            block_until_button_clicked: Park the handler until one of the buttons is clicked.
            timeout: How long to wait for a click, as a timedelta or in seconds; 30 days where it is None.
            allowed_users: Who may click; anyone in the thread where it is None.

        Returns:
            The click; None where nothing was waited for, or time was up.

        Raises:
            UsageError: It should wait, and there is no button.
            NotConnected: The bot is not connected to that server.

        Example:
            ```python
            agent.send_to_discord_thread(agent.answer(event.conversation), thread)
            ```
        """
        check.surface("send_to_discord_thread", to, DiscordThread)
        return self._send(
            "send_to_discord_thread", message, to, blocks, block_until_button_clicked, timeout, allowed_users
        )

    # The chat widget and the admin console

    def send_to_chat_widget(
        self,
        message: ChatMessage,
        to: ChatWidget,
        *,
        blocks: List[Dict[str, Any]] | None = None,  # noqa: UP006
        block_until_button_clicked: bool = False,
        timeout: timedelta | float | None = None,
        allowed_users: List[str] | None = None,  # noqa: UP006
    ) -> ButtonClicked | None:
        """Sends a message to a chat widget.

        Args:
            message: The message, in Markdown.
            to: The widget.
            blocks: Buttons: `[{"type": "buttons", "buttons": [{"id", "style", "text"}]}]`.
            block_until_button_clicked: Park the handler until one of the buttons is clicked.
            timeout: How long to wait for a click, as a timedelta or in seconds; 30 days where it is None.
            allowed_users: Who may click; anyone who sees the widget where it is None.

        Returns:
            The click; None where nothing was waited for, or time was up.

        Raises:
            UsageError: It should wait, and there is no button.

        Example:
            ```python
            agent.send_to_chat_widget("A person will be with you in a minute.", widget)
            ```
        """
        check.surface("send_to_chat_widget", to, ChatWidget)
        return self._send(
            "send_to_chat_widget", message, to, blocks, block_until_button_clicked, timeout, allowed_users
        )

    def send_to_admin_console(
        self,
        message: ChatMessage,
        to: AdminConsole,
        *,
        blocks: List[Dict[str, Any]] | None = None,  # noqa: UP006
        block_until_button_clicked: bool = False,
        timeout: timedelta | float | None = None,
        allowed_users: List[str] | None = None,  # noqa: UP006
    ) -> ButtonClicked | None:
        """Sends a message to a conversation in the admin console.

        Args:
            message: The message, in Markdown.
            to: The console conversation.
            blocks: Buttons: `[{"type": "buttons", "buttons": [{"id", "style", "text"}]}]`.
            block_until_button_clicked: Park the handler until one of the buttons is clicked.
            timeout: How long to wait for a click, as a timedelta or in seconds; 30 days where it is None.
            allowed_users: Who may click; everyone with access to the console where it is None.

        Returns:
            The click; None where nothing was waited for, or time was up.

        Raises:
            UsageError: It should wait, and there is no button.

        Example:
            ```python
            agent.send_to_admin_console(agent.answer(event.conversation), console)
            ```
        """
        check.surface("send_to_admin_console", to, AdminConsole)
        return self._send(
            "send_to_admin_console", message, to, blocks, block_until_button_clicked, timeout, allowed_users
        )

    # All surfaces

    def sync_conversation(self, conversation: Conversation, to: ChatSurface) -> None:
        """Copies all messages of the conversation so far to another surface. Later edits and deletions follow there.

        Args:
            conversation: The conversation.
            to: Where to copy it.

        Raises:
            SurfaceError: The platform did not take it.

        Example:
            ```python
            agent.sync_conversation(event.conversation, thread)
            ```
        """
        check.conversation("sync_conversation", conversation, self._event.conversation)
        check.copy_target(to, conversation)
        self._runtime.perform(ops.SyncConversation(to=to))

    def listen(
        self,
        on: List[ChatSurface],  # noqa: UP006
        handler: TaskWrapper,
        triggers: List[Trigger] | None = None,  # noqa: UP006
        *,
        timeout: timedelta | float | None = None,
        on_timeout: TaskWrapper | None = None,
    ) -> None:
        """Leaves this handler, and lets another one handle what happens on these surfaces from now on.

        Args:
            on: The surfaces to listen on. The handler's parameters beyond agent and event are given these.
            handler: The handler.
            triggers: What wakes the handler, one for each surface of `on`. Where it is None: comments on Zendesk
                tickets, messages everywhere else.
            timeout: How long silence may last, as a timedelta or in seconds. Every event starts it anew.
            on_timeout: The handler that runs when it has; its event has `timed_out`.

        Raises:
            UsageError: Something does not fit together; the text says what.

        Example:
            ```python
            agent.listen([widget], follow_up, timeout=timedelta(days=1), on_timeout=ask_whether_it_helped)
            ```
        """
        silence = check.listening(on, handler, triggers, timeout, on_timeout)
        self._runtime.listen(list(on), handler, triggers, silence, on_timeout)

    def terminate(self, keep_in_sync: List[ChatSurface] | None = None) -> None:  # noqa: UP006
        """Leaves this handler, and handles nothing more in this conversation.

        Args:
            keep_in_sync: Surfaces that stay connected: what is written on one appears on the others.

        Raises:
            UsageError: `keep_in_sync` has something else than surfaces, or only one.

        Example:
            ```python
            agent.terminate(keep_in_sync=[thread, ticket])
            ```
        """
        check.mirror(keep_in_sync)
        self._runtime.terminate(keep_in_sync)

    # Time, and the world outside

    def now(self) -> datetime:
        """The time in UTC, the same whenever the handler is replayed.

        Returns:
            The time.

        Example:
            ```python
            is_weekend = agent.now().weekday() >= 5
            ```
        """
        return self._runtime.now()

    def sleep(self, duration: timedelta | float) -> None:
        """Waits. The conversation waits, too: for silence of a customer use `listen(timeout=...)`.

        Args:
            duration: How long, as a timedelta or in seconds.

        Raises:
            UsageError: The duration is negative.

        Example:
            ```python
            agent.sleep(timedelta(minutes=5))
            ```
        """
        self._runtime.sleep(check.duration("sleep(duration)", duration))

    @overload
    def step(self, name: str, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    @overload
    def step(self, name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Runs a function that a handler must not run itself, once, and remembers its result.

        A handler is replayed after a restart, so what it does by itself would be done again. Clocks, random numbers,
        files and the network are therefore refused in it; a step may use all of them.

        Args:
            name: What the Web UI calls it.
            fn: The function, synchronous or `async def`. Its result must be made of what JSON can hold, or of
                pydantic models that its annotation names.
            args: Its arguments.
            kwargs: Its keyword arguments.

        Returns:
            What the function returned.

        Raises:
            UsageError: `fn` is no function, or one of the agent's own.
            StepError: The function raised on three attempts.

        Example:
            ```python
            customer = agent.step("look up customer", find_customer, event.conversation.session_id)
            ```
        """
        check.texts("step", name=name)
        check.step(fn, self)
        return self._runtime.step(name, fn, *args, **kwargs)

    # What the methods share

    def _send(
        self,
        method: str,
        message: ChatMessage,
        to: ChatSurface,
        blocks: List[Dict[str, Any]] | None = None,  # noqa: UP006
        waits: bool = False,
        timeout: timedelta | float | None = None,
        allowed_users: List[str] | None = None,  # noqa: UP006
        **options: Any,
    ) -> ButtonClicked | None:
        check.optional_texts(method, prefix=options.get("prefix"))
        check.blocks(method, blocks)
        patience = check.waiting(method, blocks, waits, timeout, allowed_users)
        post = ops.PostMessage(to=to, message=check.message(method, message), blocks=blocks, **options)
        if waits:
            return self._runtime.post_and_wait(post, timeout=patience, allowed_users=allowed_users)
        posted = self._runtime.perform(post)
        if isinstance(to, SlackThread) and not post.ephemeral:  # nobody can change what only one person saw
            to.config.last_ts = posted.remote_id
        return None

    def _bring_up_to_date(self, conversation: Conversation, tags: List[str]) -> None:  # noqa: UP006
        for each in (conversation, self._event.conversation):
            each.tags[:] = tags
