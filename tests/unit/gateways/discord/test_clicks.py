"""Everybody who clicks gets an answer within three seconds; the first choice wins, and everybody sees whose it was."""

import asyncio

import pytest

from gateways.adapter import Content, Effect
from gateways.discord import clicks
from gateways.discord.components import custom_id_of
from gateways.routing import EXPLANATIONS
from runllm.bridge.messages import AnswerCategory
from runllm.operations import CreateDiscordThread
from store import buttons, feedback
from store.models import Feedback
from tests.unit.gateways.discord.conftest import Server, until

pytestmark = pytest.mark.contract


async def test_the_first_click_wins_and_shows_at_once_who_chose_what(server: Server) -> None:
    session, thread = await server.asked()
    await server.ask(session, thread, "Yes", "No")
    async with server.listening():
        reply = await server.fake.click(server.ada, thread.config.thread_id, "Yes")
        (row,) = await server.until_taken(1)
    assert (reply.kind, reply.text) == ("update", "Which?\n-# Chosen: Yes, by Ada")
    assert server.fake.buttons(thread.config.thread_id) == [("Yes", False), ("No", False)]
    assert (row.kind, row.envelope["button_id"], row.envelope["user"]) == ("button", "yes", server.ada)
    assert row.session_id == session


async def test_of_many_clicks_at_once_one_wins_and_the_others_are_told(server: Server) -> None:
    session, thread = await server.asked()
    await server.ask(session, thread, "Yes", "No")
    people = [server.fake.user(f"Person {number}") for number in range(6)]
    async with server.listening():
        replies = await asyncio.gather(
            *(server.fake.click(one, thread.config.thread_id, "Yes") for one in people), return_exceptions=True
        )
    seen = [reply for reply in replies if not isinstance(reply, BaseException)]
    assert len(seen) == len(people), replies
    assert [reply.kind for reply in seen].count("update") == 1
    assert {reply.text for reply in seen if reply.kind == "whisper"} == {EXPLANATIONS["already"]}
    assert len(await server.inbox()) == 1


async def test_a_stale_click_is_answered_in_private(server: Server) -> None:
    session, thread = await server.asked()
    await server.ask(session, thread, "Yes")
    message, button = server.fake._button(thread.config.thread_id, "Yes")
    async with server.store.begin() as db:
        await buttons.end(db, session, [1], "expired")
    async with server.listening():
        reply = await server.fake.click_raw(server.ada, message, button["custom_id"])
    assert (reply.kind, reply.text) == ("whisper", EXPLANATIONS["ended"])


async def test_somebody_who_may_not_choose_is_told_so_and_the_buttons_stay(server: Server) -> None:
    session, thread = await server.asked()
    boss = server.fake.user("Boss")
    await server.ask(session, thread, "Yes", allowed=[boss])
    async with server.listening():
        refused = await server.fake.click(server.ada, thread.config.thread_id, "Yes")
        assert (refused.kind, refused.text) == ("whisper", EXPLANATIONS["not_allowed"])
        assert server.fake.buttons(thread.config.thread_id) == [("Yes", True)]
        allowed = await server.fake.click(boss, thread.config.thread_id, "Yes")
    assert allowed.kind == "update"


@pytest.mark.parametrize("custom_id", ["choice:999.1.yes", "choice:not ours", "somebody else's"])
async def test_a_button_that_nobody_knows_is_answered_too(server: Server, custom_id: str) -> None:
    session, thread = await server.asked()
    await server.ask(session, thread, "Yes")
    message, _ = server.fake._button(thread.config.thread_id, "Yes")
    async with server.listening():
        reply = await server.fake.click_raw(server.ada, message, custom_id)
    assert (reply.kind, reply.text) == ("whisper", EXPLANATIONS["unknown"])


