"""Slack's events and clicks on their way in, through real HTTP and into a real record."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from gateways.platforms import SlackSettings
from gateways.settings import GatewaySettings
from gateways.slack.app import RECEPTION
from runllm.bridge.surfaces import SlackThread
from runllm.bridge.triggers import AllMessages, Emoji
from runllm.errors import Unavailable
from runllm.testing.platforms.slack import FakeSlack
from store import buttons, feedback, installations, messages, sessions
from store.engine import Store
from store.models import Message
from tests.unit.gateways.conftest import make_current
from tests.unit.gateways.doubles import FakeTemporal
from tests.unit.gateways.slack.conftest import MENTIONS, Place, connect, serving

pytestmark = pytest.mark.contract


async def test_a_message_starts_a_session_with_its_text_author_and_thread(place: Place) -> None:
    ts = await place.slack.say("C1", "U1", "How do I <https://x.example|log in> &amp; out?")
    await place.quiet()
    [told] = place.turns
    assert told.message is not None
    assert told.message.text == "How do I [log in](https://x.example) & out?"
    assert (told.message.user_identifier, told.message.author_name) == ("T1:U1", "Ada Lovelace")
    assert isinstance(told.surface, SlackThread)
    assert (told.surface.config.channel, told.surface.config.thread_ts) == ("C1", ts)
    assert told.surface.link() == f"https://acme.slack.com/archives/C1/p{ts.replace('.', '')}"
    assert "xoxb" not in told.model_dump_json()
    assert told.trigger == AllMessages()


async def test_a_mention_is_one_turn_though_slack_tells_of_it_twice(place: Place) -> None:
    await place.slack.say("C1", "U1", "<@UBOT> how do I log in?")
    await place.quiet()
    assert {body["event"]["type"] for body, _ in place.slack.deliveries} == {"message", "app_mention"}
    [told] = place.turns
    assert told.message is not None
    assert told.message.text == "how do I log in?"
    assert told.happening is not None
    assert told.happening.is_mention


@pytest.mark.parametrize("what", ["message", "edit", "delete", "reaction"])
async def test_five_deliveries_of_an_event_under_other_ids_are_one(place: Place, what: str) -> None:
    ts = await place.slack.say("C1", "U1", "Hello")
    await place.quiet()
    place.slack.repeats = 5
    match what:
        case "message":
            await place.slack.say("C1", "U1", "<@UBOT> more", ts)
        case "edit":
            await place.slack.edit("C1", ts, "Hello!")
        case "delete":
            await place.slack.delete("C1", ts)
        case "reaction":
            await place.slack.react("C1", ts, "U2", "ticket")
    await place.quiet()
    assert len(place.slack.deliveries) >= 6
    assert all(status == 200 for _, status in place.slack.deliveries)
    assert len(place.turns) == 2
    assert len(await place.rows()) == 2


async def test_an_event_that_comes_again_after_a_restart_is_the_same(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    await make_current(store, MENTIONS)
    await connect(store, slack_settings)
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        await slack.say("C1", "U1", "<@UBOT> hello")
        await place.quiet()
    [(body, _), *_] = slack.deliveries
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        for _ in range(3):
            assert await slack.deliver({**body, "event_id": "Ev-other"}, headers={"x-slack-retry-num": "1"}) == 200
        await place.quiet()
        assert len(place.turns) == 1
        assert len(await place.messages()) == 1


async def test_what_the_app_and_other_programs_write_wakes_nobody(place: Place) -> None:
    place.slack.channels["C1"].messages.append({"ts": "1.1", "text": "ours", "bot_id": "BBOT"})
    await place.slack._tell_of("C1", place.slack.messages("C1")[0])
    await place.slack.say("C1", "Deploys", "build 7 is done", bot_id="BOTHER")
    await place.quiet()
    assert place.turns == []
    assert [row.outcome for row in await place.rows()] == ["ignored"]


async def test_an_edit_reaches_the_record_and_an_unfurled_link_is_none(place: Place) -> None:
    ts = await place.slack.say("C1", "U1", "See https://x.example")
    await place.quiet()
    await place.slack.unfurl("C1", ts)
    await place.slack.edit("C1", ts, "See *this*")
    await place.quiet()
    assert [message.text for message in await place.messages()] == ["See **this**"]
    assert sorted(row.kind for row in await place.rows()) == ["edit", "message"]


async def test_deleting_the_first_message_of_a_thread_with_replies_deletes_it_too(place: Place) -> None:
    ts = await place.slack.say("C1", "U1", "First")
    await place.slack.say("C1", "U2", "Second", ts)
    await place.quiet()
    await place.slack.delete("C1", ts)
    await place.quiet()
    assert [(m.text, m.deleted_at is not None) for m in await place.messages()] == [("First", True), ("Second", False)]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "team_join", "user": {"id": "U9"}},
        {"type": "message", "subtype": "channel_join", "user": "U2", "channel": "C1", "ts": "1.2", "text": "joined"},
        {"type": "message", "channel": "C1", "ts": ["?"]},
        {"type": "message", "subtype": "message_changed", "channel": "C1", "message": {}},
        {"type": "reaction_added", "item": None},
        {"type": "message", "message": "?", "item": 7, "text": None, "files": "none", "previous_message": 1},
        {"type": "file_shared"},
        {},
    ],
)
async def test_an_event_that_concerns_nobody_is_answered_with_200(place: Place, event: dict[str, Any]) -> None:
    assert await place.slack.deliver(place.slack.envelope(event)) == 200
    assert await place.rows() == []


async def test_slack_checks_the_address_and_gets_its_challenge_back(place: Place) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "c0ffee", "token": "x"})
    headers = {**place.slack.signed(body), "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as http, http.post(f"{place.url}/slack/events", data=body, headers=headers) as a:
        assert (a.status, "c0ffee" in await a.text()) == (200, True)


GOOD = json.dumps({"type": "event_callback", "team_id": "T1", "event": {"type": "message"}})


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (GOOD, {"X-Slack-Signature": "v0=" + "0" * 64}, 401),
        (GOOD, {"X-Slack-Signature": "v0=ü"}, 401),
        (GOOD, {"X-Slack-Signature": ""}, 401),
        (GOOD, {"X-Slack-Request-Timestamp": "yesterday"}, 401),
        (GOOD, {"X-Slack-Request-Timestamp": "²"}, 401),
        (GOOD, {"X-Slack-Request-Timestamp": "9" * 400}, 401),
        (GOOD, {"X-Slack-Request-Timestamp": "-1"}, 401),
        ("{", {}, 400),
        ("[1]", {}, 400),
        ("null", {}, 400),
        ("\udcff", {}, 400),
        ("[" * 100_000, {}, 400),
        ('{"type": "event_callback", "event": null}', {}, 400),
        ('{"type": "event_callback", "event": {"type": "message", "channel": 7}}', {}, 400),
        ('{"type": "event_callback", "event": [], "authorizations": 7, "team_id": {}}', {}, 400),
        ("payload=%7B", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        ("payload=7", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        ("", {}, 400),
    ],
)
async def test_a_body_that_slack_did_not_send_is_refused_and_never_breaks_anything(
    place: Place, body: str, headers: dict[str, str], status: int
) -> None:
    data = body.encode(errors="surrogateescape")
    signed = place.slack.signed(body) if body != "\udcff" else {}
    if body == "\udcff":
        signed = {"X-Slack-Request-Timestamp": str(int(time.time())), "X-Slack-Signature": "v0=" + "0" * 64}
    sent = {**signed, "Content-Type": "application/json", **headers}
    async with aiohttp.ClientSession() as http, http.post(f"{place.url}/slack/events", data=data, headers=sent) as a:
        assert a.status == status, await a.text()
        assert "error" in await a.json() if status == 400 else True
    assert await place.rows() == []


@pytest.mark.parametrize(("at", "secret", "said"), [(-400, "", "clock is wrong"), (0, "another", "Basic Information")])
async def test_the_operator_is_told_of_requests_that_are_stale_or_signed_with_another_secret(
    place: Place, caplog: pytest.LogCaptureFixture, at: int, secret: str, said: str
) -> None:
    body = place.slack.envelope({"type": "message", "channel": "C1", "user": "U1", "ts": "1.1", "text": "secret words"})
    place.slack.signing_secret = secret or place.slack.signing_secret
    signed = place.slack.signed(json.dumps(body), at=time.time() + at)
    assert await place.slack.deliver(body, headers=signed) == 401
    assert said in caplog.text
    assert "secret words" not in caplog.text
    assert await place.rows() == []


async def test_a_stale_request_is_refused_and_a_replayed_one_changes_nothing(place: Place) -> None:
    await place.slack.say("C1", "U1", "Hello")
    await place.quiet()
    [(body, _)] = place.slack.deliveries
    data = json.dumps(body)
    old = place.slack.signed(data, at=time.time() - 400)
    assert await place.slack.deliver(body, headers=old) == 401
    assert await place.slack.deliver(body) == 200
    await place.quiet()
    assert len(place.turns) == 1


async def test_an_unknown_workspace_is_answered_and_the_operator_told(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    event = {"type": "message", "channel": "C1", "user": "U1", "ts": "1.1", "text": "secret words"}
    assert await place.slack.deliver(place.slack.envelope(event, "T404")) == 200
    assert "T404" in caplog.text
    assert "runllm connect slack" in caplog.text
    assert "secret words" not in caplog.text


async def test_a_direct_message_needs_no_mention(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    await make_current(store, MENTIONS)
    await connect(store, slack_settings)
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        await slack.say("C1", "U1", "not for the app")
        await slack.say("D1", "U1", "Hello app")
        await place.quiet()
        assert [told.message.text for told in place.turns if told.message] == ["Hello app"]


async def test_who_summons_the_app_into_a_thread_brings_its_history_once(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    await make_current(store, MENTIONS)
    await connect(store, slack_settings)
    slack.page_limit = 2
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        ts = await slack.say("C1", "U1", "It does not start", quietly=True)
        await slack.say("C1", "U2", "Did you try *again*?", ts, quietly=True)
        await slack.say("C1", "Deploys", "v7 is out", ts, bot_id="BOTHER", quietly=True)
        await slack.say("C1", "U2", "<@UBOT> can you help?", ts)
        await place.quiet()
        await slack.say("C1", "U1", "<@UBOT> please", ts)
        await place.quiet()
        said = [(m.text, m.author_name) for m in await place.messages()]
        assert said == [
            ("It does not start", "Ada Lovelace"),
            ("Did you try **again**?", "Grace Hopper"),
            ("v7 is out", "Deploys"),
            ("can you help?", "Grace Hopper"),
            ("please", "Ada Lovelace"),
        ]
        assert len(place.turns) == 2
        asked = [arguments for method, arguments in slack.calls if method == "conversations.replies"]
        # Asked once for the thread, in pages; twice where message and mention came at the same time.
        assert {arguments["ts"] for arguments in asked} == {ts}
        assert len([one for one in asked if "cursor" not in one]) <= 2


async def test_a_history_that_cannot_be_read_does_not_lose_the_question(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    await make_current(store, MENTIONS)
    await connect(store, slack_settings)
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        ts = await slack.say("C1", "U1", "It does not start", quietly=True)
        slack.next("conversations.replies", 10, status=429)
        await slack.say("C1", "U2", "<@UBOT> can you help?", ts)
        await place.quiet()
        assert [told.message.text for told in place.turns if told.message] == ["can you help?"]


async def test_an_emoji_on_a_message_that_nobody_recorded_brings_the_message(
    settings: GatewaySettings, store: Store, temporal: FakeTemporal, slack: FakeSlack, slack_settings: SlackSettings
) -> None:
    await make_current(store, MENTIONS)
    await connect(store, slack_settings)
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        ts = await slack.say("C1", "U1", "It is broken", quietly=True)
        await slack.react("C1", ts, "U2", "nobody_listens_to_this")
        await place.quiet()
        assert [method for method, _ in slack.calls] == []
        await slack.react("C1", ts, "U2", "ticket::skin-tone-2")
        await place.quiet()
        [told] = place.turns
        assert told.trigger == Emoji(shortcode="ticket")
        assert told.message is not None
        assert told.message.text == "It is broken"
        assert isinstance(told.surface, SlackThread)
        assert told.surface.config.thread_ts == ts


async def test_an_emoji_counts_on_the_last_message_only(place: Place) -> None:
    ts = await place.slack.say("C1", "U1", "First", quietly=True)
    reply = await place.slack.say("C1", "U2", "Second", ts, quietly=True)
    await place.slack.react("C1", ts, "U1", "ticket")  # not the last one
    await place.slack.react("C1", reply, "U1", "ticket")  # a reply, which this trigger leaves out
    await place.quiet()
    assert place.turns == []
    await place.slack.react("C1", reply, "U1", "eyes")  # this one takes replies
    await place.quiet()
    [told] = place.turns
    assert told.message is not None
    assert told.message.text == "Second"
    assert [message.text for message in await place.messages()] == ["First", "Second"]


async def test_an_emoji_in_a_known_thread_is_judged_by_the_record(place: Place) -> None:
    ts = await place.slack.say("C1", "U1", "First")
    await place.quiet()
    await place.slack.react("C1", ts, "U2", "ticket")
    await place.quiet()
    reply = await place.slack.say("C1", "U2", "Second", ts)
    await place.quiet()
    await place.slack.react("C1", ts, "U1", "ticket")
    await place.quiet()
    await place.slack.react("C1", reply, "U1", "eyes")
    await place.quiet()
    found = [t.happening for t in place.turns if t.happening is not None and t.happening.emoji]
    assert [(h.emoji, h.is_last, h.is_reply) for h in found] == [
        ("ticket", True, False),
        ("ticket", False, False),
        ("eyes", True, True),
    ]
    assert "conversations.replies" not in [method for method, _ in place.slack.calls]


async def test_a_reaction_that_cannot_be_placed_now_is_asked_for_again(place: Place) -> None:
    ts = await place.slack.say("C1", "U1", "It is broken", quietly=True)
    place.slack.next("conversations.replies", status=500)
    await place.slack.react("C1", ts, "U2", "ticket")
    await place.quiet()
    assert [status for _, status in place.slack.deliveries] == [503, 200]
    assert len(place.turns) == 1


async def test_a_name_that_comes_late_is_written_down_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateways.slack.names._PATIENCE", 0.05)
    late = asyncio.Event()
    place.slack.next("users.info", wait=late)
    await place.slack.say("C1", "U1", "Hello")
    await place.quiet()
    assert [message.author_name for message in await place.messages()] == [None]
    assert [status for _, status in place.slack.deliveries] == [200], "Slack is not kept waiting for the name"
    late.set()
    await place.app[RECEPTION].names.idle()
    assert [message.author_name for message in await place.messages()] == ["Ada Lovelace"]


async def test_files_are_known_without_their_address(place: Place) -> None:
    await place.slack.say("C1", "U1", "See the log", files=[("app.log", b"boom")])
    await place.quiet()
    [message] = await place.messages()
    [file] = message.attachments
    assert (file["name"], file["size"], file["platform"]) == ("app.log", 4, "slack")
    assert file["ref"].startswith("T1:F")
    assert "http" not in json.dumps(file)


# Clicks


async def asked(place: Place, *, allowed: list[str] | None = None, wait_id: int = 1) -> tuple[Message, str]:
    """A question of the app's with two buttons in a thread; returns its row and its timestamp."""
    ts = await place.slack.say("C1", "U1", "Hello")
    await place.quiet()
    session_id = (await place.messages())[0].session_id
    elements = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": label},
            "value": f"{wait_id}:{id}",
            "action_id": f"runllm_button_0_{n}",
        }
        for n, (id, label) in enumerate((("yes", "Resolved"), ("no", "Get a person")))
    ]
    blocks = [
        {"type": "markdown", "text": "Solved?"},
        {"type": "actions", "block_id": "runllm_buttons_0", "elements": elements},
    ]
    place.slack.tells_app = False
    answer = await place.slack._chat_postMessage(
        {"channel": "C1", "thread_ts": ts, "text": "Solved?", "blocks": blocks}, place.slack.grants["xoxb-1"]
    )
    place.slack.tells_app = True
    async with place.store.begin() as db:
        row = await messages.add(db, session_id=session_id, author="assistant", text="Solved?")
        key = f"slack:T1:C1:{ts}"
        await messages.post(
            db,
            session_id=session_id,
            chat_id=row.id,
            surface_key=key,
            remote_id=answer["ts"],
            effect_key=f"{session_id}:1",
        )
        await buttons.open_wait(
            db,
            session_id=session_id,
            wait_id=wait_id,
            chat_id=row.id,
            surface_key=key,
            button_ids=["yes", "no"],
            allowed_users=allowed,
        )
    return row, str(answer["ts"])


