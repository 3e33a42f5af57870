"""Long conversations are summarised once and written on, not sent whole."""

import pytest

from runllm.operations import Answer, MessageRef, Summarize
from store import summaries
from tests.unit.activities.conftest import Case
from worker.activities.answers import AnswerActivities


@pytest.fixture
def answers(case: Case) -> AnswerActivities:
    case.model.longest = 500
    return AnswerActivities(case.context)


async def ask(case: Case, answers: AnswerActivities, text: str) -> None:
    question = await case.said(text)
    await answers.answer(case.call(Answer(question=MessageRef(chat_id=question.id))))


async def test_a_short_conversation_is_sent_as_it_is(case: Case, answers: AnswerActivities) -> None:
    for _ in range(4):
        await ask(case, answers, "x" * 100)
    assert case.model.paid == ["answer"] * 4
    assert case.model.questions[-1].summarised == 0
    async with case.store.read() as db:
        assert await summaries.of(db, case.session_id) is None


async def test_a_long_one_is_summarised_and_the_summary_is_written_on(case: Case, answers: AnswerActivities) -> None:
    for number in range(30):
        await ask(case, answers, f"{number} " + "x" * 100)
    sent = [question.history[question.summarised :] for question in case.model.questions]
    assert max(sum(len(turn.text) for turn in turns) for turns in sent) <= 500
    assert 2 < case.model.paid.count("summarize") <= 13, "not for every message"
    covered = [len(history) for history in case.model.histories]
    assert sum(covered) <= 30, "no message is summarised twice"
    last = case.model.questions[-1]
    assert last.summary.endswith("messages")
    assert len(last.history) == 29, "retrieval and redaction go on seeing all of it"


async def test_a_summary_that_failed_fails_the_answer_and_is_tried_with_it(
    case: Case, answers: AnswerActivities
) -> None:
    for number in range(5):
        await ask(case, answers, f"{number} " + "x" * 50)
    question = await case.said("x" * 800)
    call = case.call(Answer(question=MessageRef(chat_id=question.id)))
    await answers.answer(call)
    paid = list(case.model.paid)
    await answers.answer(call)
    assert case.model.paid == paid


async def test_a_summary_for_people_starts_from_the_running_one(case: Case, answers: AnswerActivities) -> None:
    for number in range(12):
        await ask(case, answers, f"{number} " + "x" * 100)
    case.model.histories.clear()
    await answers.summarize(case.call(Summarize()))
    assert len(case.model.histories[-1]) < 12


async def test_a_summary_that_reaches_less_far_does_not_replace_one_that_reaches_further(case: Case) -> None:
    rows = [await case.said(f"message {n}") for n in range(3)]
    async with case.store.begin() as db:
        await summaries.extend(db, case.session_id, rows[2].id, "all three")
        await summaries.extend(db, case.session_id, rows[0].id, "one")
        found = await summaries.of(db, case.session_id)
    assert found is not None
    assert (found.until_chat_id, found.text) == (rows[2].id, "all three")
