"""What is posted to Discord is there once, whatever happens on the way."""

from typing import Any

import pytest
from sqlalchemy import update

from gateways.adapter import Content, Effect, File
from gateways.discord.outbound import DiscordAdapter, thread_name
from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import DiscordThread
from runllm.errors import NotConnected, RateLimited, Rejected, Unavailable
from runllm.operations import ButtonWait, CreateDiscordThread, MessageRef, PostMessage
from runllm.testing.platforms import discord_shapes as shapes
from runllm.testing.platforms.discord import FORUM
from store.models import EffectRow
from tests.unit.gateways.discord.conftest import SEAL, Server, connect, retried

pytestmark = pytest.mark.contract

TROUBLE: list[dict[str, Any]] = [{"lose_reply": True}, {"status": 429, "retry_after": 0.01}, {"status": 500}]
CHOICES = [{"id": "yes", "text": "Yes", "style": "primary"}, {"id": "no", "text": "No"}]
BUTTONS = [{"type": "buttons", "buttons": CHOICES}]


def content(text: str = "Hello", **how: Any) -> Content:
    return Content(chat_id=1, text=text, **how)


async def test_the_first_answer_makes_the_thread_of_the_question(server: Server) -> None:
    session, thread = await server.asked("How do I sign in? It says no.")
    await server.post(session, thread, "Like this.")
    await server.post(session, thread, "Or like that.")
    made = server.fake.thread(thread.config.thread_id)
    assert made is not None
    assert (made["name"], made["parent_id"]) == ("How do I sign in? It says no.", server.channel)
    assert server.fake.texts(thread.config.thread_id) == ["Like this.", "Or like that."]


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
async def test_a_message_is_there_once(server: Server, trouble: dict[str, Any]) -> None:
    session, thread = await server.asked()
    server.fake.next("POST", "/messages$", seconds=0.0)  # the one that finds no thread yet
    server.fake.next("POST", "/messages$", **trouble)
    remote_id = await server.post(session, thread, "Once.")
    (shown,) = server.fake.messages(thread.config.thread_id)[1:]
    assert (shown["content"], shown["id"]) == ("Once.", remote_id)


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
async def test_it_is_there_once_when_discord_has_forgotten_the_nonce(server: Server, trouble: dict[str, Any]) -> None:
    session, thread = await server.asked()
    await server.post(session, thread, "First.")
    server.fake.nonce_seconds = 0.0
    server.fake.next("POST", "/messages$", **trouble)
    remote_id = await server.post(session, thread, "Once.")
    assert server.fake.texts(thread.config.thread_id) == ["First.", "Once."]
    assert server.fake.messages(thread.config.thread_id)[-1]["id"] == remote_id


async def test_an_old_attempt_is_found_by_its_text_and_not_among_what_others_sent(server: Server) -> None:
    session, thread = await server.asked()
    first = await server.post(session, thread, "Same.")
    server.fake.nonce_seconds = 0.0
    server.fake.next("POST", "/messages$", lose_reply=True)
    second = await server.post(session, thread, "Same.")
    for message in server.fake.messages(thread.config.thread_id):
        message.pop("nonce", None)  # Discord does not promise to keep it
    server.fake.next("POST", "/messages$", lose_reply=True)
    third = await server.post(session, thread, "Same.")
    assert server.fake.texts(thread.config.thread_id) == ["Same."] * 3
    assert len({first, second, third}) == 3


async def test_a_refused_look_for_an_old_attempt_is_no_proof_that_there_was_none(server: Server) -> None:
    session, thread = await server.asked()
    await server.post(session, thread, "First.")
    server.fake.nonce_seconds = 0.0
    server.fake.next("POST", "/messages$", lose_reply=True)
    server.fake.next("GET", "/messages$", status=429, retry_after=0.01)
    await server.post(session, thread, "Once.")
    assert server.fake.texts(thread.config.thread_id) == ["First.", "Once."]


