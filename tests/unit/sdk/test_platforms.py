"""Surfaces to talk through, without an engine: the tests play it, over the platforms' own protocols."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from gateways.platforms import PlatformSettings
from gateways.slack.manifest import SCOPES
from runllm.errors import UsageError
from runllm.testing.discord import Discord, MessageInDiscord, ThreadInDiscord
from runllm.testing.platforms.discord_gateway import Session
from runllm.testing.played import Place, Played, Said
from runllm.testing.serving import Serving
from runllm.testing.slack import MessageInSlack, Slack, ThreadInSlack
from runllm.testing.zendesk import Comment, CommentInZendesk, TicketInZendesk, Zendesk
from tests.unit.sdk.examples import PLATFORM_EXAMPLES

pytest_plugins = ["pytester"]

Json = dict[str, Any]


@pytest.fixture
def serving() -> Iterator[Serving]:
    made = Serving()
    yield made
    made.close()


class Engine:
    """Takes what Slack delivers, and calls its Web API."""

    def __init__(self, platform: str) -> None:
        self.api = platform
        self.events: list[Json] = []
        self.on_click: Callable[[Json], object] = lambda payload: None
        self.url = ""
        self.answers = 200

    def post(self, slack: Slack, method: str, **arguments: Any) -> Json:
        bearer = {"Authorization": f"Bearer {slack.token}"}
        found: Json = httpx.post(f"{self.api}{method}", json=arguments, headers=bearer).json()
        return found

    def posts(self, slack: Slack, channel: str, text: str, **more: Any) -> str:
        answer = self.post(slack, "chat.postMessage", channel=channel, text=text, **more)
        assert answer["ok"], answer
        return str(answer["ts"])

    def took(self, kind: str, count: int = 1) -> list[Json]:
        """Waits until so many events of a kind were taken."""
        deadline = time.monotonic() + 10
        while len(found := [one for one in self.events if one["event"]["type"] == kind]) < count:
            assert time.monotonic() < deadline, self.events
            time.sleep(0.01)
        return found


@pytest.fixture
def engine(serving: Serving) -> Iterator[Engine]:
    made = Engine(PlatformSettings.from_env(serving.environment("http://127.0.0.1:1")).slack.api_url)

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            assert self.headers["X-Slack-Signature"].startswith("v0=")
            if self.path == "/slack/events":
                made.events.append(json.loads(body))
            else:
                made.on_click(json.loads(parse_qs(body)["payload"][0]))
            self.send_response(made.answers)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        worker = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        worker.start()
        yield made
        server.shutdown()
        worker.join()


YES_OR_NO = {"yes": "Yes", "no": "No, thanks"}
OR_A_PERSON = {"resolved": "Resolved", "person": "I need a person"}


def asking(wait: int, words: dict[str, str] = YES_OR_NO, text: str = "Shall we?") -> list[Json]:
    """Blocks with buttons, as the engine makes them."""
    buttons = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": text},
            "action_id": f"choice_{wait}_{id}",
            "value": f"{wait}:{id}",
        }
        for id, text in words.items()
    ]
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return [section, {"type": "actions", "elements": buttons}]


# What an engine is told of them


def test_an_engine_is_told_of_the_stand_ins_and_of_none_of_this_process_own_credentials(serving: Serving) -> None:
    own = {"RUNLLM_SLACK_BOT_TOKEN": "xoxb-real", "RUNLLM_SLACK_APP_TOKEN": "xapp-real", "RUNLLM_SLACK_CLIENT_ID": "1"}
    told = PlatformSettings.from_env({**own, **serving.environment("http://127.0.0.1:8123")})
    assert told.public_url == "http://127.0.0.1:8123"
    assert (told.slack.bot_token, told.slack.app_token, told.slack.client_id) == (None, None, "")
    addresses = [told.slack.api_url, told.slack.authorize_url, told.zendesk.url, told.discord.api_url]
    assert all(address.startswith("http://127.0.0.1:") for address in addresses)
    assert told.discord.gateway_url.startswith("ws://127.0.0.1:")


def test_nobody_listens_where_an_engine_was_told_until_a_test_asks(serving: Serving) -> None:
    told = PlatformSettings.from_env(serving.environment("http://127.0.0.1:8123"))
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{told.slack.api_url}auth.test")
    Slack(serving)
    assert httpx.post(f"{told.slack.api_url}auth.test").json() == {"ok": False, "error": "not_authed"}
    serving.close()
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{told.slack.api_url}auth.test")


def test_waiting_ends_where_the_engine_has_ended(serving: Serving) -> None:
    def ended() -> None:
        raise AssertionError("runllm dev ended with 1")

    thread = Slack(serving).says("#support", "Hello")
    serving.check = ended
    with pytest.raises(AssertionError, match="runllm dev ended with 1"):
        thread.read(1)


# Slack


def test_what_somebody_says_arrives_signed_with_author_channel_and_workspace(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving, "T777", deliver_to=engine.url)
    channel, ada = slack.channel("#support", id="C777"), slack.user("Ada", id="U777")
    thread = slack.says("#support", f"{slack.mention} hello", by="Ada")
    thread.says("And more", by="Grace")
    first, second = engine.took("message", 2)
    assert (first["team_id"], first["event"]["channel"], first["event"]["user"]) == ("T777", channel, ada)
    assert second["event"]["thread_ts"] == thread.ts == first["event"]["ts"]
    assert second["event"]["user"] == slack.user("Grace") != ada
    assert [one["event"]["text"] for one in engine.took("app_mention")] == [f"{slack.mention} hello"]
    thread.react(":eyes:", by="Grace")
    [reaction] = engine.took("reaction_added")
    assert (reaction["team_id"], reaction["event"]["reaction"]) == ("T777", "eyes")


def test_a_direct_message_calls_the_bot_without_a_mention(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving, deliver_to=engine.url)
    thread = slack.writes("Psst", by="Ada")
    [said] = engine.took("message")
    assert (said["event"]["channel_type"], said["event"]["user"]) == ("im", slack.user("Ada"))
    engine.posts(slack, thread.channel, "Yes?", thread_ts=thread.ts)
    assert thread.read(1) == ["Yes?"]
    assert slack.writes("Again", by="Ada").channel == thread.channel != slack.writes("Hello", by="Grace").channel
    assert slack.transcript().splitlines()[:3] == ["Ada and the bot", "Ada: Psst", "  Support: Yes?"]


def test_a_thread_is_read_once_the_engine_has_posted(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving)
    thread = slack.says("#support", "Hello")
    later = threading.Timer(0.2, lambda: engine.posts(slack, thread.channel, "Like this.", thread_ts=thread.ts))
    later.start()
    assert thread.read(1) == ["Like this."]
    later.join()
    engine.posts(slack, thread.channel, "Elsewhere")
    with pytest.raises(AssertionError, match=r"1 messages and not 2 came: \['Like this.'\] in 0.1 s"):
        thread.read(2, seconds=0.1)


def test_a_token_opens_its_own_workspace_only(serving: Serving, engine: Engine) -> None:
    ours, theirs = Slack(serving, "T1111"), Slack(serving, "T2222")
    channel = ours.channel("#support")
    assert theirs.channel("#support") != channel
    assert engine.post(theirs, "chat.postMessage", channel=channel, text="x")["error"] == "channel_not_found"
    assert engine.post(ours, "chat.postMessage", channel=channel, text="x")["ok"]


def test_a_workspace_has_all_that_the_engine_asks_for(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving)
    answer = httpx.post(f"{engine.api}auth.test", headers={"Authorization": f"Bearer {slack.token}"})
    assert set(SCOPES) <= set(answer.headers["X-OAuth-Scopes"].split(","))


@pytest.mark.parametrize("button", ["yes", "Yes"])
def test_a_choice_changes_the_message_for_everybody(serving: Serving, engine: Engine, button: str) -> None:
    slack = Slack(serving, deliver_to=engine.url)
    thread = slack.says("#support", "Hello")
    ts = engine.posts(slack, thread.channel, "?", thread_ts=thread.ts, blocks=asking(1))
    clicked: list[Json] = []

    def settle(payload: Json) -> None:
        clicked.append(payload)
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "Chosen: Yes"}}]
        engine.post(slack, "chat.update", channel=thread.channel, ts=ts, text="Chosen", blocks=blocks)

    engine.on_click = settle
    assert thread.buttons() == ["Yes", "No, thanks"]
    assert thread.click(button, by="Grace") is None
    assert clicked[0]["actions"][0]["value"] == "1:yes"
    assert clicked[0]["user"]["id"] == slack.user("Grace")
    assert clicked[0]["team"]["id"] == slack.team_id
    assert (thread.read(1), thread.buttons()) == (["Chosen: Yes"], [])


def test_who_may_not_choose_is_told_alone(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving, deliver_to=engine.url)
    thread = slack.says("#support", "Hello")
    engine.posts(slack, thread.channel, "?", thread_ts=thread.ts, blocks=asking(1))

    def whisper(payload: Json) -> None:
        where = {"channel": thread.channel, "thread_ts": thread.ts}
        engine.post(slack, "chat.postEphemeral", user=payload["user"]["id"], text="It is not up to you.", **where)

    engine.on_click = whisper
    assert thread.click("no", by="Ada") == "It is not up to you."
    assert thread.read(1) == ["Shall we?"], "nobody else sees it"
    assert slack.transcript().splitlines() == [
        "#support",
        "Ada: Hello",
        "  Support: Shall we? [Yes] [No, thanks]",
        "  to Ada alone: It is not up to you.",
    ]


def test_a_click_that_leads_nowhere_fails(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving, deliver_to=engine.url)
    thread = slack.says("#support", "Hello")
    with pytest.raises(AssertionError, match=r"no button 'yes' came in 0.1 s"):
        thread.click("yes", seconds=0.1)
    engine.posts(slack, thread.channel, "?", thread_ts=thread.ts, blocks=asking(1))
    with pytest.raises(AssertionError, match=r"nothing came of the click on 'yes' in 0.1 s"):
        thread.click("yes", seconds=0.1)
    engine.answers = 500
    with pytest.raises(AssertionError, match="answered the click on 'yes' with 500"):
        thread.click("yes")
    assert "1 times the engine did not take what it was told: [500]" in slack.transcript()


def test_threads_that_the_engine_began_are_counted_from_now(serving: Serving, engine: Engine) -> None:
    before = Slack(serving)
    team = before.channel("#team")
    engine.posts(before, team, "Yesterday")
    now = Slack(serving)
    now.says("#team", "Good morning")
    ts = engine.posts(now, team, "A customer asks")
    assert now.thread("#team").ts == now.thread(team).ts == before.thread("#team", 2).ts == ts
    with pytest.raises(AssertionError, match=r"the engine began no thread 2 in #team in 0 s"):
        now.thread("#team", 2, seconds=0)
    assert now.transcript().splitlines() == ["#team", "Ada: Good morning", "Support: A customer asks"]


def test_an_id_that_a_workflow_names_holds_though_another_test_made_its_own(serving: Serving) -> None:
    slack, discord = Slack(serving), Discord(serving)
    made = [slack.channel("#team"), slack.user("Grace"), discord.channel("#team"), discord.user("Grace")]
    named = [
        slack.channel("#team", id="C0123456789"),
        slack.user("Grace", id="U0123456789"),
        discord.channel("#team", id="234567890123456789"),
        discord.user("Grace", id="345678901234567890"),
    ]
    assert named == ["C0123456789", "U0123456789", "234567890123456789", "345678901234567890"]
    assert [slack.channel("#team"), slack.user("Grace"), discord.channel("#team"), discord.user("Grace")] == named
    assert [slack.channel(made[0]), slack.user(made[1]), discord.channel(made[2]), discord.user(made[3])] == made


def test_an_edit_and_a_deletion_in_slack_are_told_and_shown(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving, deliver_to=engine.url)
    thread = slack.says("#support", "Helo", by="Ada")
    said = thread.says("rdeo it", by="Grace")
    thread.first.edit("Hello")
    said.edit("redo it")
    edits = [one for one in engine.took("message", 4) if one["event"].get("subtype") == "message_changed"]
    assert [one["event"]["message"]["text"] for one in edits] == ["Hello", "redo it"]
    assert thread.messages == [Said("Ada", "Hello", is_edited=True), Said("Grace", "redo it", is_edited=True)]
    assert slack.transcript().splitlines()[1:] == ["Ada: Hello (edited)", "  Grace: redo it (edited)"]
    said.delete()
    [gone] = [one for one in engine.took("message", 5) if one["event"].get("subtype") == "message_deleted"]
    assert gone["event"]["deleted_ts"] == said.ts
    assert [one.text for one in thread.messages] == ["Hello"]
    with pytest.raises(AssertionError, match="the message was deleted before"):
        said.edit("again")


def test_the_first_message_of_a_thread_with_replies_leaves_a_note_in_slack(serving: Serving, engine: Engine) -> None:
    thread = Slack(serving, deliver_to=engine.url).says("#support", "My key is 12345", by="Ada")
    thread.says("Careful", by="Grace")
    thread.first.delete()
    assert [one.text for one in thread.messages] == ["This message was deleted.", "Careful"]
    assert thread.slack.transcript().splitlines()[1:] == ["somebody: This message was deleted.", "  Grace: Careful"]
    with pytest.raises(AssertionError, match="the message was deleted before"):
        thread.first.delete()


def test_people_change_nothing_that_the_engine_wrote(serving: Serving, engine: Engine, bot: "Bot") -> None:
    slack, discord = Slack(serving), Discord(serving)
    engine.posts(slack, slack.channel("#team"), "A customer asks")
    posted = bot.post(f"/channels/{discord.channel('#team')}/messages", content="A customer asks")
    bot.post(f"/channels/{discord.channel('#team')}/messages/{posted['id']}/threads", name="It")
    for first in (slack.thread("#team").first, discord.thread("#team").first):
        for change in (lambda one=first: one.edit("x"), first.delete):
            with pytest.raises(AssertionError, match="the engine wrote that message"):
                change()


def test_files_go_both_ways_in_slack(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving, deliver_to=engine.url)
    thread = slack.says("#support", "See", by="Ada", files={"log.txt": b"one"})
    thread.says("And this", by="Ada", files={"picture.png": b"PNG", "b.txt": b"two"})
    slack.writes("And here", by="Ada", files={"c.txt": b"three"})
    told = [[(file["name"], file["mimetype"]) for file in one["event"]["files"]] for one in engine.took("message", 3)]
    assert told == [
        [("log.txt", "text/plain")],
        [("picture.png", "image/png"), ("b.txt", "text/plain")],
        [("c.txt", "text/plain")],
    ]
    slot = engine.post(slack, "files.getUploadURLExternal", filename="out.txt", length=4)
    httpx.post(slot["upload_url"], content=b"four")
    place = {"channel_id": thread.channel, "thread_ts": thread.ts}
    engine.post(slack, "files.completeUploadExternal", files=[{"id": slot["file_id"], "title": "out.txt"}], **place)
    engine.posts(slack, thread.channel, "Here it is", thread_ts=thread.ts)
    assert [one.files for one in thread.messages] == [
        {"log.txt": b"one"}, {"picture.png": b"PNG", "b.txt": b"two"}, {"out.txt": b"four"}, {},
    ]  # fmt: skip
    assert thread.read(1) == ["Here it is"], "a file is no message with words"
    assert "  Ada: And this 📎 picture.png 📎 b.txt" in slack.transcript().splitlines()


def test_an_emoji_goes_to_the_message_that_is_meant(serving: Serving, engine: Engine, bot: "Bot") -> None:
    thread = Slack(serving, deliver_to=engine.url).says("#support", "Hello", by="Ada")
    said = thread.says("It is in Settings", by="Bob")
    thread.react("eyes", to="in Settings")
    assert engine.took("reaction_added")[0]["event"]["item"]["ts"] == said.ts
    post = Discord(serving).posts("#questions", "Title", "Hello")
    answer = bot.post(f"/channels/{post.id}/messages", content="It is in Settings")
    post.react("👀", to="in Settings")
    assert bot.told("MESSAGE_REACTION_ADD")[0]["message_id"] == answer["id"]
    for one in (thread, post):
        with pytest.raises(AssertionError, match=r"no message says 'pink'; there is \['Hello', 'It is in Settings'\]"):
            one.react("eyes", to="pink")


# Outages


def test_calls_fail_as_often_as_planned_and_are_done_then(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving)
    where = slack.channel("#support")
    slack.will_fail("post", 2)
    slack.will_fail("post", status=429, retry_after=7)
    bearer = {"Authorization": f"Bearer {slack.token}"}

    def post() -> httpx.Response:
        return httpx.post(f"{engine.api}chat.postMessage", json={"channel": where, "text": "x"}, headers=bearer)

    answers = [post() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 429, 200]
    assert answers[2].headers["Retry-After"] == "7"
    assert len(slack.thread("#support").messages) == 1
    slack.will_refuse("post")
    assert post().json() == {"ok": False, "error": "restricted_action"}
    slack.will_lose_reply("post")
    with pytest.raises(httpx.TransportError):
        post()
    assert slack.thread("#support", 2, seconds=0).messages == [Said("Support", "x")], "it was done"


def test_a_status_that_is_no_outage_is_a_mistake_of_the_test(serving: Serving) -> None:
    with pytest.raises(UsageError, match=r"404 is not 429 or 500 to 599.*will_refuse"):
        Slack(serving).will_fail("post", status=404)


def test_zendesk_fails_refuses_and_is_away_in_the_same_words(serving: Serving) -> None:
    zendesk = Zendesk(serving)
    ticket = zendesk.opens("Printer")
    comment = {"ticket": {"comment": {"body": "Unplug it"}}}
    with api(serving, zendesk) as client:

        def change() -> int:
            return client.put(f"tickets/{ticket.id}.json", json=comment).status_code

        def opened() -> int:
            return client.post("tickets.json", json={"ticket": {"subject": "x", **comment["ticket"]}}).status_code

        zendesk.will_fail("open", status=429)
        zendesk.will_fail("post", 2)
        zendesk.will_refuse("post")
        assert [opened(), opened()] == [429, 201]
        assert [change() for _ in range(4)] == [503, 503, 422, 200]
        zendesk.will_lose_reply("post")
        with pytest.raises(httpx.TransportError):
            change()
        with zendesk.away():
            assert [change(), client.get("users/me.json").status_code] == [503, 503]
        assert change() == 200
    assert ticket.read(3) == ["Unplug it"] * 3


def test_discord_fails_refuses_and_is_away_in_the_same_words(discord: Discord, bot: "Bot") -> None:
    thread = discord.posts("#questions", "Title", "Hello")

    def post() -> int:
        return bot.http.post(f"/channels/{thread.id}/messages", json={"content": "Like this"}).status_code

    discord.will_fail("post", 2)
    discord.will_fail("open")
    discord.will_fail("post", status=429)
    discord.will_refuse("post")
    assert [post() for _ in range(5)] == [503, 503, 429, 403, 200]
    assert "(1 planned failure that no call of the engine has met)" in discord.transcript()
    discord.will_lose_reply("post")
    with pytest.raises(httpx.TransportError):
        post()
    with discord.away():
        assert [post(), bot.http.get("/users/@me").status_code] == [503, 503]
    assert thread.read(2) == ["Like this"] * 2
    with pytest.raises(ZeroDivisionError), discord.away():
        raise ZeroDivisionError
    assert post() == 200, "an outage ends with its block, whatever happened there"


def test_an_outage_is_over_when_its_test_is(serving: Serving, engine: Engine) -> None:
    slack, zendesk, discord = Slack(serving), Zendesk(serving), Discord(serving)
    for one in (slack, zendesk, discord):
        one.will_fail("post", 5)
        one._do(lambda one=one: setattr(one._platform, "is_away", True))
        assert "(5 planned failures that no call of the engine has met)" in one.transcript()
    serving.begin_test()
    assert serving.used == []
    assert [one.transcript() for one in (slack, zendesk, discord)] == ["", "", ""]
    assert engine.posts(slack, slack.channel("#support"), "back")


def test_away_in_slack_people_write_on_and_the_engine_cannot(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving, deliver_to=engine.url)
    with slack.away():
        thread = slack.says("#support", "Is anybody there?", by="Ada")
        assert engine.took("message")
        bearer = {"Authorization": f"Bearer {slack.token}"}
        assert httpx.post(f"{engine.api}auth.test", headers=bearer).status_code == 503
    engine.posts(slack, thread.channel, "Yes", thread_ts=thread.ts)
    assert thread.read(1) == ["Yes"]


# Waiting for what changes


def test_a_test_waits_until_something_is_shown_and_until_it_is_gone(serving: Serving, engine: Engine) -> None:
    slack = Slack(serving)
    thread = slack.says("#support", "Hello", by="Ada")
    ts = engine.posts(slack, thread.channel, "the 1st try", thread_ts=thread.ts)
    assert thread.until_shown("1st") == Said("Support", "the 1st try")
    change = {"channel": thread.channel, "ts": ts, "text": "the first try"}
    later = threading.Timer(0.2, lambda: engine.post(slack, "chat.update", **change))
    later.start()
    thread.until_gone("1st")
    later.join()
    assert thread.until_shown("first") == Said("Support", "the first try", is_edited=True)
    with pytest.raises(AssertionError, match=r"nothing said 'pink'; there was \['Hello', 'the first try'\] in 0 s"):
        thread.until_shown("pink", seconds=0)
    with pytest.raises(AssertionError, match=r"'first' was not gone from \['Hello', 'the first try'\] in 0 s"):
        thread.until_gone("first", seconds=0)


# Zendesk


@contextmanager
def api(serving: Serving, zendesk: Zendesk) -> Iterator[httpx.Client]:
    """The engine's client of the account."""
    told = PlatformSettings.from_env(serving.environment("http://127.0.0.1:1"))
    url = told.zendesk.url.replace("{subdomain}", zendesk.subdomain)
    with httpx.Client(base_url=f"{url}/api/v2/", auth=(f"{zendesk.email}/token", zendesk.api_token)) as client:
        yield client


