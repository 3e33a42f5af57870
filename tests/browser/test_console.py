"""The console in a real browser."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from gateways.signing import login_token
from runllm.bridge.messages import AnswerCategory, Source
from store import agents, knowledge, published, sessions, tags
from tests.browser.conftest import House, Watched
from tests.unit.gateways.conftest import SECRET

pytestmark = pytest.mark.browser

KEY = "rlm_test_key_of_the_default_agent"


@pytest.fixture
async def office(house: House) -> House:
    """A house in which something has happened."""
    async with house.store.begin() as db:
        agent = await agents.ensure_agent(db)
        await agents.create_key(db, agent.id, "laptop", KEY)
        version = await published.find_version(db, "support", "build-of-support")
        assert version is not None
        for step in ("uploaded", "validated", "replayed", "loaded", "registered", "current"):
            await published.set_step(db, version.id, step, "done")  # type: ignore[arg-type]
        source = await knowledge.add_source(db, agent.id, "folder", "/srv/docs", "https://docs.acme.example")
        await knowledge.set_progress(db, source.id, state="done", done=12, total=12)
    for number, origin in enumerate(("http://localhost:9", "http://localhost:9", "http://localhost:9")):
        visitor = await house.open(origin=origin)
        await visitor.say(f"How do I rotate my key, please? ({number})")
    await house.answer(
        "Open **Settings** and choose *Rotate*.",
        session_id=1,
        sources=[Source(title="Guide › Keys", url="https://docs.acme.example/keys", quote="Choose Rotate.")],
    )
    await house.answer("I am not sure.", key="2:1", session_id=2, category=AnswerCategory.LOW_CONFIDENCE)
    async with house.store.begin() as db:
        await sessions.update(db, 1, phase="listening", handler="start", build_id="3f9c0d2b7a11")
        await sessions.update(db, 2, phase="waiting_for_button", handler="escalate", build_id="3f9c0d2b7a11")
        await tags.apply(db, 2, ["billing", "vip"], "model")
        await sessions.add_log(
            db,
            2,
            "2:9",
            [
                {"level": "print", "text": "asking a person", "handler": "escalate"},
                {
                    "level": "error",
                    "text": "KeyError: 'plan'\n  File flow.py, line 12, in escalate",
                    "handler": "escalate",
                },
            ],
        )
    return house


async def enter(page: Page, house: House) -> None:
    await page.goto(f"{house.url}/console/login?token={login_token(SECRET)}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("default")


async def test_a_person_signs_in_and_looks_around(page: Page, office: House, pictures: Path) -> None:
    await page.goto(f"{office.url}/agent/1/sessions/2")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.screenshot(path=pictures / "login.png")
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Session #2")
    await expect(page.locator(".logged.error")).to_contain_text("KeyError")
    await page.screenshot(path=pictures / "session.png", full_page=True)
    await page.get_by_role("link", name="Overview").first.click()
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.screenshot(path=pictures / "overview.png", full_page=True)
    await page.get_by_label("State").select_option("waiting_for_button")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.go_back()
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_the_page_renews_itself(page: Page, office: House) -> None:
    await enter(page, office)
    visitor = await office.open(origin="http://localhost:9")
    await visitor.say("One more")
    await expect(page.locator("tbody tr")).to_have_count(4, timeout=10_000)


async def test_the_agent_can_be_talked_to(page: Page, office: House, pictures: Path) -> None:
    await enter(page, office)
    await page.get_by_role("link", name="Chat").click()
    box = page.get_by_role("textbox", name="Ask a question…")
    await box.fill("What would you tell a customer?")
    await box.press("Enter")
    await expect(page.locator(".mine.sending")).to_have_count(0)
    await office.stream(["Just ", "this"], "4:1", session_id=4)
    await expect(page.locator(".caret")).to_contain_text("Just this")
    await office.answer("Just this.", key="4:1", session_id=4)
    await expect(page.locator(".agent .body")).to_have_text("Just this.")
    await page.screenshot(path=pictures / "chat.png")
    await page.reload()
    await expect(page.locator(".agent .body")).to_have_text("Just this.")
    async with office.store.read() as db:
        session = await sessions.get(db, 4)
    assert session is not None
    assert session.origin_key.startswith("console:1:")


async def test_it_fits_a_phone_in_the_dark(chromium: Browser, office: House, pictures: Path) -> None:
    context = await chromium.new_context(viewport={"width": 360, "height": 640}, color_scheme="dark")
    watched = Watched(context)
    page = await watched.page()
    await enter(page, office)
    for path, name in (("overview", "overview"), ("sessions/2", "session"), ("chat", "chat")):
        await page.goto(f"{office.url}/agent/1/{path}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await page.screenshot(path=pictures / f"phone-{name}.png")
    await context.close()
    assert watched.complaints == []
