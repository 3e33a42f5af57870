"""What is said on Discord is taken in once, in order, also when connections, sessions and gateways are lost."""

import asyncio
import copy
from typing import Any

import pytest

from gateways.discord import inbound
from gateways.discord.leader import Ear
from runllm.bridge.listeners import DiscordChannel, DiscordListener
from runllm.bridge.triggers import AllMessages, Emoji, Mention
from runllm.testing.platforms.discord import FORUM, HAS_CONTENT
from store import leases
from tests.unit.gateways.discord.conftest import Server, connect, publish, running, until

pytestmark = pytest.mark.contract

EMOJI = [("🎫", "ticket"), ("👍🏽", "+1"), ("👍", "thumbsup"), ("raised", "raised")]


async def test_a_message_in_a_channel_begins_a_conversation(server: Server) -> None:
    async with server.listening():
        message_id = await server.fake.say(server.channel, server.ada, "How do I sign in?", [("a.png", b"png")])
        (row,) = await server.until_taken(1)
    (said,) = await server.said()
    assert row.surface_key == f"discord:{server.guild}:{message_id}"
    assert (said.text, said.author_id, said.author_name) == ("How do I sign in?", server.ada, "Ada")
    assert [(one["name"], one["size"], one["platform"]) for one in said.attachments] == [("a.png", 3, "discord")]
    assert server.delivered == [row.session_id]


async def test_what_follows_in_the_thread_belongs_to_the_same_conversation(server: Server) -> None:
    async with server.listening():
        question = await server.fake.say(server.channel, server.ada, "One")
        await server.until_taken(1)
        thread = await server.fake.start_thread(server.channel, question, server.ada)
        await server.fake.say(thread, server.ada, "Two")
        first, second = await server.until_taken(2)
    assert first.session_id == second.session_id
    assert await server.texts() == ["One", "Two"]


async def test_the_bots_own_words_are_not_taken_in(server: Server) -> None:
    session, thread = await server.asked()
    async with server.listening():
        await server.post(session, thread, "An answer.")
        await server.fake.say(thread.config.thread_id, server.ada, "Thanks")
        (row,) = await server.until_taken(1)
    assert row.kind == "message"
    assert (await server.texts())[-1] == "Thanks"


@pytest.mark.parametrize("calls", ["the bot", "its role"])
async def test_by_default_only_a_mention_begins_a_conversation(server: Server, calls: str) -> None:
    await publish(server, DiscordListener(guild_id=server.guild))
    mention = server.fake.mention if calls == "the bot" else server.fake.role_mention(server.guild)
    async with server.listening():
        await server.fake.say(server.channel, server.ada, "Just talking, @everyone")
        await server.fake.say(server.channel, server.ada, f"{mention} how do I sign in?")
        ignored, taken = await server.until_taken(2)
    assert (ignored.outcome, ignored.session_id) == ("ignored", None)
    assert taken.outcome is None
    assert [text.endswith("how do I sign in?") for text in await server.texts()] == [True]
    if calls == "the bot":
        assert await server.texts() == ["how do I sign in?"]


async def test_places_that_nobody_listens_to_leave_no_trace(server: Server) -> None:
    listener = DiscordListener(guild_id=server.guild, channels=[DiscordChannel(channel_id=server.channel)])
    await publish(server, listener.model_copy(update={"default_trigger": AllMessages()}))
    other, elsewhere = server.fake.channel(server.guild, "random"), server.fake.channel(server.fake.guild("Other"))
    async with server.listening():
        for channel in (other, elsewhere, server.channel):
            await server.fake.say(channel, server.ada, f"in {channel}")
        await server.until_taken(1)
    assert await server.texts() == [f"in {server.channel}"]


