"""Every message is sorted; urgency changes over the conversation, and some topics are for people."""

from triage import triage

from runllm import AnswerCategory, SlackThread, ZendeskTicket
from runllm.testing.plugin import Rehearse


def test_a_question_is_answered(rehearse: Rehearse) -> None:
    talk = rehearse(triage)
    talk.will_categorize("normal")
    talk.will_categorize("question")
    talk.will_answer("In the settings.")
    assert [sent.text for sent in talk.say("Where is dark mode?")] == ["In the settings."]
    assert talk.tags == ["normal"]


def test_the_urgency_changes_and_people_are_called_once(rehearse: Rehearse) -> None:
    talk = rehearse(triage)
    for urgency, text in [("low", "I wonder how"), ("urgent", "Now all is down!"), ("urgent", "And the data is gone!")]:
        talk.will_categorize(urgency)
        talk.will_categorize("question")
        talk.will_answer("Have a look at the status page.")
        talk.say(text)
    assert set(talk.tags) == {"urgent", "paged"}  # "low" is gone: the group is pinned
    thread = talk.opened(SlackThread)
    on_duty = talk.texts(thread)
    assert [text for text in on_duty if text.startswith(("I wonder", "Now", "And"))] == [
        "I wonder how",
        "Now all is down!",
        "And the data is gone!",
    ]
    assert sum("engineer on duty" in text for text in talk.texts()) == 1


def test_money_goes_to_a_ticket_and_the_agent_is_silent(rehearse: Rehearse) -> None:
    talk = rehearse(triage)
    talk.will_categorize("normal")
    talk.will_categorize("billing")
    talk.will_summarize("They were charged twice.")
    talk.say("You charged me twice.")
    ticket = talk.opened(ZendeskTicket)
    assert talk.tickets[ticket.id].description == "They were charged twice."
    assert talk.tickets[ticket.id].tags == ["billing", "normal"]
    assert talk.phase == "mirroring"
    (sent,) = talk.say("Sorry, you get it back.", on=ticket, user="support")
    assert sent.to == talk.surface
    (sent,) = talk.say("Thanks!")
    assert sent.to == ticket


def test_a_gap_in_the_documentation_is_noted(rehearse: Rehearse) -> None:
    talk = rehearse(triage)
    talk.will_categorize("low")
    talk.will_categorize("question")
    talk.will_answer("I found nothing.", AnswerCategory.UNANSWERED)
    talk.say("Does it sing?")
    assert talk.tags == ["low", "missing-in-docs"]
