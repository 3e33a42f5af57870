"""What the documentation does not say is asked for in Slack, passed on, and learned."""

from learn_from_humans import answer_or_ask_the_team, pass_on

from runllm import AnswerCategory, SlackThread
from runllm.testing import Rehearsal
from runllm.testing.plugin import Rehearse


def asked_the_team(rehearse: Rehearse) -> tuple[Rehearsal, SlackThread]:
    """A conversation that the agent could not answer."""
    talk = rehearse(answer_or_ask_the_team, [pass_on])
    talk.will_answer("I found nothing.", AnswerCategory.UNANSWERED)
    talk.say("When does it ship?")
    return talk, talk.opened(SlackThread)


def test_the_team_is_not_asked_what_the_documentation_answers(rehearse: Rehearse) -> None:
    talk = rehearse(answer_or_ask_the_team, [pass_on])
    talk.will_answer("In May.")
    assert [sent.to for sent in talk.say("When does it ship?")] == [talk.surface]
    assert (talk.handler, talk.tags) == ("answer_or_ask_the_team", [])


def test_the_team_reads_the_whole_conversation(rehearse: Rehearse) -> None:
    talk, thread = asked_the_team(rehearse)
    call, question, *_ = talk.texts(thread)
    assert call.startswith("Who knows this?")
    assert question == "When does it ship?"
    assert talk.tags == ["asked-the-team"]


def test_a_reply_is_passed_on_learned_and_thanked_for(rehearse: Rehearse) -> None:
    talk, thread = asked_the_team(rehearse)
    talk.will_learn("Learned: It ships in May.")
    reply, thanks = talk.say("It ships in May.", on=thread, user="T0000000000:U1", name="Grace")
    assert (reply.to, reply.text) == (talk.surface, "It ships in May.")
    assert (thanks.to, thanks.ephemeral) == (thread, True)
    assert thanks.text == "Thank you, Grace!\n\nLearned: It ships in May."


def test_the_customer_is_never_learned_from(rehearse: Rehearse) -> None:
    talk, thread = asked_the_team(rehearse)
    (sent,) = talk.say("It ships tomorrow, I say.")  # there is no `will_learn`: asking for it would fail
    assert (sent.to, sent.prefix) == (thread, "The customer:")