async def test_the_operator_is_told_of_a_server_that_is_not_connected(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = server.fake.guild("Another")
    channel = server.fake.channel(stranger)
    async with server.listening() as ear:
        await server.fake.say(channel, server.ada, "secret words")
        await server.fake.say(server.channel, server.ada, "hello")
        await server.until_taken(1)
        await ear.intake.settled()
    [told] = [line for line in caplog.messages if stranger in line]
    assert "runllm connect discord" in told
    assert "secret words" not in caplog.text
    assert await server.texts() == ["hello"]


async def test_several_servers_may_be_connected(server: Server) -> None:
    other = server.fake.guild("Other")
    channel = server.fake.channel(other)
    await connect(server, other)
    await publish(server, DiscordListener(guild_id=other, default_trigger=AllMessages()), name="other")
    async with server.listening():
        await server.fake.say(server.channel, server.ada, "here")
        await server.fake.say(channel, server.ada, "there")
        await server.until_taken(2)
    assert await server.texts() == ["here", "there"]
    assert len(server.fake.gateway.identified) == 1, "one bot, one connection"


async def test_summoned_into_a_thread_the_bot_knows_what_was_said_before(server: Server) -> None:
    await publish(server, DiscordListener(guild_id=server.guild, default_trigger=Mention()))
    bob = server.fake.user("Bob")
    question = await server.fake.say(server.channel, server.ada, "It does not work")
    thread = await server.fake.start_thread(server.channel, question, server.ada)
    await server.fake.say(thread, bob, "Did you try it twice?")
    async with server.listening():
        await server.fake.say(thread, server.ada, f"{server.fake.mention} help")
        await server.until_taken(1)
    assert [(one.author_name, one.text) for one in await server.said()] == [
        ("Ada", "It does not work"),
        ("Bob", "Did you try it twice?"),
        ("Ada", "help"),
    ]


async def test_a_post_of_a_forum_is_a_conversation(server: Server) -> None:
    forum = server.fake.channel(server.guild, "cases", FORUM)
    async with server.listening():
        post = await server.fake.start_post(forum, server.ada, "Login", "It says no")
        (row,) = await server.until_taken(1)
    assert row.surface_key == f"discord:{server.guild}:{post}"
    assert row.envelope["surface"]["config"]["channel_id"] == forum


@pytest.mark.parametrize(("emoji", "shortcode"), EMOJI)
async def test_an_emoji_on_the_last_message_begins_a_conversation(server: Server, emoji: str, shortcode: str) -> None:
    await publish(server, DiscordListener(guild_id=server.guild, default_trigger=Emoji(shortcode=shortcode)))
    bob = server.fake.user("Bob")
    async with server.listening():
        message_id = await server.fake.say(server.channel, server.ada, "It says no")
        await server.until_taken(1)
        await server.fake.react(server.channel, message_id, bob, "🎉")
        await server.fake.react(server.channel, message_id, bob, emoji)
        _, row = await server.until_taken(2)
    assert (row.kind, row.outcome) == ("reaction", None)
    assert [(one.author_name, one.text) for one in await server.said()] == [("Ada", "It says no")]


async def test_an_emoji_on_a_message_that_was_answered_already_does_not(server: Server) -> None:
    await publish(server, DiscordListener(guild_id=server.guild, default_trigger=Emoji(shortcode="ticket")))
    message_id = await server.fake.say(server.channel, server.ada, "It says no")
    thread = await server.fake.start_thread(server.channel, message_id, server.ada)
    await server.fake.say(thread, server.ada, "Ah, now it works")
    async with server.listening() as ear:
        await server.fake.react(server.channel, message_id, server.ada, "🎫")
        (row,) = await server.until_taken(1)
        assert row.outcome == "ignored"
        await ear.intake.settled()
    assert await server.said() == []


async def test_other_bots_and_integrations_are_marked_as_programs(server: Server) -> None:
    robot = server.fake.user("Robot", is_bot=True)
    async with server.listening():
        await server.fake.say(server.channel, robot, "beep")
        await server.fake.say(server.channel, server.ada, "posted for Ada", webhook=True)
        rows = await server.until_taken(2)
    assert {row.outcome for row in rows} == {"ignored"}, "by default a program wakes nobody"


async def test_edits_and_deletions_reach_the_record_and_previews_do_not(server: Server) -> None:
    async with server.listening() as ear:
        first = await server.fake.say(server.channel, server.ada, "see https://example.com")
        second = await server.fake.say(server.channel, server.ada, "typo")
        third = await server.fake.say(server.channel, server.ada, "spam")
        await server.fake.unfurl(server.channel, first)
        await server.fake.edit(server.channel, second, "typed")
        await server.fake.delete(server.channel, third)
        await server.fake.delete(server.channel, first, second)
        rows = await server.until_taken(7)
        await ear.intake.settled()
    assert [row.kind for row in rows] == ["message"] * 3 + ["edit"] + ["delete"] * 3
    assert [(one.text, one.deleted_at is not None) for one in await server.said()] == [
        ("see https://example.com", True),
        ("typed", True),
        ("spam", True),
    ]


@pytest.mark.parametrize("gone", [False, True])
async def test_a_change_that_overtakes_its_message_counts_when_that_comes(
    server: Server, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    fake, told = server.fake, []

    async def hold(event: str, data: dict[str, Any]) -> None:
        told.append((event, copy.deepcopy(data)))

    async with server.listening() as ear:
        with monkeypatch.context() as held:
            held.setattr(fake.gateway, "tell", hold)
            message_id = await fake.say(server.channel, server.ada, "before")
            await fake.edit(server.channel, message_id, "typo")
            await (fake.delete(server.channel, message_id) if gone else asyncio.sleep(0))
        for event, data in [*told[:0:-1], told[0], *told]:  # what changes it first, then all once more
            await fake.gateway.tell(event, data)
        rows = await server.until_taken(3 if gone else 2)
        await ear.intake.settled()
    assert sorted(row.kind for row in rows) == (["delete", "edit", "message"] if gone else ["edit", "message"])
    assert await server.texts() == ([] if gone else ["typo"])


async def test_a_moderator_who_removes_our_copy_does_not_remove_the_message(server: Server) -> None:
    session, thread = await server.asked()
    remote_id = await server.post(session, thread, "An answer.")
    async with server.listening() as ear:
        await server.fake.delete(thread.config.thread_id, remote_id)
        await server.fake.say(thread.config.thread_id, server.ada, "Why?")
        await server.until_taken(1)
        await ear.intake.settled()
    assert [row.kind for row in await server.inbox()] == ["message"]


# Once, whatever happens


async def test_a_connection_that_breaks_is_resumed_and_nothing_is_missing(server: Server) -> None:
    async with server.listening():
        await server.fake.say(server.channel, server.ada, "before")
        await server.until_taken(1)
        server.fake.gateway.drop()
        for number in range(3):
            await server.fake.say(server.channel, server.ada, f"meanwhile {number}")
        await server.fake.gateway.until_connected()
        await server.fake.say(server.channel, server.ada, "after")
        await server.until_taken(5)
    assert await server.texts() == ["before", "meanwhile 0", "meanwhile 1", "meanwhile 2", "after"]
    assert (len(server.fake.gateway.identified), server.fake.gateway.resumed) == (1, 1)


@pytest.mark.parametrize("how", ["lost", "invalidated"])
async def test_a_session_that_cannot_be_resumed_is_read_up_and_then_goes_on(server: Server, how: str) -> None:
    async with server.listening():
        first = await server.fake.say(server.channel, server.ada, "before")
        await server.until_taken(1)
        thread = await server.fake.start_thread(server.channel, first, server.ada)
        if how == "lost":
            server.fake.gateway.is_down = True
            server.fake.gateway.lose()
            await server.fake.say(server.channel, server.ada, "meanwhile")
            await server.fake.say(thread, server.ada, "in the thread")
            server.fake.gateway.is_down = False
        else:
            await server.fake.gateway.invalidate()
            await server.fake.say(server.channel, server.ada, "meanwhile")
            await server.fake.say(thread, server.ada, "in the thread")
        await server.fake.gateway.until_connected()
        await server.fake.say(server.channel, server.ada, "after")
        await server.until_taken(4)
    texts = await server.texts()  # places are read one after the other
    assert sorted(texts) == ["after", "before", "in the thread", "meanwhile"]
    assert texts.index("before") < texts.index("meanwhile") < texts.index("after")


async def test_a_server_of_theirs_that_restarts_asks_to_reconnect(server: Server) -> None:
    async with server.listening():
        await server.fake.gateway.ask_to_reconnect()
        await server.fake.say(server.channel, server.ada, "hello")
        await server.until_taken(1)
    assert server.fake.gateway.resumed == 1


async def test_after_a_restart_everything_since_is_read_page_by_page(server: Server) -> None:
    async with server.listening():
        first = await server.fake.say(server.channel, server.ada, "before")
        await server.until_taken(1)
    thread = await server.fake.start_thread(server.channel, first, server.ada)
    expected = [f"meanwhile {number}" for number in range(130)]
    for text in expected:
        await server.fake.say(server.channel, server.ada, text)
    await server.fake.say(thread, server.ada, "in the thread")
    async with server.listening():
        await server.until_taken(132)
    assert await server.texts() == ["before", *expected, "in the thread"]


async def test_what_was_there_before_the_bot_was_is_not_answered(server: Server) -> None:
    await server.fake.say(server.channel, server.ada, "years ago")
    async with server.listening():
        await server.fake.say(server.channel, server.ada, "now")
        await server.until_taken(1)
    assert await server.texts() == ["now"]


async def test_a_channel_nobody_wrote_in_is_read_from_the_start_of_listening(server: Server) -> None:
    async with server.listening():
        pass
    await server.fake.say(server.channel, server.ada, "while nobody listened")
    async with server.listening():
        await server.until_taken(1)
    assert await server.texts() == ["while nobody listened"]


async def test_an_archived_thread_is_read_after_a_long_outage(server: Server) -> None:
    async with server.listening() as ear:
        first = await server.fake.say(server.channel, server.ada, "before")
        await server.until_taken(1)
        alive = ear.intake._alive
    thread = await server.fake.start_thread(server.channel, first, server.ada)
    await server.fake.say(thread, server.ada, "in the thread")
    server.fake.archive(thread)
    async with server.store.begin() as db:
        from sqlalchemy import delete

        from store.models import Cursor

        await db.execute(delete(Cursor).where(Cursor.name == alive))
    async with server.listening():
        await server.until_taken(2)
    assert await server.texts() == ["before", "in the thread"]


async def test_the_same_message_five_times_is_one_turn(server: Server) -> None:
    async with server.listening():
        message_id = await server.fake.say(server.channel, server.ada, "once")
        await server.until_taken(1)
        raw = {**server.fake.messages(server.channel)[-1], "guild_id": server.guild}
        for _ in range(2):
            await server.fake.gateway.tell("MESSAGE_CREATE", raw)
    async with server.listening() as ear:
        for _ in range(2):
            await server.fake.gateway.tell("MESSAGE_CREATE", raw)
        await server.fake.react(server.channel, message_id, server.ada, "🎉")
        await server.fake.say(server.channel, server.ada, "the end")
        await until(lambda: _has_said(server, "the end"))
        await ear.intake.settled()
    assert await server.texts() == ["once", "the end"]
    assert [row.kind for row in await server.inbox()] == ["message", "reaction", "message"]


async def test_reactions_edits_and_deletions_that_come_again_are_one_event_each(server: Server) -> None:
    async with server.listening() as ear:
        message_id = await server.fake.say(server.channel, server.ada, "once")
        await server.until_taken(1)
        for _ in range(5):
            await server.fake.react(server.channel, message_id, server.ada, "🎉")
        await server.fake.edit(server.channel, message_id, "twice")
        edited = {**server.fake.messages(server.channel)[-1], "guild_id": server.guild}
        for _ in range(4):
            await server.fake.gateway.tell("MESSAGE_UPDATE", edited)
        await server.fake.delete(server.channel, message_id)
        for _ in range(4):
            gone = {"id": message_id, "channel_id": server.channel, "guild_id": server.guild}
            await server.fake.gateway.tell("MESSAGE_DELETE", gone)
        rows = await server.until_taken(4)
        await ear.intake.settled()
    assert [row.kind for row in rows] == ["message", "reaction", "edit", "delete"]
    assert len(await server.inbox()) == 4


async def test_events_wait_in_order_while_the_record_is_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    taken, real = 0, server.routing.take_in

    async def flaky(event: inbound.Inbound) -> object:
        nonlocal taken
        taken += 1
        if taken <= 2:
            raise OperationalError("insert", {}, Exception("the disk is full"))
        return await real(event)

    monkeypatch.setattr(server.routing, "take_in", flaky)
    async with server.listening():
        for text in ("one", "two", "three"):
            await server.fake.say(server.channel, server.ada, text)
        await server.until_taken(3)
    assert await server.texts() == ["one", "two", "three"]


async def test_an_event_that_makes_no_sense_does_not_hold_up_the_others(server: Server) -> None:
    async with server.listening() as ear:
        ear.intake.take("MESSAGE_CREATE", {"id": "1", "guild_id": server.guild, "channel_id": server.channel})
        await server.fake.say(server.channel, server.ada, "still here")
        await server.until_taken(1)


# One leader


async def test_one_gateway_listens_and_another_takes_over_at_once_when_it_stops(server: Server) -> None:
    first, second = server.leader(), server.leader()
    async with running(first):
        await until(lambda: any(ear.intake.is_current for ear in first.ears))
        async with running(second):
            await server.fake.say(server.channel, server.ada, "one")
            await server.until_taken(1)
            assert (first.is_leading, second.is_leading) == (True, False)
            assert len(server.fake.gateway.identified) == 1
    async with running(second):
        await server.fake.say(server.channel, server.ada, "two")
        await server.until_taken(2)
        assert second.is_leading


async def test_a_gateway_that_died_is_replaced_when_its_lease_runs_out(server: Server) -> None:
    async with server.store.begin() as db:
        assert await leases.acquire(db, "discord", "a gateway that died", 0.5)
    async with server.listening():
        await server.fake.say(server.channel, server.ada, "hello")
        await server.until_taken(1)


async def test_a_leader_whose_lease_is_taken_hangs_up(server: Server) -> None:
    leader = server.leader()
    async with running(leader):
        await until(lambda: leader.is_leading)
        async with server.store.begin() as db:
            await leases.release(db, "discord", leader._me)
            assert await leases.acquire(db, "discord", "somebody else", 30)
        await until(lambda: not leader.is_leading)
        assert leader.ears == []


async def test_without_a_connected_server_nobody_takes_the_lease(server: Server) -> None:
    from store import installations

    async with server.store.begin() as db:
        await installations.remove(db, "discord", server.guild)
    leader = server.leader()
    async with running(leader):
        await asyncio.sleep(0)
        async with server.store.begin() as db:
            assert await leases.acquire(db, "discord", "a test", 1)
    assert server.fake.calls == []


async def test_a_server_that_is_connected_later_is_heard_without_a_restart(server: Server) -> None:
    other = server.fake.guild("Other")
    channel = server.fake.channel(other)
    await publish(server, DiscordListener(guild_id=other, default_trigger=AllMessages()), name="other")
    async with server.listening() as ear:
        await connect(server, other)
        await until(lambda: other in ear.guilds)
        await server.fake.say(channel, server.ada, "hello")
        await server.until_taken(1)


# What a person has to put right


async def finding(server: Server) -> str:
    leader = server.leader()
    async with running(leader):
        ear: Ear = await until(lambda: next((ear for ear in leader.ears if ear.finding), None))
        return ear.finding


async def test_a_missing_message_content_intent_is_said_and_nothing_is_taken_in_half(server: Server) -> None:
    async with server.listening():
        pass
    server.fake.flags = 0
    assert "Message Content Intent" in await finding(server)
    await server.fake.say(server.channel, server.ada, "can you read this?")
    assert await server.inbox() == []
    server.fake.flags = HAS_CONTENT
    async with server.listening():
        await server.until_taken(1)
    assert await server.texts() == ["can you read this?"]


async def test_a_reset_token_is_said(server: Server) -> None:
    await connect(server, server.guild, token="an-old-one")
    said = await finding(server)
    assert "Connect again" in said
    assert "an-old-one" not in said


async def test_a_discord_that_is_away_is_waited_for(server: Server) -> None:
    server.fake.next("GET", "/applications/@me", status=503)
    async with server.listening():
        await server.fake.say(server.channel, server.ada, "hello")
        await server.until_taken(1)


async def _has_said(server: Server, text: str) -> bool:
    return text in await server.texts()
