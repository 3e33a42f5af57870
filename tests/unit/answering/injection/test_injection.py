"""Hostile documents, pages, messages and tools, with a model that obeys all of them.

What a model can be talked into is not for tests to say. What they say is that it does not matter: hostile text reaches
a model as a JSON value among data and nowhere else, and what an obedient model then writes leaves without addresses
that nobody vouches for, without sources that nobody found, and not as an answer that is sure of itself.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runllm.bridge.messages import AnswerCategory
from runllm.operations import ToolCall
from tests.fakes.anthropic import KEY, Anthropic, Reply, data_in, serving
from worker.answering.anthropic import AnthropicProvider
from worker.answering.language import LanguageModel, Manner
from worker.answering.prompts import ANSWER, CHAT
from worker.answering.protocol import Found, ModelAnswer, Passage, Question, Round, Talk, ToolGave, Turn
from worker.answering.redaction import Redaction

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "obeyed.json").read_text())
GOOD = Passage(
    id=11, document_id=1, title="Install", heading_path="", url="https://docs.example.com/install", text="Run it."
)
HISTORY = [
    Turn(author="user", text="Hello, I am ann@x.example", author_name="Ann"),
    Turn(author="assistant", text="Hello Ann."),
]
FORBIDDEN = ("evil", "\u200b")


@pytest.fixture(scope="module")
async def obedient() -> AsyncIterator[tuple[Anthropic, LanguageModel]]:
    """One service and one client for all cases: a client takes its time to be made."""
    async with serving(Anthropic()) as service:
        provider = AnthropicProvider("claude-sonnet-5-5", api_key=KEY, base_url=service.url)
        model = LanguageModel(provider, Manner(sites=("https://www.example.com/help",)))
        yield service, model
        await model.close()


@pytest.fixture
def service(obedient: tuple[Anthropic, LanguageModel]) -> Anthropic:
    service = obedient[0]
    service.requests.clear()
    service.says, service.piece = None, 12
    return service


@pytest.fixture
def model(obedient: tuple[Anthropic, LanguageModel]) -> LanguageModel:
    return obedient[1]


class Shown:
    """What a browser shows while the answer is made."""

    def __init__(self) -> None:
        self.text = ""

    async def __call__(self, piece: str) -> None:
        self.text += piece


class Nobody:
    async def find(self, question: Question, limit: int = 8) -> Found:
        raise AssertionError("a search is a tool")


def test_there_are_enough_of_them() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("piece", [1, 12])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_an_obedient_model_does_no_harm(
    service: Anthropic, model: LanguageModel, case: dict[str, Any], piece: int
) -> None:
    said = {"text": case["says"], "passages": case["cites"], "category": "answered"}
    service.says, service.piece = lambda body: Reply(object=said), piece
    shown = Shown()
    answer = await obey(model, case, shown)
    for text in (answer.text, shown.text):
        assert not [word for word in FORBIDDEN if word in without_words_of_their_own(text.lower())], text
    assert answer.text == shown.text.strip(), "nothing was shown that the answer does not have"
    assert {source.url for source in answer.sources} <= {"https://docs.example.com/install", None}
    if not set(case["cites"]) & {11}:
        assert answer.category is AnswerCategory.LOW_CONFIDENCE
        assert answer.sources == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_hostile_text_is_a_value_among_data_and_nothing_else(
    service: Anthropic, model: LanguageModel, case: dict[str, Any]
) -> None:
    await obey(model, case, Shown())
    (body,) = service.requests
    assert body["system"][0]["text"] in (ANSWER, CHAT), "no instruction depends on what people say"
    found = [path for one in data_in(body) for path in places(one, hidden(case["text"]))]
    assert found, "it is in the request, whole"
    assert all(path.split(".")[0] in ("question", "page", "passages", "result") for path in found)
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "user", *(["assistant", "user"] if case["kind"] == "tool" else [])]
    assert "untrusted" in body["system"][0]["text"]


async def obey(model: LanguageModel, case: dict[str, Any], shown: Shown) -> ModelAnswer:
    """Asks with the hostile text where the case says."""
    kind, text = case["kind"], case["text"]
    question = Question(
        text=text if kind == "message" else "How do I install it?",
        history=HISTORY,
        page={"title": text} if kind == "page" else {},
    )
    # An address that stands in a passage is vouched for, as it stands there: what is added to it is not.
    hostile = Passage(id=12, document_id=2, title="Notes", heading_path="", url=None, text=text)
    if kind != "tool":
        passages = [GOOD, hostile] if kind == "document" else [GOOD]
        return await model.answer(question, Found(passages=passages, searched=2), shown)
    calls = [ToolCall(id="1", name="order"), ToolCall(id="2", name="search", arguments={"query": "x"})]
    outputs = [ToolGave(call_id="1", text=text), ToolGave(call_id="2", text="", passages=[GOOD])]
    talk = Talk(question=question, rounds=[Round(calls=calls, outputs=outputs)])
    answer = await model.chat(talk, Nobody(), shown)
    assert isinstance(answer, ModelAnswer)
    return answer


def places(value: Any, text: str, path: str = "") -> list[str]:
    """Where in a JSON value a text stands, whole."""
    match value:
        case str():
            return [path.lstrip(".")] if text in value else []
        case dict():
            return [found for key, one in value.items() for found in places(one, text, f"{path}.{key}")]
        case list():
            return [found for one in value for found in places(one, text, f"{path}.0")]
        case _:
            return []


def hidden(text: str) -> str:
    """As it is sent: card numbers and addresses of people are taken out of hostile text, too."""
    redaction = Redaction()
    for turn in HISTORY:
        redaction.hide(turn.text)
    return redaction.hide(text)


def without_words_of_their_own(text: str) -> str:
    """Without what may stay: a name that is no address."""
    return text.replace("evilbot", "")
