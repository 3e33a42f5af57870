"""The calls of a conversation, as its history has them and as code makes them again, and where the two part."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import ValidationError
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from gateways.wire import Call
from runllm.operations import Frozen

STEP, SLEEP = "agent.step", "agent.sleep"
"""What is called without an activity of the engine."""

_LOCAL = "core_local_activity"
"""Name of the marker that Temporal's SDK leaves for a local activity."""

_REPORT = "session.report"


class MadeCall(Frozen):
    """One call of an activity.

    Attributes:
        activity: Its name.
        handler: The handler that asked; empty where the session did by itself.
        operation: What was asked for.
        line: Where in the customer's files, like "desk.py, line 12: `agent.answer(...)`"; empty where nobody knows.
    """

    activity: str
    handler: str = ""
    operation: dict[str, Any] = {}
    line: str = ""


class Difference(Frozen):
    """Where code leaves the path of a conversation.

    Attributes:
        kind: `path`: other calls, which no running session could go on with; `words`: the same calls that say other
            things.
        text: Both sides, in a sentence.
        line: The line of the customer's file, where it is known.
    """

    kind: Literal["path", "words"]
    text: str
    line: str = ""


def calls_in(history: WorkflowHistory) -> list[MadeCall]:
    """The calls that a history has, in order."""
    return [call for event in history.events if (call := _call_in(event)) is not None]


def _call_in(event: HistoryEvent) -> MadeCall | None:
    if event.HasField("activity_task_scheduled_event_attributes"):
        attributes = event.activity_task_scheduled_event_attributes
        payloads = attributes.input.payloads
        return _made(attributes.activity_type.name, payloads[0].data if payloads else b"")
    if event.HasField("marker_recorded_event_attributes"):
        is_step = event.marker_recorded_event_attributes.marker_name == _LOCAL
        return MadeCall(activity=STEP) if is_step else None
    is_sleep = event.HasField("timer_started_event_attributes") and SLEEP.encode() in event.user_metadata.summary.data
    return MadeCall(activity=SLEEP) if is_sleep else None


def _made(activity: str, argument: bytes) -> MadeCall:
    try:
        call = Call[dict[str, Any]].model_validate_json(argument)
    except ValidationError:
        return MadeCall(activity=activity)
    return MadeCall(activity=activity, handler=call.handler, operation=call.operation)


def parting(before: Sequence[MadeCall], now: Sequence[MadeCall]) -> Difference | None:
    """Where code that could not be replayed left the path; None where the calls do not show it."""
    for number, (old, new) in enumerate(zip(before, now, strict=False)):
        if old.activity != new.activity:
            return Difference(kind="path", text=_instead(old, new, before[number:]), line=new.line)
    if len(now) < len(before):
        old = before[len(now)]
        last = next((call.line for call in reversed(now) if call.line), "")
        text = f"the conversation went on with {_named(old)}, which this code does not call any more"
        return Difference(kind="path", text=text + (", after this line" if last else ""), line=last)
    if len(now) > len(before):
        new = now[len(before)]
        return Difference(kind="path", text=f"this code calls {_named(new)} where there was no call", line=new.line)
    return None


def _instead(old: MadeCall, new: MadeCall, rest: Sequence[MadeCall]) -> str:
    if (error := _error_in(new)) and not _error_in(old):
        return f"this code fails where the conversation called {_named(old)}: {error}"
    text = f"this code calls {_named(new)} where the conversation called {_named(old)}"
    if any(call.activity == new.activity for call in rest):
        return f"{text}, and the other only later: the two have changed places, or the earlier one was removed"
    return text


def changed_words(before: Sequence[MadeCall], now: Sequence[MadeCall]) -> Difference | None:
    """The first of the same calls that asks for something else than before, where code could be replayed."""
    pairs = list(zip(before, now, strict=False))
    for old, new in pairs:
        if old.operation == new.operation or new.activity == _REPORT:
            continue
        if _multiset(old for old, _ in pairs) == _multiset(new for _, new in pairs):
            text = f"the calls of {_named(new)} have changed places: what they ask for is no longer in the same order"
            return Difference(kind="path", text=text, line=new.line)
        fields = [name for name in new.operation if old.operation.get(name) != new.operation[name]]
        return Difference(
            kind="words", text=f"{_named(new)} gets another {', '.join(fields) or 'argument'}", line=new.line
        )
    return None


def _multiset(calls: Any) -> list[str]:
    return sorted(f"{call.activity} {json.dumps(call.operation, sort_keys=True)}" for call in calls)


def _error_in(call: MadeCall) -> str:
    if call.activity != _REPORT:
        return ""
    errors = [line["text"] for line in call.operation.get("lines", []) if line.get("level") == "error"]
    return str(errors[0]).strip().splitlines()[-1] if errors else ""


def _named(call: MadeCall) -> str:
    return f"`{call.activity}`" + (f" in `{call.handler}`" if call.handler else "")
