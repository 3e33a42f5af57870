"""An answer goes out when two different people said so, and to a person in all other cases."""

from datetime import timedelta

import pytest
from two_approvals import APPROVERS, answer_with_approval, between_people

from runllm import SlackThread
from runllm.testing import Rehearsal
from runllm.testing.plugin import Rehearse

ANN, BEN, _ = APPROVERS
STRANGER = "T0000000000:U9999999999"


@pytest.fixture
def talk(rehearse: Rehearse) -> Rehearsal:
    """A conversation whose next answer is drafted."""
    talk = rehearse(answer_with_approval, [between_people])
    talk.will_answer("You may.")
    return talk


def test_two_people_approve_one_after_the_other(talk: Rehearsal) -> None:
    seen: list[list[str]] = []
    talk.will_click("approve", user=ANN)
    talk.will_look(lambda: seen.append(talk.texts()))
    talk.will_click("approve", user=BEN, after=timedelta(hours=3))
    talk.say("May I?")
    assert seen == [["Thank you. A colleague looks at my answer before you get it."]]  # not after one approval
    assert talk.texts()[-1] == "You may."
    assert [click.user for click in talk.clicks] == [ANN, BEN]
    assert talk.texts(talk.opened(SlackThread))[:2] == ["May I?", "You may."]


def test_neither_a_stranger_nor_the_same_person_twice(talk: Rehearsal) -> None:
    talk.will_click("approve", user=STRANGER)
    talk.will_click("approve", user=ANN)
    talk.will_click("approve", user=ANN)
    talk.will_click("approve", user=BEN)
    talk.say("May I?")
    assert [click.user for click in talk.refused] == [STRANGER, ANN]
    assert talk.texts()[-1] == "You may."


@pytest.mark.parametrize("approvals", [[], [ANN]])
def test_a_rejection_hands_over_to_a_person(talk: Rehearsal, approvals: list[str]) -> None:
    for user in approvals:
        talk.will_click("approve", user=user)
    talk.will_click("reject", user=BEN)
    talk.say("May I?")
    thread = talk.opened(SlackThread)
    assert "You may." not in talk.texts()
    assert (talk.tags, talk.handler, talk.listening) == (["needs-a-person"], "between_people", [talk.surface, thread])
    assert talk.texts(thread)[-1].startswith(f"{BEN} rejected the draft.")
    assert [(sent.to, sent.text) for sent in talk.say("You may not.", on=thread)] == [(talk.surface, "You may not.")]
    assert [sent.prefix for sent in talk.say("Why?")] == ["The customer:"]


@pytest.mark.parametrize(("approvals", "hours"), [([], 4), ([ANN], 6)])
def test_time_runs_out(talk: Rehearsal, approvals: list[str], hours: int) -> None:
    began = talk.time
    for user in approvals:
        talk.will_click("approve", user=user, after=timedelta(hours=2))
    talk.say("May I?")
    assert talk.time - began == timedelta(hours=hours)
    assert talk.texts()[-1] == "A colleague will answer you personally, right here."
    assert talk.texts(talk.opened(SlackThread))[-1].startswith("Nobody decided in time.")


def test_a_second_question_does_not_wait_for_the_first(talk: Rehearsal) -> None:
    talk.will_say("And she?")
    talk.will_answer("She, too.")
    for user in (ANN, BEN, ANN, BEN):
        talk.will_click("approve", user=user)
    talk.say("May I?")
    assert talk.texts()[-2:] == ["She, too.", "You may."]
