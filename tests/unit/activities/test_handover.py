"""When every attempt at an answer has died, the customer hears of it, once."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateways.wire import HandOver, Outcome, OwnUp
from runllm.bridge.messages import AnswerCategory
from runllm.errors import Rejected
from runllm.operations import MessageRef, StreamAnswer
from store import sessions
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import Killed, once
from worker.activities.answers import AnswerActivities
from worker.activities.context import APOLOGY
from worker.activities.handover import NOBODY_ANSWERED, HandOverActivities
from worker.answering.model_settings import HANDOVER
from worker.settings import ActivitySettings


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


# A handler failed


async def test_whoever_wrote_reads_once_that_something_went_wrong(case: Case, hand_over: HandOverActivities) -> None:
    await case.said("Hi")
    call = case.call(OwnUp(to=case.widget), outcomes=[Outcome(inbox_id=1, outcome="handled")])
    case.platform.before = once(Killed())
    with pytest.raises(Killed):
        await hand_over.own_up(call)
    await hand_over.own_up(call)
    await hand_over.own_up(call)
    assert case.platform.texts == [APOLOGY]
    assert await case.transcript() == ["Hi", APOLOGY]


async def test_an_installation_may_say_it_in_its_own_words_or_not_at_all(case: Case) -> None:
    for text, shown in (("Pardon!", ["Pardon!"]), ("", ["Pardon!"])):
        mine = HandOverActivities(replace(case.context, apology=text))
        await mine.own_up(case.call(OwnUp(to=case.widget)))
        assert case.platform.texts == shown


async def test_a_surface_that_refuses_it_says_so(case: Case, hand_over: HandOverActivities) -> None:
    case.platform.before = once(Rejected("the channel is archived"))
    with pytest.raises(Rejected, match="archived"):
        await hand_over.own_up(case.call(OwnUp(to=case.widget)))
    assert case.platform.texts == []


def test_the_environment_changes_the_sentence_or_turns_it_off(tmp_path: Path) -> None:
    def read(**more: str) -> str:
        return ActivitySettings.from_env({"RUNLLM_HOME": str(tmp_path), "RUNLLM_SECRET": "s" * 40, **more}).apology

    assert read() == APOLOGY
    assert read(RUNLLM_APOLOGY_TEXT="Pardon!") == "Pardon!"
    assert read(RUNLLM_APOLOGY_TEXT="off") == ""