async def test_ids_that_are_too_long_for_discord_come_back_whole(server: Server) -> None:
    session, thread = await server.asked()
    long = "approve the refund of order " + "9" * 200
    await server.post(
        session,
        thread,
        "Which?",
        blocks=[{"type": "buttons", "buttons": [{"id": long, "text": "Approve"}]}],
        wait={"wait_id": 1},
    )
    async with server.listening():
        reply = await server.fake.click(server.ada, thread.config.thread_id, "Approve")
        (row,) = await server.until_taken(1)
    assert reply.kind == "update"
    assert row.envelope["button_id"] == long


async def test_thumbs_are_recorded_and_may_be_changed(server: Server) -> None:
    session, thread = await server.asked()
    answer = Content(chat_id=1, text="Like this.", category=AnswerCategory.ANSWERED)
    effect = Effect(key=f"{session}:8", session_id=session)
    remote_id = await server.adapter.post(effect, thread, answer)
    async with server.store.begin() as db:
        from runllm.bridge.surfaces import surface_key
        from store import messages

        await messages.post(
            db,
            session_id=session,
            chat_id=1,
            surface_key=surface_key(thread),
            remote_id=remote_id,
            effect_key=effect.key,
        )
    async with server.listening():
        for thumb in ("👍", "👎"):
            reply = await server.fake.click(server.ada, thread.config.thread_id, thumb)
            assert (reply.kind, reply.text) == ("whisper", "Thank you for telling us.")
    async with server.store.read() as db:
        (opinion,) = await feedback.of_session(db, session)
    assert isinstance(opinion, Feedback)
    assert (opinion.is_helpful, opinion.author_id) == (False, server.ada)


@pytest.mark.parametrize("who", ["the winner", "somebody else"])
async def test_a_slow_record_does_not_let_a_click_fail(
    server: Server, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    session, thread = await server.asked()
    boss = server.fake.user("Boss")
    await server.ask(session, thread, "Yes", allowed=[server.ada if who == "the winner" else boss])
    monkeypatch.setattr(clicks, "_PATIENCE", 0.05)
    may_go, real = asyncio.Event(), server.routing.take_in

    async def slow(event: object) -> object:
        await may_go.wait()
        return await real(event)  # type: ignore[arg-type]

    monkeypatch.setattr(server.routing, "take_in", slow)
    async with server.listening():
        reply = await server.fake.click(server.ada, thread.config.thread_id, "Yes")
        assert reply.kind == "later"
        may_go.set()
        if who == "the winner":
            await until(lambda: server.fake.buttons(thread.config.thread_id) == [("Yes", False)])
            assert server.fake.texts(thread.config.thread_id)[-1] == "Which?\n-# Chosen: Yes, by Ada"
        else:
            assert await until(server.fake.follow_ups) == [EXPLANATIONS["not_allowed"]]


async def test_a_click_that_cannot_be_recorded_says_to_try_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, thread = await server.asked()
    await server.ask(session, thread, "Yes")

    async def broken(event: object) -> object:
        raise OSError("the disk is full")

    monkeypatch.setattr(server.routing, "take_in", broken)
    async with server.listening():
        reply = await server.fake.click(server.ada, thread.config.thread_id, "Yes")
    assert (reply.kind, reply.text) == ("whisper", "That could not be recorded. Please try again in a moment.")
    assert server.fake.buttons(thread.config.thread_id) == [("Yes", True)]


async def test_a_choice_in_a_thread_that_was_opened_apart_reaches_its_session(server: Server) -> None:
    session, _ = await server.asked()
    opens = server.call(session, CreateDiscordThread(guild_id=server.guild, channel_id=server.channel))
    apart = await server.activities.create_discord_thread(opens)
    await server.ask(session, apart, "Yes")
    async with server.listening():
        reply = await server.fake.click(server.ada, apart.config.thread_id, "Yes")
        (row,) = await server.until_taken(1)
    assert (reply.kind, row.kind, row.session_id) == ("update", "button", session)


def test_short_ids_travel_as_they_are() -> None:
    assert custom_id_of(7, 2, "yes.or.no") == "choice:7.2.yes.or.no"
    assert len(custom_id_of(7, 2, "é" * 300)) <= 100
