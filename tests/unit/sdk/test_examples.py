"""The examples in docstrings run: against a rehearsal, or where they publish, with publishing switched off."""

import inspect
from datetime import timedelta
from typing import Any

import pytest

import runllm
from runllm import (
    AdminConsole,
    Agent,
    AnswerCategory,
    ChatWidget,
    Client,
    DiscordThread,
    Event,
    SlackThread,
    WidgetListener,
    ZendeskTicket,
    entrypoint,
    task,
    tool,
)
from runllm.testing import Rehearsal
from tests.unit.sdk.examples import EXAMPLES


def find_customer(session_id: int) -> str:
    return f"customer of session {session_id}"


@tool()
def order_status(order_id: str) -> str:
    """The status of an order."""
    return "shipped" if order_id == "A-1001" else "unknown"


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def chats_about_orders(agent: Agent, event: Event) -> None:
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(agent.chat(event.conversation), event.conversation.surface)


@task()
def follow_up(agent: Agent, event: Event, widget: ChatWidget) -> None: ...


@task()
def ask_whether_it_helped(agent: Agent, event: Event) -> None: ...


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def answer_questions(agent: Agent, event: Event) -> None:
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(agent.answer(event.conversation), event.conversation.surface)


def names_in(agent: Agent, event: Event, name: str) -> dict[str, Any]:
    """What the examples take for granted."""
    return {
        **vars(runllm),
        "Rehearsal": Rehearsal,
        "agent": agent,
        "event": event,
        "answer": "It does.",
        "widget": event.conversation.surface,
        "console": AdminConsole.model_validate({"config": {"agent_id": 1, "convo_identifier": "c"}}),
        "thread": agent.create_or_get_slack_thread(event.conversation, "T1", "C1"),
        "ticket": agent.create_zendesk_ticket(event.conversation),
        "client": Client(),
        "answer_questions": answer_questions,
        "follow_up": follow_up,
        "ask_whether_it_helped": ask_whether_it_helped,
        "find_customer": find_customer,
        "order_status": order_status,
        "timedelta": timedelta,
        "talk": Rehearsal(chats_about_orders if "use" in name else answer_questions),
    }


@pytest.fixture(autouse=True)
def _publishes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLLM_LOADING", "1")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str) -> None:
    ran: list[str] = []

    @entrypoint(listeners=[WidgetListener(domain="example.com")])
    def runs_it(agent: Agent, event: Event) -> None:
        names = names_in(agent, event, name)
        if "discord" in name:
            names["thread"] = agent.create_discord_thread("1", "2")
        ran.append(name)
        exec(compile(EXAMPLES[name], name, "exec"), names)

    talk = Rehearsal(runs_it, [follow_up, ask_whether_it_helped])
    talk.will_answer("It does.", AnswerCategory.ANSWERED)
    talk.will_summarize("Short.")
    talk.will_learn("It ships in May.")
    talk.will_categorize("other")
    talk.will_tag()
    talk.will_click("ok")
    talk.say("Does it?")
    assert ran == [name]


def test_every_method_of_an_agent_and_a_client_has_an_example() -> None:
    owners = {name.rpartition(" ")[0] for name in EXAMPLES}
    for kind in (Agent, Client):
        public = {name for name in vars(kind) if not name.startswith("_")}
        assert {f"{kind.__module__}.{kind.__name__}.{name}" for name in public} <= owners


def test_examples_are_found_in_modules_too() -> None:
    assert {"runllm 1", "runllm.testing 1", "runllm.decorators.task 1"} <= set(EXAMPLES)
    assert len(EXAMPLES) > 30


@pytest.mark.parametrize("kind", [SlackThread, DiscordThread, ZendeskTicket, ChatWidget, AdminConsole])
def test_every_public_noun_says_what_its_fields_are(kind: Any) -> None:
    text = inspect.getdoc(kind) or ""
    assert [name for name in kind.model_fields if f"    {name}: " not in text] == []
