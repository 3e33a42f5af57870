"""The whole way of a question that needs a person: from Slack to Zendesk and back, until it is solved."""

from pathlib import Path

import pytest
from temporalio.client import Client

from runllm.bridge.listeners import SlackListener
from runllm.bridge.messages import AnswerCategory
from runllm.bridge.triggers import AllMessages
from tests.crossing.world import World, world
from tests.workflow.town import until
from worker.answering.scripted import Line, Script

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(120)]

FLOW = """
from runllm import AllMessages, AnswerCategory, SlackListener, SlackThread

UNSURE = (AnswerCategory.UNANSWERED, AnswerCategory.LOW_CONFIDENCE)
CHOICE = [
    {"type": "buttons", "buttons": [
        {"id": "resolved", "style": "primary", "text": "Resolved"},
        {"id": "person", "text": "I need a person"},
    ]}
]


@entrypoint(listeners=[HERE, SlackListener(team_id="T1", default_trigger=AllMessages())])
def answer(agent: Agent, event: Event) -> None:
    thread = event.conversation.surface
    response = agent.answer(event.conversation)
    if response.category not in UNSURE:
        agent.send_to_slack_thread(response, thread)
        return
    click = agent.send_to_slack_thread(
        response, thread, enable_feedback=False, blocks=CHOICE, block_until_button_clicked=True
    )
    if click is None or click.id == "resolved":
        return
    ticket = agent.create_zendesk_ticket(
        event.conversation,
        tags=["from-slack"],
        description=agent.summarize(event.conversation) + "\\n\\nThe thread: " + thread.link() + "\\n\\n{conversation}",
    )
    agent.send_to_slack_thread("A person of our team reads this thread now, and answers here.", thread)
    agent.terminate(keep_in_sync=[thread, ticket])
"""

SCRIPT = Script(
    answers=[
        Line(
            match="export",
            text="Exports may be found under Settings, but I am not sure that yours can be repaired there.",
            category=AnswerCategory.LOW_CONFIDENCE,
        )
    ],
    summary="An export stops at 99 %, and the documentation has no remedy.",
)


async def test_a_question_goes_to_a_person_and_comes_back_solved(tmp_path: Path, client: Client) -> None:
    async with world(tmp_path, client, SCRIPT) as here:
        await here.publish(FLOW, also=[SlackListener(team_id="T1", default_trigger=AllMessages())])
        await escalate(here)


async def escalate(here: World) -> None:
    slack, acme = here.slack, here.acme
    thread = await slack.say("C1", "U1", "My export stops at 99 %. What can I do?")
    asked = await until(lambda: [one for one in slack.by_app("C1", thread) if slack.buttons(one)], bool)
    assert slack.buttons(asked[0]) == ["Resolved", "I need a person"]
    session = await here.session_at(f"slack:T1:C1:{thread}")
    await slack.click("C1", asked[0]["ts"], "U1", "I need a person")
    await here.until_phase(session.id, "mirroring")

    def shown() -> list[str]:
        return [slack.words(one) for one in slack.messages("C1", thread)]

    # The message shows who chose what, and nothing is left to click.
    (asked_now,) = [one for one in slack.messages("C1", thread) if one["ts"] == asked[0]["ts"]]
    assert slack.buttons(asked_now) == []
    assert "I need a person" in slack.words(asked_now)

    # The ticket tells the conversation, and leads back to the thread.
    (number,) = acme.tickets
    opening = acme.texts(number)[0]
    for words in (
        "An export stops at 99 %",
        f"https://acme.slack.com/archives/C1/p{thread.replace('.', '')}",
        "My export stops at 99 %. What can I do?",
    ):
        assert words in opening
    assert acme.tickets[number]["tags"] == ["from-slack"]

    # What the team writes appears in the thread, under its author's name, and what the customer replies on the ticket.
    acme.agent("max@acme.example", name="Max Planck")
    acme.say(number, "max@acme.example", "Is this the big export, or the small one?")
    acme.say(number, "max@acme.example", "He asks this every month.", public=False)
    await until(shown, lambda found: "Is this the big export, or the small one?" in found[-1])
    await slack.say("C1", "U1", "The big one, with pictures.", thread)
    await until(lambda: acme.texts(number), lambda found: "The big one, with pictures." in found[-1])
    acme.say(number, "max@acme.example", "It is repaired: please try again.", status="solved")
    await until(shown, lambda found: "It is repaired: please try again." in found[-1])
    assert acme.tickets[number]["status"] == "solved"

    await here.accounted()
    assert not any("every month" in words for words in shown())
    assert [one for one in await here.log(session.id) if one.level == "error"] == []
    print(
        "\n".join(
            f"{one.get('username') or one.get('user')}: {slack.words(one)}" for one in slack.messages("C1", thread)
        )
    )
    print(acme.comments(number))
