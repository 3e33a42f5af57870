"""The second provider behind the same protocol: what it shares with the first is tested there."""

from collections.abc import AsyncIterator

import pytest

from runllm.bridge.messages import AnswerCategory
from runllm.errors import ModelError
from tests.fakes.anthropic import Reply, Trouble
from tests.fakes.openai import KEY, OpenAI, serving
from worker.answering.completion import ModelBusy, ModelRefused
from worker.answering.deadlines import Limits
from worker.answering.language import LanguageModel
from worker.answering.metering import metered
from worker.answering.openai_compatible import OpenAICompatibleProvider
from worker.answering.protocol import Found, ModelAnswer, Passage, Question, Round, Talk, ToolGave, ToolsWanted, nobody

PASSAGE = Passage(id=11, document_id=1, title="Prices", heading_path="", url="https://d.example/p", text="40 euros.")
FOUND = Found(passages=[PASSAGE], searched=1)
GOOD = Reply(object={"text": "It costs 40 euros.", "passages": [11, 5], "category": "answered"})
_opened: list[LanguageModel] = []


@pytest.fixture
async def service() -> AsyncIterator[OpenAI]:
    async with serving(OpenAI(says=lambda body: GOOD)) as service:
        yield service
    while _opened:
        await _opened.pop().close()


# Longer than any pause of the machine: a time that is up is shown where a test asks for little of it.
PATIENT = Limits(first_token=30, total=60)


def model(service: OpenAI, name: str = "gpt-small", key: str = KEY, limits: Limits = PATIENT) -> LanguageModel:
    _opened.append(LanguageModel(OpenAICompatibleProvider(name, api_key=key, base_url=service.url, limits=limits)))
    return _opened[-1]


async def test_it_streams_a_checked_answer_and_counts_tokens(service: OpenAI) -> None:
    pieces: list[str] = []

    async def show(piece: str) -> None:
        pieces.append(piece)

    with metered() as bill:
        answer = await model(service).answer(Question(text="I am ann@x.example. What is it?"), FOUND, show)
    assert (answer.text, answer.category) == ("It costs 40 euros.", AnswerCategory.ANSWERED)
    assert [source.title for source in answer.sources] == ["Prices"]
    assert "".join(pieces) == answer.text
    assert len(pieces) > 1
    (spent,) = bill
    assert (spent.input_tokens, spent.cache_read_tokens, spent.output_tokens) == (40, 60, 10)
    (body,) = service.requests
    assert body["response_format"]["json_schema"]["schema"]["properties"]["category"]
    assert "ann@x.example" not in str(body)


async def test_it_uses_tools(service: OpenAI) -> None:
    service.says = lambda body: Reply(calls=(("search", {"query": "a"}), ("search", {"query": "b"})))
    wanted = await model(service).chat(Talk(question=Question(text="?")), None, nobody)  # type: ignore[arg-type]
    assert isinstance(wanted, ToolsWanted)
    assert [call.arguments for call in wanted.calls] == [{"query": "a"}, {"query": "b"}]
    service.says = lambda body: GOOD
    outputs = [ToolGave(call_id=call.id, text="", passages=[PASSAGE]) for call in wanted.calls]
    talk = Talk(question=Question(text="?"), rounds=[Round(calls=wanted.calls, outputs=outputs)], must_answer=True)
    answer = await model(service).chat(talk, None, nobody)  # type: ignore[arg-type]
    assert isinstance(answer, ModelAnswer)
    assert [message["role"] for message in service.requests[-1]["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert service.requests[-1]["tool_choice"] == "none"


@pytest.mark.parametrize(
    ("trouble", "kind", "text"),
    [
        (Trouble(error="429", retry_after="3"), ModelBusy, "status 429"),
        (Trouble(error="500"), ModelBusy, "status 500"),
        (Trouble(error="503"), ModelBusy, "status 503"),
        (Trouble(error="400"), ModelRefused, "refused the request"),
        (Trouble(after=2, cut=True), ModelBusy, "broke off"),
        (Trouble(after=2, malformed="{not json"), ModelBusy, "broke its own protocol"),
        (Trouble(after=2, malformed='{"choices": [{}]}'), ModelBusy, "broke its own protocol"),
    ],
    ids=lambda one: str(one)[:50],
)
async def test_what_goes_wrong_has_a_posture_and_is_not_tried_again_here(
    service: OpenAI, trouble: Trouble, kind: type[ModelError], text: str
) -> None:
    service.troubles.append(trouble)
    with pytest.raises(kind, match=text):
        await model(service).answer(Question(text="?"), FOUND, nobody)
    assert len(service.requests) == 1


async def test_a_service_that_says_nothing_is_not_waited_for(service: OpenAI) -> None:
    service.troubles.append(Trouble(pause=60))
    impatient = model(service, limits=Limits(first_token=2, total=60))
    with pytest.raises(ModelBusy, match="said nothing for 2 s"):
        await impatient.answer(Question(text="?"), FOUND, nobody)
    assert len(service.requests) == 1


async def test_a_wrong_key_and_an_unknown_model_say_what_to_set(service: OpenAI) -> None:
    with pytest.raises(ModelRefused, match="RUNLLM_MODEL_KEY"):
        await model(service, key="wrong").answer(Question(text="?"), FOUND, nobody)
    with pytest.raises(ModelRefused, match="has no model gpt-9"):
        await model(service, "gpt-9").answer(Question(text="?"), FOUND, nobody)
