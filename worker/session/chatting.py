"""`Agent.chat`: the turns of a model and the tools that it uses, each of them durable by itself.

The session drives: a turn of the model is an activity, so is each of the engine's own tools, and a tool of the
customer's is a step on this host. What is said between turns is in the record and not in the session's history; only
what a customer's tool is given and gives crosses it, because no other process may run the customer's code.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from gateways.wire import ContinueChat, ToolOutput, ToolsDue, UseTool
from runllm.bridge.messages import AssistantChatMessage
from runllm.errors import StepError, UsageError
from runllm.operations import Chat, MessageRef, ToolCall
from runllm.tools import ToolWrapper, as_text

Step = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Awaitable[Any]]


class Performs(Protocol):
    """What a chat needs of its session."""

    async def perform(self, operation: Any, handler: str = "", effect: int | None = None) -> Any:
        """Performs an operation as an activity."""
        ...


async def chat(
    session: Performs, handler: str, question: MessageRef, tools: Mapping[str, ToolWrapper], step: Step
) -> AssistantChatMessage:
    """The answer of a chat."""
    begin = Chat(question=question, tools=[tool.spec for tool in tools.values()])
    said: AssistantChatMessage | ToolsDue = await session.perform(begin, handler)
    while isinstance(said, ToolsDue):
        ours = [call for call in said.calls if call.name not in tools]
        uses = [UseTool(chat=said.chat, turn=said.turn, call_id=call.id) for call in ours]
        await asyncio.gather(*(session.perform(use, handler) for use in uses))
        # One after the other: a customer's tools may change things, and depend on each other.
        outputs = [await _output(tools[call.name], call, step) for call in said.calls if call.name in tools]
        said = await session.perform(ContinueChat(chat=said.chat, turn=said.turn + 1, outputs=outputs), handler)
    return said


async def _output(tool: ToolWrapper, call: ToolCall, step: Step) -> ToolOutput:
    try:
        result = await step(f"tool {tool.name}", tool.function, (), tool.arguments(call.arguments))
    except (StepError, UsageError) as error:
        return ToolOutput(call_id=call.id, text=str(error), is_error=True)
    return ToolOutput(call_id=call.id, text=as_text(result))
