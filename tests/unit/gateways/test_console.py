"""The console over HTTP: who gets in, what they see, and that nothing of a visitor's gets out of its place."""

import json
from datetime import timedelta
from typing import Any

import pytest
from multidict import CIMultiDictProxy

from gateways.console.inbound import is_from_our_page, safe_next
from gateways.signing import login_token, sign
from store import agents, messages, sessions, tags
from store.models import ApiKey, Posting, now
from tests.unit.gateways.conftest import SECRET, Gateway

KEY = "rlm_test_key_of_the_default_agent"
ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>"


class Browser:
    """A browser that keeps its cookie and says where its requests come from."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.cookie = ""
        self.headers: CIMultiDictProxy[str] | None = None

    async def get(self, path: str, status: int = 200) -> str:
        return await self.call("GET", path, status)

    async def post(self, path: str, status: int = 200, site: str = "same-origin", **how: Any) -> str:
        return await self.call("POST", path, status, {"Sec-Fetch-Site": site, **how.pop("headers", {})}, **how)

    async def call(self, method: str, path: str, status: int, headers: dict[str, str] | None = None, **how: Any) -> str:
        sent = {"Accept": "text/html", **({"Cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        url = self.gateway.url + path
        async with self.gateway.http.request(method, url, headers=sent, allow_redirects=False, **how) as response:
            text = await response.text()
            assert response.status == status, text
            self.headers = response.headers
            if "runllm_console" in response.cookies:
                self.cookie = f"runllm_console={response.cookies['runllm_console'].value}"
            return text

    @property
    def location(self) -> str:
        assert self.headers is not None
        return self.headers["Location"]

    async def sign_in(self) -> "Browser":
        await self.post("/console/login", 303, data={"key": KEY, "next": "/agent/1/overview"})
        return self


@pytest.fixture
async def browser(gateway: Gateway) -> Browser:
    async with gateway.store.begin() as db:
        agent = await agents.ensure_agent(db)
        await agents.create_key(db, agent.id, "laptop", KEY)
    return Browser(gateway)


async def test_strangers_are_sent_to_the_door_and_come_back(browser: Browser) -> None:
    for path in ("/console/", "/agent/1/overview", "/agent/1/sessions/1", "/agent/1/chat"):
        await browser.get(path, 303)
        assert browser.location == f"/console/login?next={path.replace('/', '%2F')}"
    await browser.post("/console/login", 303, data={"key": KEY, "next": "/agent/1/chat"})
    assert browser.location == "/agent/1/chat"
    assert browser.headers is not None
    cookie = browser.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "laptop" in await browser.get("/agent/1/overview")
    await browser.get("/console/", 302)
    assert browser.location == "/agent/1/overview"


async def test_a_wrong_key_gets_a_sentence_and_then_a_pause(browser: Browser) -> None:
    for _ in range(10):
        assert "not known here" in await browser.post("/console/login", 401, data={"key": "wrong"})
    assert "Too many attempts" in await browser.post("/console/login", 429, data={"key": "wrong"})
    await browser.sign_in()


async def test_a_link_from_the_terminal_lets_in(browser: Browser) -> None:
    await browser.get(f"/console/login?token={login_token(SECRET)}", 303)
    assert "default" in await browser.get("/agent/1/overview")
    stranger = Browser(browser.gateway)
    for bad in ("x", sign(SECRET, "widget", {}, 60), sign(SECRET, "login", {}, -1), login_token("1" * 64)):
        assert "too old" in await stranger.get(f"/console/login?token={bad}", 401)


async def test_a_key_that_was_revoked_lets_nobody_stay(browser: Browser) -> None:
    await browser.sign_in()
    await browser.get("/agent/1/overview")
    async with browser.gateway.store.begin() as db:
        key = await db.get(ApiKey, 1)
        assert key is not None
        key.revoked_at = now()
    await browser.get("/agent/1/overview", 303)


async def test_a_key_opens_one_agent(browser: Browser) -> None:
    async with browser.gateway.store.begin() as db:
        other = await agents.ensure_agent(db, "other")
    await browser.sign_in()
    assert "that you may see" in await browser.get(f"/agent/{other.id}/overview", 404)
    await browser.post("/console/v1/conversations", 404, json={"agent": other.id})


async def test_a_forged_cookie_is_none(browser: Browser) -> None:
    for value in (
        "x",
        sign(SECRET, "widget", {"by": "x", "agent": None, "key": 0}, 60),
        sign("1" * 64, "console", {}, 9),
    ):
        browser.cookie = f"runllm_console={value}"
        await browser.get("/agent/1/overview", 303)


async def test_signing_out_needs_our_own_page(browser: Browser) -> None:
    await browser.sign_in()
    await browser.post("/console/logout", 403, site="cross-site")
    await browser.post("/console/logout", 303)
    assert browser.headers is not None
    assert 'runllm_console=""' in browser.headers["Set-Cookie"]


async def test_empty_pages_say_what_to_do(browser: Browser) -> None:
    await browser.sign_in()
    text = await browser.get("/agent/1/overview")
    assert "Nobody has written yet" in text
    assert "The agent knows nothing yet" in text
    assert "support" in text  # the published workflow
    assert "No session fits" in await browser.get("/agent/1/overview?phase=closed")


async def test_a_session_shows_what_happened_with_nothing_unescaped(browser: Browser) -> None:
    gateway = browser.gateway
    visitor = await gateway.open()
    await visitor.say(ATTACK)
    async with gateway.store.begin() as db:
        await sessions.add_log(db, 1, "1:1", [{"level": "error", "text": f"KeyError {ATTACK}", "handler": "start"}])
        await sessions.update(db, 1, phase="waiting_for_button", handler="start", build_id="0123456789ab")
        await tags.apply(db, 1, [f"vip {ATTACK}"], "model")
        reply = await messages.add(
            db,
            session_id=1,
            author="assistant",
            text=f"Answer {ATTACK}",
            category="low_confidence",
            sources=[
                {"title": ATTACK, "url": "javascript:alert(1)", "quote": ATTACK},
                {"title": "Guide", "url": "https://docs.acme.example/", "quote": "words"},
            ],
            model="extractive",
        )
        await messages.post(db, session_id=1, chat_id=reply.id, surface_key=visitor.key, remote_id="1:1")
    await browser.sign_in()
    overview = await browser.get("/agent/1/overview?phase=waiting_for_button&workflow=support")
    assert "waiting for a button" in overview
    assert "http://127.0.0.1:8233/namespaces/default/workflows/session-1" in overview
    text = await browser.get("/agent/1/sessions/1")
    for page in (overview, text):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'href="javascript:' not in page
    for part in ("KeyError", "low confidence", "https://docs.acme.example/", "extractive", "Widget"):
        assert part in text
    assert "There is no session 77" in await browser.get("/agent/1/sessions/77", 404)
    assert browser.headers is not None
    policy = browser.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_the_agent_can_be_talked_to(browser: Browser) -> None:
    await browser.post("/console/v1/conversations", 401, json={"agent": 1})
    await browser.sign_in()
    await browser.post("/console/v1/conversations", 403, site="cross-site", json={"agent": 1})
    grant = json.loads(await browser.post("/console/v1/conversations", json={"agent": 1}))
    headers = {"Authorization": f"Bearer {grant['token']}"}
    said = {"id": "message-1", "text": "Hello"}
    await browser.post("/console/v1/messages", 403, site="same-site", headers=headers, json=said)
    await browser.post("/console/v1/messages", 200, headers=headers, json=said)
    await browser.post("/console/v1/messages", 401, headers={"Authorization": "Bearer x"}, json=said)
    again = json.loads(await browser.post("/console/v1/token", headers=headers, json={}))
    assert again["conversation"] == grant["conversation"]
    async with browser.gateway.store.read() as db:
        session = await sessions.get(db, 1)
        assert session is not None
        [message] = await messages.transcript(db, 1)
    assert session.origin_key == f"console:1:{grant['conversation']}"
    assert (message.text, message.author_name) == ("Hello", "laptop")
    cookie, browser.cookie = browser.cookie, ""
    await browser.post("/console/v1/messages", 401, headers=headers, json=said)  # the token alone is not enough
    browser.cookie = cookie
    await browser.gateway.delivered()
    [(_, envelope)] = browser.gateway.temporal.signals
    assert envelope.surface is not None
    assert envelope.surface.type == "admin_console"


async def test_pages_that_are_not_there_are_pages_too(browser: Browser) -> None:
    assert "<h1>404</h1>" in await browser.get("/nowhere", 404)
    assert "<h1>404</h1>" in await browser.get("/console/static/..%2Fapp.py", 404)
    await browser.get("/", 302)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/agent/1/chat", "/agent/1/chat"),
        ("//evil.example", "/console/"),
        ("/\\evil.example", "/console/"),
        ("https://evil.example", "/console/"),
        ("/a\r\nSet-Cookie: x", "/console/"),
        ("", "/console/"),
        (None, "/console/"),
    ],
)
def test_nobody_is_sent_elsewhere(path: str | None, where: str) -> None:
    assert safe_next(path) == where


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://here:8080"}, False),
        ({"Origin": "http://here:8080"}, True),
        ({"Origin": "http://there:8080"}, False),
        ({"Origin": "null"}, False),
        ({}, False),
    ],
)
def test_whose_page_writes(headers: dict[str, str], is_ours: bool) -> None:
    assert is_from_our_page(headers, "here:8080") is is_ours


async def test_messages_to_a_closed_conversation_are_counted_and_marked(browser: Browser) -> None:
    await browser.sign_in()
    visitor = await browser.gateway.open()
    await visitor.say("Hello", "m1")
    async with browser.gateway.store.begin() as db:
        session = await sessions.bound_session(db, visitor.key)
        assert session is not None
        await sessions.update(db, session.id, phase="closed")
    assert "Messages after closing" not in await browser.get("/agent/1/overview")
    for number in (2, 3):
        await visitor.say("One more thing", f"m{number}")
    overview = await browser.get("/agent/1/overview")
    assert "<dt>Messages after closing</dt><dd>2 " in overview
    assert "2 since it closed" in overview
    shown = await browser.get(f"/agent/1/sessions/{session.id}")
    assert shown.count("after closing: not answered") == 2


async def test_a_person_who_got_no_answer_is_seen(browser: Browser) -> None:
    await browser.sign_in()
    visitor = await browser.gateway.open()
    await visitor.say("Is anybody there?", "m1")
    assert "Without an answer" not in await browser.get("/agent/1/overview")
    async with browser.gateway.store.begin() as db:
        session = await sessions.bound_session(db, visitor.key)
        assert session is not None
        (asked,) = (await messages.last_of(db, [session.id])).values()
        row = await db.get(Posting, asked[0].id)
        assert row is not None
        row.at = now() - timedelta(minutes=5)
    overview = await browser.get("/agent/1/overview")
    assert '<dt>Without an answer</dt><dd class="bad">1</dd>' in overview
    assert "no answer, asked 5 min ago" in await browser.get(f"/agent/1/sessions/{session.id}")
    async with browser.gateway.store.begin() as db:
        said = await messages.add(db, session_id=session.id, author="assistant", text="Yes", key="1:1")
        await messages.post(
            db, session_id=session.id, chat_id=said.id, surface_key=visitor.key, remote_id="1:1", effect_key="1:1"
        )
    assert "Without an answer" not in await browser.get("/agent/1/overview")


async def test_whose_a_message_is_and_what_came_with_it_is_shown(browser: Browser) -> None:
    await browser.sign_in()
    visitor = await browser.gateway.open()
    await visitor.say("Hello", "m1")
    async with browser.gateway.store.begin() as db:
        session = await sessions.bound_session(db, visitor.key)
        assert session is not None
        note = await messages.add(
            db, session_id=session.id, author="user", text="Look here", author_name="Max", is_internal=True,
            is_from_staff=True, attachments=[{"name": f"log{ATTACK}.txt"}],
        )  # fmt: skip
        await messages.post(db, session_id=session.id, chat_id=note.id, surface_key="zendesk:acme:7", remote_id="1")
    shown = await browser.get(f"/agent/1/sessions/{session.id}")
    for words in ('<span class="tag">internal</span>', '<span class="tag">support</span>', "📎 script&gt;&lt;img"):
        assert words in shown
    assert ATTACK not in shown