def test_a_ticket_that_the_engine_opened_is_commented_and_solved(serving: Serving) -> None:
    Zendesk(serving).opens("An older one")
    zendesk = Zendesk(serving)
    with api(serving, zendesk) as client:
        new = {"subject": "Export", "tags": ["from-slack"], "comment": {"body": "It stops."}}
        made = client.post("tickets.json", json={"ticket": new}).json()["ticket"]
        ticket = zendesk.ticket(1)
        assert (ticket.id, ticket.subject, ticket.status, ticket.tags) == (made["id"], "Export", "new", ["from-slack"])
        ticket.comment("Which one?", by="Max Planck")
        ticket.comment("She asks every month.", public=False)
        client.put(f"tickets/{ticket.id}.json", json={"ticket": {"comment": {"body": "The big one."}}})
        assert ticket.read(2) == ["It stops.", "The big one."]
        assert ticket.comments[1:3] == [
            Comment("Max Planck", "Which one?", is_public=True),
            Comment("Agent", "She asks every month.", is_public=False),
        ]
        ticket.solve(by="Max Planck")
        assert ticket.status == "solved"
    with pytest.raises(AssertionError, match=r"the engine opened no ticket 2 in 0 s"):
        zendesk.ticket(2, seconds=0)
    shown = zendesk.transcript()
    assert "An older one" not in shown
    assert "Max Planck\n│ Which one?" in shown
    assert "Agent (internal)\n│ She asks every month." in shown
    assert shown.endswith("Max Planck sets the status to solved")


