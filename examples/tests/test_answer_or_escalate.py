"""Weak answers offer a person, and the buttons below them do not hold up the conversation."""

from datetime import timedelta

import pytest
from answer_or_escalate import answer_or_escalate, collect_details

from runllm import AdminConsole, AdminConsoleConfig, AnswerCategory, ChatSurface
from runllm.testing.plugin import Rehearse

CONSOLE = AdminConsole(config=AdminConsoleConfig(agent_id=1, convo_identifier="1"))


def test_a_good_answer_is_all_there_is(rehearse: Rehearse) -> None:
    talk = rehearse(answer_or_escalate, [collect_details])
    talk.will_answer("With `--percent 10`.")
    (sent,) = talk.say("How do I roll out to ten percent?")
    assert (sent.text, sent.buttons, talk.tags) == ("With `--percent 10`.", [], [])


@pytest.mark.parametrize("surface", [None, CONSOLE])
def test_a_person_takes_over(rehearse: Rehearse, surface: ChatSurface | None) -> None:
    talk = rehearse(answer_or_escalate, [collect_details], surface=surface)
    talk.will_answer("Perhaps so.", AnswerCategory.LOW_CONFIDENCE)
    talk.will_click("person")
    _, question, promise = talk.say("My flags are gone.")
    assert question.buttons == ["helped", "person"]
    assert "on the team's list" in promise.text
    assert (talk.tags, talk.handler) == (["needs-a-person"], "collect_details")
    assert [sent.text for sent in talk.say("Since noon.")] == ["Thank you, I have added that."]


def test_the_conversation_goes_on_while_the_buttons_wait(rehearse: Rehearse) -> None:
    talk = rehearse(answer_or_escalate, [collect_details])
    talk.will_answer("I do not know.", AnswerCategory.UNANSWERED)
    talk.will_look(lambda: parked.extend(talk.parked))
    talk.will_say("And what does it cost?")
    talk.will_click("helped", after=timedelta(hours=5))
    talk.will_answer("Nothing.")
    parked: list[str] = []
    talk.say("Why?")
    assert talk.texts()[-1] == "Nothing."
    assert (parked, talk.handler) == (["answer_or_escalate"], "answer_or_escalate")
    assert talk.tags == ["helped"]


def test_nobody_clicks(rehearse: Rehearse) -> None:
    talk = rehearse(answer_or_escalate, [collect_details])
    began = talk.time
    talk.will_answer("Perhaps so.", AnswerCategory.LOW_CONFIDENCE)
    talk.say("Why?")
    assert (talk.time - began, talk.tags, len(talk.sent)) == (timedelta(days=3), [], 2)
