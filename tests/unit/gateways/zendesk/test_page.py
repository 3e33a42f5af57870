"""The ticket that the page on Zendesk shows is the one that the stand-in shows."""

from pathlib import Path

from gateways.adapter import Requester
from runllm.bridge.messages import MessageType
from runllm.testing.platforms.zendesk import ZendeskAccount
from tests.unit.gateways.zendesk.conftest import Outgoing, says

PAGE = Path(__file__).parents[4] / "docs" / "howto" / "connect-zendesk.md"


async def test_the_page_shows_a_ticket_as_it_is(acme: ZendeskAccount, outgoing: Outgoing) -> None:
    asked = "Ada: Does the **mobile app** work offline?\n\nAssistant: I found nothing about that."
    title, ada = "Does the mobile app work offline?", Requester(user="T1:U1", name="Ada")
    description = f"Conversation:\n\n{asked}"
    to = await outgoing.adapter.open_ticket(await outgoing.effect(), "acme", title, description, ["from-docs"], ada)
    ticket = int(to.id)
    acme.agent("bob@acme.example", "Bob")
    await outgoing.post(to, says("My best guess was: I found nothing about that.", is_internal=True))
    acme.say(ticket, "bob@acme.example", "It does, for a week. Which version have you got?", status="pending")
    await outgoing.post(to, says("4.2, and `{{sync.mode}}` is empty", author=MessageType.USER, author_name="Ada"))
    acme.say(ticket, "bob@acme.example", "Update to 4.3 then.", status="solved")
    shown = acme.transcript(ticket)
    assert shown in PAGE.read_text(encoding="utf-8"), shown