async def test_a_worker_that_died_after_the_write_leaves_one_message(server: Server) -> None:
    session, thread = await server.asked()
    call = server.call(session, PostMessage(to=thread, message=MessageRef(text="Once.")))
    remote_id = (await server.activities.post_message(call)).remote_id
    async with server.store.begin() as db:  # as if the process had ended before it wrote the end down
        await db.execute(update(EffectRow).where(EffectRow.key == call.key).values(state="started", remote_id=None))
    server.fake.nonce_seconds = 0.0
    assert (await server.activities.post_message(call)).remote_id == remote_id
    assert server.fake.texts(thread.config.thread_id) == ["Once."]


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
@pytest.mark.parametrize("part", [1, 2, 3])
async def test_every_part_of_a_long_message_is_there_once(server: Server, trouble: dict[str, Any], part: int) -> None:
    session, thread = await server.asked()
    await server.post(session, thread, "First.")
    for _ in range(part - 1):
        server.fake.next("POST", "/messages$", seconds=0.0)
    server.fake.next("POST", "/messages$", **trouble)
    words = [f"word{number}" for number in range(600)]
    await server.post(session, thread, " ".join(words))
    texts = server.fake.texts(thread.config.thread_id)[1:]
    assert len(texts) == 3
    assert " ".join(texts).split() == words


@pytest.mark.parametrize("trouble", [{}, *TROUBLE], ids=str)
@pytest.mark.parametrize("step", ["/messages$", "/threads$"])
async def test_a_thread_is_opened_once(server: Server, trouble: dict[str, Any], step: str) -> None:
    session, _ = await server.asked()
    if trouble:
        server.fake.next("POST", step, **trouble)
    call = server.call(session, CreateDiscordThread(guild_id=server.guild, channel_id=server.channel))
    thread = await retried(lambda: server.activities.create_discord_thread(call))
    (made,) = server.fake.threads()
    assert made["id"] == thread.config.thread_id
    assert server.fake.texts(server.channel) == [made["name"]]
    await server.post(session, thread, "Hello")
    assert server.fake.texts(made["id"])[-1] == "Hello"


@pytest.mark.parametrize("trouble", [{}, *TROUBLE], ids=str)
async def test_a_post_of_a_forum_is_opened_once(server: Server, trouble: dict[str, Any]) -> None:
    session, _ = await server.asked()
    forum = server.fake.channel(server.guild, "cases", FORUM)
    if trouble:
        server.fake.next("POST", "/threads$", **trouble)
    call = server.call(session, CreateDiscordThread(guild_id=server.guild, channel_id=forum))
    thread = await retried(lambda: server.activities.create_discord_thread(call))
    assert [made["id"] for made in server.fake.threads()] == [thread.config.thread_id]


async def test_a_conversation_has_one_thread_in_a_channel_and_may_open_others(server: Server) -> None:
    session, _ = await server.asked()
    same = CreateDiscordThread(guild_id=server.guild, channel_id=server.channel, reuse=True)
    first = await server.activities.create_discord_thread(server.call(session, same))
    assert await server.activities.create_discord_thread(server.call(session, same)) == first
    new = CreateDiscordThread(guild_id=server.guild, channel_id=server.channel)
    assert await server.activities.create_discord_thread(server.call(session, new)) != first


@pytest.mark.parametrize("trouble", [{}, *TROUBLE], ids=str)
async def test_edits_and_deletions_may_be_done_again(server: Server, trouble: dict[str, Any]) -> None:
    session, thread = await server.asked()
    remote_id = await server.post(session, thread, "Old.")
    effect = Effect(key=f"{session}:90", session_id=session)
    for method in ("PATCH", "DELETE") if trouble else ():
        server.fake.next(method, "/messages/", **trouble)
    await retried(lambda: server.adapter.edit(effect, thread, remote_id, content("New.")))
    assert server.fake.texts(thread.config.thread_id)[-1] == "New."
    await retried(lambda: server.adapter.delete(effect, thread, remote_id))
    await server.adapter.delete(effect, thread, remote_id)
    assert server.fake.texts(thread.config.thread_id) == []


