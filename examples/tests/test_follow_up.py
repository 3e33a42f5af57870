"""Days pass in milliseconds: silence is asked about once, and then the conversation is closed."""

from datetime import timedelta

import pytest
from follow_up import answer_and_follow_up, ask_whether_it_helped, carry_on, close

from runllm.testing import Rehearsal
from runllm.testing.plugin import Rehearse

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def talk(rehearse: Rehearse) -> Rehearsal:
    """A conversation with its first answer."""
    talk = rehearse(answer_and_follow_up, [carry_on, ask_whether_it_helped, close])
    talk.will_answer("Like this.")
    talk.say("How?")
    return talk


def test_a_day_of_silence_is_asked_about_and_three_more_close_it(talk: Rehearsal) -> None:
    assert talk.wait(DAY - HOUR) == []
    assert [sent.text[:14] for sent in talk.wait(HOUR)] == ["Did that help?"]
    assert talk.wait(3 * DAY - HOUR) == []
    assert [sent.text[:7] for sent in talk.wait(HOUR)] == ["I close"]
    assert (talk.phase, talk.tags) == ("closed", ["went-silent"])
    assert talk.wait(30 * DAY) == []


def test_a_message_starts_the_silence_anew(talk: Rehearsal) -> None:
    talk.wait(23 * HOUR)
    talk.will_answer("And so on.")
    assert [sent.text for sent in talk.say("And then?")] == ["And so on."]
    assert talk.wait(23 * HOUR) == []
    assert [sent.text[:14] for sent in talk.wait(HOUR)] == ["Did that help?"]


def test_an_answer_to_the_follow_up_opens_the_conversation_again(talk: Rehearsal) -> None:
    talk.wait(DAY)
    talk.will_answer("Then like that.")
    assert [sent.text for sent in talk.say("No, it did not.")] == ["Then like that."]
    assert (talk.handler, talk.tags) == ("carry_on", [])
    assert [sent.text[:8] for sent in talk.wait(4 * DAY)] == ["Did that", "I close "]
