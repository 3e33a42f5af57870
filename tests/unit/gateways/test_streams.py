"""Streams: what is durable arrives in order and once, whatever breaks; the rest is a bonus."""

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import text

from gateways import hub_client
from gateways.hub import Delta, Draft, Hub, News, Poke, Said, Stage, Writing, units
from gateways.hub_client import HubClient, merged
from gateways.signing import hub_token
from gateways.streams import Lookout
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig
from store import messages
from tests.unit.gateways.conftest import SECRET, Gateway, Visitor
from tests.unit.gateways.doubles import Event, events_of
from tests.unit.gateways.test_widget import answer


async def take(events: "asyncio.Queue[Event]", count: int) -> list[Event]:
    return [await asyncio.wait_for(events.get(), 10) for _ in range(count)]


class Reader:
    """Reads one stream in the background."""

    def __init__(self, visitor: Visitor, last: str = "") -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.is_ready = asyncio.Event()
        self._visitor = visitor
        self._last = last

    async def __aenter__(self) -> "Reader":
        self._job = asyncio.create_task(self._read())
        await asyncio.wait_for(self.is_ready.wait(), 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._job.cancel()
        await asyncio.gather(self._job, return_exceptions=True)

    async def ended(self) -> None:
        await asyncio.wait_for(self._job, 10)

    async def _read(self) -> None:
        async with self._visitor.stream(self._last) as response:
            assert response.status == 200, await response.text()
            assert response.headers["X-Accel-Buffering"] == "no"
            assert response.headers["Cache-Control"] == "no-store"
            async for event in events_of(response):
                if event.name == "ready":
                    self.is_ready.set()
                else:
                    self.events.put_nowait(event)


async def test_what_is_said_while_the_stream_is_open_arrives_at_once(gateway: Gateway) -> None:
    visitor = await gateway.open()
    async with Reader(visitor) as reader:
        await visitor.say("Hello")
        [mine] = await take(reader.events, 1)
        assert (mine.name, mine.data["text"], mine.id) == ("message", "Hello", str(mine.data["seq"]))
        await answer(visitor, "Hi!")
        [reply] = await take(reader.events, 1)
        assert reply.data["text"] == "Hi!"


async def test_files_of_a_copied_message_are_named_until_it_is_deleted(gateway: Gateway) -> None:
    visitor = await gateway.open()
    taken = await visitor.say("Hello")
    async with gateway.store.begin() as db:
        mine = await messages.get(db, taken["chat_id"])
        assert mine is not None
        files = [{"name": "log.txt", "ref": "T1:F1"}, {"ref": "T1:F2"}]
        copy = await messages.add(
            db, session_id=mine.session_id, author="user", text="See the log", key="k", attachments=files
        )
        await messages.post(
            db, session_id=mine.session_id, chat_id=copy.id, surface_key=visitor.key, remote_id="k", effect_key="k"
        )
    async with Reader(visitor) as reader:
        assert (await take(reader.events, 2))[1].data["files"] == ["log.txt", "a file"]
        async with gateway.store.begin() as db:
            await messages.delete(db, copy.id)
        gateway.services.hub.poke(visitor.key)
        assert (await take(reader.events, 1))[0].data["files"] == []


async def test_pieces_of_an_answer_arrive_before_it_and_name_their_place(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    hub = HubClient(gateway.url, SECRET)
    async with Reader(visitor) as reader:
        [said] = await take(reader.events, 1)
        hub.stage(visitor.key, "Searching…")
        for offset, text in ((0, "Hi 😀"), (5, " there")):
            await hub.push(visitor.key, "1:1", 1, offset, text)
            await hub._waiting.join()
        stage, first, second = await take(reader.events, 3)
        assert (stage.name, stage.data) == ("stage", {"text": "Searching…"})
        assert first.data == {"message": "1:1", "attempt": 1, "offset": 0, "text": "Hi 😀"}
        assert (first.id, second.id) == (f"{said.id}.5", f"{said.id}.11")
        async with Reader(visitor, second.id) as late:  # joins in the middle
            [draft] = await take(late.events, 1)
            assert draft.data == {"message": "1:1", "attempt": 1, "offset": 0, "text": "Hi 😀 there"}
        await answer(visitor, "Hi 😀 there!", key="1:1")
        [final] = await take(reader.events, 1)
        assert (final.data["id"], final.data["text"]) == ("1:1", "Hi 😀 there!")
    async with Reader(visitor, final.id) as after:
        assert after.events.empty()  # the draft is forgotten
    await hub.close()


async def test_a_lost_poke_costs_a_look_and_nothing_else(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    async with Reader(visitor) as reader:
        await take(reader.events, 1)
        async with gateway.store.begin() as db:  # written by a process that did not poke
            message = await messages.add(db, session_id=1, author="assistant", text="Late")
            await messages.post(db, session_id=1, chat_id=message.id, surface_key=visitor.key, remote_id="x")
        [late] = await take(reader.events, 1)
        assert late.data["text"] == "Late"


async def test_the_lookout_pokes_once_for_a_change(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Hello")
    hub = Hub()
    view = hub.subscribe(visitor.key)
    lookout = Lookout(gateway.store, hub)
    await lookout.look()
    await lookout.look()
    assert isinstance(await view.next(0.01), Poke)
    assert await view.next(0.01) is None


async def test_a_broken_line_loses_nothing_and_doubles_nothing(gateway: Gateway) -> None:
    """Forty connections, each cut at a random byte, while a conversation goes on."""
    visitor = await gateway.open()
    rng = random.Random(7)
    seen: list[dict[str, object]] = []
    last = ""

    async def speak(number: int) -> None:
        await asyncio.sleep(rng.random() / 50)
        if number % 3 == 0:
            await visitor.say(f"question {number}", f"question-{number}")
        else:
            await answer(visitor, f"answer {number} " + "x" * rng.randrange(2000), key=f"question-{number}")

    async def read(number: int, most: float) -> None:
        """Reads until the message of that number is there, or for so many bytes."""
        nonlocal last
        rest = b""
        async with visitor.stream(last) as response:
            async for data in response.content.iter_any():
                *blocks, rest = (rest + data[: int(min(most, len(data)))]).split(b"\n\n")
                most -= len(data)
                for event in (Event(block) for block in blocks if not block.startswith(b":")):
                    last = event.id or last
                    if event.name == "message":
                        seen.append(event.data)
                if most <= 0 or (seen and seen[-1]["id"] == f"question-{number}"):
                    response.close()  # not a word to the server: the connection breaks
                    return

    for number in range(40):
        await asyncio.gather(speak(number), read(number, rng.randrange(1, 4000)))
    if seen[-1]["id"] != "question-39":
        await read(39, float("inf"))
    async with gateway.store.read() as db:
        expected = [(posting.remote_id, message.text) for posting, message in await messages.feed(db, visitor.key, 0)]
    assert len(expected) == 40
    assert [(one["id"], one["text"]) for one in seen] == expected


async def test_a_stop_ends_open_streams_at_once(gateway: Gateway) -> None:
    visitor = await gateway.open()
    async with Reader(visitor) as reader:
        await gateway.app.shutdown()
        await reader.ended()


@pytest.mark.parametrize("last", ["-1", "1e9", "x", "99999999999999999999", "½"])
async def test_an_event_id_that_is_none_is_refused(gateway: Gateway, last: str) -> None:
    visitor = await gateway.open()
    url = f"{gateway.url}/widget/v1/stream"
    async with gateway.http.get(url, params={"after": last}, headers=visitor.headers) as response:
        assert response.status == 400
        assert "Last-Event-ID" in (await response.json())["error"]["message"]


async def test_streams_of_one_address_are_counted(gateway: Gateway) -> None:
    visitor = await gateway.open()
    gateway.services.streams._most = 2
    async with Reader(visitor), Reader(visitor), visitor.stream() as response:
        assert response.status == 429
    await until(lambda: not gateway.services.streams._taken)
    async with Reader(visitor):
        pass


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - that a client has left is announced to nobody
            await asyncio.sleep(0.01)


async def test_only_our_own_processes_reach_the_hub(gateway: Gateway) -> None:
    url = f"{gateway.url}/internal/hub"
    body = [{"kind": "poke", "surface_key": "x"}]
    for token in ("", "Bearer ", "Bearer x", f"Bearer {SECRET}"):
        async with gateway.http.post(url, json=body, headers={"Authorization": token}) as response:
            assert response.status == 401
        async with gateway.http.get(url, headers={"Authorization": token}) as response:
            assert response.status == 401


async def known(gateway: Gateway, workers: int) -> None:
    """Waits until the gateway knows how many workers listen."""
    async with asyncio.timeout(10):
        while len(gateway.services.hub._workers) != workers:  # noqa: ASYNC110 - connections come and go
            await asyncio.sleep(0.001)


def written(session_id: int) -> Said:
    surface = ChatWidget(config=ChatWidgetConfig(convo_identifier="c"))
    more = {"agent_id": 1, "workflow": "support", "text": "Hello", "surface": surface, "shown": 0}
    return Said.model_validate({"event_id": "e1", "session_id": session_id, **more})


class Worker:
    """Listens to what people write."""

    def __init__(self, gateway: Gateway) -> None:
        self.heard: asyncio.Queue[News] = asyncio.Queue()
        self._client = HubClient(gateway.url, SECRET)

    async def __aenter__(self) -> "Worker":
        self._job = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._job.cancel()
        await asyncio.gather(self._job, return_exceptions=True)

    async def hears(self) -> News:
        return await asyncio.wait_for(self.heard.get(), 10)

    async def hears_said(self) -> Said:
        news = await self.hears()
        assert isinstance(news, Said)
        return news

    async def _listen(self) -> None:
        async for news in self._client.hear():
            self.heard.put_nowait(news)


async def test_a_worker_hears_at_once_what_a_visitor_writes(gateway: Gateway) -> None:
    visitor = await gateway.open()
    async with Worker(gateway) as worker:
        await known(gateway, 1)
        for number in (1, 2):
            await visitor.say(f"Question {number}", id=f"m{number}")
            comes, written = await worker.hears_said(), await worker.hears_said()
            assert (comes.text, comes.session_id, comes.shown) == (f"Question {number}", number - 1, None)
            assert (written.text, written.session_id, written.shown) == (f"Question {number}", 1, number - 1)
            assert comes.event_id == written.event_id
        await visitor.say("Question 2", id="m2")  # sent again
        await visitor.say("Question 3", id="m3")
        assert (await worker.hears_said()).text == "Question 3"


async def test_a_worker_hears_that_a_visitor_writes_and_nothing_is_kept_of_it(gateway: Gateway) -> None:
    visitor = await gateway.open()
    async with Worker(gateway) as worker:
        await known(gateway, 1)
        async with gateway.http.get(f"{gateway.url}/widget/v1/messages", headers=visitor.headers) as response:
            assert (response.status, await response.read()) == (204, b"")
        assert await worker.hears() == Writing(agent_id=1)
    async with gateway.services.store.read() as db:
        assert (await db.execute(text("SELECT count(*) FROM inbox"))).scalar_one() == 0
        assert (await db.execute(text("SELECT count(*) FROM sessions"))).scalar_one() == 0


async def test_in_a_conversation_that_another_gateway_began_it_is_known_whose_it_is(gateway: Gateway) -> None:
    visitor = await gateway.open()
    await visitor.say("Question 1")
    gateway.services.routing._hints._conversations.clear()
    async with Worker(gateway) as worker:
        await known(gateway, 1)
        async with gateway.http.get(f"{gateway.url}/widget/v1/messages", headers=visitor.headers):
            assert await worker.hears() == Writing(agent_id=1)
        await visitor.say("Question 2", id="m2")
        comes = await worker.hears_said()
        assert (comes.text, comes.session_id, comes.shown) == ("Question 2", 1, None)


async def test_strangers_write_nowhere(gateway: Gateway) -> None:
    visitor = await gateway.open()
    for headers, status in (
        (visitor.headers | {"Authorization": "Bearer x"}, 401),
        ({"Origin": "https://x.example"}, 403),
    ):
        async with gateway.http.get(f"{gateway.url}/widget/v1/messages", headers=headers) as response:
            assert response.status == status


async def test_of_several_workers_none_is_told(gateway: Gateway) -> None:
    visitor = await gateway.open()
    async with Worker(gateway) as one:
        async with Worker(gateway) as other:
            await known(gateway, 2)
            await visitor.say("Who will be asked?")
        await known(gateway, 1)
        await visitor.say("And now?", id="m2")
        assert (await one.hears_said()).text == "And now?"
        assert other.heard.empty()


async def test_a_worker_that_does_not_keep_up_misses_something_and_holds_up_nobody() -> None:
    hub = Hub()
    with hub.listening() as worker:
        for number in range(5000):
            hub.say(written(number))
        assert await worker.next(1) == written(0)


async def test_news_of_a_kind_that_a_worker_does_not_know_is_passed_over(gateway: Gateway) -> None:
    async with Worker(gateway) as worker:
        await known(gateway, 1)
        news = SimpleNamespace(model_dump_json=lambda: '{"kind": "of another version"}')
        gateway.services.hub.say(cast(News, news))
        gateway.services.hub.say(written(7))
        assert await worker.hears() == written(7)
        without_kind = written(8).model_dump_json(exclude={"kind"})  # as an older gateway says it
        gateway.services.hub.say(cast(News, SimpleNamespace(model_dump_json=lambda: without_kind)))
        assert await worker.hears() == written(8)


async def test_a_worker_asks_again_until_a_gateway_is_there(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "_AGAIN", 0.001)
    client = HubClient("http://127.0.0.1:9", SECRET)
    hearing = asyncio.create_task(anext(client.hear()))
    await asyncio.sleep(0)
    client._url = f"{gateway.url}/internal/hub"
    await known(gateway, 1)
    gateway.services.hub.say(written(7))
    assert await asyncio.wait_for(hearing, 10) == written(7)


async def test_a_gateway_that_stops_does_not_wait_for_those_who_listen(gateway: Gateway) -> None:
    url, headers = f"{gateway.url}/internal/hub", {"Authorization": f"Bearer {hub_token(SECRET)}"}
    async with gateway.http.get(url, headers=headers) as response:
        assert response.status == 200
        gateway.services.hub.close()
        assert await asyncio.wait_for(response.read(), 10) == b"\n"


async def test_the_hub_client_never_fails(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    hub = HubClient("http://127.0.0.1:9", SECRET)
    for number in range(5000):
        await hub.push("widget:x", "1:1", 1, number, "x")
    hub.poke("widget:x")
    await hub.close()
    assert len([record for record in caplog.records if record.name == "gateways.hub_client"]) == 1


async def test_news_that_does_not_fit_is_refused(gateway: Gateway) -> None:
    url, headers = f"{gateway.url}/internal/hub", {"Authorization": f"Bearer {hub_token(SECRET)}"}
    async with gateway.http.post(url, json=[{"kind": "nonsense"}], headers=headers) as response:
        assert response.status == 422
        assert "0:" in (await response.json())["error"]["message"]


def piece(offset: int, text: str, attempt: int = 1, message: str = "m") -> Delta:
    return Delta(surface_key="k", message=message, attempt=attempt, offset=offset, text=text)


def draft_of(*pieces: Delta) -> str | None:
    hub = Hub()
    for one in pieces:
        hub.publish(one)
    draft: Draft | None = hub.draft("k")
    return draft.data.decode("utf-16-le") if draft is not None else None


def test_a_draft_is_put_together_from_pieces_in_any_condition() -> None:
    assert draft_of(piece(0, "ab"), piece(2, "cd")) == "abcd"
    assert draft_of(piece(0, "ab"), piece(2, "cd"), piece(2, "cd")) == "abcd"  # sent again
    assert draft_of(piece(0, "😀"), piece(units("😀"), "!")) == "😀!"
    assert draft_of(piece(0, "ab"), piece(5, "later")) is None  # a gap: better nothing than nonsense
    assert draft_of(piece(0, "old"), piece(0, "new", attempt=2), piece(3, "er", attempt=1)) == "new"
    assert draft_of(piece(0, "old"), piece(0, "next", message="n")) == "next"


def test_adjoining_pieces_travel_together() -> None:
    poke = Poke(surface_key="k")
    stage = Stage(surface_key="k", text="…")
    assert merged([piece(0, "a"), piece(1, "b"), poke, poke, piece(2, "c"), stage]) == [
        piece(0, "ab"),
        poke,
        piece(2, "c"),
        stage,
    ]
    assert merged([piece(0, "a"), piece(0, "b", attempt=2)]) == [piece(0, "a"), piece(0, "b", attempt=2)]
    assert merged([piece(0, "a"), piece(2, "b")]) == [piece(0, "a"), piece(2, "b")]


async def test_a_reader_that_falls_behind_is_let_go() -> None:
    hub = Hub()
    slow, other = hub.subscribe("k"), hub.subscribe("k")
    for _ in range(300):
        hub.poke("k")
        await other.next(0.01)
    assert slow.lagging
    assert await slow.next(0.01) is None
    assert not other.lagging
    hub.unsubscribe(slow)
    assert hub.count("k") == 1


async def test_health_needs_no_key(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/healthz") as response:
        assert (await response.json())["ok"] is True


async def test_a_client_that_leaves_frees_its_stream(gateway: Gateway) -> None:
    visitor = await gateway.open()
    async with Reader(visitor):
        assert gateway.services.hub.count(visitor.key) == 1
    await until(lambda: gateway.services.hub.count(visitor.key) == 0)
