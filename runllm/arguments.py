"""What the agent's methods check before they do anything: each mistake gets one sentence that says what to write."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args

from runllm.bridge.core import Conversation
from runllm.bridge.messages import AssistantChatMessage, UserChatMessage
from runllm.bridge.surfaces import AdminConsole, ChatSurface, ChatWidget, surface_key
from runllm.bridge.triggers import Trigger
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import UsageError
from runllm.operations import MessageRef
from runllm.parameters import check_bindable
from runllm.tools import ToolWrapper

STATUSES = ("new", "open", "pending", "on-hold", "solved", "closed")
"""What the status of a Zendesk ticket can be."""

_BUTTONS = 'blocks=[{"type": "buttons", "buttons": [{"id": "yes", "style": "primary", "text": "Yes"}]}]'


def conversation(method: str, value: object, of: Conversation) -> None:
    """Refuses what is no conversation, and one of another session: an operation is about the session that asks."""
    if not isinstance(value, Conversation):
        raise UsageError(f"agent.{method}() takes a conversation, such as event.conversation, and not {_a(value)}")
    if value.session_id not in (0, of.session_id):
        raise UsageError(
            f"agent.{method}() is given the conversation of session {value.session_id} in session {of.session_id}: "
            "pass event.conversation, and keep no conversation in a global variable"
        )


def question(method: str, value: Conversation) -> MessageRef:
    """The message to answer."""
    if value.new_message is None:
        raise UsageError(
            f"agent.{method}() needs a message to answer, and nobody wrote one in this event: "
            "look at event.conversation.new_message first"
        )
    return MessageRef.of(value.new_message)


def texts(method: str, **values: object) -> None:
    """Refuses arguments that are not text, or say nothing."""
    for name, value in values.items():
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"agent.{method}({name}=...) takes a text with something in it, and not {value!r}")


def optional_texts(method: str, **values: object) -> None:
    """Refuses arguments that are neither text nor None."""
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"agent.{method}({name}=...) takes a text or None, and not {_a(value)}")


def names(method: str, **values: object) -> None:
    """Refuses arguments that are not lists of texts."""
    for name, value in values.items():
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item.strip() for item in value):
            raise UsageError(f'agent.{method}({name}=...) takes a list of texts, like ["billing"], and not {_a(value)}')


def described(method: str, **values: object) -> None:
    """Refuses arguments that do not describe at least one thing each."""
    for name, value in values.items():
        if (
            not isinstance(value, dict)
            or not value
            or not all(isinstance(key, str) and key.strip() and isinstance(text, str) for key, text in value.items())
        ):
            raise UsageError(
                f"agent.{method}({name}=...) takes at least one name with a description, "
                f'like {{"billing": "invoices, prices, refunds"}}, and not {_a(value)}'
            )


def status(method: str, value: object) -> None:
    """Refuses a status that Zendesk does not have."""
    if value not in STATUSES:
        raise UsageError(f"agent.{method}(status=...) takes one of {', '.join(STATUSES)}, and not {value!r}")


def flags(method: str, **values: object) -> None:
    """Refuses what is neither True nor False: a text like "no" would count as True."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise UsageError(f"agent.{method}({name}=...) takes True or False, and not {value!r}")


def surface(method: str, value: object, kind: type, name: str = "to") -> None:
    """Refuses what is not a surface of this kind."""
    if isinstance(value, kind):
        return
    example = "it takes event.conversation.surface, or what created the surface"
    if isinstance(value, get_args(ChatSurface)):
        example = f"for that there is agent.send_to_{value.type}()"
    raise UsageError(f"agent.{method}({name}=...) takes a {kind.__name__}, and not {_a(value)}: {example}")