def test_a_customer_writes_in_and_replies(serving: Serving) -> None:
    zendesk = Zendesk(serving, "other")
    ticket = zendesk.opens("Printer", "It smokes.", by="Ada Lovelace", tags=("ask-bot",))
    ticket.comment("Unplug it!", by="Grace", status="pending")
    assert ticket.status == "pending"
    ticket.comment("I did.", by="requester")
    assert ticket.status == "open", "as Zendesk opens it when a customer replies"
    assert [one.author for one in ticket.comments] == ["Ada Lovelace", "Grace", "Ada Lovelace"]
    assert ticket.tags == ["ask-bot"]
    with pytest.raises(AssertionError, match=r"0 messages and not 1 came: \[\] in 0 s"):
        ticket.read(1, seconds=0)


def test_files_are_on_comments_both_ways(serving: Serving) -> None:
    zendesk = Zendesk(serving)
    ticket = zendesk.opens("Printer", "It smokes.", files={"smoke.png": b"PNG"})
    ticket.comment("Here is how", by="Grace", files={"how-to.pdf": b"%PDF"})
    with api(serving, zendesk) as client:
        token = client.post("uploads.json?filename=out.txt", content=b"out").json()["upload"]["token"]
        comment = {"comment": {"body": "And this", "uploads": [token]}}
        client.put(f"tickets/{ticket.id}.json", json={"ticket": comment})
        attached = client.get(f"tickets/{ticket.id}/comments.json").json()["comments"][0]["attachments"]
    assert [(one["file_name"], one["content_type"]) for one in attached] == [("smoke.png", "image/png")]
    assert [one.files for one in ticket.comments] == [
        {"smoke.png": b"PNG"}, {"how-to.pdf": b"%PDF"}, {"out.txt": b"out"},
    ]  # fmt: skip
    assert ticket.until_shown("And this").author == "Support Bot"


