"""Handlers for the tests of the session engine. They are written as a support engineer would write them."""

import asyncio
import random
import time
from datetime import datetime, timedelta

from runllm import Agent, ButtonClicked, ChatWidget, Event, SlackThread, entrypoint, task
from runllm.bridge.listeners import WidgetListener

HERE = [WidgetListener(domain="localhost")]
BUTTONS = [
    {"type": "buttons", "buttons": [{"id": "yes", "style": "primary", "text": "Yes"}, {"id": "no", "text": "No"}]}
]
SEEN: list[str] = []


def text_of(event: Event) -> str:
    assert event.conversation.new_message is not None
    return event.conversation.new_message.text


def say(agent: Agent, event: Event, text: str) -> None:
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(text, event.conversation.surface)


def ask(agent: Agent, event: Event, text: str, timeout: timedelta | None = None) -> ButtonClicked | None:
    assert isinstance(event.conversation.surface, ChatWidget)
    return agent.send_to_chat_widget(
        text, event.conversation.surface, blocks=BUTTONS, block_until_button_clicked=True, timeout=timeout
    )


@entrypoint(listeners=HERE)
def answers(agent, event):  # type: ignore[no-untyped-def]
    """Handlers need no annotations."""
    answer = agent.answer(event.conversation)
    agent.send_to_chat_widget(answer, event.conversation.surface)


@entrypoint(listeners=HERE)
def streams(agent: Agent, event: Event) -> None:
    agent.stream_answer(event.conversation)


@entrypoint(listeners=HERE)
async def answers_async(agent: Agent, event: Event) -> None:
    answer = agent.answer(event.conversation)
    await asyncio.sleep(0.01)
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(answer, event.conversation.surface)


@entrypoint(listeners=HERE)
def parks(agent: Agent, event: Event) -> None:
    """Asks on "ask", answers everything else: what the escalation recipe does."""
    if text_of(event) == "ask":
        click = ask(agent, event, "helpful?")
        say(agent, event, f"clicked {click.id if click else None}")
    elif text_of(event) == "ask briefly":
        click = ask(agent, event, "quickly?", timeout=timedelta(seconds=1))
        say(agent, event, f"clicked {click.id if click else None}")
    else:
        say(agent, event, f"you said {text_of(event)}")


@entrypoint(listeners=HERE)
def moves(agent: Agent, event: Event) -> None:
    say(agent, event, "first")
    try:
        agent.listen([event.conversation.surface], second)
    except Exception:
        say(agent, event, "an except clause must not catch a transition")