def surfaces(where: str, values: object) -> None:
    """Refuses what is not a list of surfaces."""
    kinds = get_args(ChatSurface)
    if not isinstance(values, list | tuple) or not all(isinstance(value, kinds) for value in values):
        strangers = [v for v in values if not isinstance(v, kinds)] if isinstance(values, list | tuple) else [values]
        raise UsageError(
            f"agent.{where} takes a list of surfaces, like [event.conversation.surface], and not {_a(strangers[0])}"
        )


def copy_target(value: object, of: Conversation) -> None:
    """Refuses to copy a conversation to something that is no surface, or to where it happens already."""
    surfaces("sync_conversation(to=...)", [value])
    if isinstance(value, get_args(ChatSurface)) and surface_key(value) == surface_key(of.surface):
        raise UsageError("agent.sync_conversation(to=...) takes another surface than the conversation's own")


def mirror(values: object) -> None:
    """Refuses surfaces that cannot be kept in sync."""
    if values is None:
        return
    where = "terminate(keep_in_sync=[...])"
    surfaces(where, values)
    assert isinstance(values, list | tuple)
    if len({surface_key(value) for value in values}) == 1:
        raise UsageError(f"agent.{where} takes at least two surfaces: also the one that the conversation happens on")


def streaming(value: ChatSurface) -> ChatWidget | AdminConsole:
    """The surface, where it can show an answer that is being made."""
    if not isinstance(value, ChatWidget | AdminConsole):
        raise UsageError(
            f"agent.stream_answer() works on a chat widget and in the admin console, and not on a "
            f"{type(value).__name__}: use agent.answer() and send what it returns"
        )
    return value


def message(method: str, value: object) -> MessageRef:
    """The message to send."""
    if value is None:
        raise UsageError(
            f"agent.{method}() has no message to send: event.conversation.new_message is None where nobody wrote one"
        )
    if not isinstance(value, str | AssistantChatMessage | UserChatMessage):
        raise UsageError(f"agent.{method}() sends a text, an answer or a person's message, and not {_a(value)}")
    text = value if isinstance(value, str) else value.text
    has_files = isinstance(value, UserChatMessage) and bool(value.attachments)
    if not text.strip() and not has_files:
        raise UsageError(f"agent.{method}() needs a message with something in it, and not {text!r}")
    return MessageRef.of(value)


def duration(where: str, value: object) -> timedelta:
    """A timedelta or a number of seconds, as a timedelta."""
    if isinstance(value, bool) or not isinstance(value, timedelta | int | float):
        raise UsageError(f"agent.{where} takes a timedelta or a number of seconds, and not {_a(value)}")
    try:
        length = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (OverflowError, ValueError):
        raise UsageError(f"agent.{where} takes at most {timedelta.max.days} days, and not {value!r}") from None
    if length < timedelta():
        raise UsageError(f"agent.{where} takes no time before now: {value!r}")
    return length


def patience(where: str, value: object) -> timedelta | None:
    """How long to wait for something; None for as long as the engine does by itself."""
    if value is None:
        return None
    length = duration(where, value)
    if not length:
        raise UsageError(f"agent.{where} takes some time to wait, and not {value!r}")
    return length


def blocks(method: str, value: object) -> None:
    """Refuses blocks whose buttons cannot be shown or told apart."""
    if value is None:
        return
    if not isinstance(value, list | tuple) or not all(isinstance(b, dict) and b.get("type") for b in value):
        raise UsageError(f"agent.{method}(blocks=...) takes a list of blocks with a type each, like {_BUTTONS}")
    for block in value:
        if block["type"] == "buttons":
            _row(method, block.get("buttons"))
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"agent.{method}(blocks=...) takes what JSON can hold: {error}") from None
    ids = button_ids(value)
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"agent.{method}(blocks=...) has two buttons with the id {twice!r}: a click could mean either")


def button_ids(value: Sequence[dict[str, Any]] | None) -> list[str]:
    """The ids of all buttons in blocks, in order."""
    return [b["id"] for block in value or () if block["type"] == "buttons" for b in block["buttons"]]