def test_comments_are_blackened_and_made_internal(serving: Serving) -> None:
    zendesk = Zendesk(serving)
    ticket = zendesk.opens("Login", "The password is sesame")
    ticket.first.redact("sesame", by="Grace")
    note = ticket.comment("He is difficult", by="Grace")
    note.make_internal(by="Grace")
    assert ticket.comments == [
        Comment("Ada", "The password is ▇▇▇▇▇▇", is_public=True),
        Comment("Grace", "He is difficult", is_public=False),
    ]
    ticket.until_gone("sesame", seconds=0)
    with pytest.raises(AssertionError, match="the comment does not say 'sesame', but 'He is difficult'"):
        note.redact("sesame")
    with api(serving, zendesk) as client:
        audits = client.get(f"tickets/{ticket.id}/audits.json").json()["audits"]
    kinds = [event["type"] for audit in audits for event in audit["events"]]
    assert kinds == ["Comment", "CommentRedactionEvent", "Comment", "CommentPrivacyChange"]


# Discord


class Bot:
    """What the engine is on Discord: told of everything, and a client of the HTTP API."""

    def __init__(self, discord: Discord, url: str) -> None:
        headers = {"Authorization": f"Bot {discord.token}", "User-Agent": "DiscordBot (https://example.com, 1)"}
        self.http = httpx.Client(base_url=url, headers=headers)
        self.session = Session("session", intents=-1)
        discord._do(lambda: discord._platform.gateway.sessions.update({"session": self.session}))

    def post(self, path: str, **body: Any) -> Json:
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        found: Json = answer.json() if answer.content else {}
        return found

    def told(self, event: str, count: int = 1) -> list[Json]:
        deadline = time.monotonic() + 10
        while len(found := [one["d"] for one in self.session.sent if one["t"] == event]) < count:
            assert time.monotonic() < deadline, [one["t"] for one in self.session.sent]
            time.sleep(0.01)
        return found


