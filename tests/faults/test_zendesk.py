"""The whole engine on a Zendesk account: lost replies, lost and doubled webhooks, killed processes, one answer each."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from runllm.testing.platforms.zendesk import ZendeskStandIn
from store import inbox
from store.engine import Store
from tests.faults.engine import Engine, free_port, running

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

HERE = Path(__file__).parent


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskStandIn]:
    fake = await ZendeskStandIn.start()
    yield fake
    await fake.stop()


async def test_a_ticket_is_answered_once_whatever_happens(zendesk: ZendeskStandIn, tmp_path: Path) -> None:
    acme, port = zendesk.account("acme"), free_port()
    settings = {
        "RUNLLM_PORT": str(port),
        "RUNLLM_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RUNLLM_ZENDESK_URL": zendesk.url_template,
        "RUNLLM_ZENDESK_SWEEP_EVERY": "1",
        "ZENDESK_OAUTH_TOKEN": acme.oauth_token,
    }
    with running(tmp_path / "home", "--no-example", **settings) as engine:
        await asyncio.to_thread(engine.wait_until_ready)
        said = await asyncio.to_thread(engine.run, "connect", "zendesk", "--subdomain", "acme")
        assert "The engine acts as Support Bot (admin)." in said
        await asyncio.to_thread(engine.publish, HERE / "desk.py", "desk")

        zendesk.webhooks = "twice"
        ticket = acme.open("ada@example.com", "Printer", "It smokes", tags=["ask-bot"])
        await until(engine, lambda: acme.tickets[ticket]["status"] == "pending", "the first answer")

        # The replies to both comments are lost, then Zendesk refuses a while.
        zendesk.next("PUT", f"/tickets/{ticket}.json", lose_reply=True, times=2)
        zendesk.next("PUT", f"/tickets/{ticket}.json", status=500)
        zendesk.next("PUT", f"/tickets/{ticket}.json", status=429, retry_after=1)
        acme.say(ticket, "ada@example.com", "Still")
        await until(engine, lambda: acme.tickets[ticket]["status"] == "pending", "the second answer")

        # Killed right after the write.
        zendesk.next(
            "PUT", f"/tickets/{ticket}.json", lose_reply=True, afterwards=lambda: engine.kill("activity worker")
        )
        acme.say(ticket, "ada@example.com", "Really")
        await until(engine, lambda: acme.tickets[ticket]["status"] == "pending", "the third answer")

        # Nobody is there for the webhook: the sweeper finds the comment.
        engine.kill("gateways")
        zendesk.webhooks = "drop"
        acme.say(ticket, "ada@example.com", "Anybody?")
        acme.age(timedelta(minutes=2))
        await until(engine, lambda: acme.tickets[ticket]["status"] == "pending", "the fourth answer")

        zendesk.webhooks = "deliver"
        acme.agent("bob@acme.example", "Bob")
        acme.say(ticket, "bob@acme.example", "Solved it.", status="solved")
        await until(engine, lambda: "done" in acme.tickets[ticket]["tags"], "the end")
        await until(engine, lambda: acme.tickets[ticket]["status"] == "pending", "the end")

    questions = ["It smokes", "Still", "Really", "Anybody?"]
    ours = [text for text in acme.texts(ticket) if text.startswith(("You wrote", "Seen", "Goodbye"))]
    assert ours == [*(f"{how}: {text}" for text in questions for how in ("You wrote", "Seen")), "Goodbye."]
    internal = [comment["plain_body"] for comment in acme.comments(ticket) if not comment["public"]]
    assert internal == [f"Seen: {text}" for text in questions]
    assert acme.tickets[ticket]["tags"] == ["answered", "ask-bot", "done"]
    store = await Store.open(f"sqlite:///{tmp_path}/home/runllm.db", migrate=False)
    async with store.read() as db:
        assert await inbox.count_unaccounted(db) == 0
    await store.close()


async def until(engine: Engine, condition: Callable[[], bool], what: str) -> None:
    """Waits in a thread, so that the stand-in can answer meanwhile."""
    await asyncio.to_thread(engine.wait, condition, 90, what)
