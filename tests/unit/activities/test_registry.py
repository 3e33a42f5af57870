"""Each operation has one activity: same name, takes the call of it, returns its result."""

import typing
from types import NoneType
from typing import Any

import pytest
from temporalio import activity

from gateways.wire import (
    AskUpgrade,
    Call,
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
from runllm import operations
from runllm.bridge.messages import AssistantChatMessage
from runllm.operations import Chat, Operation, SyncConversation
from tests.unit.activities.conftest import Case
from worker.activities.registry import activities
from worker.session.calls import CALLS

OPERATIONS = [
    kind
    for kind in vars(operations).values()
    if isinstance(kind, type)
    and issubclass(kind, Operation)
    and "name" in vars(kind)
    and kind not in (Chat, SyncConversation)
]

OTHERS = {
    "surfaces.relay": (Relay, Relayed | None),
    "surfaces.sync_conversation": (SyncConversation, Copied),
    "answers.chat": (Chat, AssistantChatMessage | ToolsDue),
    "answers.chat_turn": (ContinueChat, AssistantChatMessage | ToolsDue),
    "answers.chat_tool": (UseTool, NoneType),
    "handover.tell": (HandOver, AssistantChatMessage),
    "handover.own_up": (OwnUp, NoneType),
    "session.report": (Report, NoneType),
    "deployments.may_upgrade": (AskUpgrade, UpgradeAdvice),
}


def result_of(kind: type[Operation[Any]]) -> Any:
    """The `R` of `Operation[R]`."""
    found = [getattr(one, "__pydantic_generic_metadata__", {}).get("args") for one in kind.__mro__]
    ((result,),) = [arguments for arguments in found if arguments]
    return result if result is not None else NoneType


@pytest.fixture
def signatures(case: Case) -> dict[str, tuple[Any, Any]]:
    found = {}
    for function in activities(case.context):
        definition = activity._Definition.must_from_callable(function)
        hints = typing.get_type_hints(function)
        assert definition.name is not None
        assert definition.name not in found, f"two activities are called {definition.name}"
        found[definition.name] = (hints["call"], hints["return"])
    return found


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.name)
def test_each_operation_has_its_activity(signatures: dict[str, tuple[Any, Any]], kind: type[Operation[Any]]) -> None:
    assert signatures[kind.name] == (Call[kind], result_of(kind))  # type: ignore[valid-type]


def test_there_are_no_others(signatures: dict[str, tuple[Any, Any]]) -> None:
    expected = {kind.name for kind in OPERATIONS} | set(OTHERS)
    assert set(signatures) == expected
    for name, (operation, result) in OTHERS.items():
        assert signatures[name] == (Call[operation], result)  # type: ignore[valid-type]


def test_sessions_call_what_there_is(signatures: dict[str, tuple[Any, Any]]) -> None:
    for operation, policy in CALLS.items():
        if policy.activity in signatures:
            argument, result = signatures[policy.activity]
            assert argument == Call[operation]  # type: ignore[valid-type]
            assert result == policy.result or result in typing.get_args(policy.result), "a worker may be an older one"
    assert set(signatures) <= {policy.activity for policy in CALLS.values()}
