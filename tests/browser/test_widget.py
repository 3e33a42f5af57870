"""The widget in a real browser. The store and the hub are driven by hand, so every test decides what happens when."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, Request, Response, Route, expect

from gateways.widget import app as widget
from runllm.bridge.messages import Source
from store import buttons, feedback, messages, sessions
from tests.browser.conftest import House, Watched

pytestmark = pytest.mark.browser

BLOCKS: list[dict[str, object]] = [
    {
        "type": "buttons",
        "buttons": [
            {"id": "approve", "style": "primary", "text": "Approve"},
            {"id": "reject", "style": "danger", "text": "Reject"},
        ],
    }
]
SOURCES = [
    Source(
        title="Guide › Signing in", url="https://docs.acme.example/login", quote="Open the menu and choose Sign in."
    ),
    Source(title="Guide › Accounts", url=None, quote="Every person has one account."),
]
TEXT = """Open the menu, choose **Sign in**, and enter your address [1].

1. Open `Settings`
2. Choose *Security*
   - with a key
   - or a code

```python
client.login("ada@example.com")
```

> Codes are valid for ten minutes.
"""


async def open_demo(page: Page, house: House) -> None:
    await page.goto(f"{house.url}/demo")
    await expect(page.get_by_role("dialog", name="Support")).to_be_visible()


async def ask(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Ask a question…")
    await box.fill(text)
    await box.press("Enter")
    await expect(page.locator(".mine").last).to_contain_text(text)
    await expect(page.locator(".mine.sending")).to_have_count(0)


def answers_a_message(response: Response) -> bool:
    """Whether it tells the page that its message is on record."""
    return response.request.method == "POST" and response.url.endswith("/messages")


async def on_sending(page: Page, handle: Callable[[Route], Awaitable[None]]) -> None:
    """Hands over each request with a message; those that only say that somebody writes go on."""

    async def take(route: Route) -> None:
        await (handle(route) if route.request.method == "POST" else route.continue_())

    await page.route("**/widget/v1/messages", take)


async def test_an_answer_streams_in_and_ends_with_its_sources(page: Page, house: House, pictures: Path) -> None:
    await open_demo(page, house)
    await page.screenshot(path=pictures / "empty.png")
    await ask(page, "How do I sign in?")
    house.worker.stage((await house.session()).origin_key, "Searching the documentation…")
    await expect(page.locator(".thinking")).to_contain_text("Searching the documentation…")
    await page.screenshot(path=pictures / "stage.png")
    await house.stream([TEXT[:20], TEXT[20:64], TEXT[64:120]], "1:1")
    await expect(page.locator(".caret")).to_contain_text("Sign in")
    await expect(page.locator(".thinking")).to_have_count(0)
    await page.screenshot(path=pictures / "streaming.png")
    await house.answer(TEXT, "1:1", sources=SOURCES)
    await expect(page.locator(".caret")).to_have_count(0)
    reply = page.locator(".agent")
    await expect(reply).to_have_count(1)
    await expect(reply.locator(".body strong")).to_have_text("Sign in")
    await expect(reply.locator(".body .cite a")).to_have_attribute("href", "https://docs.acme.example/login")
    await expect(reply.locator(".sources li")).to_have_count(2)
    await expect(reply.locator(".code code")).to_have_text('client.login("ada@example.com")')
    await expect(reply.locator("ol ul li")).to_have_count(2)
    await page.screenshot(path=pictures / "answered.png")


async def test_a_retried_answer_starts_again_visibly_and_gaps_do_no_harm(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "Hello")
    await house.stream(["The first attempt ", "dies"], "1:1")
    await expect(page.locator(".caret")).to_contain_text("The first attempt dies")
    await house.stream(["The second"], "1:1", attempt=2)
    await expect(page.locator(".caret .body")).to_have_text("The second")
    key = (await house.session()).origin_key
    await house.worker.push(key, "1:1", 2, 50, "after a gap")
    await house.worker.push(key, "1:1", 1, 4, "late")
    await house.worker.push(key, "1:1", 2, 10, " one 😀")
    await house.worker.push(key, "1:1", 2, 17, " lives")
    await expect(page.locator(".caret .body")).to_have_text("The second one 😀 lives")


NO_FRAMES = "window.requestAnimationFrame = () => 0"


async def test_a_message_and_the_first_words_of_its_answer_wait_for_no_frame(page: Page, house: House) -> None:
    await page.add_init_script(NO_FRAMES)
    await open_demo(page, house)
    box = page.get_by_role("textbox", name="Ask a question…")
    await box.fill("Hello")
    async with page.expect_response(answers_a_message) as taken:
        await box.press("Enter")
    assert (await taken.value).ok
    await expect(page.locator(".mine")).to_have_count(0)  # nothing is drawn without frames
    async with asyncio.timeout(10):
        key = (await house.session()).origin_key
        while not house.services.hub.count(key):  # noqa: ASYNC110 - the page opens its stream
            await asyncio.sleep(0.005)
    await house.stream(["The first words"], "1:1")
    await expect(page.locator(".caret")).to_contain_text("The first words")


async def test_a_message_that_is_on_its_way_when_the_page_is_left_has_been_said(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "Hello")
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            await route.continue_()

    await on_sending(page, hold)
    box = page.get_by_role("textbox", name="Ask a question…")
    await box.fill("And how do I leave?")
    await box.press("Enter")
    await expect(page.locator(".mine.sending")).to_have_count(1)
    await page.goto(f"{house.url}/healthz")
    async with asyncio.timeout(10):
        while True:
            async with house.store.read() as db:
                said = [message.text for message in await messages.transcript(db, 1)]
            if len(said) > 1:
                break
            await asyncio.sleep(0.01)
    assert said == ["Hello", "And how do I leave?"]


async def test_a_conversation_is_asked_for_once_while_its_first_message_is_written(page: Page, house: House) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    await open_demo(page, house)
    box = page.get_by_role("textbox", name="Ask a question…")
    async with page.expect_response(lambda response: response.url.endswith("/conversations")):
        await box.press_sequentially("He")
    await box.press_sequentially("llo")
    assert "stream" not in asked  # nothing has begun: who goes away now leaves nothing behind
    assert await page.evaluate("Object.values(localStorage).filter((one) => one.includes('token')).length") == 0
    async with house.store.read() as db:
        assert await sessions.get(db, 1) is None
    await box.press("Enter")
    await expect(page.locator(".mine.sending")).to_have_count(0)
    await ask(page, "And then?")
    assert asked.count("conversations") == 1
    async with house.store.read() as db:
        assert [message.text for message in await messages.transcript(db, 1)] == ["Hello", "And then?"]


async def test_while_somebody_writes_the_server_is_told_so_and_nothing_of_the_text(page: Page, house: House) -> None:
    told: list[Request] = []
    page.on("request", lambda request: told.append(request) if "widget/v1" in request.url else None)
    await page.clock.install(time=0)
    await open_demo(page, house)
    await page.clock.pause_at(60_000)
    box = page.get_by_role("textbox", name="Ask a question…")
    async with page.expect_response(lambda response: response.url.endswith("/conversations")):
        await box.press_sequentially("secr")
    for letters in ("e", "t"):
        async with page.expect_response(lambda response: response.url.endswith("/messages")) as answered:
            await box.press_sequentially(letters)
            await page.clock.run_for(500)
        assert (await answered.value).status == 204
    assert [one.method for one in told if one.url.endswith("/messages")] == ["GET", "GET"], "twice a second at most"
    assert all("secr" not in (one.post_data or "") + one.url for one in told)
    async with house.store.read() as db:
        assert await sessions.get(db, 1) is None
    await box.press_sequentially("s")
    async with page.expect_response(answers_a_message):
        await box.press("Enter")
    await page.clock.run_for(5000)
    await page.clock.resume()
    assert (await house.session()).id == 1
    assert [one.method for one in told if one.url.endswith("/messages")] == ["GET", "GET", "POST"], "it goes first"


async def test_a_page_of_another_site_has_asked_whether_it_may_before_its_message_leaves(
    page: Page, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[tuple[str, str]] = []
    allowed = widget.allowed_origin

    async def noted(request: web.Request) -> str:
        came.append((request.method, request.path.rpartition("/")[2]))
        return await allowed(request)

    monkeypatch.setattr(widget, "allowed_origin", noted)
    await page.goto(house.customer_url)
    await page.get_by_role("button", name="Chat with Acme").click()
    box = page.get_by_role("textbox", name="Ask a question…")
    async with page.expect_response(lambda response: response.url.endswith("/messages")):
        await box.press_sequentially("Hello")
    assert came[-2:] == [("OPTIONS", "messages"), ("GET", "messages")]
    before = len(came)
    async with page.expect_response(answers_a_message):
        await box.press("Enter")
    assert came[before] == ("POST", "messages")


async def test_a_conversation_that_could_not_be_asked_for_is_asked_for_with_the_message(
    page: Page, house: House
) -> None:
    await open_demo(page, house)
    box = page.get_by_role("textbox", name="Ask a question…")
    await page.route("**/conversations", lambda route: route.abort())
    async with page.expect_event("requestfailed"):
        await box.fill("Hello")
    await page.unroute("**/conversations")
    await box.press("Enter")
    await expect(page.locator(".mine")).to_contain_text("Hello")
    await expect(page.locator(".mine.sending")).to_have_count(0)
    assert (await house.session()).id == 1


async def test_a_reload_brings_everything_back(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "How do I sign in?")
    await house.answer(TEXT, sources=SOURCES)
    await expect(page.locator(".agent")).to_have_count(1)
    before = await page.locator(".log").inner_text()
    await page.reload()
    await expect(page.locator(".agent")).to_have_count(1)
    assert await page.locator(".log").inner_text() == before
    await ask(page, "And then?")
    async with house.store.read() as db:
        assert len(await messages.transcript(db, 1)) == 3  # the same session


async def test_a_message_that_comes_later_appears(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "Is anybody there?")
    await house.answer("A colleague will have a look.")
    await expect(page.locator(".agent")).to_have_count(1)
    await house.answer("Here I am.", author_name="Ada")
    await expect(page.locator(".agent").last).to_contain_text("Ada")
    await expect(page.locator(".agent").last).to_contain_text("Here I am.")
    async with house.store.begin() as db:
        await messages.edit_text(db, 2, "A colleague is on the way.")
    await expect(page.locator(".agent").first).to_contain_text("on the way")  # found by the lookout, without a poke
    await expect(page.locator(".agent").first).to_contain_text("edited")
    async with house.store.begin() as db:
        await messages.delete(db, 2)
    await expect(page.locator(".agent").first).to_contain_text("This message was deleted.")


async def test_a_broken_line_is_picked_up_where_it_broke(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "Hello")
    await house.stream(["Half of an"], "1:77")
    await expect(page.locator(".caret")).to_contain_text("Half of an")
    for number in range(5):
        house.cut_lines()
        await house.answer(f"Said while the line was down: {number}")
    await house.answer("Half of an answer, and the rest", "1:77")
    await expect(page.locator(".agent")).to_have_count(6)
    await expect(page.locator(".agent").last).to_contain_text("and the rest")
    await expect(page.locator(".mine")).to_have_count(1)


async def test_what_was_not_sent_says_so_and_can_be_sent_again(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "First")
    await page.route("**/widget/v1/messages", lambda route: route.abort())
    box = page.get_by_role("textbox", name="Ask a question…")
    await box.fill("Second")
    await box.press("Enter")
    await expect(page.locator(".failed")).to_contain_text("Not sent.", timeout=20_000)  # it has tried for a while
    await page.reload()
    await expect(page.locator(".failed")).to_contain_text("Second")  # not even a reload loses it
    await page.unroute("**/widget/v1/messages")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator(".failed, .sending")).to_have_count(0)
    async with house.store.read() as db:
        assert [message.text for message in await messages.transcript(db, 1)] == ["First", "Second"]


async def test_a_server_that_is_gone_for_a_moment_is_not_the_visitors_problem(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "First")
    lost: list[str] = []

    async def fail_twice(route: Route) -> None:
        if len(lost) < 2:
            lost.append(route.request.url)
            await route.abort()
        else:
            await route.continue_()

    await on_sending(page, fail_twice)
    await ask(page, "Second")
    await ask(page, "Third")
    async with house.store.read() as db:
        assert [message.text for message in await messages.transcript(db, 1)] == ["First", "Second", "Third"]


async def test_an_answer_lost_on_the_way_does_not_double_the_message(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "First")

    async def lose_the_reply(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await on_sending(page, lose_the_reply)
    box = page.get_by_role("textbox", name="Ask a question…")
    await box.fill("Second")
    await box.press("Enter")
    await expect(page.locator(".mine").last).to_contain_text("Second")
    await expect(page.locator(".failed, .sending")).to_have_count(0)  # the stream shows that it arrived
    async with house.store.read() as db:
        assert len(await messages.transcript(db, 1)) == 2


async def test_a_click_counts_once_and_the_buttons_say_so_in_every_tab(watched: Watched, house: House) -> None:
    page, other = await watched.page(), await watched.page()
    await open_demo(page, house)
    await ask(page, "Delete my account")
    await house.answer("Shall I delete it?", blocks=BLOCKS)
    await open_demo(other, house)
    await expect(other.get_by_role("button", name="Reject")).to_be_enabled()
    await page.get_by_role("button", name="Approve").click()
    for tab in (page, other):
        await expect(tab.locator(".outcome")).to_have_text("Chosen: Approve")
        await expect(tab.get_by_role("button", name="Reject")).to_be_disabled()
    async with house.store.read() as db:
        wait = await buttons.get(db, 1, 1)
    assert wait is not None
    assert (wait.state, wait.clicked_button) == ("clicked", "approve")


async def test_buttons_that_are_over_cannot_be_clicked(page: Page, house: House, pictures: Path) -> None:
    await open_demo(page, house)
    await ask(page, "Delete my account")
    await house.answer("Shall I delete it?", blocks=BLOCKS)
    await expect(page.get_by_role("button", name="Approve")).to_be_enabled()
    await page.screenshot(path=pictures / "buttons.png")
    async with house.store.begin() as db:
        await buttons.end(db, 1, [1], "expired")
        [posting] = await messages.postings_of(db, 2)
        await messages.touch(db, posting)
    await expect(page.get_by_role("button", name="Approve")).to_be_disabled()
    await expect(page.locator(".outcome")).to_have_text("Time is up.")


async def test_thumbs_can_be_changed_and_say_why(page: Page, house: House, pictures: Path) -> None:
    await open_demo(page, house)
    await ask(page, "Hello")
    await house.answer("Hi!")
    await page.get_by_role("button", name="Helpful", exact=True).click()
    await expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Not helpful").click()
    why = page.get_by_role("textbox", name="What was missing?")
    await expect(why).to_be_focused()
    await why.fill("An example")
    await page.screenshot(path=pictures / "why.png")
    await why.press("Enter")
    await expect(page.get_by_text("Thank you for telling us.")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Not helpful")).to_have_attribute("aria-pressed", "true")
    async with house.store.read() as db:
        [opinion] = await feedback.of_session(db, 1)
    assert (opinion.is_helpful, opinion.comment) == (False, "An example")


async def test_it_runs_on_a_strangers_page_under_a_strict_policy(page: Page, house: House, pictures: Path) -> None:
    await page.goto(house.customer_url)
    await page.get_by_role("button", name="Chat with Acme").click()
    await page.get_by_role("button", name="How do I log in?").click()
    await expect(page.locator(".mine")).to_contain_text("How do I log in?")
    await expect(page.locator(".mine.sending")).to_have_count(0)
    await house.answer(TEXT, sources=SOURCES)
    await expect(page.locator(".agent .sources li")).to_have_count(2)
    await page.screenshot(path=pictures / "customer.png")
    await page.reload()
    await expect(page.locator(".launcher")).to_be_visible()
    await page.evaluate("window.runllm.open()")
    await expect(page.locator(".agent .sources li")).to_have_count(2)
    await page.evaluate("window.runllm.sendMessage('From the page itself')")
    await expect(page.locator(".mine").last).to_contain_text("From the page itself")


async def test_answers_that_come_while_it_is_closed_are_counted(page: Page, house: House) -> None:
    await page.goto(house.customer_url)
    await page.get_by_role("button", name="Chat with Acme").click()
    await page.get_by_role("button", name="Prices").click()
    await expect(page.locator(".mine.sending")).to_have_count(0)
    await page.keyboard.press("Escape")
    launcher = page.get_by_role("button", name="Chat with Acme")
    await expect(launcher).to_be_focused()
    await expect(launcher).to_have_attribute("aria-expanded", "false")
    await house.answer("It is free.")
    await expect(page.locator(".badge")).to_have_text("1")
    await launcher.click()
    await expect(page.locator(".badge")).to_be_hidden()
    await expect(page.get_by_role("textbox", name="Ask a question…")).to_be_focused()


ATTACKS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](java\nscript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:msgbox(1))",
    "[click]( javascript:alert(1) )",
    "![x](https://evil.example/leak.png?secret)",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    '<https://ok.example" onclick=alert(1)>',
    '[a](https://ok.example "><script>alert(1)</script>)',
    "`<svg onload=alert(1)>`",
    "```html\n<iframe src=javascript:alert(1)></iframe>\n```",
    "| <b onmouseover=alert(1)>x</b> | b |\n|---|---|\n| <script>alert(1)</script> | y |",
    "<style>*{display:none}</style>",
    '<a href="javascript:alert(1)">x</a>',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "[x](https://user:pass@evil.example)",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "**bold<img src=x onerror=alert(1)>**",
    "# <object data=javascript:alert(1)>",
    "> <math><mtext></mtext><script>alert(1)</script></math>",
]


async def test_attack_strings_stay_text(page: Page, house: House) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("dialog", lambda dialog: fetched.append(f"dialog {dialog.message}"))
    await open_demo(page, house)
    for attack in ATTACKS:
        await ask(page, attack.replace("\n", " "))
        await house.answer(attack, sources=[Source(title=attack, url="javascript:alert(1)", quote=attack)])
    await expect(page.locator(".agent")).to_have_count(len(ATTACKS))
    await expect(page.locator(".log img, .log script, .log iframe, .log object, .log style, .log math")).to_have_count(
        0
    )
    addresses = await page.locator(".log a").evaluate_all("links => links.map(link => link.protocol)")
    assert set(addresses) <= {"https:", "http:", "mailto:", "tel:"}
    handlers = await page.locator(".log *").evaluate_all(
        "nodes => nodes.flatMap(node => node.getAttributeNames()).filter(name => name.startsWith('on'))"
    )
    assert handlers == []
    assert [url for url in fetched if not url.startswith(house.url)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone(chromium: Browser, house: House, pictures: Path, scheme: str) -> None:
    context = await chromium.new_context(
        viewport={"width": 360, "height": 640}, has_touch=True, color_scheme="dark" if scheme == "dark" else "light"
    )
    watched = Watched(context)
    page = await watched.page()
    await page.goto(f"{house.url}/demo")
    await page.screenshot(path=pictures / f"phone-page-{scheme}.png")
    await page.get_by_role("button", name="Chat with Support").click()
    await ask(page, "How do I sign in with a very long question that goes over several lines of a small phone?")
    await house.answer(TEXT + "\n" + "a" * 200, sources=SOURCES)
    await expect(page.locator(".agent")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    panel = await page.locator(".panel").bounding_box()
    assert panel == {"x": 0, "y": 0, "width": 360, "height": 640}
    assert await page.locator(".scroll").evaluate("node => node.scrollWidth <= node.clientWidth")
    # What is under a finger is what one sees: nothing covers the buttons.
    for name in ("Send", "Close"):
        box = await page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 40
        where = f"{{x: {box['x'] + box['width'] / 2}, y: {box['y'] + box['height'] / 2}}}"
        hit = await page.evaluate(
            f"(() => {{ const p = {where}; const root = document.elementFromPoint(p.x, p.y).shadowRoot;"
            " return root.elementFromPoint(p.x, p.y).closest('button')?.getAttribute('aria-label'); })()"
        )
        assert hit == name
    size = await page.get_by_role("textbox", name="Ask a question…").evaluate("node => getComputedStyle(node).fontSize")
    assert size == "16px"  # smaller, and phones zoom in
    await page.screenshot(path=pictures / f"phone-{scheme}.png")
    await context.close()
    assert watched.complaints == []


async def test_it_works_where_storage_is_blocked(page: Page, house: House) -> None:
    await page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('blocked', 'SecurityError') }})"
    )
    await open_demo(page, house)
    await ask(page, "Hello")
    await house.answer("Hi!")
    await expect(page.locator(".agent")).to_have_count(1)


async def test_a_new_conversation_is_another_session(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "First")
    await page.get_by_role("button", name="New conversation").click()
    await expect(page.locator(".mine")).to_have_count(0)
    await ask(page, "Second")
    async with house.store.read() as db:
        assert [message.text for message in await messages.transcript(db, 2)] == ["Second"]


async def test_a_token_that_is_no_longer_good_begins_a_new_conversation(page: Page, house: House) -> None:
    await open_demo(page, house)
    await ask(page, "First")
    await page.add_init_script(  # before the page's own scripts: what the first page still writes down comes too early
        """for (const key of Object.keys(localStorage)) {
             const saved = JSON.parse(localStorage.getItem(key));
             if (saved.token) localStorage.setItem(key, JSON.stringify({...saved, token: saved.token + "x"}));
           }"""
    )
    await page.reload()
    await expect(page.locator(".notice")).to_contain_text("Start a new conversation")
    await ask(page, "Second")
    async with house.store.read() as db:
        assert [message.text for message in await messages.transcript(db, 2)] == ["Second"]


async def test_too_long_a_message_is_refused_with_a_sentence(page: Page, house: House) -> None:
    await open_demo(page, house)
    box = page.get_by_role("textbox", name="Ask a question…")
    await box.fill("x" * 2001)
    await box.press("Enter")
    await expect(page.locator(".failed")).to_contain_text("at most 2,000")


async def test_markdown_is_shown_as_meant(page: Page, house: House) -> None:
    await open_demo(page, house)
    cases = {
        "foo_bar_baz and 2*3*4": "<p>foo_bar_baz and 2<em>3</em>4</p>",
        "a **bold *and* more**": "<p>a <strong>bold <em>and</em> more</strong></p>",
        r"\*not\* emphasis": "<p>*not* emphasis</p>",
        "## Title\ntext": "<h4>Title</h4><p>text</p>",
        "- a\n- b\n\ntext": "<ul><li><span>a</span></li><li><span>b</span></li></ul><p>text</p>",
        "3. c\n4. d": '<ol start="3"><li><span>c</span></li><li><span>d</span></li></ol>',
        "one\ntwo": "<p>one\ntwo</p>",
        "**unclosed": "<p>**unclosed</p>",
        "`code` and ``a ` b``": "<p><code>code</code> and <code>a ` b</code></p>",
        "---": "<hr>",
        "> quoted\n> more": "<blockquote><p>quoted\nmore</p></blockquote>",
        "[1] is no source here": "<p>[1] is no source here</p>",
        "~~gone~~": "<p><s>gone</s></p>",
        "1 < 2 && 3 > 2": "<p>1 &lt; 2 &amp;&amp; 3 &gt; 2</p>",
    }
    shown = await page.evaluate(
        """async (texts) => {
             const { showMarkdown } = await import("/widget/markdown.js");
             return texts.map((text) => {
               const box = document.createElement("div");
               showMarkdown(box, text);
               return box.innerHTML;
             });
           }""",
        list(cases),
    )
    assert dict(zip(cases, shown, strict=True)) == cases


async def test_an_answer_that_grows_ends_up_like_one_shown_at_once(page: Page, house: House) -> None:
    await open_demo(page, house)
    differs = await page.evaluate(
        """async (text) => {
             const { showMarkdown } = await import("/widget/markdown.js");
             const grown = document.createElement("div");
             for (let end = 0; end <= text.length; end += 1) {
               showMarkdown(grown, text.slice(0, end));
               const once = document.createElement("div");
               showMarkdown(once, text.slice(0, end));
               if (grown.innerHTML !== once.innerHTML) return text.slice(0, end);
             }
             return "";
           }""",
        TEXT + "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n~~~\nlast\n~~~\nend",
    )
    assert differs == ""


async def test_hard_texts_are_shown_in_time(page: Page, house: House) -> None:
    await open_demo(page, house)
    hard = ["*a " * 6000, "[" * 20_000, "`" * 20_000, "_a " * 6000, "> " * 5000, "- " * 5000, "![" * 9000, "|" * 20_000]
    times = await page.evaluate(
        """async (texts) => {
             const { showMarkdown } = await import("/widget/markdown.js");
             return texts.map((text) => {
               const began = performance.now();
               showMarkdown(document.createElement("div"), text);
               return performance.now() - began;
             });
           }""",
        hard,
    )
    assert max(times) < 3000, json.dumps(dict(zip([one[:4] for one in hard], times, strict=True)))