async def test_the_first_click_wins_and_the_message_shows_who_chose_what(place: Place) -> None:
    _, ts = await asked(place)
    assert await place.slack.click("C1", ts, "U1", "Resolved", repeats=5) == [200] * 5
    await place.quiet()
    shown = next(one for one in place.slack.messages("C1") if one["ts"] == ts)
    assert "*Resolved* · <@U1>" in place.slack.words(shown)
    assert place.slack.buttons(shown) == []
    assert place.slack.ephemerals == []
    clicks = [told for told in place.turns if told.kind == "button"]
    assert [(told.wait_id, told.button_id, told.user) for told in clicks] == [(1, "yes", "T1:U1")]


async def test_a_second_click_is_told_that_it_came_second(place: Place) -> None:
    _, ts = await asked(place)
    place.slack.next("chat.update", 5, status=500)  # the buttons stay for a moment
    await place.slack.click("C1", ts, "U1", "Resolved")
    await place.slack.click("C1", ts, "U2", "Get a person")
    await place.quiet()
    assert [(one["to"], "faster" in one["text"]) for one in place.slack.ephemerals] == [("U2", True)]
    assert len([told for told in place.turns if told.kind == "button"]) == 1


async def test_who_may_not_choose_is_told_who_may(place: Place) -> None:
    _, ts = await asked(place, allowed=["U2"])
    await place.slack.click("C1", ts, "U1", "Resolved")
    await place.quiet()
    [told] = place.slack.ephemerals
    assert (told["to"], "<@U2>" in told["text"]) == ("U1", True)
    await place.slack.click("C1", ts, "U2", "Resolved")
    await place.quiet()
    assert [told.user for told in place.turns if told.kind == "button"] == ["T1:U2"]


