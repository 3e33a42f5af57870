"""`runllm eval` against a real control API; Temporal's and the worker's part is played."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateways.wire import EVALUATE, Evaluate, Evaluated
from runllm.bridge.listeners import WidgetListener
from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, surface_key
from runllm.bundle import Bundle, BundleEntry
from store import agents, feedback, messages, published, sessions
from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import Gateway, empty_record, gateway, settings, store, temporal
from tests.unit.gateways.doubles import FakeTemporal, down

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name

WORKFLOW = """
from runllm import Agent, ChatWidget, Event, WidgetListener, entrypoint


@entrypoint(listeners=[WidgetListener(domain="localhost")])
def desk(agent: Agent, event: Event) -> None:
    agent.stream_answer(event.conversation)
    agent.apply_tag("TAG", event.conversation)
"""


@pytest.fixture
def asked(temporal: FakeTemporal, monkeypatch: pytest.MonkeyPatch) -> list[Evaluate]:
    """Plays the activity worker: it knows about keys, and nothing else."""
    found: list[Evaluate] = []

    async def execute_activity(name: str, question: Evaluate, **options: Any) -> Evaluated:
        assert name == EVALUATE
        found.append(question)
        knows = "key" in question.said[-1].text
        category = AnswerCategory.ANSWERED if knows else AnswerCategory.UNANSWERED
        return Evaluated(text="Turn it.", category=category, sources=[Source(title="Keys")], seconds=0.5)

    monkeypatch.setattr(temporal, "execute_activity", execute_activity, raising=False)
    return found


@pytest.fixture
def questions(tmp_path: Path) -> str:
    file = tmp_path / "questions.jsonl"
    cases = [
        {"question": "How does a key work?", "expect": {"category": "answered", "sources": ["Keys"]}},
        {"question": "How does a door work?", "expect": {"category": "answered", "tags": ["seen"]}},
    ]
    file.write_text("".join(f"{json.dumps(case)}\n" for case in cases))
    return str(file)


async def test_the_answer_alone_is_evaluated_without_a_workflow(
    terminal: Terminal, asked: list[Evaluate], questions: str
) -> None:
    shown = await terminal.run("eval", questions)
    assert fits(shown)
    assert "50% (1 of 2)" in shown.stdout
    assert "✗ line 2: How does a door work?" in shown.stdout
    assert "category: unanswered where answered is expected" in shown.stdout
    assert "tags: is not tagged 'seen'" in shown.stdout
    assert {one.what for one in asked} == {"answer"}


async def test_a_share_that_falls_short_ends_with_1_and_says_which(
    terminal: Terminal, asked: list[Evaluate], questions: str
) -> None:
    shown = await terminal.run("eval", questions, "--require", "category=0.8", code=1)
    assert "category is met by 50%, and 80% is required." in shown.stderr
    await terminal.run("eval", questions, "--require", "category=0.5")


async def test_a_workflow_is_run_and_a_page_written(
    terminal: Terminal, asked: list[Evaluate], questions: str, tmp_path: Path
) -> None:
    workflow = tmp_path / "desk_to_evaluate.py"
    workflow.write_text(WORKFLOW.replace("TAG", "seen"))
    shown = await terminal.json("eval", questions, "--workflow", str(workflow), "--page", str(tmp_path / "page.html"))
    [version] = shown["versions"]
    assert [result["tags"] for result in version["results"]] == [["seen"], ["seen"]]
    assert version["figures"]["shares"]["tags"] == {"met": 1, "of": 1}
    assert "How does a door work?" in (tmp_path / "page.html").read_text()


async def test_two_versions_are_compared_and_what_got_worse_is_named(
    terminal: Terminal, asked: list[Evaluate], questions: str, tmp_path: Path
) -> None:
    before, after = tmp_path / "desk_before.py", tmp_path / "desk_after.py"
    before.write_text(WORKFLOW.replace("TAG", "seen"))
    after.write_text(WORKFLOW.replace("TAG", "other"))
    words = ("eval", questions, "--workflow", str(after), "--against", str(before))
    shown = await terminal.run(*words, "--require", "worse=0", code=1)
    assert fits(shown)
    assert "Worse than desk_before.py: line 2." in shown.stdout
    assert "1 case got worse: line 2." in shown.stderr


async def test_what_was_published_is_evaluated_by_its_name(
    gateway: Gateway, terminal: Terminal, asked: list[Evaluate], questions: str
) -> None:
    sources = Bundle(
        name="desk",
        files={"desk_that_was_published.py": WORKFLOW.replace("TAG", "seen")},
        entrypoint=BundleEntry(name="desk", module="desk_that_was_published", function="desk"),
        listeners=[WidgetListener(domain="localhost")],
    )
    async with gateway.store.begin() as db:
        agent = await agents.ensure_agent(db)
        await published.upload(db, agent.id, sources, "b1", "test")
    shown = await terminal.json("eval", questions, "--workflow", "desk@b1")
    [version] = shown["versions"]
    assert version["name"] == "desk@b1"
    assert [result["tags"] for result in version["results"]] == [["seen"], ["seen"]]


async def test_likely_mistakes_end_with_one_sentence(
    terminal: Terminal, asked: list[Evaluate], questions: str, tmp_path: Path
) -> None:
    assert "cannot be read" in await terminal.refused("eval", str(tmp_path / "none"), code=2)
    assert "no criterion 'categry'" in await terminal.refused("eval", questions, "--require", "categry=1", code=2)
    assert "write it like category=0.8" in await terminal.refused("eval", questions, "--require", "category", code=2)
    assert "needs --against" in await terminal.refused("eval", questions, "--require", "worse=0", code=2)
    assert "There is no file nobody.py" in await terminal.refused("eval", questions, "--workflow", "nobody.py", code=2)
    for option in ("--workflow", "--against"):
        assert "Nothing is published as 'nobody'" in await terminal.refused("eval", questions, option, "nobody")


async def test_while_temporal_is_away_each_case_says_so(
    terminal: Terminal, temporal: FakeTemporal, questions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def execute_activity(*_: Any, **options: Any) -> None:
        raise down("x") or AssertionError

    monkeypatch.setattr(temporal, "execute_activity", execute_activity, raising=False)
    shown = await terminal.json("eval", questions, code=1)
    assert all("Temporal cannot take the question now" in one["error"] for one in shown["versions"][0]["results"])


async def _answered(gateway: Gateway, number: int, is_helpful: bool | None) -> None:
    widget = ChatWidget(config=ChatWidgetConfig(convo_identifier=f"c{number}"))
    async with gateway.store.begin() as db:
        agent = await agents.ensure_agent(db)
        session = await sessions.create(db, agent_id=agent.id, published_name="desk", surface=widget)
        for author, text, category in (("user", f"question {number}", None), ("assistant", "It is.", "answered")):
            row = await messages.add(
                db,
                session_id=session.id,
                author=MessageType(author),
                text=text,
                category=AnswerCategory(category) if category else None,
                sources=[{"title": "Keys"}] if category else [],
            )
            await messages.post(
                db, session_id=session.id, chat_id=row.id, surface_key=surface_key(widget), remote_id=author
            )
        if is_helpful is not None:
            await feedback.record(db, session_id=session.id, chat_id=row.id, is_helpful=is_helpful)


async def test_a_file_is_made_from_conversations_and_what_people_thought_of_them(
    terminal: Terminal, gateway: Gateway, asked: list[Evaluate], tmp_path: Path
) -> None:
    for number, opinion in enumerate((True, False, None)):
        await _answered(gateway, number, opinion)
    file = tmp_path / "cases.jsonl"
    said = (await terminal.run("eval", str(file), "--from-sessions", "--name", "desk")).stdout
    assert "has 3 cases. 1 were rated helpful" in said
    cases = {case["question"]: case for case in map(json.loads, file.read_text().splitlines())}
    assert cases["question 0"]["expect"] == {"category": "answered", "sources": ["Keys"]}
    assert "expect" not in cases["question 1"]
    assert cases["question 1"]["rated"] == "unhelpful"
    assert "is there already" in await terminal.refused("eval", str(file), "--from-sessions", code=2)
    rated = tmp_path / "rated.jsonl"
    await terminal.run("eval", str(rated), "--from-sessions", "--rated")
    assert len(rated.read_text().splitlines()) == 2
    await terminal.run("eval", str(file))  # what it writes, it reads


async def test_without_answers_no_file_is_made(terminal: Terminal, tmp_path: Path) -> None:
    said = await terminal.refused("eval", str(tmp_path / "cases.jsonl"), "--from-sessions")
    assert "There are no answers in the last 200 conversations" in said
    assert not (tmp_path / "cases.jsonl").exists()
