"""The model asked before the session has: while the session cannot, on the whole engine; and nothing is asked twice."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.anthropic import KEY, Anthropic, data_in, serving_beside
from tests.faults.engine import Engine, running
from worker.activities.foresight import SURE_AFTER

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(180)]

HANDLER = """
from runllm import Agent, Event, WidgetListener, entrypoint


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def streams(agent: Agent, event: Event) -> None:
    message = event.conversation.new_message
    if message is not None and message.text.startswith("To a colleague"):
        agent.send_to_chat_widget("Passed on.", event.conversation.surface)
    else:
        agent.stream_answer(event.conversation)
"""


class Service(Anthropic):
    """The stand-in for the model's service, on a thread of its own."""

    @property
    def questions(self) -> list[str]:
        """What it was asked, in order."""
        return [one["question"] for body in list(self.requests) for one in data_in(body) if "question" in one]


@pytest.fixture
def service() -> Iterator[Service]:
    with serving_beside(Service()) as made:
        yield made


@contextmanager
def stopped(engine: Engine) -> Iterator[None]:
    """No session can run meanwhile."""
    hosts = engine.pids("session host")
    assert hosts
    for pid in hosts:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in hosts:
            os.kill(pid, signal.SIGCONT)


def test_the_model_is_asked_while_the_session_cannot_and_is_asked_once(service: Service, tmp_path: Path) -> None:
    script = tmp_path / "streams.py"
    script.write_text(HANDLER)
    model = {"RUNLLM_MODEL": "anthropic", "RUNLLM_MODEL_KEY": KEY, "RUNLLM_MODEL_URL": service.url}
    with running(tmp_path / "home", "--no-example", **model) as engine:
        engine.wait_until_ready()
        engine.run("docs", "add", str(Path(__file__).parents[2] / "examples" / "docs"))
        engine.publish(script)
        visitor = engine.visitor()
        for number in range(SURE_AFTER):
            visitor.ask(f"How do I install it? ({number})")
            visitor.read(number + 1)
        with stopped(engine):
            visitor.ask("How do I get rid of it?")
            engine.wait(lambda: "How do I get rid of it?" in service.questions, what="the model is asked ahead")
        visitor.read(SURE_AFTER + 1)
        newcomer = engine.visitor()
        newcomer.ask("How do I install it? (once more)")
        newcomer.read(1)
        assert len(service.questions) == SURE_AFTER + 2, "each question was asked once"
        visitor.ask("To a colleague: can you help?")
        visitor.until_shown("Passed on.")
        visitor.ask("How do I begin?")
        visitor.read(SURE_AFTER + 3)
        assert service.questions.count("How do I begin?") == 1
        assert len(service.questions) <= SURE_AFTER + 4, "at most one request was for nothing"
