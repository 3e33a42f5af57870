"""Messages in several parts: each is sent once, whatever happens in between."""

import pytest

from gateways.adapter import Effect
from gateways.parts import parts_of, post_parts
from runllm.bridge.surfaces import DiscordThread, DiscordThreadConfig, surface_key
from runllm.errors import RateLimited
from store import agents, effects, sessions
from store.engine import Store

THREAD = DiscordThread(config=DiscordThreadConfig(guild_id="1", channel_id="2", thread_id="3"))


@pytest.fixture
async def effect(store: Store) -> Effect:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        session = await sessions.create(db, agent_id=agent.id, published_name="x", surface=THREAD)
    return Effect(key=f"{session.id}:1", session_id=session.id)


async def test_a_retry_sends_only_the_parts_that_are_missing(store: Store, effect: Effect) -> None:
    sent: list[int] = []

    async def send(part: Effect, index: int) -> str:
        if index == 1 and sent == [0]:
            sent.append(-1)
            raise RateLimited("slow down", retry_after=1.0)
        sent.append(index)
        return f"m{index}"

    with pytest.raises(RateLimited):
        await post_parts(store, effect, THREAD, 3, send)
    assert await post_parts(store, effect, THREAD, 3, send) == ["m0", "m1", "m2"]
    assert sent == [0, -1, 1, 2]
    assert await parts_of(store, effect.key) == ["m0", "m1", "m2"]


async def test_a_part_whose_end_is_unknown_is_looked_for_and_the_others_are_not(store: Store, effect: Effect) -> None:
    looked: list[tuple[str, bool]] = []

    async def dies(part: Effect, index: int) -> str:
        if index == 1:
            raise ConnectionError
        return f"m{index}"

    async def send(part: Effect, index: int) -> str:
        looked.append((part.key, part.earlier))
        return f"m{index}"

    with pytest.raises(ConnectionError):
        await post_parts(store, effect, THREAD, 3, dies)
    await post_parts(store, effect.model_copy(update={"earlier": True}), THREAD, 3, send)
    assert looked == [(f"{effect.key}/1", True), (f"{effect.key}/2", False)]


async def test_every_part_is_known_as_ours(store: Store, effect: Effect) -> None:
    async def send(part: Effect, index: int) -> str:
        return f"m{index}"

    await post_parts(store, effect, THREAD, 2, send)
    async with store.read() as db:
        assert [await effects.is_ours(db, surface_key(THREAD), x) for x in ("m0", "m1", "m2")] == [True, True, False]


async def test_a_message_of_one_part_has_no_further_rows(store: Store, effect: Effect) -> None:
    async def send(part: Effect, index: int) -> str:
        assert part == effect
        return "m"

    assert await post_parts(store, effect, THREAD, 1, send) == ["m"]
    assert await parts_of(store, effect.key) == []


async def test_a_part_that_is_told_to_come_back_later_is_still_looked_for(store: Store, effect: Effect) -> None:
    seen: list[bool] = []

    async def send(part: Effect, index: int) -> str:
        if index == 0:
            return "m0"
        seen.append(part.earlier)
        if len(seen) < 3:
            raise (ConnectionError, RateLimited)[len(seen) - 1]("not now")
        return "m1"

    for error in (ConnectionError, RateLimited):
        with pytest.raises(error):
            await post_parts(store, effect, THREAD, 2, send)
    assert await post_parts(store, effect, THREAD, 2, send) == ["m0", "m1"]
    assert seen == [False, True, True]