async def test_an_edited_message_grows_and_shrinks_by_parts(server: Server) -> None:
    session, thread = await server.asked()
    remote_id = await server.post(session, thread, "short")
    effect = Effect(key=f"{session}:90", session_id=session)

    def shown() -> list[str]:
        return server.fake.texts(thread.config.thread_id)

    long = " ".join(f"word{number}" for number in range(600))
    await server.adapter.edit(effect, thread, remote_id, content(long))
    await server.adapter.edit(effect, thread, remote_id, content(long))
    assert len(shown()) == 3
    assert " ".join(shown()) == long
    await server.adapter.edit(effect, thread, remote_id, content("short again"))
    assert shown() == ["short again"]
    await server.adapter.edit(effect, thread, remote_id, content(long))
    assert " ".join(shown()) == long
    await server.adapter.delete(effect, thread, remote_id)
    assert shown() == []


async def test_a_40000_character_answer_arrives_whole(server: Server) -> None:
    session, thread = await server.asked()
    words = [f"word{number:05}" for number in range(4000)]
    await server.post(session, thread, " ".join(words))
    texts = server.fake.texts(thread.config.thread_id)
    assert max(map(len, texts)) <= 2000
    assert " ".join(texts).split() == words


async def test_an_archived_thread_is_opened_for_a_change(server: Server) -> None:
    session, thread = await server.asked()
    remote_id = await server.post(session, thread, "Old.")
    server.fake.archive(thread.config.thread_id)
    await server.adapter.edit(Effect(key=f"{session}:9", session_id=session), thread, remote_id, content("New."))
    assert server.fake.texts(thread.config.thread_id)[-1] == "New."


async def test_nobody_is_called_by_what_a_model_or_a_customer_wrote(server: Server) -> None:
    session, thread = await server.asked()
    ringing = f"@everyone @here <@{server.ada}> {server.fake.role_mention(server.guild)}"
    remote_id = await server.post(session, thread, ringing)
    await server.adapter.edit(Effect(key=f"{session}:9", session_id=session), thread, remote_id, content(ringing * 2))
    assert server.fake.pinged == []


async def test_a_copy_says_who_wrote_it(server: Server) -> None:
    session, thread = await server.asked()
    effect = Effect(key=f"{session}:9", session_id=session)
    copy = content("I am stuck.", author=MessageType.USER, author_name="Bob *the* builder")
    await server.adapter.post(effect, thread, copy)
    assert server.fake.texts(thread.config.thread_id)[-1] == r"**Bob \*the\* builder:** I am stuck."


async def test_an_answer_shows_its_sources_and_asks_what_people_think(server: Server) -> None:
    session, thread = await server.asked()
    effect = Effect(key=f"{session}:9", session_id=session)
    sources = [Source(title="Sign in [web]", url="https://docs.example.com/in", quote="…")] * 2
    answer = content("Like this.", category=AnswerCategory.ANSWERED, sources=sources)
    await server.adapter.post(effect, thread, answer)
    shown = server.fake.texts(thread.config.thread_id)[-1]
    assert shown == "Like this.\n\n-# [Sign in \\[web\\]](<https://docs.example.com/in>)"
    assert server.fake.buttons(thread.config.thread_id) == [("👍", True), ("👎", True)]


async def test_settled_buttons_say_what_became_of_them(server: Server) -> None:
    session, thread = await server.asked()
    remote_id = await server.ask(session, thread, "Yes", "No")
    asked = content("Which?", blocks=BUTTONS, wait=ButtonWait(wait_id=1))
    for _ in range(2):
        await server.adapter.settle_buttons(thread, remote_id, asked, "Time is up.")
    assert server.fake.texts(thread.config.thread_id)[-1] == "Which?\n-# Time is up."
    assert server.fake.buttons(thread.config.thread_id) == [("Yes", False), ("No", False)]


