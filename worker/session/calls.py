"""How each operation becomes an activity: result type, time-outs, retries, and what the Web UI says about it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from gateways.wire import (
    AskUpgrade,
    ContinueChat,
    Copied,
    HandOver,
    OwnUp,
    Relay,
    Relayed,
    Report,
    ToolsDue,
    UpgradeAdvice,
    UseTool,
)
from runllm import operations as ops
from runllm.bridge.messages import AssistantChatMessage
from runllm.bridge.surfaces import DiscordThread, SlackThread, ZendeskTicket

HEARTBEAT = timedelta(seconds=6)
"""A worker that is silent for so long is dead, and another takes the activity over."""

_MODEL_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_attempts=5)
_PLATFORM_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(minutes=5))
_OWN_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=20))


@dataclass(frozen=True)
class CallPolicy:
    """How one kind of operation is called.

    Attributes:
        activity: Name of the activity.
        result: Type of its result.
        attempt: How long one attempt may take.
        total: How long all attempts together may take; None is for ever.
        retries: When to try again.
        summary: A line for the Web UI. It holds no text of the conversation.
        cancellation: Whether who cancels it waits until it has ended.
    """

    activity: str
    result: Any
    attempt: timedelta
    total: timedelta | None
    retries: RetryPolicy
    summary: Callable[[Any], str] = field(repr=False)
    cancellation: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL


def _model(operation: type[ops.Operation[Any]], result: Any, summary: Callable[[Any], str]) -> CallPolicy:
    return CallPolicy(operation.name, result, timedelta(minutes=2), timedelta(minutes=10), _MODEL_RETRIES, summary)


def _platform(operation: type[ops.Operation[Any]], result: Any, summary: Callable[[Any], str]) -> CallPolicy:
    return CallPolicy(operation.name, result, timedelta(minutes=1), timedelta(days=1), _PLATFORM_RETRIES, summary)


def _own(activity: str, result: Any, summary: Callable[[Any], str]) -> CallPolicy:
    return CallPolicy(activity, result, timedelta(seconds=30), None, _OWN_RETRIES, summary)


def _ref(message: ops.MessageRef) -> str:
    return f"message {message.chat_id}" if message.chat_id is not None else "a new message"


def _post(o: ops.PostMessage) -> str:
    return f"Post {_ref(o.message)} to {o.to.type}" + (" and wait for a button" if o.wait else "")


CALLS: dict[type, CallPolicy] = {
    ops.Answer: _model(ops.Answer, AssistantChatMessage, lambda o: f"Answer {_ref(o.question)}"),
    ops.Chat: _model(ops.Chat, AssistantChatMessage | ToolsDue, lambda o: f"Reason about {_ref(o.question)}"),
    ops.StreamAnswer: _model(
        ops.StreamAnswer, AssistantChatMessage, lambda o: f"Stream an answer to {_ref(o.question)} to {o.to.type}"
    ),
    ops.Summarize: _model(ops.Summarize, str, lambda o: "Summarize the conversation"),
    ops.Learn: _model(ops.Learn, str, lambda o: "Learn from the conversation"),
    ops.Categorize: _model(ops.Categorize, ops.Categorized, lambda o: "Categorize: " + ", ".join(o.categories)),
    ops.Tag: _model(ops.Tag, ops.Tagged, lambda o: "Tag: " + ", ".join(o.options)),
    ops.ApplyTag: _own(ops.ApplyTag.name, ops.Tagged, lambda o: f"Apply the tag {o.tag}"),
    ops.CreateSlackThread: _platform(
        ops.CreateSlackThread, SlackThread, lambda o: f"Open a Slack thread in {o.channel_id}"
    ),
    ops.CreateDiscordThread: _platform(
        ops.CreateDiscordThread, DiscordThread, lambda o: f"Open a Discord thread in {o.channel_id}"
    ),
    ops.CreateZendeskTicket: _platform(
        ops.CreateZendeskTicket, ZendeskTicket, lambda o: f"Create a ticket in {o.domain or 'the connected Zendesk'}"
    ),
    ops.UpdateZendeskTicket: _platform(
        ops.UpdateZendeskTicket, type(None), lambda o: f"Set Zendesk ticket {o.to.id} to {o.status}"
    ),
    ops.PostMessage: _platform(ops.PostMessage, ops.Posted, _post),
    ops.SyncConversation: _platform(
        ops.SyncConversation, Copied | None, lambda o: f"Copy the conversation to {o.to.type}"
    ),
    ContinueChat: CallPolicy(
        "answers.chat_turn", AssistantChatMessage | ToolsDue, timedelta(minutes=2), timedelta(minutes=10),
        _MODEL_RETRIES, lambda o: f"Reason on, turn {o.turn + 1}",
    ),
    UseTool: _own("answers.chat_tool", type(None), lambda o: f"Look something up for turn {o.turn + 1}"),
    Relay: CallPolicy(
        "surfaces.relay", Relayed | None, timedelta(minutes=1), timedelta(days=1), _PLATFORM_RETRIES,
        lambda o: f"Mirror message {o.chat_id} to {', '.join(s.type for s in o.to)}",
        # A run that ends leaves it to the next one to try again: two at once might show it twice.
        ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    ),
    HandOver: _own("handover.tell", AssistantChatMessage, lambda o: "Say that a person will look at it"),
    OwnUp: CallPolicy(
        # Customers wait for the turn to end meanwhile: a platform that is away for longer is not waited for.
        "handover.own_up", type(None), timedelta(seconds=30), timedelta(minutes=2), _PLATFORM_RETRIES,
        lambda o: f"Say on {o.to.type} that the handler failed",
    ),
    Report: _own("session.report", type(None), lambda o: f"Record {o.phase or 'the log'}"),
    AskUpgrade: _own("deployments.may_upgrade", UpgradeAdvice, lambda o: "Ask whether the new version fits"),
}  # fmt: skip
"""The row for each operation. An operation without a row cannot be performed."""


def summary_line(policy: CallPolicy, operation: Any) -> str:
    """At most 200 bytes: the server refuses more than 400."""
    return policy.summary(operation).encode()[:200].decode(errors="ignore")