@task()
def second(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget(f"second: {text_of(event)}", widget)
    agent.apply_tag("urgent", event.conversation)
    agent.send_to_chat_widget(f"tags: {event.conversation.tags}", widget)
    agent.listen([widget], third)


@task()
def third(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget(f"third: {text_of(event)} {event.conversation.tags}", widget)
    agent.terminate()


@entrypoint(listeners=HERE)
def parks_then_moves(agent: Agent, event: Event) -> None:
    if text_of(event) == "ask":
        ask(agent, event, "helpful?")
        agent.listen([event.conversation.surface], third)
    if text_of(event) == "end":
        agent.terminate()
    agent.listen([event.conversation.surface], second)


@entrypoint(listeners=HERE)
def binds_wrongly(agent: Agent, event: Event) -> None:
    agent.listen([event.conversation.surface], wants_slack)


@task()
def wants_slack(agent: Agent, event: Event, thread: SlackThread) -> None:
    agent.send_to_slack_thread("hello", thread)


@entrypoint(listeners=HERE)
def breaks(agent: Agent, event: Event) -> None:
    """Every mistake that a handler can make, by name."""
    match text_of(event):
        case "divide":
            say(agent, event, str(1 // 0))
        case "time":
            time.time()
        case "now":
            datetime.now()
        case "sleep":
            time.sleep(1)
        case "random":
            random.random()
        case "open":
            open("/etc/hostname").close()
        case "urlopen":
            import urllib.request

            urllib.request.urlopen("http://127.0.0.1:9")
        case "httpx":
            import httpx

            httpx.get("http://127.0.0.1:9")
        case "spin":
            while True:
                pass
        case "slack":
            agent.create_slack_thread("T1", "C1")
        case "model":
            agent.answer(event.conversation)
        case "swallow":
            try:
                time.time()
            except BaseException:
                say(agent, event, "swallowed")
        case other:
            say(agent, event, f"fine: {other}")


@entrypoint(listeners=HERE)
def prints(agent: Agent, event: Event) -> None:
    print("before", 1)
    say(agent, event, "one")
    print("after")


@entrypoint(listeners=HERE)
def clocks(agent: Agent, event: Event) -> None:
    before = agent.now()
    agent.sleep(0.2)
    passed = agent.now() - before
    say(agent, event, f"{passed >= timedelta(seconds=0.2)} {before.tzinfo}")


def outside(text: str) -> dict[str, object]:
    SEEN.append(text)
    with open("/etc/hostname") as file:
        return {"text": text, "time": time.time() > 0, "file": bool(file.read())}


def always_fails() -> None:
    raise LookupError("no such customer")


@entrypoint(listeners=HERE)
def steps(agent: Agent, event: Event) -> None:
    if text_of(event) == "fail":
        agent.step("look up", always_fails)
    prefix = "in a closure: "
    result = agent.step("read", outside, text_of(event))
    say(agent, event, str(sorted(result.items())))
    say(agent, event, agent.step("close over", lambda: prefix + str(time.time() > 0)))
    say(agent, event, f"ran {agent.step('count', lambda: len(SEEN))} times")


@entrypoint(listeners=HERE)
def waits_for_silence(agent: Agent, event: Event) -> None:
    say(agent, event, "here you are")
    agent.listen([event.conversation.surface], waits_more, timeout=timedelta(days=1), on_timeout=follows_up)


@task()
def waits_more(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget(f"not silent: {text_of(event)}", widget)


@entrypoint(listeners=HERE)
def waits_for_less_silence(agent: Agent, event: Event) -> None:
    say(agent, event, "here you are")
    agent.listen([event.conversation.surface], waits_again, timeout=timedelta(days=9), on_timeout=follows_up)


@task()
def waits_again(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget(f"not silent: {text_of(event)}", widget)
    agent.listen([widget], waits_again, timeout=timedelta(hours=1), on_timeout=follows_up)


@task()
def follows_up(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget(f"still there? {event.timed_out} {event.conversation.new_message}", widget)


@entrypoint(listeners=HERE)
def mirrors(agent: Agent, event: Event) -> None:
    other = ChatWidget.model_validate({"config": {"convo_identifier": f"other-{event.conversation.session_id}"}})
    agent.terminate(keep_in_sync=[event.conversation.surface, other])


@entrypoint(listeners=HERE)
def mirrors_three(agent: Agent, event: Event) -> None:
    number = event.conversation.session_id
    others = [ChatWidget.model_validate({"config": {"convo_identifier": f"{name}-{number}"}}) for name in ("b", "c")]
    agent.terminate(keep_in_sync=[event.conversation.surface, *others])


@entrypoint(listeners=HERE)
def answers_bots(agent: Agent, event: Event) -> None:
    say(agent, event, f"no, {text_of(event)}")


@entrypoint(listeners=HERE)
def stumbles(agent: Agent, event: Event) -> None:
    """Fails on "fail", also when it was asked to by a click; answers everything else, and follows up on silence."""
    message = event.conversation.new_message
    if event.timed_out or message is None or message.text == "fail":
        raise LookupError("a secret of the house")
    if message.text == "ask":
        ask(agent, event, "fail?")
        raise LookupError("a secret of the house")
    if message.text == "wait":
        agent.listen([event.conversation.surface], stumbles, timeout=timedelta(seconds=1), on_timeout=stumbles)
    say(agent, event, f"answer to {message.text}")