async def test_a_long_question_leaves_room_for_who_chose_what(server: Server) -> None:
    session, thread = await server.asked()
    text = "Which? " * 300
    asked = content(text, blocks=BUTTONS, wait=ButtonWait(wait_id=1))
    remote_id = await server.adapter.post(Effect(key=f"{session}:9", session_id=session), thread, asked)
    assert server.fake.messages(thread.config.thread_id)[-1]["id"] == remote_id, "the buttons are on the last part"
    await server.adapter.settle_buttons(thread, remote_id, asked, "Ada: " + "x" * 500)
    assert server.fake.texts(thread.config.thread_id)[-1].rpartition("-# ")[2].startswith("Ada: xxx")


async def test_more_buttons_than_discord_shows_are_refused_before_anything_is_sent(server: Server) -> None:
    session, thread = await server.asked()
    buttons = [{"id": str(number), "text": str(number)} for number in range(26)]
    with pytest.raises(Rejected, match=r"at most 25 buttons.*has 26"):
        await server.post(session, thread, "Which?", blocks=[{"type": "buttons", "buttons": buttons}])
    assert server.fake.posts() == 0


async def test_an_internal_note_does_not_reach_customers(server: Server) -> None:
    session, thread = await server.asked()
    with pytest.raises(Rejected, match="internal note"):
        await server.adapter.post(
            Effect(key=f"{session}:9", session_id=session), thread, content("Secret", is_internal=True)
        )
    assert server.fake.posts() == 0


# What goes wrong, and who is told what


async def test_a_server_that_is_not_connected_is_named(server: Server) -> None:
    elsewhere = DiscordThread.model_validate({"config": {"guild_id": "42", "channel_id": "1", "thread_id": "2"}})
    with pytest.raises(NotConnected, match=r"'42' is not connected.*runllm connect discord"):
        await server.adapter.post(Effect(key="1:1", session_id=1), elsewhere, content())


async def test_a_reset_token_says_to_connect_again(server: Server) -> None:
    session, thread = await server.asked()
    await connect(server, server.guild, token="an-old-one")
    with pytest.raises(NotConnected, match=r"refuses the bot's token.*runllm connect discord") as told:
        await server.post(session, thread, "Hello")
    assert "an-old-one" not in str(told.value)


async def test_a_deleted_thread_is_not_made_again(server: Server) -> None:
    session, thread = await server.asked()
    await server.post(session, thread, "Hello")
    await server.fake.delete_channel(thread.config.thread_id)
    with pytest.raises(Rejected, match="deleted"):
        await server.post(session, thread, "Still there?")
    assert server.fake.threads() == []


async def test_a_question_that_was_deleted_before_its_answer_is_said_so(server: Server) -> None:
    session, thread = await server.asked()
    await server.fake.delete(server.channel, thread.config.thread_id)
    with pytest.raises(Rejected, match="was to be made from was deleted"):
        await server.post(session, thread, "Hello")


async def test_a_locked_thread_names_the_permission_that_helps(server: Server) -> None:
    session, thread = await server.asked()
    await server.post(session, thread, "Hello")
    server.fake.archive(thread.config.thread_id, locked=True)
    with pytest.raises(Rejected, match=r"locked.*Manage Threads"):
        await server.post(session, thread, "Still there?")


@pytest.mark.parametrize("missing", [shapes.VIEW, shapes.CREATE_THREADS, shapes.SEND_IN_THREADS])
async def test_a_missing_permission_says_how_to_find_out_which(server: Server, missing: int) -> None:
    session, thread = await server.asked()
    server.fake.forbid(server.channel, missing)
    with pytest.raises(Rejected, match=r"may not do that.*runllm connect discord"):
        await server.post(session, thread, "Hello")


async def test_a_channel_of_another_server_is_refused(server: Server) -> None:
    session, _ = await server.asked()
    elsewhere = server.fake.channel(server.fake.guild("Other"))
    with pytest.raises(Rejected, match="There is no channel"):
        await server.activities.create_discord_thread(
            server.call(session, CreateDiscordThread(guild_id=server.guild, channel_id=elsewhere))
        )


