"""What the engine asks of Anthropic, and what the stand-in answers, judged by the official specification.

The specification describes whole replies and not the events of a stream: so each reply is also asked for whole, which
is judged, and the stream has to come to the same.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from runllm.operations import ToolCall, ToolSpec
from tests.contract.proxy import judged
from tests.fakes.anthropic import KEY, Anthropic, Reply, events, serving
from worker.answering.anthropic import AnthropicProvider
from worker.answering.completion import ModelRefused
from worker.answering.language import LanguageModel
from worker.answering.protocol import Found, Passage, Question, Round, Talk, ToolGave, Turn, nobody

pytestmark = pytest.mark.contract

PASSAGE = Passage(id=1, document_id=1, title="T", heading_path="H", url="https://d.example/t", text="It works.")
HISTORY = [
    Turn(author="user", text="Does it work? I am ann@x.example", author_name="Ann"),
    Turn(author="assistant", text="Yes."),
    Turn(author="user", text="It has worked since May.", author_name="Bob", is_asker=False),
]
ORDER = ToolSpec(name="order", description="An order.", parameters={"type": "object", "properties": {"id": {}}})


@pytest.fixture
async def service() -> AsyncIterator[Anthropic]:
    async with serving(Anthropic()) as service, judged("anthropic", service.url) as url:
        service.url = url
        yield service


@pytest.fixture
async def model(service: Anthropic) -> AsyncIterator[LanguageModel]:
    model = LanguageModel(AnthropicProvider("claude-sonnet-5-5", api_key=KEY, base_url=service.url))
    yield model
    await model.close()


async def test_all_that_the_engine_asks_is_allowed(service: Anthropic, model: LanguageModel) -> None:
    question = Question(text="And now?", history=HISTORY, page={"title": "P"}, summary="Ann asked.", summarised=1)
    await model.answer(question, Found(passages=[PASSAGE], searched=1), nobody)
    calls = [ToolCall(id="toolu_1", name="search", arguments={"query": "x"}), ToolCall(id="toolu_2", name="order")]
    outputs = [
        ToolGave(call_id="toolu_1", text="", passages=[PASSAGE]),
        ToolGave(call_id="toolu_2", text="closed", is_error=True),
    ]
    rounds = [Round(text="Let me look.", calls=calls, outputs=outputs)]
    for must_answer in (False, True):
        talk = Talk(question=question, tools=[ORDER], rounds=rounds, must_answer=must_answer)
        await model.chat(talk, None, nobody)  # type: ignore[arg-type]
    await model.summarize(HISTORY, "Before.")
    await model.categorize(HISTORY, {"a": "A", "b": "B"}, "other", "Look.")
    await model.tag(HISTORY, {"a": "A", "b": "B"}, None)
    await model.learn(HISTORY)
    assert len(service.requests) == 7


@pytest.mark.parametrize(
    "reply",
    [
        Reply(object={"text": "It works.", "passages": [1], "category": "answered"}),
        Reply(text="Let me look.", calls=(("search", {"query": "ö"}), ("order", {}))),
        Reply(text='{"text": "It wo', stop_reason="max_tokens"),
        Reply(text="No.", stop_reason="refusal"),
    ],
    ids=["an answer", "tools", "cut off", "declined"],
)
async def test_a_stream_comes_to_the_whole_reply_which_is_what_the_service_may_say(
    service: Anthropic, reply: Reply
) -> None:
    service.says = lambda body: reply
    ask: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=service.url, max_retries=0) as client:
        whole = await client.messages.create(**ask)
        async with client.messages.stream(**ask) as stream:
            streamed = await stream.get_final_message()
    for message in (whole, streamed):
        message.id = ""
        for block in message.content:
            if block.type == "tool_use":
                block.id = ""
    assert json.loads(streamed.model_dump_json(include={"content", "stop_reason", "role", "model"})) == json.loads(
        whole.model_dump_json(include={"content", "stop_reason", "role", "model"})
    )
    assert streamed.usage.output_tokens == whole.usage.output_tokens


async def test_refusals_are_the_services(service: Anthropic, model: LanguageModel) -> None:
    wrong = LanguageModel(AnthropicProvider("claude-sonnet-5-5", api_key="wrong", base_url=service.url))
    unknown = LanguageModel(AnthropicProvider("claude-9", api_key=KEY, base_url=service.url))
    for one in (wrong, unknown):
        with pytest.raises(ModelRefused):
            await one.answer(Question(text="?"), Found(), nobody)
        await one.close()


def test_events_are_in_the_order_of_the_protocol() -> None:
    usage = {"output_tokens": 3}
    content = [{"type": "text", "text": "abc"}, {"type": "tool_use", "id": "1", "name": "n", "input": {"a": 1}}]
    names = [name for name, _ in events({"content": content, "stop_reason": "tool_use", "usage": usage}, 2)]
    assert names == [
        "message_start",
        "ping",
        *["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"],
        *["content_block_start", *["content_block_delta"] * 5, "content_block_stop"],
        "message_delta",
        "message_stop",
    ]
