"""What gateways do with the record, on both databases: many events at once, looks for open streams, who is who."""

import asyncio

import pytest

from gateways.hub import Hub
from gateways.routing import Routing
from gateways.shown import shown_after
from gateways.streams import Lookout
from runllm.bridge.listeners import WidgetListener
from store import agents, inbox, messages
from store.engine import Store
from tests.unit.gateways.conftest import make_current
from tests.unit.gateways.test_routing import SLACK, in_thread, said

pytestmark = pytest.mark.store


@pytest.fixture
async def routing(store: Store) -> Routing:
    await make_current(store, WidgetListener(domain="acme.example"))
    return Routing(store, lambda session_id, letter: None, lambda key: None)


async def test_the_same_message_at_many_gateways_at_once_is_one(store: Store, routing: Routing) -> None:
    taken = await asyncio.gather(*(routing.take_in(said("Hello", "m1")) for _ in range(20)))
    assert len({(one.inbox_id, one.session_id, one.chat_id) for one in taken}) == 1
    assert [one.repeated for one in taken].count(False) == 1
    async with store.read() as db:
        assert len(await messages.transcript(db, taken[0].session_id or 0)) == 1
        assert await inbox.count_unaccounted(db) == 1


async def test_the_first_messages_of_a_conversation_at_once_are_one_session(store: Store, routing: Routing) -> None:
    taken = await asyncio.gather(*(routing.take_in(said(f"text {n}", f"m{n}")) for n in range(20)))
    assert len({one.session_id for one in taken}) == 1
    async with store.read() as db:
        shown = await shown_after(db, "widget:c1", 0, None, 100)
    assert len({one.posting.seq for one in shown}) == 20
    assert {one.message.id for one in shown} == {one.chat_id for one in taken}


async def test_an_edit_and_its_message_at_two_gateways_at_once_leave_the_edited_text(store: Store) -> None:
    await make_current(store, SLACK)
    gateways = [Routing(store, lambda session_id, letter: None, lambda key: None) for _ in range(2)]
    places = [(f"1.{n:03}", *(gateways if n % 2 else gateways[::-1])) for n in range(30)]
    events = [
        taking
        for ts, one, other in places
        for taking in (
            one.take_in(in_thread("new", ts, kind="edit", dedupe_key=f"edit {ts}", happening=None)),
            other.take_in(in_thread("old", ts)),
        )
    ]
    taken = await asyncio.gather(*events)
    async with store.read() as db:
        said = await messages.transcript(db, taken[1].session_id or 0)
    assert [one.text for one in said] == ["new"] * 30


async def test_one_look_finds_what_changed_for_all_streams(store: Store, routing: Routing) -> None:
    hub = Hub()
    watched = [hub.subscribe(f"widget:c{n}") for n in range(3)]
    lookout = Lookout(store, hub)
    await routing.take_in(said(conversation="c0"))
    await routing.take_in(said(conversation="c2"))
    await lookout.look()
    assert [await one.next(0.01) is not None for one in watched] == [True, False, True]
    await routing.take_in(said("again", "m2", "c2"))
    await lookout.look()
    assert [await one.next(0.01) is not None for one in watched] == [False, False, True]
    async with store.read() as db:
        assert await messages.heads(db, []) == {}


async def test_keys_and_agents_are_known_by_number(store: Store) -> None:
    async with store.begin() as db:
        first = await agents.ensure_agent(db)
        second = await agents.ensure_agent(db, "second")
        key = await agents.find_key(db, await agents.create_key(db, first.id, "laptop"))
        assert key is not None
        assert [agent.id for agent in await agents.every_agent(db)] == [first.id, second.id]
        assert await agents.is_key_valid(db, key.id)
        assert not await agents.is_key_valid(db, key.id + 1)
