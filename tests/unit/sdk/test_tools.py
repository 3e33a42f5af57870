from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from runllm import Agent, ChatWidget, Event, StepError, UsageError, WidgetListener, entrypoint, tool
from runllm.testing import NotScripted, Rehearsal


class Order(BaseModel):
    number: str
    shipped: bool = False


LOOKED_UP: list[str] = []


@tool()
def order_status(order_id: Annotated[str, Field(description="Like A-1001.")], detailed: bool = False) -> Order:
    """The status of an order."""
    LOOKED_UP.append(order_id)
    if order_id == "broken":
        raise RuntimeError("the shop is closed")
    return Order(number=order_id, shipped=detailed)


@tool(name="say-hello", description="Says hello.")
async def hello(names: list[str]) -> str:
    return f"hello {' and '.join(names)}"


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def helps(agent: Agent, event: Event) -> None:
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(agent.chat(event.conversation), event.conversation.surface)


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def helps_with_orders(agent: Agent, event: Event) -> None:
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(agent.chat(event.conversation, tools=[order_status]), event.conversation.surface)


def test_a_tool_is_described_by_its_signature_and_docstring() -> None:
    assert order_status.spec.model_dump() == {
        "name": "order_status",
        "description": "The status of an order.",
        "parameters": {
            "type": "object",
            "properties": {
                "order_id": {"type": "string", "title": "Order Id", "description": "Like A-1001."},
                "detailed": {"type": "boolean", "title": "Detailed", "default": False},
            },
            "required": ["order_id"],
            "additionalProperties": False,
        },
    }
    assert hello.spec.name == "say-hello"
    assert order_status("A-1").number == "A-1"


def test_what_a_model_gives_is_checked_and_made_what_the_function_takes() -> None:
    assert order_status.arguments({"order_id": "A-1", "detailed": "true"}) == {"order_id": "A-1", "detailed": True}
    with pytest.raises(UsageError, match="order_status does not take that: order_id: Field required; x: Extra"):
        order_status.arguments({"x": 1})


def no_docstring(x: int) -> int:
    return x


def untyped(x) -> None:  # type: ignore[no-untyped-def]
    """Something."""


def many(*x: int) -> None:
    """Something."""


def search(query: str) -> None:
    """Something."""


def undefined(x: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Something."""


def unspeakable(x: Event | Any, y: type(print)) -> None:  # type: ignore[valid-type]
    """Something."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_docstring, "needs a docstring"),
        (untyped, "needs an annotation for x"),
        (many, r"takes \*x"),
        (search, "every chat has a tool of that name"),
        (undefined, "not defined above it"),
        (unspeakable, "cannot be asked for the parameters"),
        (3, "marks a function"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_where_it_is_written(function: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        tool()(function)


def test_parentheses_are_needed() -> None:
    with pytest.raises(UsageError, match=r"write @tool\(\)"):
        tool(no_docstring)  # type: ignore[call-arg]


def test_a_rehearsed_chat_really_uses_tools() -> None:
    with Rehearsal(helps) as talk:
        talk.will_use(order_status, order_id="A-1001")
        talk.will_use(hello, names=["Ann", "Bob"])
        talk.will_answer("It is on its way.")
        assert [sent.text for sent in talk.say("Where is it?")] == ["It is on its way."]
    assert talk.used == [("order_status", '{"number":"A-1001","shipped":false}'), ("say-hello", "hello Ann and Bob")]
    assert "tool say-hello: hello Ann and Bob" in talk.transcript()


def test_a_tool_that_fails_and_wrong_arguments_are_told_to_the_model() -> None:
    LOOKED_UP.clear()
    with Rehearsal(helps) as talk:
        talk.will_use(order_status, order_id="broken")
        talk.will_use(order_status, number=3)
        talk.will_answer("I cannot find out.")
        talk.say("Where is it?")
    assert LOOKED_UP == ["broken"] * 3
    assert talk.used[0][1] == "step 'tool order_status' failed 3 times: RuntimeError: the shop is closed"
    assert "does not take that" in talk.used[1][1]
    assert StepError.__name__ not in talk.used[0][1]


def test_a_tool_that_the_chat_was_not_given_cannot_be_used() -> None:
    talk = Rehearsal(helps_with_orders)
    talk.will_use(hello, names=["Ann"])
    talk.will_answer("Hello.")
    with pytest.raises(NotScripted, match=r"will_use\(say-hello\): the chat has the tools \['order_status'\]"):
        talk.say("Hi")
