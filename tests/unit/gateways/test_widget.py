"""The widget's protocol over HTTP, on a real store."""

import asyncio
import json
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from gateways import origins
from gateways.adapter import Content, Effect
from gateways.recorded import RecordedSurface
from gateways.signing import sign
from runllm.bridge.messages import AnswerCategory, MessageType, Source
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig
from runllm.errors import Rejected
from runllm.operations import ButtonWait
from store import buttons, feedback, inbox, messages, published, sessions
from tests.unit.gateways.conftest import ORIGIN, SECRET, Gateway, Visitor
from tests.unit.gateways.doubles import Event, events_of

BLOCKS = [{"type": "buttons", "buttons": [{"id": "yes", "style": "primary", "text": "Yes"}, {"id": "no"}]}]


async def read_until_ready(response: aiohttp.ClientResponse) -> list[Event]:
    """The events of a stream up to where it is live."""
    found: list[Event] = []
    async for event in events_of(response):
        if event.name == "ready":
            return found
        found.append(event)
    raise AssertionError("the stream ended before it was ready")


async def transcript(visitor: Visitor, last: str = "") -> list[dict[str, Any]]:
    async with visitor.stream(last) as response:
        assert response.status == 200, await response.text()
        return [event.data for event in await read_until_ready(response)]


async def answer(visitor: Visitor, text: str, key: str = "1:1", **more: Any) -> int:
    """Posts an answer as an activity would."""
    async with visitor.gateway.store.begin() as db:
        session = await sessions.bound_session(db, visitor.key)
        assert session is not None
        message = await messages.add(
            db,
            session_id=session.id,
            author=MessageType.ASSISTANT,
            text=text,
            category=AnswerCategory.ANSWERED,
            sources=[Source(title="Logging in", url="https://docs.acme.example/login").model_dump()],
            key=key,
        )
        wait = more.get("wait")
        if wait is not None:
            await buttons.open_wait(
                db,
                session_id=session.id,
                wait_id=wait.wait_id,
                chat_id=message.id,
                surface_key=visitor.key,
                button_ids=["yes", "no"],
                allowed_users=None,
            )
    adapter = RecordedSurface(visitor.gateway.store, visitor.gateway.services.hub)
    surface = ChatWidget(config=ChatWidgetConfig(convo_identifier=visitor.grant["conversation"]))
    content = Content(chat_id=message.id, text=text, **more)
    effect = Effect(key=key, session_id=session.id)
    first = await adapter.post(effect, surface, content)
    assert await adapter.post(effect.model_copy(update={"earlier": True}), surface, content) == first  # a retry
    return message.id


async def test_a_message_is_taken_once_however_often_it_is_sent(gateway: Gateway) -> None:
    visitor = await gateway.open()
    answers = await asyncio.gather(*(visitor.say("How do I log in?") for _ in range(5)))
    assert all(one == answers[0] for one in answers)
    await gateway.delivered()
    assert len(gateway.temporal.signals) == 1
    [shown] = await transcript(visitor)
    assert (shown["id"], shown["author"], shown["text"]) == ("message-1", "user", "How do I log in?")


async def test_conversations_are_hard_to_guess_and_strangers_see_nothing(gateway: Gateway) -> None:
    one, other = await gateway.open(), await gateway.open()
    assert len(one.grant["conversation"]) >= 22  # 128 bits
    assert one.grant["conversation"] != other.grant["conversation"]
    await one.say("secret")
    assert await transcript(other) == []


