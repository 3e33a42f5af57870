"""The Zendesk adapter on a real store, against the stand-in on a real socket."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from gateways.adapter import Content, Effect
from gateways.platforms import ZendeskSettings
from gateways.zendesk.outbound import ZendeskAdapter
from runllm.bridge.surfaces import ZendeskTicket, ZendeskTicketConfig, surface_key
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store import agents, effects, installations, sessions
from store.engine import Store
from store.models import EffectRow
from store.sealing import Seal
from tests.unit.gateways.conftest import SECRET

SEAL = Seal(SECRET)


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskStandIn]:
    fake = await ZendeskStandIn.start()
    yield fake
    await fake.stop()


async def connect(store: Store, account: ZendeskAccount, **more: object) -> None:
    """Connects an account as `runllm connect zendesk` does, without webhook and trigger."""
    credentials = {
        "email": account.email,
        "api_token": account.api_token,
        "bot_user_id": account.bot_id,
        "mark": "e1",
        **more,
    }
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        await installations.put(
            db,
            SEAL,
            agent_id=agent.id,
            platform="zendesk",
            external_id=account.subdomain,
            name=f"{account.subdomain}.zendesk.com",
            credentials=credentials,
        )


@pytest.fixture
async def acme(zendesk: ZendeskStandIn, store: Store) -> ZendeskAccount:
    account = zendesk.account("acme")
    await connect(store, account)
    return account


@pytest.fixture
def adapter(store: Store, zendesk: ZendeskStandIn) -> Iterator[ZendeskAdapter]:
    adapter = ZendeskAdapter(store, SEAL, ZendeskSettings(url=zendesk.url_template))
    yield adapter
    adapter.close()


def surface(ticket: int | str, subdomain: str = "acme") -> ZendeskTicket:
    return ZendeskTicket(config=ZendeskTicketConfig(subdomain=subdomain, id=str(ticket)))


@dataclass
class Outgoing:
    """Sends effects as the activities do: the ledger says whether there was an earlier attempt."""

    store: Store
    adapter: ZendeskAdapter
    session_id: int
    number: int = 0

    async def effect(self, to: ZendeskTicket | None = None, key: str = "") -> Effect:
        if not key:
            self.number += 1
            key = f"{self.session_id}:{self.number}"
        async with self.store.begin() as db:
            before = await db.get(EffectRow, key)
            earlier = before is not None and before.state == "started"
            await effects.start(db, key, self.session_id, "test", surface_key(to) if to else "")
        return Effect(key=key, session_id=self.session_id, earlier=earlier)

    async def post(self, to: ZendeskTicket, content: Content) -> str:
        return await self.adapter.post(await self.effect(to), to, content)


@pytest.fixture
async def outgoing(store: Store, adapter: ZendeskAdapter) -> Outgoing:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        session = await sessions.create(db, agent_id=agent.id, published_name="x", surface=surface("0"))
    return Outgoing(store, adapter, session.id)


def says(text: str, **how: object) -> Content:
    return Content.model_validate({"chat_id": 1, "text": text, **how})
