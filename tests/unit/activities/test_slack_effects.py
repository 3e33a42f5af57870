"""What sessions do in Slack, through the real activities, ledger and adapter, in front of a Slack that misbehaves.

The workflow's part is played by `carry_out`: it tries again after every error that Temporal would try again after.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from gateways.adapter import Content, Effect, File
from gateways.platforms import SlackSettings
from gateways.slack.outbound import MARKER, SlackAdapter
from gateways.slack.workspaces import Credentials, Workspaces
from gateways.wire import Call, Relay
from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import SlackThread, SlackThreadConfig, SurfaceType
from runllm.errors import NotConnected, RateLimited, Rejected, SurfaceError, Unavailable
from runllm.operations import ButtonWait, CreateSlackThread, MessageRef, PostMessage
from runllm.testing.platforms.slack import ALL_SCOPES, FakeSlack
from store import messages, sessions
from store.models import Message
from store.sealing import Seal
from tests.contract.proxy import judged
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import Killed
from worker.activities.context import Context
from worker.activities.copies import CopyActivities
from worker.activities.failures import FOR_GOOD
from worker.activities.surfaces import SurfaceActivities

pytestmark = pytest.mark.contract

BUTTONS = [
    {
        "type": "buttons",
        "buttons": [{"id": "yes", "text": "Resolved", "style": "primary"}, {"id": "no", "text": "Person"}],
    }
]
SEAL = Seal("0" * 64)


class Town:
    """A session that began in a Slack thread, and all that acts on it."""

    def __init__(self, slack: FakeSlack, case: Case, adapter: SlackAdapter, workspaces: Workspaces, ts: str) -> None:
        self.slack = slack
        self.case = case
        self.adapter = adapter
        self.workspaces = workspaces
        self.ts = ts
        config = SlackThreadConfig(bot_conn_token="slack:T1", team_id="T1", channel="C1", thread_ts=ts)
        self.thread = SlackThread(config=config)

    @property
    def context(self) -> Context:
        usual = self.case.context
        return replace(
            usual,
            adapters={**usual.adapters, SurfaceType.SLACK_THREAD: self.adapter},
            openers=replace(usual.openers, slack=self.adapter),
        )

    @property
    def surfaces(self) -> SurfaceActivities:
        return SurfaceActivities(self.context)

    def in_thread(self) -> list[dict[str, Any]]:
        return self.slack.by_app("C1", self.ts)

    def post(self, text: str = "Hello", **how: Any) -> Call[PostMessage]:
        to = how.pop("to", self.thread)
        return self.case.call(PostMessage(to=to, message=MessageRef(text=text), **how))


@pytest.fixture
async def town(case: Case) -> AsyncIterator[Town]:
    async with FakeSlack() as slack, judged("slack", slack.url) as url:
        settings = SlackSettings(
            api_url=f"{url}/api/", client_id=slack.client_id, client_secret=SecretStr(slack.client_secret)
        )
        workspaces = Workspaces(case.store, SEAL, settings)
        credentials = Credentials(
            bot_token=SecretStr("xoxb-1"),
            bot_user_id="UBOT",
            bot_id="BBOT",
            scopes=ALL_SCOPES.split(","),
            url="https://acme.slack.com/",
        )
        await workspaces.save("T1", "Acme", credentials)
        ts = await slack.say("C1", "U1", "How do I log in?")
        made = Town(slack, case, SlackAdapter(case.store, SEAL, settings), workspaces, ts)
        async with case.store.begin() as db:
            await sessions.bind(db, case.session_id, made.thread)
            row = await messages.add(
                db, session_id=case.session_id, author="user", text="How do I log in?", author_id="T1:U1"
            )
            await messages.post(
                db, session_id=case.session_id, chat_id=row.id, surface_key=f"slack:T1:C1:{ts}", remote_id=ts
            )
        yield made


async def carry_out(act: Callable[[], Awaitable[Any]], most: int = 6) -> Any:
    """Tries as Temporal does: again after what may pass, and after the death of a worker."""
    for _ in range(most):
        try:
            return await act()
        except Killed:
            continue
        except SurfaceError as error:
            if isinstance(error, FOR_GOOD):
                raise
    raise AssertionError("it never worked")


Act = Callable[[Town], Awaitable[Callable[[], Awaitable[Any]]]]


async def a_message(town: Town) -> Callable[[], Awaitable[Any]]:
    call = town.post()
    return lambda: town.surfaces.post_message(call)


async def a_long_message(town: Town) -> Callable[[], Awaitable[Any]]:
    call = town.post(" ".join(f"word{number}" for number in range(4_400)))
    return lambda: town.surfaces.post_message(call)


async def a_message_with_buttons(town: Town) -> Callable[[], Awaitable[Any]]:
    call = town.post("Solved?", blocks=BUTTONS, wait=ButtonWait(wait_id=1))
    return lambda: town.surfaces.post_message(call)


async def a_replacement(town: Town) -> Callable[[], Awaitable[Any]]:
    first = await town.surfaces.post_message(town.post("One moment"))
    thread = town.thread.model_copy(deep=True)
    thread.config.chat_ts = first.remote_id
    call = town.post("Here it is", to=thread)
    return lambda: town.surfaces.post_message(call)


async def a_thread(town: Town) -> Callable[[], Awaitable[Any]]:
    call = town.case.call(CreateSlackThread(team_id="T1", channel_id="C2"))
    return lambda: town.surfaces.create_slack_thread(call)


async def an_edit(town: Town) -> Callable[[], Awaitable[Any]]:
    row = await copied(town, "Fist")
    async with town.case.store.begin() as db:
        await messages.edit_text(db, row.id, "First")
    call = town.case.call(Relay(kind="edit", chat_id=row.id, from_surface=town.case.widget, to=[town.thread]))
    return lambda: CopyActivities(town.context).relay(call)


async def a_deletion(town: Town) -> Callable[[], Awaitable[Any]]:
    row = await copied(town, "Oops")
    async with town.case.store.begin() as db:
        await messages.delete(db, row.id)
    call = town.case.call(Relay(kind="delete", chat_id=row.id, from_surface=town.case.widget, to=[town.thread]))
    return lambda: CopyActivities(town.context).relay(call)


async def a_file(town: Town) -> Callable[[], Awaitable[Any]]:
    effect = Effect(key=f"{town.case.session_id}:77", session_id=town.case.session_id)
    tried: list[int] = []

    async def act() -> None:
        # The ledger's part: from the second attempt on it says that there was an earlier one.
        tried.append(1)
        again = effect.model_copy(update={"earlier": len(tried) > 1})
        await town.adapter.upload(again, town.thread, "app.log", b"boom")

    return act


async def copied(town: Town, text: str) -> Message:
    """A message from the widget, mirrored into the thread."""
    row = await town.case.said(text, name="Vera")
    call = town.case.call(Relay(kind="message", chat_id=row.id, from_surface=town.case.widget, to=[town.thread]))
    await CopyActivities(town.context).relay(call)
    return row


EFFECTS: dict[str, tuple[Act, str]] = {
    "message": (a_message, "chat.postMessage"),
    "long message": (a_long_message, "chat.postMessage"),
    "buttons": (a_message_with_buttons, "chat.postMessage"),
    "replacement": (a_replacement, "chat.update"),
    "thread": (a_thread, "chat.postMessage"),
    "edit": (an_edit, "chat.update"),
    "deletion": (a_deletion, "chat.delete"),
    "file": (a_file, "files.completeUploadExternal"),
}
FAULTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "lost reply": {"lose_reply": True},
    "429": {"status": 429, "retry_after": 7},
    "500": {"status": 500},
    "fatal_error": {"error": "fatal_error"},
}


async def seen(town: Town) -> list[str]:
    """All that Slack shows of the app, and everywhere."""
    return [
        f"{channel}: {town.slack.words(one)} {[file['title'] for file in one.get('files', ())]}"
        for channel in ("C1", "C2")
        for one in town.slack.by_app(channel)
    ]


@pytest.mark.parametrize("effect", EFFECTS)
async def test_each_effect_happens_once_whatever_goes_wrong(town: Town, effect: str) -> None:
    make, method = EFFECTS[effect]
    expected: list[str] | None = None
    for fault, trouble in FAULTS.items():
        for channel in ("C1", "C2"):
            town.slack.channels[channel].messages[:] = [m for m in town.slack.messages(channel) if not m.get("bot_id")]
        act = await make(town)
        if trouble:
            town.slack.next(method, **trouble)
        await carry_out(act)
        await act() if effect != "file" else None  # a retry of what was done does nothing
        shown = [text.replace("app.log", "FILE") for text in await seen(town)]
        expected = shown if expected is None else expected
        assert shown == expected, f"after {fault}"
        assert len(shown) == len(set(shown))


@pytest.mark.parametrize("effect", [name for name in EFFECTS if name != "file"])
async def test_a_worker_that_dies_after_the_call_leaves_one(town: Town, effect: str, monkeypatch: Any) -> None:
    make, method = EFFECTS[effect]
    act = await make(town)
    await act_dying_after(town, method, act, monkeypatch)
    before = await seen(town)
    await carry_out(act)
    after = await seen(town)
    if effect == "long message":  # the first part was posted before the death, the others after
        assert (len(before), len(after)) == (1, 5)
    else:
        assert after == before
    assert len(after) == len(set(after)) or effect == "long message"


async def act_dying_after(town: Town, method: str, act: Callable[[], Awaitable[Any]], monkeypatch: Any) -> None:
    """Lets the worker die as soon as Slack has carried the call out."""
    task: asyncio.Task[Any] = asyncio.ensure_future(act())
    hold = asyncio.Event()
    town.slack.next(method, wait=hold)
    async with asyncio.timeout(10):
        while method not in [name for name, _ in town.slack.calls[-3:]]:  # noqa: ASYNC110 - a stand-in has no event for it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    hold.set()


async def test_the_marker_holds_the_key_and_nothing_else(town: Town) -> None:
    call = town.post("Hello")
    await town.surfaces.post_message(call)
    [shown] = town.in_thread()
    assert shown["metadata"] == {"event_type": MARKER, "event_payload": {"effect": call.key}}


async def test_nothing_is_looked_up_where_nothing_went_wrong(town: Town) -> None:
    town.slack.next("chat.postMessage", status=429)
    call = town.post()
    await carry_out(lambda: town.surfaces.post_message(call))
    assert [method for method, _ in town.slack.calls] == ["chat.postMessage", "chat.postMessage"]


async def test_a_lost_message_is_found_in_a_long_thread(town: Town) -> None:
    call = town.post()
    town.slack.next("chat.postMessage", lose_reply=True)
    with pytest.raises(Unavailable):
        await town.surfaces.post_message(call)
    town.slack.page_limit = 15
    for number in range(40):
        await town.slack.say("C1", "U2", f"more {number}", town.ts)
    await town.surfaces.post_message(call)
    assert len(town.in_thread()) == 1


async def test_a_forty_thousand_character_answer_is_several_good_messages(town: Town) -> None:
    code = "\n".join(f"line_{number} = {number}" for number in range(1_800))
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| {number} | x |" for number in range(400))
    text = f"# Answer\n\n{'A sentence of some length. ' * 270}\n\n```python\n{code}\n```\n\n{table}\n\nThe end."
    assert len(text) > 40_000
    posted = await town.surfaces.post_message(town.post(text))
    shown = town.in_thread()
    assert len(shown) > 4
    assert posted.remote_id == shown[-1]["ts"]
    assert ["feedback" in json.dumps(one["blocks"]) for one in shown] == [False] * (len(shown) - 1) + [True]
    for one in shown:
        words = one["blocks"][0]["text"]
        assert words.count("```") % 2 == 0
    together = "\n".join(one["blocks"][0]["text"] for one in shown)
    for word in ("line_0 = 0", "line_1799 = 1799", "| 399 | x |", "The end."):
        assert word in together


async def test_an_answer_shows_its_sources_prefix_and_the_question_for_feedback(town: Town) -> None:
    async with town.case.store.begin() as db:
        row = await messages.add(
            db,
            session_id=town.case.session_id,
            author=MessageType.ASSISTANT,
            text="Use **SSO**, <!channel> and <@U1>.",
            category=AnswerCategory.ANSWERED,
            sources=[Source(title="Guide | SSO", url="https://docs.example/sso").model_dump()],
        )
    to = PostMessage(to=town.thread, message=MessageRef(chat_id=row.id), prefix="For <@U1>:")
    await town.surfaces.post_message(town.case.call(to))
    [shown] = town.in_thread()
    words = town.slack.words(shown)
    assert "For <@U1>:" in words
    assert "<https://docs.example/sso|Guide ¦ SSO>" in words
    assert "<!channel>" not in words
    assert words.count("<@U1>") == 1  # the workflow's own, and not the model's
    assert [label.split()[-1] for label in town.slack.buttons(shown)] == ["Helpful", "helpful"]


async def test_without_feedback_nobody_is_asked(town: Town) -> None:
    await town.surfaces.post_message(town.post("Hello", enable_feedback=False))
    [shown] = town.in_thread()
    assert town.slack.buttons(shown) == []


async def test_buttons_carry_their_wait_and_blocks_stay_as_they_are(town: Town) -> None:
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "See #general"}},
        {"type": "markdown", "text": "**x**", "verbatim": True},
        *BUTTONS,
        {"type": "divider"},
    ]
    post = town.post("Solved?", blocks=blocks, wait=ButtonWait(wait_id=7), enable_feedback=False)
    await town.surfaces.post_message(post)
    [shown] = town.in_thread()
    assert [block["type"] for block in shown["blocks"]] == ["markdown", "section", "markdown", "actions", "divider"]
    assert shown["blocks"][1]["text"]["verbatim"] is True
    assert [element["value"] for element in shown["blocks"][3]["elements"]] == ["7:yes", "7:no"]
    assert [element.get("style") for element in shown["blocks"][3]["elements"]] == ["primary", None]


async def test_settled_buttons_give_way_to_a_note(town: Town) -> None:
    posted = await town.surfaces.post_message(town.post("Solved?", blocks=BUTTONS, wait=ButtonWait(wait_id=1)))
    content = Content(chat_id=1, text="Solved?", blocks=BUTTONS, wait=ButtonWait(wait_id=1))
    for _ in range(2):
        await town.adapter.settle_buttons(town.thread, posted.remote_id, content, "Time is up.")
    [shown] = town.in_thread()
    assert town.slack.words(shown).endswith("Time is up.\n") or "Time is up." in town.slack.words(shown)
    assert "Resolved" not in town.slack.buttons(shown)


async def test_a_message_for_one_person_is_shown_to_who_wrote_last_and_at_most_once(town: Town) -> None:
    call = town.post("Only you", ephemeral=True)
    town.slack.next("chat.postEphemeral", lose_reply=True)
    posted = await carry_out(lambda: town.surfaces.post_message(call))
    assert [(one["to"], one["thread_ts"]) for one in town.slack.ephemerals] == [("U1", town.ts)]
    assert posted.remote_id.startswith("ephemeral:")
    assert town.in_thread() == []


async def test_a_message_for_one_person_needs_that_person(town: Town) -> None:
    thread = await town.surfaces.create_slack_thread(town.case.call(CreateSlackThread(team_id="T1", channel_id="C2")))
    with pytest.raises(Rejected, match=r"Nobody has written in this Slack thread.*ephemeral=False"):
        await town.surfaces.post_message(town.post("Only you", to=thread, ephemeral=True))


async def test_a_placeholder_becomes_the_answer_also_in_the_record(town: Town) -> None:
    first = await town.surfaces.post_message(town.post("One moment"))
    thread = town.thread.model_copy(deep=True)
    thread.config.chat_ts = first.remote_id
    posted = await town.surfaces.post_message(town.post("Here it is", to=thread))
    assert posted.remote_id == first.remote_id
    assert [town.slack.words(one).split("\n")[0] for one in town.in_thread()] == ["Here it is"]
    assert await town.case.transcript() == ["How do I log in?", "Here it is"]


async def test_a_placeholder_that_is_gone_is_no_reason_to_lose_the_answer(town: Town) -> None:
    thread = town.thread.model_copy(deep=True)
    thread.config.chat_ts = "1.5"
    await town.surfaces.post_message(town.post("Here it is", to=thread))
    assert [town.slack.words(one).split("\n")[0] for one in town.in_thread()] == ["Here it is"]


async def test_a_session_has_one_thread_in_a_channel_and_replies_there_are_its_own(town: Town) -> None:
    wanted = CreateSlackThread(team_id="T1", channel_id="C2", reuse=True)
    first = await town.surfaces.create_slack_thread(town.case.call(wanted))
    again = await town.surfaces.create_slack_thread(town.case.call(wanted))
    assert first == again
    assert first.config.thread_ts == town.slack.messages("C2")[0]["ts"]
    assert first.link().startswith("https://acme.slack.com/archives/C2/p")
    async with town.case.store.read() as db:
        session = await sessions.bound_session(db, f"slack:T1:C2:{first.config.thread_ts}")
    assert session is not None
    assert session.id == town.case.session_id


async def test_a_mirrored_message_has_its_authors_name_with_and_without_the_scope(town: Town) -> None:
    await copied(town, "Hello")
    town.slack.grants["xoxb-1"].scopes.remove("chat:write.customize")
    found = await town.workspaces.need("T1")
    scopes = [scope for scope in found.credentials.scopes if scope != "chat:write.customize"]
    await town.workspaces.save("T1", "Acme", found.credentials.model_copy(update={"scopes": scopes}))
    await copied(town, "Again")
    named, plain = town.in_thread()
    assert (named["username"], town.slack.words(named)) == ("Vera", "Hello")
    assert ("username" in plain, town.slack.words(plain)) == (False, "**Vera:** Again")


async def test_an_edit_that_makes_a_message_longer_and_shorter_keeps_it_one(town: Town) -> None:
    row = await copied(town, "short")
    for number, text in enumerate(("word " * 4_000, "short again")):
        async with town.case.store.begin() as db:
            await messages.edit_text(db, row.id, text)
        relay = Relay(kind="edit", chat_id=row.id, from_surface=town.case.widget, to=[town.thread])
        await CopyActivities(town.context).relay(town.case.call(relay, key=f"edit:{number}"))
        shown = "\n".join(town.slack.words(one) for one in town.in_thread())
        assert len(shown.split()) == len(text.split())
    assert len(town.in_thread()) == 1


async def test_a_file_goes_out_and_comes_in(town: Town) -> None:
    effect = Effect(key="1:9", session_id=town.case.session_id)
    file_id = await town.adapter.upload(effect, town.thread, "app.log", b"boom")
    [shown] = town.in_thread()
    assert [file["title"] for file in shown["files"]] == ["app.log"]
    incoming = {"name": "app.log", "platform": "slack", "ref": f"T1:{file_id}"}
    assert await town.adapter.read_file(incoming) == b"boom"


async def test_a_message_with_files_is_one_message_and_its_files_and_all_of_it_can_be_removed(town: Town) -> None:
    row = await town.case.said("See the logs", name="Vera")
    content = Content(
        chat_id=row.id,
        text="See the logs",
        author=MessageType.USER,
        author_name="Vera",
        files=[File(name="a.log", data=b"a"), File(name="b.log", data=b"b")],
    )
    effect = Effect(key=f"{town.case.session_id}:50", session_id=town.case.session_id)
    town.slack.next("files.completeUploadExternal", lose_reply=True)
    with pytest.raises(Unavailable):
        await town.adapter.post(effect, town.thread, content)
    ts = await town.adapter.post(effect.model_copy(update={"earlier": True}), town.thread, content)
    shown = town.in_thread()
    assert [[file["title"] for file in one.get("files", ())] for one in shown] == [[], ["a.log"], ["b.log"]]
    assert ts == shown[0]["ts"]
    async with town.case.store.begin() as db:
        key = f"slack:T1:C1:{town.ts}"
        await messages.post(
            db, session_id=row.session_id, chat_id=row.id, surface_key=key, remote_id=ts, effect_key=effect.key
        )
    longer = content.model_copy(update={"text": "word " * 4_000, "files": []})
    edit = effect.model_copy(update={"key": f"{town.case.session_id}:51"})
    await town.adapter.edit(edit, town.thread, ts, longer)
    assert len(town.in_thread()) == 5
    await town.adapter.delete(edit, town.thread, ts)
    assert town.in_thread() == []


async def test_an_internal_note_is_not_shown_where_customers_are(town: Town) -> None:
    effect = Effect(key="1:60", session_id=town.case.session_id)
    with pytest.raises(Rejected, match="internal note"):
        await town.adapter.post(effect, town.thread, Content(chat_id=1, text="He is angry", is_internal=True))
    assert town.in_thread() == []


@pytest.mark.parametrize(
    ("attachment", "said"),
    [
        ({"name": "a", "platform": "zendesk", "ref": "T1:F1"}, "not a file of Slack's"),
        ({"name": "a", "platform": "slack", "ref": "T1:F404"}, "file_not_found"),
        ({"name": "a"}, "not a file of Slack's"),
    ],
)
async def test_a_file_that_is_not_there_is_refused(town: Town, attachment: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        await town.adapter.read_file(attachment)


async def test_the_token_is_shown_to_slack_only(town: Town) -> None:
    town.slack.files["F1"] = {"id": "F1", "name": "a", "size": 1, "url_private_download": "http://evil.example/a"}
    with pytest.raises(Rejected, match=r"kept .* at evil\.example"):
        await town.adapter.read_file({"name": "a", "platform": "slack", "ref": "T1:F1"})


@pytest.mark.parametrize(("status", "error", "said"), [(403, Rejected, "files:read"), (503, Unavailable, "status 503")])
async def test_a_file_that_slack_does_not_give_now_is_asked_for_again_and_one_that_we_may_not_see_is_not(
    town: Town, status: int, error: type[SurfaceError], said: str
) -> None:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/a", serve)
    async with TestServer(app, host="127.0.0.1") as server:
        address = str(server.make_url("/a"))
        town.slack.files["F1"] = {"id": "F1", "name": "a", "size": 1, "url_private_download": address}
        with pytest.raises(error, match=said):
            await town.adapter.read_file({"name": "a", "platform": "slack", "ref": "T1:F1"})


# What Slack refuses


@pytest.mark.parametrize(
    ("happens", "error", "said"),
    [
        ("deleted channel", Rejected, "no such channel"),
        ("archived channel", Rejected, "archived"),
        ("not in channel", Rejected, "/invite"),
        ("thread gone", Rejected, "takes no replies"),
        ("revoked token", NotConnected, "runllm connect slack"),
        ("uninstalled", NotConnected, "runllm connect slack"),
        ("missing scope", Rejected, "chat:write"),
        ("unknown workspace", NotConnected, "'T9' is not connected"),
        ("invalid blocks", Rejected, r"json-pointer:/blocks/1"),
        ("too many blocks", Rejected, "no more than 50"),
        ("empty", Rejected, "empty message"),
        ("long button id", Rejected, "2000 characters, and Slack carries"),
    ],
)
async def test_what_slack_refuses_is_one_clear_error_and_loses_nothing(
    town: Town, happens: str, error: type[Exception], said: str
) -> None:
    how: dict[str, Any] = {}
    text = "Hello"
    match happens:
        case "deleted channel":
            del town.slack.channels["C1"]
        case "archived channel":
            town.slack.channels["C1"].is_archived = True
        case "not in channel":
            town.slack.channels["C1"].members.discard("UBOT")
        case "thread gone":
            town.slack.channels["C1"].messages.clear()
        case "revoked token":
            town.slack.grants["xoxb-1"].revoked = "token_revoked"
        case "uninstalled":
            town.slack.grants["xoxb-1"].revoked = "account_inactive"
        case "missing scope":
            town.slack.grants["xoxb-1"].scopes.remove("chat:write")
        case "unknown workspace":
            how["to"] = SlackThread(
                config=SlackThreadConfig(bot_conn_token="slack:T9", team_id="T9", channel="C1", thread_ts="1.1")
            )
        case "invalid blocks":
            how["blocks"] = [{"type": "sektion", "text": "?"}]
        case "too many blocks":
            how["blocks"] = [{"type": "divider"}] * 60
        case "empty":
            text = " "
        case "long button id":
            how["blocks"] = [{"type": "buttons", "buttons": [{"id": "x" * 2_000, "text": "X"}]}]
    call = town.post(text, **how)
    with pytest.raises(error, match=said) as caught:
        await town.surfaces.post_message(call)
    assert "xoxb" not in str(caught.value)
    assert (await town.case.effect(call.key)).state == "failed"


async def test_a_limit_says_when_to_come_again(town: Town) -> None:
    town.slack.next("chat.postMessage", status=429, retry_after=7)
    with pytest.raises(RateLimited) as caught:
        await town.surfaces.post_message(town.post())
    assert caught.value.retry_after == 7


async def test_a_slack_that_cannot_be_reached_is_asked_again_later(town: Town) -> None:
    away = SlackAdapter(town.case.store, SEAL, SlackSettings(api_url="http://127.0.0.1:9/api/"))
    with pytest.raises(Unavailable):
        await away.post(Effect(key="1:1", session_id=1), town.thread, Content(chat_id=1, text="Hello"))


# Tokens that rotate


async def rotating(town: Town, lives: float) -> None:
    import time

    found = await town.workspaces.need("T1")
    town.slack.refreshes["xoxe-1"] = "T1"
    changed = {"refresh_token": SecretStr("xoxe-1"), "expires_at": time.time() + lives}
    await town.workspaces.save("T1", "Acme", found.credentials.model_copy(update=changed))


async def test_a_token_is_renewed_before_its_end_by_one_of_many(town: Town) -> None:
    await rotating(town, 600)
    calls = [town.post(f"Hello {number}") for number in range(8)]
    await asyncio.gather(*(town.surfaces.post_message(call) for call in calls))
    assert [method for method, _ in town.slack.calls].count("oauth.v2.access") == 1
    assert len(town.in_thread()) == 8
    found = await town.workspaces.need("T1")
    assert found.credentials.bot_token.get_secret_value() != "xoxb-1"
    assert found.credentials.lives_for() > 40_000
    assert "xoxb" not in repr(found)


async def test_a_token_that_cannot_be_renewed_yet_is_used_until_its_end(town: Town) -> None:
    await rotating(town, 600)
    town.slack.next("oauth.v2.access", status=500)
    await town.surfaces.post_message(town.post("Hello"))
    await rotating(town, 1)
    town.slack.next("oauth.v2.access", status=500)
    with pytest.raises(Unavailable, match="not renewed"):
        await town.surfaces.post_message(town.post("Again"))
    await town.surfaces.post_message(town.post("Again"))
    assert len(town.in_thread()) == 2
