"""Every call of the adapter, the reader, the sweeper and the setup, judged by Zendesk's own specification."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateways.adapter import Requester
from gateways.platforms import PlatformSettings, ZendeskSettings
from gateways.zendesk import setup
from gateways.zendesk.account import Account, Credentials
from gateways.zendesk.outbound import ZendeskAdapter
from runllm.bridge.messages import MessageType
from runllm.errors import RateLimited, Rejected, Unavailable
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store.engine import Store
from tests.contract.proxy import judged
from tests.unit.gateways.zendesk.conftest import SEAL, Outgoing, says, surface

pytestmark = pytest.mark.contract

# The specification is that of the Support API; webhooks are another one, and files are no API at all.
OUTSIDE = ["/api/v2/webhooks", "/attachments/token/"]


@pytest.fixture
async def url(zendesk: ZendeskStandIn) -> AsyncIterator[str]:
    async with judged("zendesk", f"http://127.0.0.1:{zendesk.port}", outside=OUTSIDE) as url:
        yield url


@pytest.fixture
async def through(
    zendesk: ZendeskStandIn, acme: ZendeskAccount, store: Store, outgoing: Outgoing, url: str
) -> AsyncIterator[Outgoing]:
    """Sends effects through the judge."""
    adapter = ZendeskAdapter(store, SEAL, ZendeskSettings(url=url))
    yield Outgoing(store, adapter, outgoing.session_id)
    adapter.close()


async def test_comments_edits_and_deletes(acme: ZendeskAccount, through: Outgoing) -> None:
    ticket = acme.open("ada@example.com", "Printer", "It smokes.")
    acme.set_status(ticket, "bob@acme.example", "pending")
    to = surface(ticket)
    first = await through.post(to, says("**one**", author=MessageType.USER, author_name="Ada"))
    await through.post(to, says("two", is_internal=True))
    await through.post(to, says("long " * 30_000, files=[{"name": "a b&c.txt", "data": b"puff"}]))
    await through.adapter.edit(await through.effect(to), to, first, says("one and a half"))
    await through.adapter.delete(await through.effect(to), to, first)
    acme.may_redact = False
    with_file = acme.say(ticket, "ada@example.com", "look", files={"a.txt": b"x"})
    file = {"platform": "zendesk", "ref": f"acme:{acme.comments(ticket)[-1]['attachments'][0]['id']}"}
    assert await through.adapter.read_file(file) == b"x"
    assert with_file


async def test_tickets_tags_and_status(acme: ZendeskAccount, through: Outgoing) -> None:
    adapter = through.adapter
    ada = Requester(user="T1:U1", name="Ada")
    made = await adapter.open_ticket(await through.effect(), "acme", "t", "d", ["a"], ada)
    await adapter.open_ticket(await through.effect(), "acme", "t", "d", [], ada)
    for status in ("open", "pending", "on-hold", "solved", "closed"):
        await adapter.update_ticket(await through.effect(), made, [status], status)
    await adapter.open_ticket(await through.effect(), None, "t", "d", [], follow_up_of=made)
    assert len(acme.tickets) == 3


async def test_looking_for_what_an_earlier_attempt_left(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, through: Outgoing
) -> None:
    ticket = acme.open("ada@example.com", "Printer", "It smokes.")
    to = surface(ticket)
    for path, act in {
        f"/tickets/{ticket}.json": lambda e: through.adapter.post(e, to, says("ours")),
        "/tickets.json": lambda e: through.adapter.open_ticket(e, None, "t", "d", []),
    }.items():
        effect = await through.effect()
        zendesk.next("PUT" if str(ticket) in path else "POST", path, lose_reply=True)
        with pytest.raises(Unavailable):
            await act(effect)
        await act(await through.effect(key=effect.key))
    zendesk.next("PUT", f"/tickets/{ticket}", status=429, retry_after=3)
    with pytest.raises(RateLimited):
        await through.post(to, says("later"))
    assert [text for text in acme.texts(ticket) if "ours" in text] == ["ours"]
    assert len(acme.tickets) == 2


async def test_reading_tickets_and_what_has_changed(acme: ZendeskAccount, url: str) -> None:
    keys = {"subdomain": "acme", "email": acme.email, "api_token": acme.api_token}
    account = Account(Credentials.model_validate(keys), url)
    ticket = acme.open("ada@example.com", "Printer", "It smokes.")
    for number in range(120):  # two pages
        acme.say(ticket, "ada@example.com", f"comment {number}", public=number % 2 == 0)
    audits, people = await account.audits(ticket)
    assert (len(audits), [person["name"] for person in people.values()]) == (121, ["Ada"])
    acme.sideloads = False
    assert list((await account.audits(ticket))[1].values()) == list(people.values())
    assert len(await account.comments(ticket)) == 121
    acme.age(timedelta(minutes=5))
    page = await account.changed_tickets(1)
    assert [found["id"] for found in page["tickets"]] == [ticket]
    assert (await account.changed_tickets(page["end_time"] + 1))["tickets"] == []
    assert await account.upload("a b.txt", "text/plain", b"x")
    account.close()


async def test_connecting(acme: ZendeskAccount, url: str) -> None:
    platforms = PlatformSettings(public_url="https://engine.example", zendesk=ZendeskSettings(url=url))
    given = {"subdomain": "acme", "oauth_token": acme.oauth_token}
    kept = await setup.install(platforms, given, await setup.check(platforms, given))
    acme.triggers[int(kept["trigger_id"])]["active"] = False
    await setup.install(platforms, given, await setup.check(platforms, kept))
    assert (await setup.check(platforms, kept)).is_sound


async def test_refusals_are_refusals_to_the_judge_too(acme: ZendeskAccount, zendesk: ZendeskStandIn) -> None:
    """A 4xx is no part of the specification, so this one does without the judge: the stand-in refuses what it must."""
    acme.set_status(acme.open("ada@example.com", "x", "y"), "bob@acme.example", "closed")
    keys = {"subdomain": "acme", "oauth_token": acme.oauth_token}
    account = Account(Credentials.model_validate(keys), zendesk.url_template)
    (id,) = acme.tickets
    for fields, why in [
        ({"status": "open"}, "closed prevents ticket update"),
        ({"comment": {"body": "x"}}, "closed prevents ticket update"),
    ]:
        with pytest.raises(Rejected, match=why):
            await account.update_ticket(id, fields, acme.tickets[id]["updated_at"])
    with pytest.raises(Rejected, match="Description: cannot be blank"):
        await account.create_ticket({"subject": "x"}, "k")
    account.close()
