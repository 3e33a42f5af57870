import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from runllm.bridge.messages import AnswerCategory
from runllm.errors import ModelError, UsageError
from worker.answering.model_settings import ModelSettings
from worker.answering.models import MODELS, open_model
from worker.answering.protocol import Found, Question, Statement, Turn, nobody
from worker.answering.scripted import Script, ScriptedModel


def scripted(**script: Any) -> ScriptedModel:
    return ScriptedModel(Script.model_validate(script))


async def ask(model: ScriptedModel, text: str, *before: str) -> str:
    history = [Turn(author="user", text=one) for one in before]
    return (await model.answer(Question(text=text, history=history), Found(), nobody)).text


async def test_rules_come_first_then_the_turn_then_the_rest() -> None:
    model = scripted(
        answers=[{"match": r"\bprice\b", "text": "It costs 3. You asked: {question}"}],
        turns=[{"text": "one"}, {"text": "two"}],
        otherwise={"text": "no idea", "category": "unanswered"},
    )
    assert await ask(model, "What PRICE?") == "It costs 3. You asked: What PRICE?"
    assert [await ask(model, "x"), await ask(model, "x", "a"), await ask(model, "x", "a", "b")] == [
        *["one", "two", "no idea"]
    ]


async def test_an_answer_is_streamed_in_pieces() -> None:
    pieces: list[str] = []

    async def take(piece: str) -> None:
        pieces.append(piece)

    model = scripted(answers=[{"text": "abcdefg", "piece": 3, "category": "low_confidence"}])
    said = await model.answer(Question(text="x"), Found(), take)
    assert pieces == ["abc", "def", "g"]
    assert said.category is AnswerCategory.LOW_CONFIDENCE


async def test_it_fails_as_often_as_the_script_says_and_where_it_says(tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    model = scripted(answers=[{"text": "abcdef", "piece": 2, "fails": 2, "fails_after": 1}], calls=str(calls))
    pieces: list[str] = []

    async def take(piece: str) -> None:
        pieces.append(piece)

    for _ in range(2):
        with pytest.raises(ModelError):
            await model.answer(Question(text="x"), Found(), take)
    assert (await model.answer(Question(text="x"), Found(), take)).text == "abcdef"
    assert pieces == ["ab", "ab", "ab", "cd", "ef"]
    assert [json.loads(line)["question"] for line in calls.read_text().splitlines()] == ["x", "x", "x"]


async def test_it_can_hang_until_it_is_cancelled() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(scripted(answers=[{"text": "", "hangs": True}]), "x"), 0.05)


async def test_choices_are_made_by_what_the_conversation_contains() -> None:
    model = scripted(
        categories=[{"match": "refund", "chosen": ["billing"]}, {"chosen": ["bug"]}],
        tags=[{"match": "now", "chosen": ["urgent", "unknown"]}, {"match": "never", "chosen": ["calm"]}],
        facts=["Water is wet."],
        summary="{count} said something",
    )
    history = [Turn(author="user", text="A refund, now!")]
    assert await model.categorize(history, {"bug": "", "billing": ""}, "other", None) == "billing"
    assert await model.categorize(history, {"praise": ""}, "other", None) == "other"
    assert await model.tag(history, {"urgent": "", "calm": ""}, None) == ["urgent"]
    assert await model.learn(history) == []
    others = [*history, Turn(author="user", text="It is wet.", is_asker=False)]
    assert await model.learn(others) == [Statement(text="Water is wet.", turn=1)]
    assert await model.summarize(history) == "1 said something"


def test_models_are_opened_by_name(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text("{}")
    settings = [ModelSettings(kind=kind, script=script, api_key=SecretStr("key"), model_name="m") for kind in MODELS]
    assert [open_model(one).name for one in settings] == ["extractive", "scripted", "m", "m"]
    with pytest.raises(UsageError, match="RUNLLM_MODEL to one of: extractive, scripted"):
        open_model(ModelSettings(kind="gpt"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "Invalid JSON"), ('{"answer": []}', "answer"), ('{"answers": [{"match": "x"}]}', r"answers\.0\.text")],
)
def test_a_script_that_is_none_is_refused_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    script = tmp_path / "script.json"
    script.write_text(text)
    with pytest.raises(UsageError, match=problem):
        open_model(ModelSettings(kind="scripted", script=script))
    with pytest.raises(UsageError, match="RUNLLM_SCRIPT"):
        open_model(ModelSettings(kind="scripted", script=tmp_path / "missing.json"))
    with pytest.raises(UsageError, match="RUNLLM_SCRIPT"):
        open_model(ModelSettings(kind="scripted"))