@pytest.fixture
def discord(serving: Serving) -> Discord:
    return Discord(serving)


@pytest.fixture
def bot(serving: Serving, discord: Discord) -> Iterator[Bot]:
    told = PlatformSettings.from_env(serving.environment("http://127.0.0.1:1"))
    made = Bot(discord, told.discord.api_url)
    with made.http:
        yield made


def choices(words: dict[str, str] = YES_OR_NO) -> list[Json]:
    buttons = [{"type": 2, "style": 2, "label": text, "custom_id": f"choice:1.2.{id}"} for id, text in words.items()]
    return [{"type": 1, "components": buttons}]


def test_a_question_on_discord_is_answered_in_its_thread(discord: Discord, bot: Bot) -> None:
    thread = discord.says("#help", f"{discord.mention} hello", by="Ada")
    [channel] = bot.told("CHANNEL_CREATE")
    [said] = bot.told("MESSAGE_CREATE")
    assert (said["guild_id"], said["channel_id"]) == (discord.guild_id, channel["id"])
    assert said["author"]["id"] == discord.user("Ada")
    with pytest.raises(AssertionError, match=r"0 messages and not 1 came: \[\] in 0 s"):
        thread.read(1, seconds=0)
    bot.post(f"/channels/{channel['id']}/messages/{thread.id}/threads", name="Help")
    bot.post(f"/channels/{thread.id}/messages", content="Like this.")
    assert thread.read(1) == ["Like this."]
    thread.says("Thanks", by="Grace")
    assert bot.told("MESSAGE_CREATE", 4)[-1]["channel_id"] == thread.id
    thread.react("👀", by="Grace")
    assert bot.told("MESSAGE_REACTION_ADD")[0]["channel_id"] == channel["id"]
    assert discord.transcript().splitlines() == [
        "#help",
        f"Ada: {discord.mention} hello",
        "  Helper: Like this.",
        "  Grace: Thanks",
    ]


