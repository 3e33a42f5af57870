"""What Discord dispatches, in our words."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateways.discord.emoji_names import names_of
from gateways.discord.inbound import Bot, Message, Place, Places, click_of, deleted, edited, said, text_of
from gateways.discord.snowflakes import at_snowflake, position_of
from store.models import now

BOT = Bot(user_id="9", role_ids=["90"])
CHANNEL = Place(guild_id="1", channel_id="2")
THREAD = Place(guild_id="1", channel_id="2", thread_id="3", kind=11)


def message(**fields: Any) -> Message:
    author = {"id": "7", "username": "ada", "global_name": "Ada"}
    return Message.model_validate({"id": "5", "channel_id": "2", "guild_id": "1", "author": author, **fields})


def mentioned(*ids: str) -> list[dict[str, str]]:
    return [{"id": one, "username": f"user{one}"} for one in ids]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<@9> how?", "how?"),
        ("<@!9>, how?", "how?"),
        ("how? <@9>", "how?"),
        ("does <@9> know?", "does @user9 know?"),
        ("<@9>", "@user9"),
        ("ask <@8> or <@77>", "ask @user8 or @77"),
        ("<:party:123> <a:wave:4>", ":party: :wave:"),
        ("  spaces  ", "spaces"),
    ],
)
def test_numbers_become_names_and_the_call_is_left_out(content: str, text: str) -> None:
    assert text_of(message(content=content, mentions=mentioned("8", "9")), "9") == text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"mentions": mentioned("9")}, True),
        ({"mention_roles": ["90"]}, True),
        ({"mentions": mentioned("8"), "mention_roles": ["91"]}, False),
        ({"mention_everyone": True}, False),
    ],
)
def test_the_bot_and_its_role_are_mentions_and_everybody_is_not(fields: dict[str, Any], expected: bool) -> None:
    happening = said(message(**fields), CHANNEL, BOT).happening
    assert happening is not None
    assert happening.is_mention is expected


def test_a_message_in_a_channel_belongs_to_the_thread_that_an_answer_would_open() -> None:
    event = said(message(), CHANNEL, BOT)
    assert event.surface.config.thread_id == "5"
    assert event.happening is not None
    assert not event.happening.is_reply
    event = said(message(channel_id="3"), THREAD, BOT)
    assert event.surface.config.thread_id == "3"
    assert event.happening is not None
    assert event.happening.is_reply


def test_the_first_message_of_a_forum_post_is_no_reply() -> None:
    happening = said(message(id="3", channel_id="3"), THREAD, BOT).happening
    assert happening is not None
    assert not happening.is_reply


def test_a_nickname_is_what_people_see() -> None:
    assert said(message(member={"nick": "The Countess"}), CHANNEL, BOT).author_name == "The Countess"
    assert said(message(), CHANNEL, BOT).author_name == "Ada"


def test_each_edit_is_an_event_and_a_preview_is_none() -> None:
    assert edited(message(), CHANNEL, BOT) is None
    keys = set()
    for second in (1, 1, 2):
        event = edited(message(edited_timestamp=f"2026-01-01T00:00:0{second}+00:00"), CHANNEL, BOT)
        assert event is not None
        keys.add(event.dedupe_key)
    assert len(keys) == 2
    assert deleted("5", CHANNEL).dedupe_key not in keys


def test_programs_are_told_from_people() -> None:
    assert not said(message(), CHANNEL, BOT).is_from_bot
    assert said(message(author={"id": "7", "bot": True}), CHANNEL, BOT).is_from_bot
    assert said(message(webhook_id="4"), CHANNEL, BOT).is_from_bot


def test_files_come_without_an_address_that_expires() -> None:
    file = {"id": "6", "filename": "a.png", "size": 3, "content_type": "image/png", "url": "https://cdn/x?hm=1"}
    assert said(message(attachments=[file]), CHANNEL, BOT).attachments == [
        {"name": "a.png", "mimetype": "image/png", "size": 3, "platform": "discord", "ref": "1/2/5/6"}
    ]


def test_what_is_no_message_is_refused_and_not_guessed() -> None:
    with pytest.raises(ValidationError):
        Message.model_validate({"id": "5", "content": "no author, no channel"})


def test_places_are_learned_from_events_and_forgotten() -> None:
    places = Places()
    channel, thread = {"id": "2", "type": 0}, {"id": "3", "type": 11, "parent_id": "2"}
    roles = [{"id": "90", "tags": {"bot_id": "9"}}, {"id": "91"}]
    places.observe("GUILD_CREATE", {"id": "1", "channels": [channel], "threads": [thread], "roles": roles})
    assert places.find("3") == THREAD
    assert places.bot_in("1", "9") == BOT
    assert [one.id for one in places.channels_of("1")] == ["2"]
    places.observe("THREAD_LIST_SYNC", {"guild_id": "1", "threads": [{**thread, "id": "4"}]})
    assert places.find("4") is not None
    places.observe("THREAD_DELETE", {"id": "3"})
    assert places.find("3") is None
    assert places.learn({"id": "8", "type": 1}) is None, "a direct message is in no server"


def click(**fields: Any) -> dict[str, Any]:
    user = {"id": "7", "username": "ada"}
    return {
        "id": "10",
        "token": "t",
        "application_id": "11",
        "type": 3,
        "guild_id": "1",
        "channel_id": "3",
        "member": {"user": user},
        "message": {"id": "5", "content": "Which?"},
        "data": {"custom_id": "choice:4.2.yes.please"},
        **fields,
    }


def test_a_click_says_which_wait_it_is_for() -> None:
    found = click_of(click())
    assert found is not None
    assert (found.what, found.session_id, found.wait_id, found.button_id) == ("choice", 4, 2, "yes.please")


@pytest.mark.parametrize(
    ("custom_id", "what"),
    [("helpful:yes", "opinion"), ("helpful:no", "opinion"), ("choice:x.y", "unknown"), ("", "unknown")],
)
def test_other_buttons_are_told_apart(custom_id: str, what: str) -> None:
    found = click_of(click(data={"custom_id": custom_id}))
    assert found is not None
    assert found.what == what


@pytest.mark.parametrize("fields", [{"type": 2}, {"guild_id": None}])
def test_other_interactions_are_not_clicks(fields: dict[str, Any]) -> None:
    assert click_of(click(**fields)) is None


def test_emoji_have_all_their_usual_names() -> None:
    assert {"thumbsup", "+1"} <= set(names_of("👍🏿"))
    assert names_of("✅")[0] == "white_check_mark"
    assert "heart" in names_of("❤")
    assert names_of("party_blob") == ["party_blob"]


def test_numbers_tell_the_time_and_positions_compare_as_text() -> None:
    assert int(at_snowflake(now())) > 1_300_000_000_000_000_000
    assert position_of("9") < position_of("10")