def waiting(
    method: str, value: Sequence[dict[str, Any]] | None, waits: bool, timeout: object, allowed_users: object
) -> timedelta | None:
    """How long to wait for a button; refuses to wait for none, and options of a wait without one."""
    if not waits:
        if timeout is not None or allowed_users is not None:
            raise UsageError(
                f"agent.{method}(timeout=..., allowed_users=...) are about a wait: add block_until_button_clicked=True"
            )
        return None
    if not button_ids(value):
        raise UsageError(f"agent.{method}(block_until_button_clicked=True) needs a button: {_BUTTONS}")
    if allowed_users is not None:
        names(method, allowed_users=allowed_users)
        if not allowed_users:
            raise UsageError(f"agent.{method}(allowed_users=[]) lets nobody click: leave it out to let anyone")
    return patience(f"{method}(timeout=...)", timeout)


def listening(on: object, handler: object, triggers: object, timeout: object, on_timeout: object) -> timedelta | None:
    """How long silence may last; refuses what `listen` could not do."""
    surfaces("listen(on=[...])", on)
    assert isinstance(on, list | tuple)
    if not on:
        raise UsageError(
            "agent.listen(on=[...]) needs a surface, such as event.conversation.surface. "
            "To listen to nothing more there is agent.terminate()"
        )
    if (timeout is None) != (on_timeout is None):
        raise UsageError("agent.listen(timeout=..., on_timeout=...) go together: how long silence lasts, and what then")
    for name, value in (("handler", handler), ("on_timeout", on_timeout)):
        if isinstance(value, TaskWrapper | EntrypointWrapper):
            check_bindable(value.function, on)
        elif name == "handler" or value is not None:
            raise UsageError(f"agent.listen({name}=...) takes a function marked with @task(), and not {_a(value)}")
    if triggers is not None:
        _one_trigger_each(on, triggers)
    return patience("listen(timeout=...)", timeout)


def tools(method: str, values: object) -> None:
    """Refuses anything but None or a list of functions marked with `@tool`, each name once."""
    if values is None:
        return
    if not isinstance(values, list | tuple) or not all(isinstance(value, ToolWrapper) for value in values):
        raise UsageError(f"agent.{method}(tools=...) takes a list of functions marked with @tool(), and not {values!r}")
    names = [value.name for value in values]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"agent.{method}(tools=...) has two tools called {twice[0]!r}. Pass @tool(name=...) to one")


def step(function: object, agent: object) -> None:
    """Refuses what cannot be run as a step."""
    if not callable(function):
        raise UsageError(
            f"agent.step() takes a function and its arguments, step(name, function, argument), and not {_a(function)}"
        )
    if getattr(function, "__self__", None) is agent:
        raise UsageError("agent.step() is for what is not durable by itself: call the agent's methods as they are")


def _one_trigger_each(on: Sequence[ChatSurface], triggers: object) -> None:
    where = "agent.listen(triggers=[...])"
    if not isinstance(triggers, list | tuple) or len(triggers) != len(on):
        given = len(triggers) if isinstance(triggers, list | tuple) else _a(triggers)
        raise UsageError(f"{where} takes one trigger for each surface of on: {len(on)}, and not {given}")
    for trigger in triggers:
        if not isinstance(trigger, get_args(Trigger)):
            raise UsageError(f"{where} takes triggers, like AllMessages(), and not {_a(trigger)}")


def _row(method: str, row: object) -> None:
    if not isinstance(row, list | tuple) or not row:
        raise UsageError(f"agent.{method}(blocks=...) has buttons without a button: write {_BUTTONS}")
    for button in row:
        if not isinstance(button, dict) or not all(
            isinstance(button.get(key), str) and button[key].strip() for key in ("id", "text")
        ):
            raise UsageError(f"agent.{method}(blocks=...) has a button without id or text: {button!r}")


def _a(value: object) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= 120 else f"{text[:119]}…"