def test_an_edit_and_a_deletion_on_discord_are_told_and_shown(discord: Discord, bot: Bot) -> None:
    thread = discord.says("#help", "Helo", by="Ada")
    bot.post(f"/channels/{discord.channel('#help')}/messages/{thread.id}/threads", name="Help")
    said = thread.says("rdeo it", by="Grace")
    thread.first.edit("Hello")
    said.edit("redo it")
    assert [one["content"] for one in bot.told("MESSAGE_UPDATE", 2)] == ["Hello", "redo it"]
    assert thread.messages == [Said("Ada", "Hello", is_edited=True), Said("Grace", "redo it", is_edited=True)]
    assert discord.transcript().splitlines()[1:] == ["Ada: Hello (edited)", "  Grace: redo it (edited)"]
    said.delete()
    thread.first.delete()
    assert [one["id"] for one in bot.told("MESSAGE_DELETE", 2)] == [said.id, thread.id]
    assert thread.messages == []
    for one in (said, thread.first):
        with pytest.raises(AssertionError, match="the message was deleted before"):
            one.edit("again")
    with pytest.raises(AssertionError, match="the first message was deleted"):
        thread.react("👀")


def test_files_go_both_ways_on_discord(discord: Discord, bot: Bot) -> None:
    asked = discord.says("#help", "See", by="Ada", files={"log.txt": b"one"})
    post = discord.posts("#questions", "Title", "See", files={"picture.png": b"PNG"})
    post.says("And this", by="Ada", files={"b.txt": b"two"})
    told = [
        [(file["filename"], file["content_type"]) for file in one["attachments"]]
        for one in bot.told("MESSAGE_CREATE", 3)
    ]
    assert told == [[("log.txt", "text/plain")], [("picture.png", "image/png")], [("b.txt", "text/plain")]]
    payload = {"content": "Here it is", "attachments": [{"id": 0, "filename": "out.txt"}]}
    answer = bot.http.post(
        f"/channels/{post.id}/messages",
        data={"payload_json": json.dumps(payload)},
        files={"files[0]": ("out.txt", b"three", "text/plain")},
    )
    assert answer.is_success, answer.text
    assert [one.files for one in post.messages] == [{"picture.png": b"PNG"}, {"b.txt": b"two"}, {"out.txt": b"three"}]
    assert asked.messages[0].files == {"log.txt": b"one"}
    assert "  Helper: Here it is 📎 out.txt" in discord.transcript().splitlines()


