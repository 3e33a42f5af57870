"""`runllm replay` on live sessions: what was reordered, removed or put behind another branch is found."""

import asyncio
import json
import os
import sys
import uuid
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from runllm.bundle import BundleEntry
from tests.workflow.desk import Talk, eventually, open_desk
from worker.session.hosting import Published

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.workflow

SOURCE = """\
from runllm import Agent, ChatWidget, Event, WidgetListener, entrypoint


def say(agent: Agent, event: Event, text: str) -> None:
    assert isinstance(event.conversation.surface, ChatWidget)
    agent.send_to_chat_widget(text, event.conversation.surface)


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answer(agent: Agent, event: Event) -> None:
    summary = agent.summarize(event.conversation)
    if summary:
        agent.apply_tag("summed-up", event.conversation)
    agent.step("look up", look_up)
    say(agent, event, "one")
    agent.sleep(0.01)
    say(agent, event, "two")


def look_up() -> int:
    return 1
"""


@dataclass
class Author:
    """Somebody with a workflow that has a live session, and the file that they work on."""

    talk: Talk
    file: Path
    environ: dict[str, str]

    def change(self, before: str, after: str) -> None:
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))

    async def replay(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and what was printed, with its lines joined."""
        command = (sys.executable, "-m", "runllm.cli", "replay", str(self.file), *arguments)
        process = await asyncio.create_subprocess_exec(*command, env=self.environ, stdout=PIPE, stderr=STDOUT)
        printed, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, " ".join(printed.decode().split())

    async def save(self) -> Path:
        history = await self.talk.handle.fetch_history()
        file = self.file.with_name("saved.json")
        file.write_text(history.to_json())
        return file


@dataclass
class Live:
    """A session that runs, and the module that its workflow is in. No test changes either."""

    talk: Talk
    module: str
    address: str


@pytest.fixture(scope="module")
async def live(environment: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    client, module = environment.client, f"replayed_{uuid.uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("live")
    (folder / f"{module}.py").write_text(SOURCE)
    entry = BundleEntry(name="answer", module=module, function="answer")
    async with open_desk(client, Published(module, "live", folder, entry)) as desk:
        talk = desk.session()
        await talk.say("hello")
        await desk.until_posted("one", "two")

        async def is_listed() -> bool:
            return [x.id async for x in client.list_workflows(f"WorkflowType='{module}'")] != []

        await eventually(is_listed)
        yield Live(talk, module, client.service_client.config.target_host)


@pytest.fixture
def author(live: Live, tmp_path: Path) -> Author:
    file = tmp_path / f"{live.module}.py"
    file.write_text(SOURCE)
    return Author(live.talk, file, {**os.environ, "TEMPORAL_ADDRESS": live.address, "PYTHONPATH": str(ROOT)})


async def test_the_same_code_takes_the_same_path(author: Author) -> None:
    code, printed = await author.replay()
    assert code == 0, printed
    assert "6 calls, all the same 1 conversation replayed: each takes the same path" in printed


async def test_a_reordered_call_is_found_with_its_line(author: Author) -> None:
    author.change("    summary = agent.summarize(event.conversation)\n    if summary:\n", "    if True:\n")
    author.change(
        '    say(agent, event, "one")', '    agent.summarize(event.conversation)\n    say(agent, event, "one")'
    )
    code, printed = await author.replay()
    assert code == 1
    assert "this code calls `tagging.apply_tag` in `answer` where the conversation called `answers.summ" in printed
    assert "the two have changed places" in printed
    assert f'{author.file.name}, line 12: agent.apply_tag("summed-up", event.conversation)' in printed


async def test_a_reordered_call_of_the_same_kind_is_found_too(author: Author) -> None:
    author.change('say(agent, event, "one")', 'say(agent, event, "2nd")')
    author.change('say(agent, event, "two")', 'say(agent, event, "one")')
    author.change('say(agent, event, "2nd")', 'say(agent, event, "two")')
    code, printed = await author.replay()
    assert code == 1
    assert "the calls of `surfaces.post_message` in `answer` have changed places" in printed
    assert f'{author.file.name}, line 15: say(agent, event, "two")' in printed


async def test_a_removed_call_is_found_with_the_line_that_comes_in_its_place(author: Author) -> None:
    author.change('        agent.apply_tag("summed-up", event.conversation)\n', "        pass\n")
    code, printed = await author.replay()
    assert code == 1
    assert "this code calls `agent.step` where the conversation called `tagging.apply_tag` in `answer`" in printed
    assert f'{author.file.name}, line 14: agent.step("look up", look_up)' in printed


async def test_a_call_removed_from_the_end_is_found_with_the_line_before_it(author: Author) -> None:
    author.change('    say(agent, event, "two")\n', "")
    code, printed = await author.replay()
    assert code == 1
    assert "`surfaces.post_message`" in printed
    assert f"{author.file.name}, line 16: agent.sleep(0.01)" in printed


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        (
            '    agent.step("look up", look_up)\n',
            ("calls `surfaces.post_message` in `answer` where the conversation called `agent.step`", "line 14: say("),
        ),
        (
            "    agent.sleep(0.01)\n",
            ("calls `surfaces.post_message` in `answer` where the conversation called `agent.sleep`", "line 16: say("),
        ),
    ],
)
async def test_a_step_and_a_sleep_are_calls_too(author: Author, removed: str, expected: tuple[str, str]) -> None:
    author.change(removed, "")
    code, printed = await author.replay()
    assert code == 1
    for words in expected:
        assert words in printed


async def test_a_changed_branch_is_found(author: Author) -> None:
    author.change("    if summary:\n", "    if not summary:\n")
    code, printed = await author.replay()
    assert code == 1
    assert f"{author.file.name}, line 14" in printed
    assert "in the middle of that handler stay on the version they run on" in printed


async def test_other_words_are_mentioned_and_are_no_failure(author: Author) -> None:
    author.change('"two"', '"two, please"')
    code, printed = await author.replay()
    assert code == 0
    assert "`surfaces.post_message` in `answer` gets another message" in printed
    assert f'{author.file.name}, line 17: say(agent, event, "two, please")' in printed


async def test_a_handler_that_fails_now_is_found_with_its_error(author: Author) -> None:
    author.change("    if summary:\n", "    if summary and 1 / 0:\n")
    code, printed = await author.replay()
    assert code == 1
    assert "this code fails where the conversation called `tagging.apply_tag`" in printed
    assert "ZeroDivisionError" in printed


async def test_a_saved_history_needs_no_server(author: Author) -> None:
    saved = await author.save()
    author.environ["TEMPORAL_ADDRESS"] = "127.0.0.1:1"
    code, printed = await author.replay("--history", str(saved), "--name", "other_name")
    assert code == 0, printed
    author.change("    if summary:\n", "    if not summary:\n")
    process_code, printed = await author.replay("--history", str(saved), "--json")
    assert process_code == 1
    (comparison,) = json.loads(printed)
    assert comparison["what"] == str(saved)
    assert comparison["difference"]["kind"] == "path"


@pytest.mark.parametrize(
    ("text", "expected"), [("{}", "is not a history"), ("no JSON", "is not a history"), (None, "There is no file")]
)
async def test_a_file_that_is_no_history_is_named(author: Author, text: str | None, expected: str) -> None:
    file = author.file.with_name("notes.json")
    if text is not None:
        file.write_text(text)
    code, printed = await author.replay("--history", str(file))
    assert code == (1 if text is not None else 2)
    assert expected in printed
    assert "Traceback" not in printed


async def test_a_server_that_is_away_is_named(author: Author) -> None:
    author.environ["TEMPORAL_ADDRESS"] = "127.0.0.1:1"
    code, printed = await author.replay()
    assert code == 1
    assert "Temporal at 127.0.0.1:1 does not give the histories" in printed
    assert "Traceback" not in printed


async def test_a_name_without_sessions_is_told(author: Author) -> None:
    code, printed = await author.replay("--name", "nobody_uses_this")
    assert code == 0
    assert "no live sessions" in printed
