"""The pytest plugin and what rehearsals offer beyond a single surface."""

from datetime import timedelta
from pathlib import Path

import pytest

from runllm import Agent, Event, SlackThread, UsageError, WidgetListener, entrypoint, task
from runllm.testing import Rehearsal

pytest_plugins = ["pytester"]

WORKFLOW = """
from runllm import Agent, Event, WidgetListener, entrypoint

@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answers(agent: Agent, event: Event) -> None:
    agent.stream_answer(event.conversation)

def test_it(rehearse):
    talk = rehearse(answers)
    talk.will_answer("42")
    talk.say("What is it?", user="U1", name="Ada")
"""


@task()
def alone(agent: Agent, event: Event, thread: SlackThread) -> None:
    agent.send_to_slack_thread("?", thread)


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def silent(agent: Agent, event: Event) -> None:
    """Says nothing."""


def run(pytester: pytest.Pytester, more: str) -> pytest.RunResult:
    Path(pytester.path, "test_it.py").write_text(WORKFLOW + more, encoding="utf-8")
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")


def test_the_conversation_is_below_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, '    assert talk.texts() == ["43"]\n')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*The conversation*", "Ada on chat_widget: What is it?", "*chat_widget: 42"])


def test_a_script_that_is_not_used_up_is_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, '    talk.will_learn("more")\n')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the script has more than was asked for: learning.learn*"])


def test_a_task_needs_to_be_told_where_it_listens() -> None:
    with pytest.raises(UsageError, match=r"alone is a task .*: rehearse it with on=\[surface, \.\.\.\]"):
        Rehearsal(alone)


def test_a_surface_that_nobody_opened() -> None:
    talk = Rehearsal(silent)
    talk.wait(timedelta(days=1))
    with pytest.raises(AssertionError, match=r"no handler opened a SlackThread\s+\(1 day, 0:00:00 pass\)"):
        talk.opened(SlackThread)
