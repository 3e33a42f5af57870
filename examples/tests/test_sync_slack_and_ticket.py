"""A weak answer in Slack opens a ticket, and the two sides hear of each other until long after it is solved."""

from datetime import timedelta

import pytest
from sync_slack_and_ticket import answer_in_slack, in_step

from runllm import (
    Agent,
    AnswerCategory,
    Rejected,
    SlackThread,
    SlackThreadConfig,
    ZendeskTicket,
    ZendeskTicketConfig,
)
from runllm.testing import Rehearsal
from runllm.testing.plugin import Rehearse

ADA, SAM = "T0000000000:UADA", "support-7"


def with_a_ticket(rehearse: Rehearse) -> tuple[Rehearsal, ZendeskTicket]:
    """A conversation whose answer was weak."""
    talk = rehearse(answer_in_slack, [in_step])
    talk.will_answer("Perhaps with a hammer.", AnswerCategory.LOW_CONFIDENCE)
    talk.will_summarize("Ada cannot log in.")
    talk.say("I cannot log in", user=ADA)
    return talk, talk.opened(ZendeskTicket)


def test_a_good_answer_needs_no_ticket(rehearse: Rehearse) -> None:
    talk = rehearse(answer_in_slack, [in_step])
    talk.will_answer("Press the button.")
    assert [sent.text for sent in talk.say("How?", user=ADA)] == ["Press the button."]
    assert talk.tickets == {}


def test_the_ticket_has_a_summary_a_link_and_all_that_was_said(rehearse: Rehearse) -> None:
    talk, ticket = with_a_ticket(rehearse)
    assert isinstance(talk.surface, SlackThread)
    description = talk.tickets[ticket.id].description
    assert description.startswith(f"Ada cannot log in.\n\nSlack thread: {talk.surface.link()}\n\nuser: I cannot log in")
    assert talk.texts()[-1].startswith(f"I have opened ticket {ticket.id}.")
    assert (talk.handler, talk.listening) == ("in_step", [talk.surface, ticket])


def test_each_side_hears_the_other_while_the_button_waits(rehearse: Rehearse) -> None:
    talk, ticket = with_a_ticket(rehearse)
    assert [(sent.to, sent.text) for sent in talk.say("It says 403", user=ADA)] == [(ticket, "It says 403")]
    talk.will_say("Still 403", user=ADA)
    comment, echoed = talk.say("Try again now", on=ticket, user=SAM)
    assert (comment.to, comment.prefix, comment.buttons) == (talk.surface, "Support:", ["solved"])
    assert (echoed.to, echoed.text) == (ticket, "Still 403")
    assert (talk.tickets[ticket.id].status, talk.phase) == ("new", "listening")


def test_what_support_writes_for_itself_stays_on_the_ticket(rehearse: Rehearse) -> None:
    talk, ticket = with_a_ticket(rehearse)
    assert talk.say("She asks this every month", on=ticket, user=SAM, internal=True) == []


def test_without_a_ticket_the_customer_has_the_answer_at_least(rehearse: Rehearse) -> None:
    talk = rehearse(answer_in_slack, [in_step])
    talk.will_answer("Perhaps with a hammer.", AnswerCategory.LOW_CONFIDENCE)
    talk.will_summarize("Ada cannot log in.")
    talk.will_fail(Agent.create_zendesk_ticket, Rejected("Zendesk refused (422): Requester: is suspended"))
    with pytest.raises(Rejected):  # the engine writes it into the session's log, and the thread goes on
        talk.say("I cannot log in", user=ADA)
    assert talk.texts() == ["Perhaps with a hammer."]
    assert talk.handler == "answer_in_slack"


def test_solved_ends_the_workflow_and_not_the_connection(rehearse: Rehearse) -> None:
    talk, ticket = with_a_ticket(rehearse)
    talk.will_click("solved", user=ADA, after=timedelta(days=2))
    talk.say("Try again now", on=ticket, user=SAM)
    assert (talk.tickets[ticket.id].status, talk.phase) == ("solved", "mirroring")
    assert [(sent.to, sent.text) for sent in talk.say("One more thing", user=ADA)] == [(ticket, "One more thing")]
    assert [sent.to for sent in talk.say("Yes?", on=ticket, user=SAM)] == [talk.surface]


def test_the_task_by_itself(rehearse: Rehearse) -> None:
    """A task can be rehearsed without the way that leads to it."""
    thread = SlackThread(config=SlackThreadConfig(bot_conn_token="t", team_id="T1", channel="C1", thread_ts="1.0"))
    ticket = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="7"))
    talk = rehearse(in_step, on=[thread, ticket])
    assert [sent.to for sent in talk.say("Hello?", on=thread)] == [ticket]
    assert [sent.to for sent in talk.say("Hello!", on=ticket)] == [thread]
