"""Clicks that come second, too late, or from somebody who may not choose, on each surface that has buttons."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.crossing.everything import FLOW, listeners
from tests.crossing.places import AtHome, OnDiscord, OnSlack, Place, answered, place
from tests.crossing.world import World, world
from tests.workflow.town import until
from worker.activities.session import TIME_IS_UP
from worker.answering.scripted import Script

pytestmark = [pytest.mark.workflow, pytest.mark.contract, pytest.mark.timeout(240)]

ASKING = """
def asks_somebody_else(agent, event):
    click = reply(agent, event, "Who may?", blocks=CHOICE, block_until_button_clicked=True, allowed_users=["nobody"])
    reply(agent, event, f"clicked {click.id}")


DO = {
    "other": asks_somebody_else, "echo": lambda agent, event: reply(agent, event, "I am here"),
"""

SURFACES = ("slack", "discord", "widget", "console")


@pytest.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory, environment: WorkflowEnvironment) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("clicks"), environment.client, Script()) as made:
        await made.publish(FLOW.replace("DO = {", ASKING.lstrip("\n")), ("more",), listeners(made.guild))
        yield made


class Finger(Protocol):
    """Somebody about to click. The button was there when they looked; it may be gone when they click."""

    async def aim(self) -> None:
        """Looks for the button `No`."""
        ...

    async def click(self) -> str:
        """Clicks, and returns what the one who clicked is told and nobody else."""
        ...

    async def shows(self) -> str:
        """The question, as everybody sees it: its words, its open buttons, and what became of it."""
        ...


@dataclass
class SlackFinger:
    where: OnSlack
    ts: str = ""
    payload: dict[str, Any] | None = None

    async def aim(self) -> None:
        slack = self.where.world.slack

        def asking() -> list[dict[str, Any]]:
            return [one for one in slack.messages("C1", self.where.thread) if "No" in slack.buttons(one)]

        self.ts = (await until(asking, bool))[-1]["ts"]
        self.payload = slack.click_of("C1", self.ts, "U2", "No")

    async def click(self) -> str:
        slack = self.where.world.slack
        before = len(slack.ephemerals)
        assert self.payload is not None
        assert await slack.deliver(self.payload) == 200
        await until(lambda: len(slack.ephemerals), lambda count: count > before)
        told = slack.ephemerals[-1]
        assert (told["to"], len(slack.ephemerals)) == ("U2", before + 1)
        return str(told["text"])

    async def shows(self) -> str:
        slack = self.where.world.slack
        [message] = [one for one in slack.messages("C1", self.where.thread) if one["ts"] == self.ts]
        open_ = [text for text in slack.buttons(message) if "elpful" not in text]  # opinions may come later
        return f"{slack.words(message)} {open_}"


@dataclass
class DiscordFinger:
    where: OnDiscord
    message: dict[str, Any] | None = None
    custom_id: str = ""

    async def aim(self) -> None:
        discord = self.where.world.discord

        def looked() -> tuple[dict[str, Any], dict[str, Any]] | None:
            try:
                return discord._button(self.where.thread, "No")
            except (AssertionError, KeyError):
                return None

        found = await until(looked, lambda found: found is not None)
        assert found is not None
        self.message, self.custom_id = found[0], found[1]["custom_id"]

    async def click(self) -> str:
        assert self.message is not None
        grace = self.where.world.discord.user("Grace")
        told = await self.where.world.discord.click_raw(grace, self.message, self.custom_id)
        assert told.kind == "whisper"
        return told.text

    async def shows(self) -> str:
        discord = self.where.world.discord
        assert self.message is not None
        [shown] = [one for one in discord.messages(self.where.thread) if one["id"] == self.message["id"]]
        return f"{shown['content']} {[name for name, is_open in discord.buttons(self.where.thread) if is_open]}"


@dataclass
class HomeFinger:
    where: AtHome
    asked: dict[str, Any] | None = None

    async def aim(self) -> None:
        assert self.where.guest is not None
        self.asked = await until(self.where.guest._asked, lambda found: found is not None)

    async def click(self) -> str:
        assert self.where.guest is not None
        assert self.asked is not None
        body = {"wait_id": self.asked["wait"]["id"], "button_id": "no"}
        told = await self.where.guest._post("clicks", body)
        assert told["result"] != "won"
        return str(told["message"])

    async def shows(self) -> str:
        assert self.where.guest is not None
        assert self.asked is not None
        [shown] = [one for one in await self.where.guest.shown() if one["chat_id"] == self.asked["chat_id"]]
        wait = shown["wait"]
        open_ = [one["text"] for one in shown["buttons"]] if wait["state"] == "open" else []
        return f"{shown['text']} {wait['note'] or ''} {wait['clicked'] or ''} {open_}"


def finger(where: Place) -> Finger:
    match where:
        case OnSlack():
            return SlackFinger(where)
        case OnDiscord():
            return DiscordFinger(where)
        case AtHome():
            return HomeFinger(where)
    raise AssertionError(where)


def nobody_can_click(shown: str) -> bool:
    return "[]" in shown


def shows_the_choice(shown: str) -> bool:
    """The gateway and the session show it, one after the other and each in its own words."""
    return nobody_can_click(shown) and "yes" in shown.lower() and "no" not in shown.lower().split()


def shows_that_time_is_up(shown: str) -> bool:
    """The buttons go as soon as time is up, and why they went comes after that."""
    return nobody_can_click(shown) and TIME_IS_UP in shown


async def nothing_is_disturbed(here: World, where: Place, question: str, answers: list[str]) -> None:
    """The conversation goes on; everything that came in has its outcome, and nobody saw more than was said."""
    await where.say("echo: and now?")
    await answered(where, "I am here")
    await here.accounted()
    session = await here.session_at(where.key)

    async def said() -> list[str]:
        return [message.text for message in await here.transcript(session.id) if message.author == "assistant"]

    # The platform has the last answer a moment before the record says so.
    assert await until(said, lambda found: "I am here" in found) == [question, *answers, "I am here"]
    assert await here.log(session.id) == []


@pytest.mark.parametrize("surface", SURFACES)
async def test_who_comes_second_is_told_so_and_the_message_shows_who_chose(here: World, surface: str) -> None:
    where = place(here, surface)
    await where.begin("ask: me")
    second = finger(where)
    await second.aim()
    await where.click("Yes")
    await answered(where, "clicked yes")
    await until(second.shows, shows_the_choice)
    for _ in range(2):
        told = await second.click()
        assert "the first click counts" in told
        assert shows_the_choice(await second.shows())
    await nothing_is_disturbed(here, where, "Shall I?", ["clicked yes"])


@pytest.mark.parametrize("surface", SURFACES)
async def test_who_comes_too_late_is_told_so(here: World, surface: str) -> None:
    where = place(here, surface)
    await where.begin("vain: hope")
    late = finger(where)
    await late.aim()
    await answered(where, "nobody clicked: None")
    over = await until(late.shows, shows_that_time_is_up)
    told = await late.click()
    assert "Time is up" in told or "no longer asked" in told
    assert await late.shows() == over
    await nothing_is_disturbed(here, where, "Quickly?", ["nobody clicked: None"])


@pytest.mark.parametrize("surface", SURFACES)
async def test_who_may_not_choose_is_told_so_and_the_question_stays_open(here: World, surface: str) -> None:
    where = place(here, surface)
    await where.begin("other: people")
    stranger = finger(where)
    await stranger.aim()
    asked = await stranger.shows()
    assert "No" in asked
    told = await stranger.click()
    assert "not yours to make" in told
    assert await stranger.shows() == asked
    await nothing_is_disturbed(here, where, "Who may?", [])
    session = await here.session_at(where.key)
    assert session.phase == "waiting_for_button"