@pytest.mark.parametrize(("state", "said"), [("expired", "Time is up"), ("cancelled", "moved on")])
async def test_a_stale_click_is_told_why(place: Place, state: Any, said: str) -> None:
    row, ts = await asked(place)
    async with place.store.begin() as db:
        await buttons.end(db, row.session_id, [1], state)
    await place.slack.click("C1", ts, "U1", "Resolved")
    await place.quiet()
    assert [said in one["text"] for one in place.slack.ephemerals] == [True]


async def test_a_click_on_a_button_of_another_conversation_answers_nothing(place: Place) -> None:
    _, ts = await asked(place, wait_id=2)
    message = next(one for one in place.slack.messages("C1") if one["ts"] == ts)
    for element in message["blocks"][1]["elements"]:
        element["value"] = element["value"].replace("2:", "99:")
    await place.slack.click("C1", ts, "U1", "Resolved")
    await place.quiet()
    assert ["Nobody waits" in one["text"] for one in place.slack.ephemerals] == [True]
    assert [told for told in place.turns if told.kind == "button"] == []


async def test_a_click_on_a_message_for_one_person_is_shown_in_its_place(place: Place) -> None:
    _, ts = await asked(place)
    message = next(one for one in place.slack.messages("C1") if one["ts"] == ts)
    place.slack.messages("C1").remove(message)
    place.slack.ephemerals.append(message)
    await place.slack.click("C1", ts, "U1", "Resolved")
    await place.quiet()
    [shown] = place.slack.replaced
    assert (shown["replace_original"], "*Resolved* · <@U1>" in shown["text"]) == (True, True)
    assert [told.button_id for told in place.turns if told.kind == "button"] == ["yes"]


