"""One conversation on all five surfaces: names, order, edits, deletions, files, what is internal, and bots."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from temporalio.testing import WorkflowEnvironment

from store import sessions
from tests.crossing.world import Guest, World, world
from tests.workflow.town import until
from worker.answering.scripted import Script
from worker.session.breaker import BOTS_IN_A_ROW

pytestmark = [pytest.mark.workflow, pytest.mark.contract, pytest.mark.timeout(180)]

FLOW = '''
from runllm import AdminConsole, AdminConsoleConfig


@entrypoint(listeners=[HERE])
def answer(agent: Agent, event: Event) -> None:
    """Ties the widget's conversation to one of each other surface. The message names the console's conversation."""
    console = AdminConsole(
        config=AdminConsoleConfig(agent_id=AGENT, convo_identifier=event.conversation.new_message.text)
    )
    thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C1")
    other = agent.create_or_get_discord_thread(event.conversation, "GUILD", "CHANNEL")
    ticket = agent.create_zendesk_ticket(event.conversation, title="All together", description="See the comments.")
    agent.terminate(keep_in_sync=[event.conversation.surface, console, thread, other, ticket])
'''


@dataclass
class Together:
    """The five ends of one conversation."""

    world: World
    session_id: int
    visitor: Guest
    colleague: Guest
    thread: str
    other: str
    number: int

    async def on_slack(self) -> list[str]:
        return [f"{self._slack_name(one)}: {self._words(one)}" for one in self._in_thread()]

    async def on_discord(self) -> list[str]:
        return [one["content"] for one in self.world.discord.messages(self.other)][-20:]

    async def on_zendesk(self) -> list[str]:
        return self.world.acme.texts(self.number)[1:]

    async def everywhere(self) -> dict[str, list[str]]:
        """What each surface shows, as lines."""
        return {
            "slack": await self.on_slack(),
            "discord": await self.on_discord(),
            "zendesk": await self.on_zendesk(),
            "widget": [f"{one['author_name'] or 'Visitor'}: {one['text']}" for one in await self.there(self.visitor)],
            "console": [f"{one['author_name']}: {one['text']}" for one in await self.there(self.colleague)],
        }

    async def there(self, guest: Guest) -> list[dict[str, object]]:
        return [one for one in await guest.shown() if not one["deleted"]]

    async def until_everywhere(self, words: str, count: int = 1, but: tuple[str, ...] = ()) -> None:
        """Waits until every surface shows the words that often."""

        async def look() -> dict[str, int]:
            return {
                name: sum(line.count(words) for line in lines)
                for name, lines in (await self.everywhere()).items()
                if name not in but
            }

        await until(look, lambda found: all(number == count for number in found.values()), 40)

    def _in_thread(self) -> list[dict[str, object]]:
        return self.world.slack.messages("C1", self.thread)[1:]

    def _words(self, one: dict[str, object]) -> str:
        return self.world.slack.words(one).strip() or str(one.get("text"))

    def _slack_name(self, one: dict[str, object]) -> str:
        return str(one.get("username") or self.world.slack.users.get(str(one.get("user")), one.get("user")))


@pytest.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory, environment: WorkflowEnvironment) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("mirror"), environment.client, Script()) as made:
        await made.publish(FLOW.replace("AGENT", str(made.town.agent_id)))
        made.acme.agent("max@acme.example", name="Max Planck")
        made.acme.user("ada@customer.example", name="Ada at Zendesk")
        yield made


async def together(here: World) -> Together:
    """A new conversation, in sync on all five surfaces."""
    visitor, colleague = await here.visitor(), await here.colleague()
    await visitor.say(colleague.key.rpartition(":")[2])
    session = await here.session_at(visitor.key)
    await here.until_phase(session.id, "mirroring")
    async with here.town.store.read() as db:
        keys = {s.type.value: s for s in await sessions.surfaces_of(db, session.id)}
    return Together(
        here, session.id, visitor, colleague,
        thread=keys["slack_thread"].config.thread_ts or "",  # type: ignore[union-attr]
        other=keys["discord_thread"].config.thread_id,  # type: ignore[union-attr]
        number=int(keys["zendesk_ticket"].config.id),  # type: ignore[union-attr]
    )  # fmt: skip


async def test_what_is_said_on_any_surface_is_on_all_of_them_once_with_its_author(here: World) -> None:
    all_ = await together(here)
    await all_.visitor.say("from the widget")
    await all_.until_everywhere("from the widget")
    await here.slack.say("C1", "U2", "from Slack", all_.thread)
    await all_.until_everywhere("from Slack")
    await here.discord.say(all_.other, here.ada, "from Discord")
    await all_.until_everywhere("from Discord")
    here.acme.say(all_.number, "max@acme.example", "from Zendesk")
    await all_.until_everywhere("from Zendesk")
    await all_.colleague.say("from the console")
    await all_.until_everywhere("from the console")
    await here.accounted()
    wanted = ["from the widget", "from Slack", "from Discord", "from Zendesk", "from the console"]
    for name, lines in (await all_.everywhere()).items():
        order = [next(text for text in wanted if text in line) for line in lines if any(t in line for t in wanted)]
        assert order == wanted, f"{name}: {lines}"
    for name, lines in (await all_.everywhere()).items():
        shown = "\n".join(lines)
        for author, origin in (("Grace Hopper", "slack"), ("Ada Lovelace", "discord"), ("Max Planck", "zendesk")):
            assert origin == name or author in shown, f"{author} on {name}: {shown}"


async def test_many_at_once_stay_in_order_on_every_surface(here: World) -> None:
    all_ = await together(here)
    wanted = [f"line {number:02d}" for number in range(8)]
    for text in wanted:
        await all_.visitor.say(text)
    await all_.until_everywhere(wanted[-1])
    await here.accounted()
    for name, lines in (await all_.everywhere()).items():
        shown = [line[line.index("line ") :][:7] for line in lines if "line " in line]
        assert shown == wanted, f"{name}: {lines}"


async def test_edits_and_deletions_follow(here: World) -> None:
    all_ = await together(here)
    first = await here.slack.say("C1", "U2", "the 1st try", all_.thread)
    await all_.until_everywhere("the 1st try")
    await here.slack.edit("C1", first, "the first try")
    await all_.until_everywhere("the first try")
    await all_.until_everywhere("1st", 0, but=("zendesk",))  # a comment stays, and is followed by what it should say
    gone = await here.discord.say(all_.other, here.ada, "not meant for you")
    await all_.until_everywhere("not meant for you")
    await here.discord.delete(all_.other, gone)
    await all_.until_everywhere("not meant for you", 0)
    await here.slack.unfurl("C1", first)
    await here.accounted()
    await all_.until_everywhere("the first try")


async def test_a_change_that_overtakes_its_message_is_shown_everywhere_once(here: World) -> None:
    all_ = await together(here)
    here.slack.held = []
    ts = await here.slack.say("C1", "U2", "rdeo the test", all_.thread)
    await here.slack.edit("C1", ts, "redo the test")
    gone = await here.slack.say("C1", "U2", "wrong thread", all_.thread)
    await here.slack.delete("C1", gone)
    await here.slack.release(1, 3, 0, 2, 1, 0, 3, 2)
    await all_.visitor.say("and then this")
    await all_.until_everywhere("and then this")
    await all_.until_everywhere("redo the test")
    await all_.until_everywhere("rdeo the test", 0)
    await all_.until_everywhere("wrong thread", 0)
    await here.accounted()


async def test_a_long_message_in_parts_is_changed_and_removed_as_a_whole(here: World) -> None:
    all_ = await together(here)
    long = "\n\n".join(f"paragraph {number} " + "word " * 100 for number in range(12))
    ts = await here.slack.say("C1", "U2", long, all_.thread)
    await all_.until_everywhere("paragraph 11 ")
    assert sum("paragraph" in one for one in await all_.on_discord()) > 1, "Discord takes 2,000 characters at once"
    await here.slack.edit("C1", ts, long.replace("paragraph", "chapter"))
    await all_.until_everywhere("chapter 11 ")
    await all_.until_everywhere("paragraph 11", 0, but=("zendesk",))
    await here.slack.delete("C1", ts)
    await all_.until_everywhere("chapter 11 ", 0)


async def test_files_come_along_to_the_platforms(here: World) -> None:
    all_ = await together(here)
    await here.slack.say("C1", "U2", "see the log of Slack", all_.thread, files=[("slack.log", b"one two")])
    await all_.until_everywhere("see the log of Slack")
    here.acme.say(all_.number, "max@acme.example", "see the log of Zendesk", files={"zendesk.log": b"three"})
    await all_.until_everywhere("see the log of Zendesk")
    await here.discord.say(all_.other, here.ada, "see the log of Discord", files=[("discord.log", b"four")])
    await all_.until_everywhere("see the log of Discord")
    wanted = {"slack.log": b"one two", "zendesk.log": b"three", "discord.log": b"four"}

    def on_zendesk() -> set[str]:
        return {file["file_name"] for one in here.acme.comments(all_.number) for file in one["attachments"]}

    def on_slack() -> set[str]:
        in_thread = here.slack.messages("C1", all_.thread)
        return {file["name"] for one in in_thread for file in one.get("files", ())}

    def on_discord() -> dict[str, bytes]:
        files = [file for one in here.discord.messages(all_.other) for file in one["attachments"]]
        return {file["filename"]: here.discord.file(file) for file in files}

    await until(on_zendesk, lambda found: found == set(wanted))
    await until(on_slack, lambda found: found == set(wanted))
    await until(on_discord, lambda found: found == wanted)
    for guest in (all_.visitor, all_.colleague):
        assert await guest.files() == wanted


async def test_an_internal_note_reaches_the_console_and_nobody_else(here: World) -> None:
    all_ = await together(here)
    here.acme.say(all_.number, "max@acme.example", "between us: he is difficult", public=False)
    here.acme.say(all_.number, "max@acme.example", "we look into it")
    await all_.until_everywhere("we look into it")
    await here.accounted()
    seen = {name: sum("between us" in line for line in lines) for name, lines in (await all_.everywhere()).items()}
    assert seen == {"slack": 0, "discord": 0, "widget": 0, "zendesk": 1, "console": 1}


async def test_bots_that_answer_each_other_through_the_mirror_are_stopped(here: World) -> None:
    all_ = await together(here)
    robot = here.discord.user("Beeper", is_bot=True)
    for number in range(BOTS_IN_A_ROW + 4):
        if number % 2:
            await here.slack.say("C1", "Boop", f"boop {number}", all_.thread, bot_id="BOTHER")
        else:
            await here.discord.say(all_.other, robot, f"beep {number}")

        async def taken(count: int = number + 1) -> bool:
            rows = [row for row in await here.rows() if row.session_id == all_.session_id and row.kind == "message"]
            return len(rows) > count

        await until(taken, bool)
    await here.accounted()
    shown = await all_.everywhere()
    assert sum("beep" in line or "boop" in line for line in shown["widget"]) == BOTS_IN_A_ROW
    assert any("may be answering each other" in line.text for line in await here.log(all_.session_id))
    await all_.visitor.say("be quiet, you two")
    await all_.until_everywhere("be quiet, you two")
    await here.discord.say(all_.other, robot, "beep at last")
    await all_.until_everywhere("beep at last")


async def test_a_platform_that_is_down_holds_nobody_up_and_misses_nothing(here: World) -> None:
    all_ = await together(here)
    here.slack.next("chat.postMessage", times=4, status=500)
    for text in ("one of three", "two of three", "three of three"):
        await all_.visitor.say(text)
    await all_.until_everywhere("three of three", but=("slack",))
    await all_.until_everywhere("three of three")
    lines = [line for line in await all_.on_slack() if "of three" in line]
    assert [line.rpartition(": ")[2].split("\n")[-1] for line in lines] == [
        "one of three", "two of three", "three of three",
    ]  # fmt: skip
    await asyncio.wait_for(here.accounted(), 30)
