"""The pictures of the pages about the platforms: the workflow of each page runs, and what it leaves behind is drawn.

`make pages` draws them again; here a picture that would be drawn differently fails.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from runllm.bridge.messages import AnswerCategory, Source
from tests.crossing.pictures import keep
from tests.crossing.seen import on_discord, on_slack, on_zendesk
from tests.crossing.world import World, world
from tests.workflow.town import until
from worker.answering.scripted import Line, Script

pytestmark = [pytest.mark.long, pytest.mark.workflow, pytest.mark.contract, pytest.mark.timeout(120)]

PAGES = Path(__file__).parents[2] / "docs" / "howto"

SCRIPT = Script(
    answers=[
        Line(
            match="log in|sign in",
            text="Open **Settings**, then **Single sign-on**, and choose your provider.",
            sources=[Source(title="Guide › Single sign-on", url="https://docs.example.com/guide/sso")],
        ),
        Line(match="offline", text="I found nothing about that.", category=AnswerCategory.UNANSWERED),
        Line(match="mail", text="Look into the folder for unwanted mail, or ask for another link after ten minutes."),
    ],
)


async def published(here: World, page: str, ids: Mapping[str, str], *tasks: str) -> None:
    """Publishes the first workflow of a page, with the ids of this world."""
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    flow = next(block for block in blocks if "@entrypoint" in block).partition("\nif __name__")[0]
    flow = re.sub(r"(@entrypoint\(.*\)\ndef )\w+", r"\1answer", flow)
    for theirs, ours in ids.items():
        flow = flow.replace(theirs, ours)
    names: dict[str, Any] = {}
    exec(flow, names)
    await here.publish(flow, tasks, listeners=names["answer"].listeners)


async def test_slack(tmp_path: Path, client: Client) -> None:
    async with world(tmp_path, client, SCRIPT) as here:
        await published(here, "connect-slack.md", {"T0123456789": "T1", "C0123456789": "C1", "C9876543210": "C2"})
        asked = f"<@{here.slack.bot_user_id}> How do I log in?"
        thread = await here.slack.say("C1", "U1", asked)

        def buttons() -> list[str]:
            return [label for one in here.slack.by_app("C1", thread) for label in here.slack.buttons(one)]

        await until(buttons, lambda found: "Get a person" in found)
        session = await here.session_at(f"slack:T1:C1:{thread}")
        await here.until_phase(session.id, "waiting_for_button")
        keep("slack-asks", "#general", on_slack(here, thread))
        (question,) = [one["ts"] for one in here.slack.by_app("C1", thread)]
        await here.slack.click("C1", question, "U1", "Get a person")
        await until(lambda: here.slack.by_app("C1", thread), lambda found: len(found) == 2)
        await here.accounted()
        await until(lambda: on_slack(here, thread)[1].text, lambda text: "Chosen: Get a person" in text)
        keep("slack-chosen", "#general", on_slack(here, thread))


async def test_discord(tmp_path: Path, client: Client) -> None:
    async with world(tmp_path, client, SCRIPT) as here:
        ids = {"1575166201649168559": here.guild, "1575166201649168561": here.channel}
        await published(here, "connect-discord.md", ids)
        await here.discord.say(here.channel, here.ada, f"{here.discord.mention} How do I sign in?")
        (thread,) = await until(here.discord.threads, bool)
        await until(lambda: here.discord.texts(thread["id"]), bool)
        await here.discord.say(thread["id"], here.ada, f"{here.discord.mention} There is no mail")
        await until(lambda: here.discord.texts(thread["id"]), lambda found: len(found) == 2)
        await here.accounted()
        first = [one for one in here.discord.messages(here.channel) if one["type"] == 0]
        said = [*first, *(one for one in here.discord.messages(thread["id"]) if one["type"] == 0)]
        keep("discord", "#help", [on_discord(here, one) for one in said])


async def test_zendesk(tmp_path: Path, client: Client) -> None:
    async with world(tmp_path, client, SCRIPT) as here:
        await published(here, "connect-zendesk.md", {"docs.example.com": "acme.test"}, "with_support")
        visitor = await here.visitor()
        await visitor.say("Does the mobile app work offline?")
        (number,) = await until(lambda: list(here.acme.tickets), bool)
        await until(lambda: here.acme.texts(number), lambda found: len(found) == 2)
        here.acme.agent("bob@acme.example", name="Bob")
        here.acme.say(number, "bob@acme.example", "It does, for a week. Which version have you got?", status="pending")
        await until(visitor.texts, lambda found: "It does, for a week" in found[-1])
        await visitor.say("4.2")
        await until(lambda: here.acme.texts(number), lambda found: len(found) == 4)
        here.acme.say(number, "bob@acme.example", "Update to 4.3 then.", status="solved")
        await until(visitor.texts, lambda found: "Update to 4.3 then." in found[-1])
        await here.accounted()
        ticket = here.acme.tickets[number]
        title = f"{ticket['subject']} · {ticket['status']} · {', '.join(ticket['tags'])}"
        keep("zendesk-ticket", title, on_zendesk(here, number))