async def test_an_answer_appears_with_all_that_belongs_to_it(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Delete my account")
    await answer(visitor, "Sure?", blocks=BLOCKS, wait=ButtonWait(wait_id=1), prefix="Please confirm")
    _, shown = await transcript(visitor)
    assert shown["buttons"] == [
        {"id": "yes", "text": "Yes", "style": "primary"},
        {"id": "no", "text": "no", "style": "default"},
    ]
    assert shown["wait"] == {"id": 1, "state": "open", "clicked": None, "note": None}
    assert (shown["author"], shown["category"], shown["prefix"]) == ("assistant", "answered", "Please confirm")
    assert shown["sources"][0]["title"] == "Logging in"


async def test_a_click_is_answered_and_shown_everywhere(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Delete my account")
    await answer(visitor, "Sure?", blocks=BLOCKS, wait=ButtonWait(wait_id=1))
    before = await transcript(visitor)
    won = await visitor.post("clicks", {"wait_id": 1, "button_id": "yes"})
    assert won["result"] == "won"
    assert (await visitor.post("clicks", {"wait_id": 1, "button_id": "no"}))["result"] == "already"
    assert (await visitor.post("clicks", {"wait_id": 7, "button_id": "no"}))["result"] == "unknown"
    [changed] = await transcript(visitor, str(before[-1]["seq"]))
    assert changed["wait"]["state"] == "clicked"
    assert changed["wait"]["clicked"] == "yes"
    assert changed["position"] == before[-1]["position"]


async def test_opinions_can_be_changed_and_come_back(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    chat_id = await answer(visitor, "Hi!")
    await visitor.post("feedback", {"chat_id": chat_id, "helpful": True})
    await visitor.post("feedback", {"chat_id": chat_id, "helpful": False, "comment": "too short"})
    [_, shown] = await transcript(visitor)
    assert (shown["feedback"], shown["helpful"]) == (True, False)
    async with gateway.store.read() as db:
        [opinion] = await feedback.of_session(db, 1)
    assert (opinion.is_helpful, opinion.comment, opinion.author_id) == (False, "too short", "visitor-1")
    other = await gateway.open()
    await other.post("feedback", {"chat_id": chat_id, "helpful": True}, 404)


async def test_edits_deletions_and_notes_are_shown(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    chat_id = await answer(visitor, "Helo!", key="1:1")
    gone = await answer(visitor, "Wrong", key="1:2")
    adapter = RecordedSurface(gateway.store, gateway.services.hub)
    surface = ChatWidget(config=ChatWidgetConfig(convo_identifier=visitor.grant["conversation"]))
    async with gateway.store.begin() as db:
        await messages.edit_text(db, chat_id, "Hello!")
    content = Content(chat_id=gone, text="")
    await adapter.delete(Effect(key="1:3", session_id=1), surface, "1:2")
    await adapter.settle_buttons(surface, "1:1", content, "Time is up")
    shown = {one["id"]: one for one in await transcript(visitor)}
    assert (shown["1:1"]["text"], shown["1:1"]["edited"]) == ("Hello!", True)
    assert shown["1:1"]["wait"]["note"] == "Time is up"
    assert (shown["1:2"]["text"], shown["1:2"]["deleted"]) == ("", True)
    with pytest.raises(Rejected, match="no message 9:9"):
        await adapter.edit(Effect(key="1:4", session_id=1), surface, "9:9", content)


async def test_a_copy_says_who_wrote_it_and_where(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    async with gateway.store.begin() as db:
        colleague = await messages.add(db, session_id=1, author="user", text="Let me look", author_name="Ada")
        await messages.post(db, session_id=1, chat_id=colleague.id, surface_key="zendesk:acme:7", remote_id="comment-1")
    adapter = RecordedSurface(gateway.store, gateway.services.hub)
    surface = ChatWidget(config=ChatWidgetConfig(convo_identifier=visitor.grant["conversation"]))
    copy = Content(chat_id=colleague.id, text="Let me look", author=MessageType.USER, author_name="Ada")
    await adapter.post(Effect(key="1:9", session_id=1), surface, copy)
    _, shown = await transcript(visitor)
    assert (shown["author"], shown["author_name"], shown["via"]) == ("user", "Ada", "Zendesk")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"id": "message-1", "text": "x" * 2001}, 413, "2,001 characters; at most 2,000"),
        ({"id": "message-1", "text": "   "}, 422, "empty"),
        ({"id": "", "text": "x"}, 422, "id:"),
        ({"id": "no/slashes", "text": "x"}, 422, "id:"),
        ({"id": "message-1"}, 422, "text:"),
        ({"id": "message-1", "text": 5}, 422, "text:"),
        ([], 400, "not a JSON object"),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_sentence(
    gateway: Gateway, body: Any, status: int, says: str
) -> None:
    visitor = await gateway.open()
    error = (await visitor.post("messages", body, status))["error"]
    assert says in error["message"]


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"nonsense"])
async def test_rubbish_is_refused(gateway: Gateway, data: bytes) -> None:
    visitor = await gateway.open()
    url = f"{gateway.url}/widget/v1/messages"
    async with gateway.http.post(url, data=data, headers=visitor.headers) as response:
        assert response.status in (400, 413)
        assert (await response.json())["error"]["message"]


async def test_five_megabytes_get_a_clean_answer_and_disturb_nothing(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("before", "message-1")
    big = json.dumps({"id": "message-2", "text": "x" * 5_000_000}).encode()

    async def in_pieces() -> Any:
        for first in range(0, len(big), 65_536):
            yield big[first : first + 65_536]

    for data in (BytesIO(big), in_pieces()):  # with a length, and chunked
        url = f"{gateway.url}/widget/v1/messages"
        async with gateway.http.post(url, data=data, headers=visitor.headers) as response:
            assert response.status == 413
            assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "larger than" in (await response.json())["error"]["message"]
    await visitor.say("after", "message-3")
    assert [one["text"] for one in await transcript(visitor)] == ["before", "after"]


async def test_what_databases_cannot_hold_is_replaced(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("a\u0000b\ud800c 😀")
    [shown] = await transcript(visitor)
    assert shown["text"].endswith("c 😀")
    assert "\u0000" not in shown["text"]


async def test_the_page_travels_with_the_message_cut_to_size(gateway: Gateway) -> None:
    visitor = await gateway.open()
    page = {"url": "https://acme.example/docs", "page_title": 5, "page_content": "y" * 9000, "cookies": "no"}
    await visitor.say("Hello", context=page)
    await gateway.delivered()
    [(_, envelope)] = gateway.temporal.signals
    assert isinstance(envelope.surface, ChatWidget)
    assert envelope.surface.config.context == {"url": "https://acme.example/docs", "page_content": "y" * 4000}
    assert envelope.surface.config.chat_user_id == "visitor-1"


async def test_other_origins_and_tampered_tokens_are_refused(gateway: Gateway) -> None:
    visitor = await gateway.open()
    token = visitor.grant["token"]
    await visitor.post("messages", {"id": "message-1", "text": "x"}, 403, Origin="https://evil.example")
    await visitor.post("messages", {"id": "message-1", "text": "x"}, 403, Origin="https://www.acme.example")
    for bad in (token[:-2] + "AA", "", "x", token + "x", sign(SECRET, "console", {"conversation": "c"}, 60)):
        await visitor.post("messages", {"id": "message-1", "text": "x"}, 401, Authorization=f"Bearer {bad}")
    async with gateway.store.read() as db:
        assert await sessions.bound_session(db, visitor.key) is None


async def test_no_origin_at_all_is_refused(gateway: Gateway) -> None:
    for headers in ({}, {"Origin": "null"}, {"Origin": "http://acme.example"}):
        async with gateway.http.post(f"{gateway.url}/widget/v1/conversations", json={}, headers=headers) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
            assert "WidgetListener" in (await response.json())["error"]["message"]


async def test_browsers_are_told_who_may_read(gateway: Gateway) -> None:
    url = f"{gateway.url}/widget/v1/messages"
    async with gateway.http.options(url, headers={"Origin": ORIGIN}) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert response.headers["Vary"] == "Origin"
        assert "last-event-id" in response.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in response.headers
    async with gateway.http.options(url, headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_token_can_be_refreshed_for_the_same_conversation(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    fresh = Visitor(gateway, await visitor.post("token", {}), ORIGIN)
    assert fresh.grant["conversation"] == visitor.grant["conversation"]
    assert len(await transcript(fresh)) == 1


async def test_a_listener_that_is_gone_closes_the_door(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = await gateway.open()
    monkeypatch.setattr(origins, "_GOOD_FOR", -1.0)  # two seconds later
    async with gateway.store.begin() as db:
        workflow = await published.by_name(db, "support")
        assert workflow is not None
        workflow.listeners = []
    await visitor.post("messages", {"id": "message-1", "text": "x"}, 403)


async def test_a_closed_conversation_says_so_and_keeps_the_message(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    async with gateway.store.begin() as db:
        await sessions.update(db, 1, phase="closed")
    said = await visitor.say("Still there?", "message-2")
    assert "has ended" in said["note"]
    assert len(await transcript(visitor)) == 2
    await gateway.delivered()
    async with gateway.store.read() as db:
        assert await inbox.count_unaccounted(db) == 1  # the first one, which the session has yet to account for


async def test_too_many_messages_are_slowed_down(gateway: Gateway) -> None:
    visitor = await gateway.open()
    gateway.services.messages._a_minute = 3
    for number in range(3):
        await visitor.say("x", f"message-{number}")
    url = f"{gateway.url}/widget/v1/messages"
    body = {"id": "message-9", "text": "x"}
    async with gateway.http.post(url, json=body, headers=visitor.headers) as response:
        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert "at most 3 a minute" in (await response.json())["error"]["message"]
