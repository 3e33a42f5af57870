import asyncio

import pytest

from runllm.bridge.messages import AnswerCategory, MessageType
from runllm.errors import ModelError, Unavailable, UsageError
from runllm.operations import Answer, MessageRef, StreamAnswer, Summarize
from store import messages
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import Killed, once
from worker.activities.answers import SEARCHING, WRITING, AnswerActivities
from worker.answering.protocol import Found, Question


@pytest.fixture
def answers(case: Case) -> AnswerActivities:
    return AnswerActivities(case.context)


async def test_an_answer_has_category_sources_and_a_number_and_is_not_shown(
    case: Case, answers: AnswerActivities
) -> None:
    question = await case.said("How much?")
    said = await answers.answer(case.call(Answer(question=MessageRef(chat_id=question.id))))
    assert (said.text, said.category) == ("The answer.", AnswerCategory.ANSWERED)
    assert said.sources[0].url == "https://docs.example.com/page"
    row = await case.message(said.chat_id)
    assert (row.author, row.model, row.input_tokens, row.output_tokens) == (MessageType.ASSISTANT, "counting", 10, 3)
    assert await case.transcript() == ["How much?"]


async def test_the_model_sees_the_conversation_and_the_page(case: Case, answers: AnswerActivities) -> None:
    await case.said("Hello", name="Ann")
    await case.said("Hi, I am a human", by="agent-7", name="Bob")
    question = await case.said("How much?")
    await case.said("and this came later")
    await answers.answer(case.call(Answer(question=MessageRef(chat_id=question.id))))
    (asked,) = case.model.questions
    assert asked.text == "How much?"
    assert [(turn.text, turn.author_name, turn.is_asker) for turn in asked.history] == [
        ("Hello", "Ann", True),
        ("Hi, I am a human", "Bob", False),
    ]
    assert asked.page == {"url": "https://example.com/pricing", "page_title": "Pricing"}


async def test_a_question_that_the_handler_changed_is_asked_as_changed(case: Case, answers: AnswerActivities) -> None:
    question = await case.said("How much?")
    changed = MessageRef(chat_id=question.id, text="How much is the Team plan?")
    await answers.answer(case.call(Answer(question=changed)))
    assert case.model.questions[0].text == "How much is the Team plan?"
    assert case.model.questions[0].history == []


async def test_a_retried_answer_is_the_same_and_paid_once(case: Case, answers: AnswerActivities) -> None:
    question = await case.said("How much?")
    call = case.call(Answer(question=MessageRef(chat_id=question.id)))
    first = await answers.answer(call)
    assert await answers.answer(call) == first
    assert len(case.model.paid) == 1
    assert set(case.knowledge.asked) == {(1, "How much?")}


async def test_what_takes_a_moment_is_shown_until_it_is_over(
    case: Case, answers: AnswerActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.activities.answers.WORTH_SHOWING", 0.0)
    shown = {SEARCHING: asyncio.Event(), WRITING: asyncio.Event(), "": asyncio.Event()}
    monkeypatch.setattr(case.hub, "stage", lambda key, text: shown[text].set())

    async def find(agent_id: int, question: Question, limit: int = 8) -> Found:
        await shown[SEARCHING].wait()
        return Found()

    async def think() -> None:
        await shown[WRITING].wait()

    case.model.pieces, case.model.before = (), think
    monkeypatch.setattr(case.knowledge, "find", find)
    question = await case.said("Hi")
    async with asyncio.timeout(5):
        await answers.stream_answer(case.call(StreamAnswer(question=MessageRef(chat_id=question.id), to=case.widget)))
    assert shown[""].is_set()


async def test_an_answer_is_streamed_and_then_posted_once(case: Case, answers: AnswerActivities) -> None:
    case.model.pieces = ("Grüße ", "👋🏽", " done")
    question = await case.said("Hi")
    call = case.call(StreamAnswer(question=MessageRef(chat_id=question.id), to=case.widget))
    said = await answers.stream_answer(call)
    assert case.hub.pieces == [
        ("widget:c1", call.key, 1, 0, "Grüße "),
        ("widget:c1", call.key, 1, 6, "👋🏽"),
        ("widget:c1", call.key, 1, 10, " done"),
    ], "offsets count UTF-16 units, as browsers do"
    assert case.hub.stages == [], "nobody could read what is over at once"
    assert case.platform.texts == ["Grüße 👋🏽 done"]
    assert await answers.stream_answer(call) == said
    assert case.model.paid == ["answer"]
    assert await case.transcript() == ["Hi", "Grüße 👋🏽 done"]


async def test_a_retry_of_a_stream_starts_again_under_a_new_number(case: Case, answers: AnswerActivities) -> None:
    async def fails_once() -> None:
        if len(case.model.paid) == 1:
            raise ModelError("cut off")

    case.model.before = fails_once
    question = await case.said("Hi")
    call = case.call(StreamAnswer(question=MessageRef(chat_id=question.id), to=case.widget))
    with pytest.raises(ModelError):
        await answers.stream_answer(call)
    await answers.stream_answer(call)
    assert [(attempt, offset) for _, _, attempt, offset, _ in case.hub.pieces] == [
        *[(1, 0), (1, 4), (1, 10)],
        *[(2, 0), (2, 4), (2, 10)],
    ]
    assert case.platform.texts == ["The answer."]


@pytest.mark.parametrize("error", [Killed(), Unavailable("no answer")])
async def test_an_answer_that_was_made_is_not_made_again_because_posting_failed(
    case: Case, answers: AnswerActivities, error: BaseException
) -> None:
    question = await case.said("Hi")
    call = case.call(StreamAnswer(question=MessageRef(chat_id=question.id), to=case.widget))
    case.platform.after = once(error)
    with pytest.raises(type(error)):
        await answers.stream_answer(call)
    await answers.stream_answer(call)
    assert case.model.paid == ["answer"]
    assert case.platform.texts == ["The answer."]
    async with case.store.read() as db:
        row = await messages.by_key(db, call.key)
        assert row is not None
        assert len(await messages.postings_of(db, row.id)) == 1


async def test_slack_is_no_place_to_stream_to(case: Case, answers: AnswerActivities) -> None:
    question = await case.said("Hi")
    with pytest.raises(UsageError, match="slack_thread"):
        await answers.stream_answer(case.call(StreamAnswer(question=MessageRef(chat_id=question.id), to=case.slack)))
    assert case.model.paid == []


async def test_a_summary_is_paid_once(case: Case, answers: AnswerActivities) -> None:
    await case.said("Hi")
    call = case.call(Summarize())
    assert await answers.summarize(call) == "1 messages"
    await case.said("More")
    assert await answers.summarize(call) == "1 messages"
    assert case.model.paid == ["summarize"]