@pytest.mark.parametrize(
    ("button", "reply", "told"),
    [
        ("yes", {"type": 7, "data": {"content": "Chosen", "components": []}}, None),
        ("No, thanks", {"type": 4, "data": {"content": "It is not up to you.", "flags": 64}}, "It is not up to you."),
    ],
)
def test_a_click_on_discord_is_answered_to_all_or_to_one(
    discord: Discord, bot: Bot, button: str, reply: Json, told: str | None
) -> None:
    thread = discord.posts("#questions", "Title", "Hello")
    bot.post(f"/channels/{thread.id}/messages", content="Shall we?", components=choices())
    assert thread.buttons() == ["Yes", "No, thanks"]
    with ThreadPoolExecutor() as pool:
        clicking = pool.submit(thread.click, button, by="Grace")
        [click] = bot.told("INTERACTION_CREATE")
        assert click["member"]["user"]["id"] == discord.user("Grace")
        bot.post(f"/interactions/{click['id']}/{click['token']}/callback", **reply)
        assert clicking.result(10) == told
    assert thread.buttons() == ([] if told is None else ["Yes", "No, thanks"])
    assert ("  to Grace alone: It is not up to you." in discord.transcript()) == (told is not None)


def test_a_click_on_discord_that_takes_its_time_is_told_later(discord: Discord, bot: Bot) -> None:
    thread = discord.posts("#questions", "Title", "Hello")
    bot.post(f"/channels/{thread.id}/messages", content="Shall we?", components=choices())
    with ThreadPoolExecutor() as pool:
        clicking = pool.submit(thread.click, "yes", by="Grace")
        [click] = bot.told("INTERACTION_CREATE")
        bot.post(f"/interactions/{click['id']}/{click['token']}/callback", type=6)
        bot.post(f"/webhooks/{click['application_id']}/{click['token']}", content="Too late.", flags=64)
        assert clicking.result(10) == "Too late."


def test_threads_that_the_bot_began_on_discord_are_counted_from_now(serving: Serving, bot: Bot) -> None:
    team = Discord(serving).channel("#team", id="234567890123456789")
    now = Discord(serving)
    for number in range(2):
        said = bot.post(f"/channels/{team}/messages", content=f"Conversation {number}")
        bot.post(f"/channels/{team}/messages/{said['id']}/threads", name=f"Conversation {number}")
        assert now.thread("#team", number + 1).id == said["id"]
    asked = now.says("#team", "Hello")
    bot.post(f"/channels/{team}/messages/{asked.id}/threads", name="Hello")
    with pytest.raises(AssertionError, match="began no thread 3 in #team in 0 s"):
        now.thread("#team", 3, seconds=0)
    assert Discord(serving).transcript() == ""


