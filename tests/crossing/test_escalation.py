"""The whole way of a question that needs a person: from Slack to Zendesk and back, until it is solved.

The page about it has the workflow, and shows the thread and the ticket as they were here: `make pages` draws them.
"""

from pathlib import Path

import pytest
from temporalio.client import Client

from runllm.bridge.listeners import SlackListener
from runllm.bridge.messages import AnswerCategory
from runllm.bridge.triggers import AllMessages
from tests.crossing.pictures import keep
from tests.crossing.seen import in_names, on_slack, on_zendesk
from tests.crossing.world import World, world
from tests.workflow.town import until
from worker.answering.scripted import Line, Script

pytestmark = [pytest.mark.workflow, pytest.mark.contract, pytest.mark.timeout(120)]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "escalation.md"

SCRIPT = Script(
    answers=[
        Line(
            match="export",
            text="Exports are under Settings, but I am not sure that yours can be repaired there.",
            category=AnswerCategory.LOW_CONFIDENCE,
        )
    ],
    summary="An export stops at 99 %, and the documentation has no remedy.",
)


async def test_a_question_goes_to_a_person_and_comes_back_solved(tmp_path: Path, client: Client) -> None:
    flow = PAGE.read_text().partition("```python\n")[2].partition("```")[0].replace("T0123456789", "T1")
    async with world(tmp_path, client, SCRIPT) as here:
        await here.publish(flow, listeners=[SlackListener(team_id="T1", default_trigger=AllMessages())])
        thread, number = await escalated(here)
        ticket = here.acme.tickets[number]
        keep("escalation-thread", "The thread in Slack", on_slack(here, thread))
        title = f"The ticket in Zendesk: {ticket['status']}, {', '.join(ticket['tags'])}"
        keep("escalation-ticket", title, on_zendesk(here, number))


async def escalated(here: World) -> tuple[str, int]:
    """Everybody does their part. Returns the thread and the ticket."""
    slack, acme = here.slack, here.acme
    thread = await slack.say("C1", "U1", "My export stops at 99 %. What can I do?")

    def asking() -> list[str]:
        return [
            one["ts"] for one in slack.by_app("C1", thread) if slack.buttons(one) == ["Resolved", "I need a person"]
        ]

    (question,) = await until(asking, bool)
    session = await here.session_at(f"slack:T1:C1:{thread}")
    await here.until_phase(session.id, "waiting_for_button")
    await slack.click("C1", question, "U1", "I need a person")
    await here.until_phase(session.id, "mirroring")

    def shown() -> list[str]:
        return [slack.words(one) for one in slack.messages("C1", thread)]

    # The message shows who chose what, and nothing is left to click.
    (asked,) = [one for one in slack.messages("C1", thread) if one["ts"] == question]
    assert slack.buttons(asked) == []
    assert in_names(slack.words(asked), slack.users).endswith("Chosen: I need a person, by Ada Lovelace")

    # The ticket tells the conversation, and leads back to the thread.
    (number,) = acme.tickets
    opening = acme.texts(number)[0]
    link = f"https://acme.slack.com/archives/C1/p{thread.replace('.', '')}"
    for words in ("An export stops at 99 %", link, "My export stops at 99 %. What can I do?"):
        assert words in opening
    assert acme.tickets[number]["tags"] == ["from-slack"]

    # What the team writes appears in the thread, under its author's name, and what the customer replies on the ticket.
    acme.agent("max@acme.example", name="Max Planck")
    acme.say(number, "max@acme.example", "Is this the big export, or the small one?")
    await until(shown, lambda found: "Is this the big export, or the small one?" in found[-1])
    acme.say(number, "max@acme.example", "She asks this every month.", public=False)
    await slack.say("C1", "U1", "The big one, with pictures.", thread)
    await until(lambda: acme.texts(number), lambda found: "The big one, with pictures." in found[-1])
    acme.say(number, "max@acme.example", "It is repaired: please try again.", status="solved")
    await until(shown, lambda found: "It is repaired: please try again." in found[-1])
    assert acme.tickets[number]["status"] == "solved"

    await here.accounted()
    assert not any("every month" in words for words in shown())
    assert [line.text for line in await here.log(session.id) if line.level == "error"] == []
    return thread, number