async def test_an_opinion_is_recorded_once_and_thanked_for(place: Place) -> None:
    row, ts = await asked(place)
    message = next(one for one in place.slack.messages("C1") if one["ts"] == ts)
    element = message["blocks"][1]["elements"][0]
    element |= {"action_id": "runllm_feedback_no", "value": "7"}
    await place.slack.click("C1", ts, "U1", "Resolved", repeats=5)
    await place.quiet()
    async with place.store.read() as db:
        [opinion] = await feedback.of_session(db, row.session_id)
    assert (opinion.chat_id, opinion.is_helpful, opinion.author_id) == (row.id, False, "T1:U1")
    assert [one["to"] for one in place.slack.ephemerals] == ["U1"]


async def test_other_apps_buttons_are_none_of_ours(place: Place) -> None:
    _, ts = await asked(place)
    message = next(one for one in place.slack.messages("C1") if one["ts"] == ts)
    message["blocks"][1]["elements"][0] |= {"action_id": "approve", "value": "1:yes"}
    assert await place.slack.click("C1", ts, "U1", "Resolved") == [200]
    await place.quiet()
    assert [told for told in place.turns if told.kind == "button"] == []


# The end of an installation


async def test_a_workspace_that_removes_the_app_is_forgotten(place: Place) -> None:
    await place.slack.uninstall()
    await place.quiet()
    async with place.store.read() as db:
        assert await installations.get(db, "slack", "T1") is None


async def test_late_news_of_an_old_end_does_not_disconnect_a_workspace_that_came_back(place: Place) -> None:
    assert await place.slack.deliver(place.slack.envelope({"type": "app_uninstalled"})) == 200
    async with place.store.read() as db:
        assert await installations.get(db, "slack", "T1") is not None


async def test_a_record_that_is_away_makes_slack_come_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        monkeypatch.undo()
        raise Unavailable("the disk is full")

    monkeypatch.setattr(place.services.routing, "take_in", fail)
    await place.slack.say("C1", "U1", "Hello")
    await place.quiet()
    assert [status for _, status in place.slack.deliveries] == [500, 200]
    assert len(place.turns) == 1


async def test_the_session_belongs_to_whoever_published(place: Place) -> None:
    ts = await place.slack.say("C1", "U1", "Hello")
    await place.quiet()
    async with place.store.read() as db:
        session = await sessions.bound_session(db, f"slack:T1:C1:{ts}")
    assert session is not None
    assert session.published_name == "support"
