"""What a publisher is told about a bundle that cannot be a workflow: the file, the line, and what to do."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateways.wire import build_id_of
from runllm.bridge.listeners import AdminConsoleListener, AnyListener, WidgetListener
from runllm.bundle import Bundle, BundleEntry
from worker.deployments import bundles
from worker.deployments.environment import for_customer_code
from worker.deployments.judging import JudgeError, ask
from worker.deployments.validate import validate
from worker.deployments.verdicts import CheckBundle, Checked, Unpacked

WIDGET = WidgetListener(domain="localhost")

HEAD = """\
from runllm import Agent, Event
from runllm.bridge.listeners import AdminConsoleListener, WidgetListener
from runllm.bridge.surfaces import ChatWidget, SlackThread
from runllm.decorators import entrypoint, task
"""

GOOD = (
    HEAD
    + """
@task()
def follow_up(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget(agent.answer(event.conversation), widget)


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answer(agent: Agent, event: Event) -> None:
    agent.stream_answer(event.conversation)
    agent.listen(on=[event.conversation.surface], handler=follow_up)
"""
)
"""The workflow that the tests below break."""


@pytest.fixture(autouse=True)
def own_imports() -> Iterator[None]:
    """Each bundle is imported as if it were the first one of the process."""
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


def question(
    tmp_path: Path,
    files: dict[str, str],
    tasks: Sequence[str] = (),
    listeners: Sequence[AnyListener] = (WIDGET,),
    seconds: float = 12.0,
) -> CheckBundle:
    """What the worker asks about a bundle whose handlers are in `flow.py`."""
    bundle = Bundle(
        name="support",
        files=files,
        entrypoint=BundleEntry(name="answer", module="flow", function="answer"),
        tasks=[BundleEntry(name=name, module="flow", function=name) for name in tasks],
        listeners=list(listeners),
    )
    directory = bundles.unpack(bundle, build_id_of(bundle), tmp_path)
    version = Unpacked.of(bundle, build_id_of(bundle), directory)
    return CheckBundle(version=version, listeners=bundle.listeners, import_seconds=seconds)


def check(tmp_path: Path, files: dict[str, str], **more: Any) -> Checked:
    """Validates a bundle in this process."""
    return validate(question(tmp_path, files, **more))


async def check_in_child(tmp_path: Path, files: dict[str, str], **more: Any) -> Checked:
    """Validates a bundle as the worker does."""
    asked = question(tmp_path, files, **more)
    return await ask("worker.deployments.validate", asked, Checked, for_customer_code(os.environ, temporal=False), 30)


def test_a_workflow_gets_a_manifest(tmp_path: Path) -> None:
    checked = check(tmp_path, {"flow.py": GOOD}, tasks=["follow_up"])

    assert checked.problems == []
    manifest = checked.manifest
    assert manifest is not None
    assert manifest.handler_names() == ["answer", "follow_up"]
    assert manifest.entrypoint.is_entrypoint
    assert manifest.tasks[0].parameters == [("widget", "ChatWidget")]
    assert manifest.listeners == [WIDGET]
    assert manifest.warnings == []


async def test_publishing_at_the_top_of_the_file_does_not_publish_again(tmp_path: Path) -> None:
    text = GOOD + '\nfrom runllm import Client\nClient().publish("support", answer, tasks=[follow_up])\n'

    checked = await check_in_child(tmp_path, {"flow.py": text}, tasks=["follow_up"])

    assert checked.problems == []


def test_async_handlers_and_handlers_without_annotations_are_workflows(tmp_path: Path) -> None:
    text = (
        HEAD
        + """
@entrypoint(listeners=[WidgetListener(domain="localhost")])
async def answer(agent, event):
    agent.stream_answer(event.conversation)
"""
    )
    assert check(tmp_path, {"flow.py": text}).problems == []


def test_each_syntax_error_is_shown_with_its_line(tmp_path: Path) -> None:
    checked = check(
        tmp_path, {"flow.py": GOOD + "\nif True\n    pass\n", "prices.py": "x = (1,\n", "fine.py": "x = 1\n"}
    )

    assert checked.manifest is None
    flow, prices = checked.problems
    line = GOOD.count("\n") + 2
    assert flow == f"flow.py, line {line}: expected ':'\n    if True\n           ^"
    assert prices.startswith("prices.py, line 1: '(' was never closed")


def test_a_module_that_is_not_installed_is_named(tmp_path: Path) -> None:
    checked = check(tmp_path, {"flow.py": "import prices\n" + GOOD, "prices.py": "\nimport no_such_library.api\n"})

    assert checked.problems == [
        "prices.py, line 2: imports `no_such_library`, which is not installed on the worker. Install it in the "
        "worker's environment (pip install ...), or remove the import, and publish again."
    ]


def test_a_file_that_is_missing_from_the_bundle_is_named(tmp_path: Path) -> None:
    checked = check(tmp_path, {"flow.py": "import parts.prices\n" + GOOD, "parts/__init__.py": ""})

    assert checked.problems == [
        "flow.py, line 1: imports `parts.prices`, which is not in the bundle. Is that file beside the one that you "
        "publish?"
    ]


def test_an_exception_shows_the_customers_lines_and_no_others(tmp_path: Path) -> None:
    prices = 'def load(name):\n    return {}[name]\n\nfull = load("full")\n'
    checked = check(tmp_path, {"flow.py": "import prices\n" + GOOD, "prices.py": prices})

    assert checked.problems == [
        "flow.py, line 1:\n    import prices\n"
        'prices.py, line 4:\n    full = load("full")\n'
        "prices.py, line 2, in load:\n    return {}[name]\n"
        "KeyError: 'full'"
    ]


def test_a_file_that_exits_is_told_so(tmp_path: Path) -> None:
    checked = check(tmp_path, {"flow.py": GOOD + "\nraise SystemExit(3)\n"}, tasks=["follow_up"])

    [problem] = checked.problems
    assert f"flow.py, line {GOOD.count(chr(10)) + 2}: the file ends the process (sys.exit)" in problem


async def test_a_file_that_never_ends_is_stopped_and_the_line_named(tmp_path: Path) -> None:
    text = GOOD + "\nwhile True:\n    pass\n"
    checked = await check_in_child(tmp_path, {"flow.py": text}, seconds=2.0)

    [problem] = checked.problems
    assert "importing the file takes more than 2 s; it is at `" in problem
    assert "belongs into a handler" in problem
    assert problem.startswith("flow.py, line ")


async def test_a_file_that_eats_all_memory_is_refused(tmp_path: Path) -> None:
    checked = await check_in_child(tmp_path, {"flow.py": GOOD + "\nx = bytearray(8 * 1024**3)\n"}, tasks=["follow_up"])

    assert checked.problems[0].endswith("MemoryError")


async def test_a_file_that_kills_its_process_is_an_error_of_the_judge(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"ended with no answer \(killed by SIGKILL\)\.\n(.|\n)*last words"):
        await check_in_child(
            tmp_path,
            {"flow.py": 'import os, sys\nprint("last words", file=sys.stderr, flush=True)\nos.kill(os.getpid(), 9)\n'},
        )


async def test_what_a_file_prints_does_not_disturb_the_answer(tmp_path: Path) -> None:
    checked = await check_in_child(tmp_path, {"flow.py": 'print("hello" * 100_000)\n' + GOOD}, tasks=["follow_up"])

    assert checked.problems == []


async def test_customer_code_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNLLM_SECRET", "RUNLLM_DATABASE_URL", "ANTHROPIC_API_KEY", "SLACK_BOT_TOKEN", "TEMPORAL_API_KEY"):
        monkeypatch.setenv(name, "the-secret-value")
    text = 'import os\nassert "the-secret-value" not in str(dict(os.environ)), os.environ\n' + GOOD

    assert (await check_in_child(tmp_path, {"flow.py": text}, tasks=["follow_up"])).problems == []


def test_a_module_of_the_engine_or_of_python_cannot_be_replaced(tmp_path: Path) -> None:
    files = {"flow.py": GOOD, "worker.py": "", "json/__init__.py": "", "prices.py": ""}
    checked = check(tmp_path, files, tasks=["follow_up"])

    assert checked.problems == [
        "json/__init__.py: `json` is the name of a module that Python or the engine has. Give the file another name.",
        "worker.py: `worker` is the name of a module that Python or the engine has. Give the file another name.",
    ]


async def test_the_directory_that_the_worker_runs_in_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "prices_beside.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path / "beside")
    checked = await check_in_child(tmp_path / "home", {"flow.py": "import prices_beside\n" + GOOD}, tasks=["follow_up"])

    assert "imports `prices_beside`, which is not installed" in checked.problems[0]


def test_functions_that_are_no_handlers_are_named(tmp_path: Path) -> None:
    text = HEAD + "\ndef answer(agent, event): ...\n"
    checked = check(tmp_path, {"flow.py": text}, tasks=["follow_up"])

    assert checked.problems == [
        "flow.py: `answer` is not decorated with `@entrypoint(listeners=[...])`.",
        "flow.py: has no `follow_up` at its top level.",
    ]


def test_two_handlers_of_one_name_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace("@task()", '@task(name="answer")')
    asked = question(tmp_path, {"flow.py": text})
    same_name = BundleEntry(name="answer", module="flow", function="follow_up")
    version = asked.version.model_copy(update={"tasks": [same_name]})

    checked = validate(asked.model_copy(update={"version": version}))

    assert checked.problems == ["Two handlers are named 'answer': give one of them another `name=`."]


def test_listeners_must_be_the_same_here_as_where_they_were_published(tmp_path: Path) -> None:
    checked = check(tmp_path, {"flow.py": GOOD}, tasks=["follow_up"], listeners=[WidgetListener(domain="example.com")])

    [problem] = checked.problems
    assert "The listeners of `answer` differ" in problem
    assert "domain='example.com'" in problem
    assert "domain='localhost'" in problem


def test_an_entrypoint_that_wants_a_surface_it_does_not_start_on_is_refused(tmp_path: Path) -> None:
    text = (
        HEAD
        + """
@entrypoint(listeners=[WidgetListener(domain="localhost"), AdminConsoleListener(agent_id=1)])
def answer(agent: Agent, event: Event, widget: ChatWidget) -> None: ...
"""
    )
    checked = check(tmp_path, {"flow.py": text}, listeners=[WIDGET, AdminConsoleListener(agent_id=1)])

    [problem] = checked.problems
    assert "A conversation from AdminConsoleListener(" in problem
    assert "widget" in problem
    assert "ChatWidget" in problem


def test_what_only_the_sandbox_refuses_is_found(tmp_path: Path) -> None:
    text = "import pathlib\n\nIS_TEST = pathlib.Path('test').exists()\n" + GOOD

    checked = check(tmp_path, {"flow.py": text}, tasks=["follow_up"])

    assert checked.problems == [
        "flow.py, line 3: `pathlib.Path.exists` is refused: each session imports the file anew, and again on every "
        'replay. Put it in a function, and call agent.step("name", function) in the handler that needs it.'
    ]