def test_a_bot_is_told_of_a_further_server(serving: Serving, discord: Discord, bot: Bot) -> None:
    other = Discord(serving, "345678901234567890")
    assert [one["id"] for one in bot.told("GUILD_CREATE")] == [other.guild_id]
    assert other.channel("#help") != discord.channel("#help")


# What the docstrings show


def on_slack(slack: Slack, engine: Engine) -> Json:
    thread = slack.says("#support", "Hello")
    engine.posts(slack, slack.channel("#team"), "A customer asks")
    blocks = asking(1, OR_A_PERSON, "It is in Settings.")
    ts = engine.posts(slack, thread.channel, "?", thread_ts=thread.ts, blocks=blocks)
    engine.on_click = lambda _: engine.post(
        slack, "chat.update", channel=thread.channel, ts=ts, text="Chosen", blocks=[]
    )
    return {"slack": slack, "thread": thread}


def on_zendesk(zendesk: Zendesk, client: httpx.Client) -> Json:
    client.post("tickets.json", json={"ticket": {"subject": "Broken", "comment": {"body": "Ada: It is broken."}}})
    return {"zendesk": zendesk, "ticket": zendesk.ticket(1)}


def on_discord(discord: Discord, bot: Bot, pool: ThreadPoolExecutor | None) -> Json:
    thread = discord.posts("#questions", "Title", "Hello")
    bot.post(f"/channels/{thread.id}/messages", content="It is in Settings.", components=choices(OR_A_PERSON))
    team = discord.channel("#team")
    said = bot.post(f"/channels/{team}/messages", content="A customer asks")
    bot.post(f"/channels/{team}/messages/{said['id']}/threads", name="A customer asks")

    def settle() -> None:
        [click] = bot.told("INTERACTION_CREATE")
        body = {"type": 7, "data": {"content": "Chosen", "components": []}}
        bot.post(f"/interactions/{click['id']}/{click['token']}/callback", **body)

    if pool is not None:
        pool.submit(settle)
    return {"discord": discord, "thread": thread}


@pytest.mark.parametrize("name", PLATFORM_EXAMPLES)
def test_an_example_runs(name: str, serving: Serving, engine: Engine, bot: Bot, discord: Discord) -> None:
    zendesk = Zendesk(serving)
    with ThreadPoolExecutor() as pool, api(serving, zendesk) as client:
        if ".slack." in name or ".played." in name:
            names = on_slack(Slack(serving, deliver_to=engine.url), engine)
        elif ".zendesk." in name:
            names = on_zendesk(zendesk, client)
        else:
            names = on_discord(discord, bot, pool if "click" in name else None)
        exec(compile(PLATFORM_EXAMPLES[name], name, "exec"), names)


def test_every_method_of_a_surface_has_an_example() -> None:
    owners = {name.rpartition(" ")[0] for name in PLATFORM_EXAMPLES}
    of_platforms = (Slack, ThreadInSlack, MessageInSlack, Zendesk, TicketInZendesk, CommentInZendesk)
    for kind in (*of_platforms, Discord, ThreadInDiscord, MessageInDiscord, Played, Place):
        functions = {name for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}
        shown = functions - {"transcript", "until_connected"}
        assert {f"{kind.__module__}.{kind.__name__}.{name}" for name in shown} <= owners


# Below a failure

PROJECT = """
from types import SimpleNamespace

import pytest

from runllm.testing.plugin import _ENGINES
from runllm.testing.serving import Serving
from runllm.testing.slack import Slack
from runllm.testing.visitor import Visitor


@pytest.fixture(scope="session")
def engine(pytestconfig):
    serving = Serving()
    pytestconfig.stash[_ENGINES] = [SimpleNamespace(platforms=serving, errors=errors)]
    yield serving
    serving.close()


def errors(since):
    assert since.tzinfo is not None
    return "session 1 of support, answer: ValueError: no"


def test_that_fails(engine):
    Slack(engine).says("#support", "Is it down?", by="Ada")
    assert False


def test_that_fails_for_itself(engine):
    assert False
"""


def test_what_was_said_is_below_the_failure_of_the_test_that_said_it(pytester: pytest.Pytester) -> None:
    Path(pytester.path, "test_it.py").write_text(PROJECT, encoding="utf-8")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    result.assert_outcomes(failed=2)
    shown = ["*Slack, workspace T0123456789*", "[#]support", "Ada: Is it down?", "*What went wrong in handlers*"]
    result.stdout.fnmatch_lines([*shown, "session 1 of support, answer: ValueError: no"])
    assert result.stdout.str().count("Is it down?\n") == 1
