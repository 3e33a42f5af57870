"""Every method of the agent on every surface that it applies to: one published workflow, many conversations at once."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from temporalio.testing import WorkflowEnvironment

from runllm.agent import Agent
from runllm.bridge.messages import AnswerCategory
from store import tags
from tests.crossing.everything import FLOW, listeners
from tests.crossing.places import OnSlack, Place, answered, place
from tests.crossing.world import World, world
from tests.workflow.town import until
from worker.answering.scripted import Choice, Line, Script

pytestmark = [pytest.mark.workflow, pytest.mark.contract, pytest.mark.timeout(240)]

SCRIPT = Script(
    answers=[Line(match=r"(answer|chat|stream): (?P<n>\w+)", text="The answer to {question}")],
    otherwise=Line(text="No idea.", category=AnswerCategory.UNANSWERED),
    tags=[Choice(match="password", chosen=["login"])],
    categories=[Choice(match="broken", chosen=["bug"])],
    facts=["The office is closed on Mondays."],
    summary="In short: {count} messages.",
)

EVERYWHERE = ("slack", "discord", "zendesk", "widget", "console")
WITH_BUTTONS = ("slack", "discord", "widget", "console")
OURS = ("widget", "console")

Check = Callable[[World, Place], Awaitable[object]]


@pytest.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory, environment: WorkflowEnvironment) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("everything"), environment.client, SCRIPT) as made:
        await made.publish(FLOW, ("more",), listeners(made.guild))
        yield made


async def clicks(here: World, where: Place) -> None:
    await where.click("Yes")
    await answered(where, "clicked yes")


async def sees_that_time_is_up(here: World, where: Place) -> None:
    await answered(where, "nobody clicked: None")


async def is_tagged(here: World, where: Place) -> None:
    await answered(where, "tagged ['login']")
    session = await here.session_at(where.key)
    async with here.town.store.read() as db:
        assert sorted(await tags.of(db, session.id)) == ["login", "seen"]


async def is_categorized(here: World, where: Place) -> None:
    await answered(where, "it is a bug")
    session = await here.session_at(where.key)
    async with here.town.store.read() as db:
        assert await tags.of(db, session.id) == ["bug"]


async def has_a_slack_thread(here: World, where: Place) -> None:
    link = (await answered(where, "opened https://acme.slack.com/archives/C2/p")).rpartition("/p")[2].strip()
    thread = f"{link[:10]}.{link[10:16]}"
    _, team = [here.slack.words(one) for one in here.slack.messages("C2", thread)]
    assert team.strip() == "for the team: slack: please"


async def has_a_discord_thread(here: World, where: Place) -> None:
    number = (await answered(where, "opened ")).split()[-1]
    assert "for the team: discord: please" in here.discord.texts(number)[-1]


async def has_a_ticket(here: World, where: Place) -> None:
    number = int((await answered(where, "opened ticket ")).split()[-1])
    ticket = here.acme.tickets[number]
    assert (ticket["status"], sorted(ticket["tags"])) == ("hold", ["first", "second"])
    opening, comment = here.acme.texts(number)
    assert "ticket: please" in opening
    assert comment == "The engine looks after this."


async def is_copied(here: World, where: Place) -> None:
    number, thread, other = (await answered(where, "copied to ", 90)).split()[-3:]
    for copies in (
        here.acme.texts(int(number))[1:],
        [here.slack.words(one) for one in here.slack.messages("C2", thread)][1:],
        here.discord.texts(other)[-2:],
    ):
        assert len(copies) == 2, copies
        assert "copy: please" in copies[0]
        assert "one moment" in copies[1]


async def goes_on(here: World, where: Place) -> None:
    await answered(where, "tell me more")
    await here_listens(here, where)
    await where.say("it is red")
    await answered(where, "more: it is red")


async def here_listens(here: World, where: Place) -> None:
    session = await here.session_at(where.key)

    async def handler() -> str:
        return (await here.session_at(where.key)).handler

    await until(handler, lambda name: name == "more")
    assert session.phase != "closed"


async def is_over(here: World, where: Place) -> None:
    await answered(where, "good bye")
    session = await here.session_at(where.key)
    await here.until_phase(session.id, "closed")
    await where.say("answer: one more thing")

    async def recorded() -> list[str]:
        return [message.text for message in await here.transcript(session.id)]

    await until(recorded, lambda found: found[-1].endswith("one more thing"))


def shows(words: str) -> Check:
    async def check(here: World, where: Place) -> None:
        await answered(where, words)

    return check


SCENARIOS: list[tuple[str, tuple[str, ...], Check]] = [
    ("answer: please", EVERYWHERE, shows("The answer to answer: please")),
    ("chat: please", EVERYWHERE, shows("The answer to chat: please")),
    ("stream: please", OURS, shows("The answer to stream: please")),
    ("stream: please", ("slack", "discord", "zendesk"), shows("cannot be streamed here")),
    ("summarize: please", EVERYWHERE, shows("In short: ")),
    ("learn: please", EVERYWHERE, shows("learned: ")),
    ("tag: my password", EVERYWHERE, is_tagged),
    ("categorize: it is broken", EVERYWHERE, is_categorized),
    ("ask: please", WITH_BUTTONS, clicks),
    ("vain: please", WITH_BUTTONS, sees_that_time_is_up),
    ("slack: please", EVERYWHERE, has_a_slack_thread),
    ("discord: please", EVERYWHERE, has_a_discord_thread),
    ("ticket: please", EVERYWHERE, has_a_ticket),
    ("copy: please", EVERYWHERE, is_copied),
    ("listen: please", EVERYWHERE, goes_on),
    ("end: please", EVERYWHERE, is_over),
]
"""What is said first, where, and what has to come of it."""


async def test_every_method_does_on_every_surface_what_it_says(here: World) -> None:
    cases = [(text, kind, check) for text, kinds, check in SCENARIOS for kind in kinds]
    at_once = asyncio.Semaphore(12)

    async def run(text: str, kind: str, check: Check) -> str:
        async with at_once:
            where = place(here, kind)
            await where.begin(text)
            try:
                await check(here, where)
            except Exception as error:
                return f"{text!r} on {kind}: {error or type(error).__name__}; there: {await where.texts()}"
        return ""

    problems = [problem for problem in await asyncio.gather(*(run(*case) for case in cases)) if problem]
    assert not problems, "\n".join(problems)
    await here.accounted()


def test_no_method_of_the_agent_is_left_out() -> None:
    beyond_surfaces = {"now", "sleep", "step"}
    methods = {name for name, _ in inspect.getmembers(Agent, inspect.isfunction) if not name.startswith("_")}
    assert methods - beyond_surfaces == set(re.findall(r"agent\.(\w+)\(", FLOW))


async def test_a_choice_that_the_gateway_cannot_show_is_shown_by_the_session(here: World) -> None:
    where = OnSlack(here)
    await where.begin("ask: please")

    def asking() -> list[str]:
        return [one["ts"] for one in here.slack.messages("C1", where.thread) if "Yes" in here.slack.buttons(one)]

    (question,) = await until(asking, bool)
    session = await here.session_at(where.key)
    await here.until_phase(session.id, "waiting_for_button")
    here.slack.next("chat.update", times=2, status=500)  # the gateway's attempt, and the session's first
    await here.slack.click("C1", question, "U1", "Yes")
    await answered(where, "clicked yes")

    def shown() -> str:
        return next(here.slack.words(one) for one in here.slack.messages("C1", where.thread) if one["ts"] == question)

    await until(shown, lambda words: "Yes, by Ada Lovelace" in words or "*Yes* · <@U1>" in words)
    assert asking() == []


async def test_what_changes_later_changes_in_the_copies_while_the_session_lives(here: World) -> None:
    where = OnSlack(here)
    await where.begin("copy: the old words")
    await where.say("and these stay")
    said = (await answered(where, "copied to ")).split()
    number, thread, other = int(said[-3]), said[-2], said[-1]

    def copies() -> dict[str, str]:
        return {
            "slack": "\n".join(here.slack.words(one) for one in here.slack.messages("C2", thread)),
            "discord": "\n".join(one["content"] for one in here.discord.messages(other)),
            "zendesk": "\n".join(here.acme.texts(number)[1:]),
        }

    assert all("the old words" in text for text in copies().values()), copies()
    await here.slack.edit("C1", where.thread, "copy: the new words")
    await until(copies, lambda found: all(text.count("the new words") == 1 for text in found.values()))
    assert [name for name, text in copies().items() if "the old words" in text] == ["zendesk"], "it keeps both"
    await here.slack.delete("C1", where.thread)
    await until(copies, lambda found: not any("the new words" in text for text in found.values()))
    await here.accounted()
    changes = [row for row in await here.rows() if row.surface_key == where.key and row.kind in ("edit", "delete")]
    assert [(row.kind, row.outcome) for row in changes] == [("edit", "mirrored"), ("delete", "mirrored")]
    session = await here.session_at(where.key)
    assert session.phase == "listening"
    await where.say("echo: still here")
    await here.accounted()
    assert await here.log(session.id) == []
