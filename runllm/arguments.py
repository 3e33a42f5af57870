"""What the agent's methods check before they do anything: each mistake gets one sentence that says what to write."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args

from runllm.bridge.core import Conversation
from runllm.bridge.messages import AssistantChatMessage, UserChatMessage
from runllm.bridge.surfaces import AdminConsole, ChatSurface, ChatWidget
from runllm.bridge.triggers import Trigger
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import UsageError
from runllm.operations import MessageRef

STATUSES = ("new", "open", "pending", "on-hold", "solved", "closed")


def conversation(value: object, method: str) -> None:
    """Refuses what is no conversation."""
    if not isinstance(value, Conversation):
        raise UsageError(f"agent.{method}() takes a conversation, such as event.conversation, not {_a(value)}")


def question(value: Conversation, method: str) -> MessageRef:
    """The message to answer."""
    conversation(value, method)
    if value.new_message is None:
        raise UsageError(f"agent.{method}() needs a message to answer, and nobody wrote one in this event")
    return MessageRef.of(value.new_message)


def surface(value: object, kind: type, method: str) -> None:
    """Refuses what is not a surface of this kind."""
    if not isinstance(value, kind):
        raise UsageError(f"agent.{method}(to=...) takes a {kind.__name__}, not {_a(value)}")


def any_surface(value: object, where: str) -> None:
    """Refuses what is no surface."""
    if not isinstance(value, get_args(ChatSurface)):
        raise UsageError(f"{where} takes surfaces, such as event.conversation.surface, not {_a(value)}")


def streams(value: ChatSurface) -> ChatWidget | AdminConsole:
    """The surface, where it can show an answer that is being made."""
    if not isinstance(value, ChatWidget | AdminConsole):
        raise UsageError(
            f"agent.stream_answer() works on a chat widget and in the admin console, not on a {type(value).__name__}: "
            f"use agent.answer() and send what it returns"
        )
    return value


def message(value: object) -> None:
    """Refuses what cannot be sent."""
    if not isinstance(value, str | AssistantChatMessage | UserChatMessage):
        raise UsageError(f"a message is a text, an answer or a person's message, not {_a(value)}")
    not_empty(value if isinstance(value, str) else value.text, "message")


def not_empty(value: object, what: str) -> None:
    """Refuses texts that say nothing."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{what} must be a text with something in it, not {value!r}")


def options(value: object, what: str) -> None:
    """Refuses anything but a name with a description, at least once."""
    if not isinstance(value, dict) or not value or not all(isinstance(x, str) for pair in value.items() for x in pair):
        raise UsageError(f'{what} must name at least one, with a description: {what}={{"billing": "about invoices"}}')


def status(value: str) -> None:
    """Refuses a status that Zendesk does not have."""
    if value not in STATUSES:
        raise UsageError(f"status must be one of {', '.join(STATUSES)}, not {value!r}")


def duration(value: timedelta | float | None, what: str) -> timedelta | None:
    """A timedelta or a number of seconds, as a timedelta."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, timedelta | int | float):
        raise UsageError(f"{what} is a timedelta or a number of seconds, not {_a(value)}")
    length = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if length < timedelta():
        raise UsageError(f"{what} must not be negative, and is {value}")
    return length


def button_ids(blocks: Sequence[dict[str, Any]] | None) -> list[str]:
    """The ids of all buttons in `blocks`, in order."""
    return [b["id"] for block in blocks or [] if block.get("type") == "buttons" for b in block["buttons"]]


def buttons(blocks: object) -> None:
    """Refuses blocks whose buttons cannot be told apart."""
    if blocks is None:
        return
    if not isinstance(blocks, list) or not all(isinstance(block, dict) and "type" in block for block in blocks):
        raise UsageError('blocks is a list of blocks, each a dictionary with a "type"')
    for block in blocks:
        if block["type"] == "buttons":
            _check_row(block)
    ids = button_ids(blocks)
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise UsageError(f"two buttons have the id {twice[0]!r}: a click could not tell them apart")


def _check_row(block: dict[str, Any]) -> None:
    row = block.get("buttons")
    if not isinstance(row, list) or not row:
        raise UsageError('a block of type "buttons" needs "buttons": [{"id": ..., "text": ...}]')
    for button in row:
        if not isinstance(button, dict) or not all(
            isinstance(button.get(k), str) and button[k] for k in ("id", "text")
        ):
            raise UsageError(f'a button needs an "id" and a "text", both texts: {button!r}')


def has_buttons(blocks: Sequence[dict[str, Any]] | None) -> None:
    """Refuses to wait for a button where there is none."""
    if not button_ids(blocks):
        raise UsageError(
            'block_until_button_clicked=True needs a button: blocks=[{"type": "buttons", "buttons": [...]}]'
        )


def no_wait(timeout: object, allowed_users: object) -> None:
    """Refuses options of a wait where nothing is waited for."""
    if timeout is not None or allowed_users is not None:
        raise UsageError("timeout= and allowed_users= belong to a wait: add block_until_button_clicked=True")


def listening(on: object, handler: object, triggers: object, timeout: object, on_timeout: object) -> None:
    """Refuses what `listen` could not do."""
    if not isinstance(on, list | tuple) or not on:
        raise UsageError("agent.listen(on=[...]) needs at least one surface, such as event.conversation.surface")
    for place in on:
        any_surface(place, "agent.listen(on=[...])")
    for name, value in (("handler", handler), ("on_timeout", on_timeout)):
        if not (isinstance(value, TaskWrapper | EntrypointWrapper) or (name == "on_timeout" and value is None)):
            raise UsageError(f"agent.listen({name}=...) takes a function marked with @task(), not {_a(value)}")
    if triggers is not None:
        if not isinstance(triggers, list | tuple) or len(triggers) != len(on):
            raise UsageError(f"agent.listen(triggers=[...]) takes one trigger for each surface of on, {len(on)} here")
        for trigger in triggers:
            if not isinstance(trigger, get_args(Trigger)):
                raise UsageError(f"agent.listen(triggers=[...]) takes triggers like AllMessages(), not {_a(trigger)}")
    if (timeout is None) != (on_timeout is None):
        raise UsageError("agent.listen(timeout=..., on_timeout=...) go together: how long, and what runs then")


def _a(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:120]
