"""A conversation on Discord with everything real but Discord: its gateway, the session, the adapter, buttons."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from gateways.discord.leader import Leader
from gateways.platforms import DiscordSettings, PlatformSettings
from runllm.bridge.listeners import DiscordListener
from runllm.testing.platforms.discord import FakeDiscord
from store import installations, sessions
from store.sealing import Seal
from tests.workflow.town import SECRET, Town, town, until, until_equal

pytestmark = pytest.mark.workflow

FLOW = """
from runllm.bridge.listeners import DiscordListener
from runllm.bridge.triggers import Mention

ACME = DiscordListener(guild_id="GUILD", default_trigger=Mention())
CHOICE = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}, {"id": "no", "text": "No"}]}]


@entrypoint(listeners=[ACME])
def answer(agent, event):
    thread = event.conversation.surface
    agent.send_to_discord_thread("You asked: " + event.conversation.new_message.text, thread)
    clicked = agent.send_to_discord_thread("Is that it?", thread, blocks=CHOICE, block_until_button_clicked=True)
    agent.send_to_discord_thread(f"You said {clicked.id}.", thread)
    team = agent.create_or_get_discord_thread(event.conversation, "GUILD", "TEAM")
    agent.sync_conversation(event.conversation, team)
    agent.listen(on=[thread, team], handler=follow_up)


@task()
def follow_up(agent, event, thread, team):
    here = event.conversation.surface
    agent.send_to_discord_thread("Noted.", here)
    if event.conversation.new_message.text == "bye":
        agent.terminate(keep_in_sync=[thread, team])
"""


@asynccontextmanager
async def listening(here: Town, settings: DiscordSettings) -> AsyncIterator[None]:
    """A gateway that listens to Discord, from when it has read everything that is there."""
    leader = Leader(here.store, Seal(SECRET), settings, here.routing)
    job = asyncio.create_task(leader.run())
    try:
        await until(lambda: [ear.intake.is_current for ear in leader.ears], lambda current: current == [True])
        yield
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


async def test_a_question_is_answered_chosen_and_followed_up(client: Client, tmp_path: Path) -> None:
    async with FakeDiscord.open() as fake:
        guild = fake.guild()
        channel, team = fake.channel(guild, "help"), fake.channel(guild, "team")
        ada, bob = fake.user("Ada"), fake.user("Bob")
        settings = DiscordSettings(api_url=fake.api_url, gateway_url=f"{fake.gateway.url}/gateway", identify_pause=0)
        async with town(tmp_path, client, platforms=PlatformSettings(discord=settings)) as here:
            async with here.store.begin() as db:
                await installations.put(
                    db,
                    Seal(SECRET),
                    agent_id=here.agent_id,
                    platform="discord",
                    external_id=guild,
                    name="Acme",
                    credentials={"token": fake.token},
                )
            flow = FLOW.replace("GUILD", guild).replace("TEAM", team)
            listeners = [DiscordListener(guild_id=guild)]
            await here.until(await here.publish(flow, ["follow_up"], listeners=listeners), "current")
            async with listening(here, settings):
                question = await fake.say(channel, ada, f"{fake.mention} how do I sign in?")
                await until_equal(lambda: fake.texts(question), ["You asked: how do I sign in?", "Is that it?"])
            # Nobody listens: what is said meanwhile is answered afterwards.
            await fake.say(question, ada, f"{fake.mention} are you there?")
            async with listening(here, settings):
                await until(lambda: fake.texts(question), lambda texts: "You asked: are you there?" in texts)
                reply = await fake.click(ada, question, "Yes")
                assert reply.kind == "update"
                await until(lambda: fake.texts(question), lambda texts: "You said yes." in texts)
                (thread,) = await until(
                    lambda: [one for one in fake.threads() if one["parent_id"] == team], lambda found: len(found) == 1
                )
                await until(
                    lambda: fake.texts(thread["id"]), lambda texts: any("how do I sign in?" in text for text in texts)
                )
                session = await _session(here, f"discord:{guild}:{question}")
                await until(lambda: _handler(here, session), lambda handler: handler[0] == "follow_up")
                await fake.say(question, ada, "thanks")
                await until(lambda: fake.texts(question), lambda texts: texts.count("Noted.") == 1)
                await fake.say(thread["id"], bob, "bye")
                await until(lambda: fake.texts(thread["id"]), lambda texts: "Noted." in texts)
                await until(lambda: _handler(here, session), lambda handler: handler[1] == "mirroring")
                # The second question's handler was still parked: its buttons are over.
                await until(lambda: fake.buttons(question), lambda shown: shown == [("Yes", False), ("No", False)])
                await fake.say(thread["id"], bob, "One more thing", [("how.txt", b"like this")])
                await until(lambda: fake.texts(question), lambda texts: texts[-1] == "**Bob:** One more thing")
                (file,) = fake.messages(question)[-1]["attachments"]
                assert fake.file(file) == b"like this"


async def _handler(here: Town, session_id: int) -> tuple[str, str]:
    """What a session waits in, and what it does."""
    async with here.store.read() as db:
        session = await sessions.get(db, session_id)
    assert session is not None
    return session.handler, session.phase


async def _session(here: Town, key: str) -> int:
    async with here.store.read() as db:
        session = await sessions.bound_session(db, key)
    assert session is not None
    return session.id
