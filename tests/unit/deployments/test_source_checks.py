"""Mistakes in handlers that are found without running them."""

import sys
from types import ModuleType

from runllm.decorators import EntrypointWrapper, TaskWrapper
from worker.deployments.source_checks import Findings, SourceFile, check

HEAD = """\
from runllm import Agent, Event
from runllm.bridge.listeners import WidgetListener
from runllm.bridge.surfaces import ChatWidget, SlackThread
from runllm.bridge.triggers import AllMessages, Emoji
from runllm.decorators import entrypoint, task
"""
LINES = HEAD.count("\n")


def findings(text: str, unpublished: tuple[str, ...] = ()) -> Findings:
    """What is found in a file whose handlers are all published, but for some."""
    module = ModuleType("flow_under_test")
    sys.modules[module.__name__] = module
    exec(compile(HEAD + text, "flow.py", "exec"), vars(module))
    handlers = [
        value
        for name, value in vars(module).items()
        if isinstance(value, EntrypointWrapper | TaskWrapper) and name not in unpublished
    ]
    found = Findings()
    check(SourceFile("flow.py", HEAD + text, vars(module)), handlers, found)
    return found


def test_a_sound_workflow_has_no_findings() -> None:
    found = findings("""
PRICES = {"full": 10}

def helper(agent, event):
    return [price for price in PRICES.values() if price > len(str(event))]

@task()
def follow_up(agent: Agent, event: Event, widget: ChatWidget, slack: SlackThread = None) -> None:
    def inner(total=0):
        nonlocal_total = total + len(helper(agent, event))
        return nonlocal_total
    try:
        agent.send_to_chat_widget(str(inner()), widget)
    except ValueError as error:
        print(f"{error!r} {__name__}")
    agent.listen([widget], follow_up, [AllMessages()])
    agent.listen(on=[widget, *PRICES], handler=follow_up, triggers=[AllMessages()])

@entrypoint(listeners=[WidgetListener(domain="localhost")])
async def answer(agent, event):
    agent.listen(on=[event.conversation.surface], handler=follow_up)
""")
    assert found == Findings()


def test_an_emoji_that_nobody_brings_along_is_a_warning_with_the_names_that_are_like_it() -> None:
    found = findings("""
@task()
def follow_up(agent, event):
    agent.listen(on=[event.conversation.surface], handler=follow_up, triggers=[Emoji(shortcode="acme_only")])

@entrypoint(listeners=[WidgetListener(domain="localhost", )])
def answer(agent, event):
    for name in ("eyes", ":ticket:", "woman-raising-hand", "stop_sign", "thumbsup"):
        print(Emoji(shortcode=name))
    print(Emoji(shortcode="eyes"), Emoji(shortcode=":ticket:"), Emoji(shortcode="woman-raising-hand"))
    print(Emoji(shortcode="stop_sign"), Emoji(shortcode=":eys:"))
""")
    assert found.problems == []
    [own, misspelt] = found.warnings
    assert own.startswith(f"flow.py, line {LINES + 4}: `Emoji('acme_only')` is none of the emoji that everybody has")
    assert "Did you mean" not in own
    assert misspelt.startswith(f"flow.py, line {LINES + 11}: `Emoji('eys')`")
    assert 'Did you mean "eyes"' in misspelt


def test_awaiting_an_agent_method_is_a_problem() -> None:
    found = findings("""
@task()
async def follow_up(assistant, event):
    await assistant.answer(event.conversation)
""")
    assert found.problems == [
        f"flow.py, line {LINES + 4}: `await assistant.answer(...)`: the agent's methods are synchronous, also in async "
        "handlers. Drop the `await`."
    ]


def test_listening_with_fewer_surfaces_than_the_task_has_parameters_is_a_problem() -> None:
    found = findings("""
@task()
def both(agent, event, widget: ChatWidget, slack: SlackThread): ...

@task()
def start(agent, event):
    agent.listen(on=[event.conversation.surface], handler=both)
""")
    [problem] = found.problems
    assert problem.startswith(
        f"flow.py, line {LINES + 7}: `listen` is given 1 surface, but `both` takes 2: widget, slack."
    )


def test_a_trigger_for_each_surface_is_demanded() -> None:
    found = findings("""
@task()
def start(agent, event, a, b):
    agent.listen([a, b], start, triggers=[AllMessages()])
""")
    assert "is given 2 surfaces and 1 triggers" in found.problems[0]


def test_a_task_that_is_not_published_is_a_problem() -> None:
    text = """
@task()
def later(agent, event): ...

@task()
def start(agent, event):
    agent.listen(on=[event.conversation.surface], handler=later, on_timeout=later)
"""
    found = findings(text, unpublished=("later",))

    assert len(found.problems) == 2
    assert "is given `later`, which is not published: add it to `tasks`" in found.problems[0]
    assert "tasks=[later]" in found.problems[0]


def test_a_function_that_is_no_task_is_a_problem() -> None:
    found = findings("""
def later(agent, event): ...

@task()
def start(agent, event):
    agent.listen(on=[event.conversation.surface], handler=later)
""")
    assert "is given `later`, which is not a task: decorate it with `@task()`." in found.problems[0]


def test_an_undefined_name_is_a_warning_with_its_line() -> None:
    found = findings("""
@task()
def start(agent, event, widget):
    agent.send_to_chat_widget(
        "hello",
        zendesk_ticket,
    )
    return [x + missing for x in ()]
""")
    assert found.problems == []
    assert found.warnings == [
        f"flow.py, line {LINES + 8}: `start` uses `missing`, which is not defined",
        f"flow.py, line {LINES + 6}: `start` uses `zendesk_ticket`, which is not defined",
    ]


def test_a_method_that_agents_do_not_have_is_a_warning() -> None:
    found = findings("""
@task()
def start(agent, event):
    agent.reply(event.conversation)
""")
    assert found.warnings == [f"flow.py, line {LINES + 4}: an agent has no method `reply`"]


def test_a_handler_of_another_file_is_checked_there() -> None:
    other = ModuleType("other_file_under_test")
    sys.modules[other.__name__] = other
    exec("from runllm.decorators import task\n@task()\ndef elsewhere(agent, event): nowhere", vars(other))
    found = findings("""
from other_file_under_test import elsewhere

@task()
def start(agent, event):
    agent.listen([event.conversation.surface], elsewhere)
""")
    assert found == Findings()
