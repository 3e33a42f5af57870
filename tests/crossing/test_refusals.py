"""What platforms refuse: who published reads in the session's log what it is about and what to do, who wrote that
something went wrong; the rest goes on."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from temporalio.testing import WorkflowEnvironment

from store.models import SessionLogRow
from tests.crossing.world import World, world
from tests.workflow.town import until
from worker.activities.context import APOLOGY
from worker.answering.scripted import Script

pytestmark = [pytest.mark.workflow, pytest.mark.contract, pytest.mark.timeout(240)]

FLOW = '''
from runllm import DiscordThread, DiscordThreadConfig, SlackThread, SlackThreadConfig

LONG = "\\n\\n".join(f"Paragraph {number}. " + "word " * 50 for number in range(160))
NO_BLOCKS = [{"type": "section", "text": {"type": "mrkdwn"}}, {"type": "carousel-of-cats"}]


@entrypoint(listeners=[HERE])
def answer(agent: Agent, event: Event) -> None:
    """Does what the message says, and answers."""
    match event.conversation.new_message.text.split():
        case ["slack", "channel", name]:
            agent.create_slack_thread("T1", name)
        case ["slack", "workspace", name]:
            agent.create_slack_thread(name, "C1")
        case ["slack", "blocks"]:
            thread = agent.create_slack_thread("T1", "C1")
            agent.send_to_slack_thread("Look:", thread, blocks=NO_BLOCKS)
        case ["slack", "long"]:
            agent.send_to_slack_thread(LONG, agent.create_slack_thread("T1", "C1"))
        case ["discord", "channel", name]:
            agent.create_discord_thread("GUILD", name)
        case ["discord", "server", name]:
            agent.create_discord_thread(name, "CHANNEL")
        case ["discord", "long"]:
            agent.send_to_discord_thread(LONG, agent.create_discord_thread("GUILD", "CHANNEL"))
        case ["zendesk", "account"]:
            agent.create_zendesk_ticket(event.conversation, title="Help", description="Please", domain="other")
        case ["zendesk", "long"]:
            ticket = agent.create_zendesk_ticket(event.conversation, title="Help", description="Please")
            agent.send_to_zendesk_ticket(LONG, ticket)
        case ["zendesk", "closed"]:
            ticket = agent.create_zendesk_ticket(event.conversation, title="Help", description="Please")
            agent.update_zendesk_ticket([], "closed", ticket)
            agent.send_to_zendesk_ticket("More", ticket)
    agent.send_to_chat_widget("done: " + event.conversation.new_message.text, event.conversation.surface)
'''


@pytest.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory, environment: WorkflowEnvironment) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("refusals"), environment.client, Script()) as made:
        await made.publish(FLOW)
        yield made


@contextmanager
def revoked_on_slack(here: World) -> Iterator[None]:
    """The workspace takes the app's token back, and gives it again."""
    grant = here.slack.grants["xoxb-1"]
    grant.revoked = "token_revoked"
    yield
    grant.revoked = ""


@contextmanager
def reset_on_discord(here: World) -> Iterator[None]:
    """Somebody resets the bot's token, and the old one is given again."""
    was, here.discord.token = here.discord.token, "another"
    yield
    here.discord.token = was


@contextmanager
def deleted_on_zendesk(here: World) -> Iterator[None]:
    """Somebody deletes the API token, and makes one that is the same."""
    was, here.acme.api_token = here.acme.api_token, "another"
    yield
    here.acme.api_token = was


@contextmanager
def nothing(here: World) -> Iterator[None]:
    """The platforms are as they always are."""
    yield


REFUSED = [
    (nothing, "slack channel C404", ["channel C404 of workspace T1", "Invite the app", "channel_not_found"]),
    (nothing, "slack workspace T404", ["workspace 'T404' is not connected", "runllm connect slack"]),
    (nothing, "slack blocks", ["channel C1", "not valid Block Kit", "carousel-of-cats", "/blocks/"]),
    (revoked_on_slack, "slack channel C1", ["workspace T1", "token_revoked", "runllm connect slack"]),
    (nothing, "discord channel 42", ["no channel 42", "deleted, or the bot cannot see it"]),
    (nothing, "discord server 42", ["server '42' is not connected", "runllm connect discord"]),
    (reset_on_discord, "discord channel CHANNEL", ["token", "runllm connect discord"]),
    (nothing, "zendesk account", ["account 'other' is not connected", "runllm connect zendesk"]),
    (nothing, "zendesk closed", ["of acme.zendesk.com is closed", "follow_up_of=ticket"]),
    (deleted_on_zendesk, "zendesk long", ["acme.zendesk.com", "runllm connect zendesk"]),
]


@pytest.mark.parametrize(("trouble", "said", "told"), REFUSED, ids=[f"{one[0].__name__}-{one[1]}" for one in REFUSED])
async def test_the_log_names_the_place_and_the_next_step_and_the_conversation_goes_on(
    here: World, trouble: Callable[[World], AbstractContextManager[None]], said: str, told: list[str]
) -> None:
    visitor = await here.visitor()
    said = said.replace("CHANNEL", here.channel)
    with trouble(here):
        await visitor.say(said)
        session = await here.session_at(visitor.key)

        async def log() -> list[SessionLogRow]:
            return await here.log(session.id)

        [line] = await until(log, bool)
    assert line.level == "error"
    assert all(words in line.text for words in told), line.text
    assert "in handler `answer`" in line.text, "which line of whose code"
    assert said not in line.text
    await visitor.say("all well again")
    await visitor.until_shown("done: all well again")
    await here.accounted()
    # Who wrote reads that something went wrong, once, and nothing of what.
    assert await visitor.texts() == [said, APOLOGY, "all well again", "done: all well again"]


@pytest.mark.parametrize("platform", ["slack", "discord", "zendesk"])
async def test_a_long_answer_arrives_whole_and_in_order(here: World, platform: str) -> None:
    visitor = await here.visitor()
    await visitor.say(f"{platform} long")
    await visitor.until_shown(f"done: {platform} long")
    match platform:
        case "slack":
            shown = "\n".join(map(here.slack.words, here.slack.messages("C1")))
        case "discord":
            shown = "\n".join(
                one["content"] for where in here.discord._messages for one in here.discord.messages(where)
            )
        case _:
            shown = "\n".join(text for number in here.acme.tickets for text in here.acme.texts(number))
    numbers = [int(number) for number in re.findall(r"Paragraph (\d+)\.", shown)]
    assert numbers == list(range(160))
    session = await here.session_at(visitor.key)
    assert await here.log(session.id) == []
