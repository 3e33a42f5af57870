"""When every attempt at an answer has died, the customer hears of it, once."""

import pytest

from gateways.wire import HandOver, Outcome
from runllm.bridge.messages import AnswerCategory
from runllm.operations import MessageRef, StreamAnswer
from store import sessions
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import Killed, once
from worker.activities.answers import AnswerActivities
from worker.activities.handover import NOBODY_ANSWERED, HandOverActivities
from worker.answering.model_settings import HANDOVER


@pytest.fixture
def hand_over(case: Case) -> HandOverActivities:
    return HandOverActivities(case.context)


async def test_where_the_answer_was_to_be_streamed_it_says_that_a_person_will_look(
    case: Case, hand_over: HandOverActivities
) -> None:
    await case.said("Hi")
    call = case.call(
        HandOver(answer=f"{case.session_id}:7", to=case.widget), outcomes=[Outcome(inbox_id=1, outcome="handled")]
    )
    said = await hand_over.tell(call)
    assert (said.text, said.category) == (HANDOVER, AnswerCategory.UNANSWERED)
    assert await hand_over.tell(call) == said
    assert case.platform.texts == [HANDOVER]
    assert await case.transcript() == ["Hi", HANDOVER]
    assert (await case.effect(f"{case.session_id}:7")).state == "done"
    async with case.store.read() as db:
        assert [line.text for line in await sessions.log_of(db, case.session_id)] == [NOBODY_ANSWERED]


async def test_where_the_handler_sends_the_answer_it_gets_the_sentence(
    case: Case, hand_over: HandOverActivities
) -> None:
    await case.said("Hi")
    said = await hand_over.tell(case.call(HandOver(answer=f"{case.session_id}:7")))
    assert (said.text, said.category) == (HANDOVER, AnswerCategory.UNANSWERED)
    assert case.platform.texts == []
    assert (await case.effect(f"{case.session_id}:7")).result == {"chat_id": said.chat_id}


async def test_an_answer_that_an_attempt_wrote_down_before_it_died_is_the_one_that_is_told(
    case: Case, hand_over: HandOverActivities
) -> None:
    question = await case.said("Hi")
    call = case.call(StreamAnswer(question=MessageRef(chat_id=question.id), to=case.widget))
    case.platform.before = once(Killed())
    with pytest.raises(Killed):
        await AnswerActivities(case.context).stream_answer(call)
    said = await hand_over.tell(case.call(HandOver(answer=call.key, to=case.widget)))
    assert said.text == "The answer."
    assert case.platform.texts == ["The answer."]
    assert case.model.paid == ["answer"]
