"""The provider and the answers over it, against a stand-in that speaks the service's streaming protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runllm.bridge.messages import AnswerCategory
from runllm.categories import Category
from runllm.errors import ModelError
from runllm.operations import ToolCall, ToolSpec
from tests.fakes.anthropic import KEY, Anthropic, Reply, Trouble, data_in, serving
from worker.answering.anthropic import AnthropicProvider
from worker.answering.completion import ModelBusy, ModelRefused
from worker.answering.deadlines import Limits
from worker.answering.language import LanguageModel, Manner
from worker.answering.metering import metered
from worker.answering.protocol import Found, ModelAnswer, Passage, Question, Round, Talk, ToolGave, ToolsWanted, Turn
from worker.answering.protocol import nobody as unseen

PASSAGES = [
    Passage(id=11, document_id=1, title="Prices", heading_path="Team", url="https://docs.example.com/prices#team",
            text="The Team plan costs 40 euros a month."),
    Passage(id=12, document_id=2, title="Limits", heading_path="", url="https://docs.example.com/limits",
            text="At most 20 seats. See https://docs.example.com/seats."),
]  # fmt: skip
FOUND = Found(passages=PASSAGES, searched=2)
ORDER = ToolSpec(
    name="order", description="An order.", parameters={"type": "object", "properties": {"id": {"type": "string"}}}
)


_opened: list[LanguageModel] = []


@pytest.fixture
async def service() -> AsyncIterator[Anthropic]:
    async with serving(Anthropic()) as service:
        yield service
    while _opened:
        await _opened.pop().close()


# Longer than any pause of the machine: a time that is up is shown where a test asks for little of it.
PATIENT = Limits(first_token=30, total=60)


def model(
    service: Anthropic,
    name: str = "claude-sonnet-5-5",
    key: str = KEY,
    limits: Limits = PATIENT,
    **manner: Any,
) -> LanguageModel:
    provider = AnthropicProvider(name, api_key=key, base_url=service.url, limits=limits)
    _opened.append(LanguageModel(provider, Manner(**manner)))
    return _opened[-1]


def answers(**fields: Any) -> Any:
    said = {"text": "40 euros.", "passages": [11], "category": "answered", **fields}
    return lambda body: Reply(object=said)


async def ask(model: LanguageModel, text: str = "What is the Team plan?", **more: Any) -> tuple[ModelAnswer, list[str]]:
    pieces: list[str] = []

    async def show(piece: str) -> None:
        pieces.append(piece)

    return await model.answer(Question(text=text, **more), FOUND, show), pieces


async def test_an_answer_is_streamed_as_text_and_its_category_and_sources_are_fields(service: Anthropic) -> None:
    service.says = answers(text='It is "40 euros"\n— Grüße 👋🏽')
    answer, pieces = await ask(model(service))
    assert answer.text == 'It is "40 euros"\n— Grüße 👋🏽'
    assert "".join(pieces) == answer.text
    assert len(pieces) > 1
    assert answer.category is AnswerCategory.ANSWERED
    assert [(source.url, source.quote) for source in answer.sources] == [
        ("https://docs.example.com/prices#team", "The Team plan costs 40 euros a month.")
    ]
    assert answer.model == "claude-sonnet-5-5"
    assert answer.input_tokens > 100
    assert answer.output_tokens > 5


async def test_passages_that_nobody_found_are_no_sources_and_an_answer_without_any_is_none(service: Anthropic) -> None:
    service.says = answers(passages=[999, 12, 12, "11", True])
    assert [source.title for source in (await ask(model(service)))[0].sources] == ["Limits"]
    service.says = answers(passages=[999])
    assert (await ask(model(service)))[0].category is AnswerCategory.LOW_CONFIDENCE
    service.says = answers(passages=[], category="unanswered")
    assert (await ask(model(service)))[0].category is AnswerCategory.UNANSWERED
    service.says = answers(category="super")
    assert (await ask(model(service)))[0].category is AnswerCategory.LOW_CONFIDENCE


async def test_the_stable_beginning_of_a_conversation_is_cached(service: Anthropic) -> None:
    history: list[Turn] = []
    for number in range(4):
        text = f"question {number} " * 30
        with metered() as bill:
            answer, _ = await ask(model(service), text, history=list(history))
        history += [Turn(author="user", text=text, is_asker=True), Turn(author="assistant", text=answer.text)]
    assert bill[0].cache_read_tokens > bill[0].input_tokens
    assert bill[0].cache_read_tokens > len(history[0].text) // 4


async def test_a_conversation_is_told_in_turns_and_a_page_is_marked_untrusted(service: Anthropic) -> None:
    history = [
        Turn(author="assistant", text="Hello!", is_asker=False),
        Turn(author="user", text="Hi", author_name="Ann"),
        Turn(author="user", text="I am from sales", author_name="Bob", is_asker=False),
    ]
    await ask(model(service), history=history, page={"url": "https://x.example/p"})
    (body,) = service.requests
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user", "user", "user"]
    said = data_in(body)
    assert said[1] == {"from": "the person who asks", "name": "Ann", "text": "Hi"}
    assert said[2]["from"] == "another person"
    assert said[-1]["page"] == {"url": "https://x.example/p"}
    assert "untrusted" in body["system"][0]["text"]
    assert [passage["id"] for passage in said[-1]["passages"]] == [11, 12]


@pytest.mark.parametrize(
    ("trouble", "kind", "text"),
    [
        (Trouble(error="overloaded_error"), ModelBusy, "cannot answer now (overloaded_error)"),
        (Trouble(error="overloaded_error", after=2), ModelBusy, "cannot answer now (overloaded_error)"),
        (Trouble(error="api_error"), ModelBusy, "cannot answer now (api_error)"),
        (Trouble(error="rate_limit_error"), ModelBusy, "rate_limit_error"),
        (Trouble(after=2, cut=True), ModelBusy, "hung up"),
        (Trouble(after=2, malformed="{not json"), ModelBusy, "broke its own protocol"),
        (Trouble(after=2, malformed='{"type": "content_block_delta"}'), ModelBusy, "broke its own protocol"),
        (Trouble(after=2, malformed="[1, 2]"), ModelBusy, "broke its own protocol"),
        (Trouble(error="invalid_request_error"), ModelRefused, "refused the request"),
        (Trouble(error="permission_error"), ModelRefused, "does not let this API key use the model"),
    ],
    ids=lambda one: str(one)[:60],
)
async def test_what_goes_wrong_has_a_posture_and_is_not_tried_again_here(
    service: Anthropic, trouble: Trouble, kind: type[ModelError], text: str
) -> None:
    service.troubles.append(trouble)
    with pytest.raises(kind) as raised:
        await ask(model(service))
    assert text in str(raised.value)
    assert len(service.requests) == 1
    assert (await ask(model(service)))[0].category is AnswerCategory.ANSWERED


async def test_a_service_that_says_nothing_is_not_waited_for(service: Anthropic) -> None:
    service.troubles.append(Trouble(pause=60))
    with pytest.raises(ModelBusy, match="said nothing for 2 s"):
        await ask(model(service, limits=Limits(first_token=2, total=60)))
    assert len(service.requests) == 1
    assert (await ask(model(service)))[0].category is AnswerCategory.ANSWERED


async def test_a_rate_limit_says_when_to_come_back(service: Anthropic) -> None:
    service.troubles.append(Trouble(error="rate_limit_error", retry_after="7"))
    with pytest.raises(ModelBusy) as raised:
        await ask(model(service))
    assert raised.value.retry_after == 7.0


async def test_a_reply_that_goes_on_for_ever_is_ended(service: Anthropic) -> None:
    service.pause = 0.3
    service.says = answers(text="word " * 100)
    with pytest.raises(ModelBusy, match="did not finish in 2 s"):
        await ask(model(service, limits=Limits(first_token=30, total=2)))


async def test_a_wrong_key_and_an_unknown_model_say_what_to_set(service: Anthropic) -> None:
    with pytest.raises(ModelRefused, match=r"does not accept the API key\. Set RUNLLM_MODEL_KEY"):
        await ask(model(service, key="wrong"))
    with pytest.raises(ModelRefused, match=r"has no model claude-9\. Set RUNLLM_MODEL_NAME"):
        await ask(model(service, "claude-9"))


async def test_a_service_that_is_not_there_is_busy(service: Anthropic) -> None:
    async with serving(Anthropic()) as gone:
        pass
    with pytest.raises(ModelBusy, match="cannot be reached"):
        await ask(model(gone))


async def test_what_a_cut_reply_has_cost_is_on_the_bill(service: Anthropic) -> None:
    service.troubles.append(Trouble(after=1, cut=True))
    with metered() as bill, pytest.raises(ModelBusy):
        await ask(model(service))
    (spent,) = bill
    assert spent.input_tokens + spent.cache_write_tokens > 100


async def test_an_answer_that_was_too_long_is_shown_as_far_as_it_goes(service: Anthropic) -> None:
    service.says = lambda body: Reply(text='{"text": "It costs 40 eu', stop_reason="max_tokens")
    answer, _ = await ask(model(service))
    assert (answer.text, answer.category) == ("It costs 40 eu…", AnswerCategory.LOW_CONFIDENCE)


@pytest.mark.parametrize("said", ["", "It costs 40.", '{"text": ""}', '["text"]', '{"passages": []}'])
async def test_a_reply_in_another_form_is_tried_again(service: Anthropic, said: str) -> None:
    service.says = lambda body: Reply(text=said)
    with pytest.raises(ModelBusy, match="did not reply in the form"):
        await ask(model(service))


async def test_a_model_that_declines_is_an_error_and_no_answer(service: Anthropic) -> None:
    service.says = lambda body: Reply(text="No.", stop_reason="refusal")
    with pytest.raises(ModelError, match="declined"):
        await ask(model(service))


class _Nothing:
    async def find(self, question: Question, limit: int = 8) -> Found:
        raise AssertionError("a language model asks for a search as a tool")


async def test_a_chat_asks_for_tools_and_answers_from_what_they_gave(service: Anthropic) -> None:
    service.uses = [("order", {"id": "A-1"})]
    question = Question(text="Where is my order A-1?")
    wanted = await model(service).chat(Talk(question=question, tools=[ORDER]), _Nothing(), unseen)
    assert isinstance(wanted, ToolsWanted)
    (call,) = wanted.calls
    assert (call.name, call.arguments) == ("order", {"id": "A-1"})
    assert [tool["name"] for tool in service.requests[0]["tools"]] == ["search", "open_document", "order"]
    gave = ToolGave(call_id=call.id, text="", passages=PASSAGES)
    round_ = Round(calls=wanted.calls, outputs=[gave])
    answer = await model(service).chat(Talk(question=question, tools=[ORDER], rounds=[round_]), _Nothing(), unseen)
    assert isinstance(answer, ModelAnswer)
    assert answer.sources[0].title == "Prices › Team"


async def test_a_chat_that_must_answer_is_not_given_a_choice(service: Anthropic) -> None:
    service.uses = [("search", {"query": "x"})] * 5
    answer = await model(service).chat(Talk(question=Question(text="?"), must_answer=True), _Nothing(), unseen)
    assert isinstance(answer, ModelAnswer)
    assert service.requests[0]["tool_choice"] == {"type": "none"}


async def test_many_rounds_stay_within_the_services_limit_of_cache_marks(service: Anthropic) -> None:
    rounds = [
        Round(calls=[ToolCall(id=name, name="search")], outputs=[ToolGave(call_id=name, text="none")])
        for name in map(str, range(8))
    ]
    history = [Turn(author="user", text="before"), Turn(author="assistant", text="yes")]
    await model(service).chat(Talk(question=Question(text="?", history=history), rounds=rounds), _Nothing(), unseen)


HISTORY = [
    Turn(author="user", text="Does it work offline?", author_name="Ann"),
    Turn(author="user", text="Offline mode keeps changes for 30 days.", author_name="Bob", is_asker=False),
    Turn(author="assistant", text="Good to know.", is_asker=False),
]


async def test_decisions_are_fields_and_only_what_was_offered(service: Anthropic) -> None:
    options = {"bug": "errors", "sales": "prices"}
    service.says = lambda body: Reply(object={"category": "sales", "tags": ["sales", "invented", "bug"]})
    assert await model(service).categorize(HISTORY, options, "other", None) == "sales"
    assert await model(service).tag(HISTORY, options, "look") == ["bug", "sales"]
    assert service.requests[0]["output_config"]["format"]["schema"]["properties"]["category"]["enum"] == [
        "bug",
        "sales",
        "other",
    ]
    service.says = lambda body: Reply(object={"category": "invented", "tags": "bug"})
    assert await model(service).categorize(HISTORY, options, "other", None) == "other"
    assert await model(service).tag(HISTORY, options, None) == []


async def test_a_model_sees_the_examples_of_a_category(service: Anthropic) -> None:
    service.says = lambda body: Reply(object={"category": "bug", "tags": ["bug"]})
    options = {"bug": Category("errors", examples=["it crashes on save"]), "sales": "prices"}
    await model(service).categorize(HISTORY, dict(options), "other", None)
    await model(service).tag(HISTORY, dict(options), None)
    for request in service.requests:
        assert "it crashes on save" in json.dumps(request["messages"])


@pytest.mark.parametrize("count", [1, 300])
async def test_one_category_and_three_hundred_are_sane(service: Anthropic, count: int) -> None:
    options = {f"name {n}": f"about {n}" for n in range(count)}
    assert await model(service).categorize(HISTORY, options, "other", None) == "name 0"


async def test_a_summary_covers_what_came_before(service: Anthropic) -> None:
    service.says = lambda body: Reply(object={"summary": " Ann asked. "})
    assert await model(service).summarize(HISTORY, "Earlier, Ann said hello.") == "Ann asked."
    assert data_in(service.requests[0])[0]["summary_of_earlier_messages"] == "Earlier, Ann said hello."


@pytest.mark.parametrize(
    "statement",
    [
        {"text": "It works.", "turn": 0, "quote": "Does it work offline?"},  # the asker's
        {"text": "It is good.", "turn": 2, "quote": "Good to know."},  # the agent's
        {"text": "It keeps them for ever.", "turn": 1, "quote": "keeps changes for ever"},  # nobody's words
        {"text": "x", "turn": 9, "quote": "Offline"},
        {"text": "x", "turn": -1, "quote": "Good"},
        {"text": "x", "turn": "1", "quote": "Offline"},
        {"text": "", "turn": 1, "quote": "Offline"},
        {"text": "x", "turn": 1, "quote": " "},
        "Offline mode keeps changes",
    ],
)
async def test_statements_that_nobody_else_made_are_not_learned(service: Anthropic, statement: object) -> None:
    good = {"text": "Changes are kept for 30 days.", "turn": 1, "quote": "keeps changes  for 30 days"}
    service.says = lambda body: Reply(object={"statements": [statement, good]})
    learned = await model(service).learn(HISTORY)
    assert [(one.text, one.turn) for one in learned] == [("Changes are kept for 30 days.", 1)]


async def test_nobody_is_asked_about_a_conversation_of_one_person(service: Anthropic) -> None:
    assert await model(service).learn(HISTORY[:1]) == []
    assert service.requests == []


async def test_a_caller_that_is_gone_ends_the_request(service: Anthropic) -> None:
    service.pause = 0.2
    begun = asyncio.Event()

    async def show(piece: str) -> None:
        begun.set()

    asking = asyncio.create_task(model(service).answer(Question(text="Hi"), FOUND, show))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert service.paid == 0