async def test_an_empty_message_is_refused_with_discords_reason(server: Server) -> None:
    session, thread = await server.asked()
    with pytest.raises(Rejected, match="empty message"):
        await server.adapter.post(Effect(key=f"{session}:9", session_id=session), thread, content("  \n"))


async def test_busy_and_away_are_told_apart(server: Server) -> None:
    session, thread = await server.asked()
    effect = Effect(key=f"{session}:9", session_id=session)
    server.fake.next("POST", "/messages$", status=429, retry_after=12.5)
    with pytest.raises(RateLimited) as busy:
        await server.adapter.post(effect, thread, content())
    assert busy.value.retry_after == 12.5
    server.fake.next("POST", "/messages$", status=503)
    with pytest.raises(Unavailable):
        await server.adapter.post(effect, thread, content())
    assert server.fake.posts() == 2, "each was tried once, and nothing was sent again by itself"


# Files


@pytest.mark.parametrize("trouble", [{}, *TROUBLE], ids=str)
async def test_files_of_other_platforms_come_along_once(server: Server, trouble: dict[str, Any]) -> None:
    session, thread = await server.asked()
    # The judge reads no multipart bodies, so these go past it; the stand-in checks each part.
    adapter = DiscordAdapter(server.store, SEAL, server.settings.model_copy(update={"api_url": server.fake.api_url}))
    await server.post(session, thread, "First.")
    files = [
        File(name="log.txt", mimetype="text/plain", data=b"boom"),
        File(name='odd "näme".bin', data=bytes(range(256))),
    ]
    copy = content("", author=MessageType.USER, author_name="Bob", files=files)
    if trouble:
        server.fake.next("POST", "/messages$", **trouble)
    effect, earlier = Effect(key=f"{session}:70", session_id=session), False

    async def attempt() -> str:
        nonlocal earlier
        try:
            return await adapter.post(effect.model_copy(update={"earlier": earlier}), thread, copy)
        except Unavailable:
            earlier = True
            raise

    remote_id = await retried(attempt)
    _, shown = [one for one in server.fake.messages(thread.config.thread_id) if one["type"] == 0]
    assert (shown["id"], shown["content"]) == (remote_id, "**Bob:**")
    assert [one["filename"] for one in shown["attachments"]] == ["log.txt", "odd _näme_.bin"]
    assert [server.fake.file(one) for one in shown["attachments"]] == [b"boom", bytes(range(256))]


async def test_a_file_is_read_from_a_fresh_address(server: Server) -> None:
    message_id = await server.fake.say(server.channel, server.ada, "Look", [("log.txt", b"boom")])
    (file,) = server.fake.messages(server.channel)[-1]["attachments"]
    ref = f"{server.guild}/{server.channel}/{message_id}/{file['id']}"
    assert await server.adapter.read_file({"name": "log.txt", "platform": "discord", "ref": ref}) == b"boom"


async def test_a_file_that_is_gone_too_large_or_not_ours_is_refused(server: Server) -> None:
    message_id = await server.fake.say(server.channel, server.ada, "Look", [("big.bin", b"x" * (11 * 1024 * 1024))])
    (file,) = server.fake.messages(server.channel)[-1]["attachments"]
    where = f"{server.guild}/{server.channel}/{message_id}"
    for ref, platform, why in (
        (f"{where}/{file['id']}", "discord", "larger than 10 MB"),
        (f"{where}/1", "discord", "removed from its message"),
        (f"{where}/1", "slack", "not a file of Discord"),
        ("", "discord", "not a file of Discord"),
    ):
        with pytest.raises(Rejected, match=why):
            await server.adapter.read_file({"name": "big.bin", "platform": platform, "ref": ref})


def test_the_name_of_a_thread_is_one_line_that_discord_takes() -> None:
    assert thread_name("How do\nI  sign in?") == "How do I sign in?"
    assert len(thread_name("x" * 200)) == 100
    assert thread_name("  ") == "Conversation"
