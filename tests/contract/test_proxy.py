"""The judge itself: it lets good traffic through, names bad traffic, and hands a lost reply on as lost."""

import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.contract.proxy import judged, violations

pytestmark = pytest.mark.contract

needs_specs = pytest.mark.skipif(
    not os.environ.get("RUNLLM_SPECS"),
    reason="needs the official specifications: make contract, where ../shared is",
)


class Ticketing:
    """Answers as Zendesk would, or badly, or not at all."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def show(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.match_info['id']}")
        match request.match_info["id"]:
            case "404":
                return web.json_response({"error": "RecordNotFound"}, status=404)
            case "500":
                return web.Response(status=500)
            case "666":
                assert request.transport is not None
                request.transport.close()
        return web.json_response({"ticket": {"id": 1, "subject": "x", "requester_id": 7}})


@pytest.fixture
async def ticketing() -> AsyncIterator[Ticketing]:
    fake = Ticketing()
    app = web.Application()
    app.router.add_route("*", "/api/v2/tickets/{id}.json", fake.show)
    app.router.add_route("*", "/oauth/{id}", fake.show)
    run = web.AppRunner(app, access_log=None)
    await run.setup()
    await web.TCPSite(run, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{run.addresses[0][1]}"
    yield fake
    await run.cleanup()


@needs_specs
async def test_what_the_specification_does_not_allow_fails_the_test(ticketing: Ticketing) -> None:
    with pytest.raises(AssertionError, match=r"PUT /api/v2/tickets/1\.json.*on-hold"):
        async with judged("zendesk", ticketing.url) as url, aiohttp.ClientSession() as http:
            await http.put(f"{url}/api/v2/tickets/1.json", json={"ticket": {"status": "on-hold"}})


@needs_specs
async def test_good_traffic_passes_and_so_does_a_failure_on_request(ticketing: Ticketing) -> None:
    async with judged("zendesk", ticketing.url, outside=["/oauth"]) as url, aiohttp.ClientSession() as http:
        for _ in range(2):
            await http.put(f"{url}/api/v2/tickets/1.json", json={"ticket": {"status": "hold"}})
        assert (await http.get(f"{url}/api/v2/tickets/500.json")).status == 500
        await http.post(f"{url}/oauth/1")


@needs_specs
@pytest.mark.parametrize("method", ["PUT", "POST", "GET"])
async def test_a_lost_reply_is_lost_for_the_client_and_sent_once(ticketing: Ticketing, method: str) -> None:
    async with judged("zendesk", ticketing.url, outside=["/"]) as url:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, middlewares=()) as http:
            http._retry_connection = False
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await http.request(method, f"{url}/api/v2/tickets/666.json", json={})
    assert ticketing.asked == [f"{method} 666"]


def test_a_failure_counts_only_where_the_specification_knows_it() -> None:
    lines = [
        {"method": "GET", "path": "/a", "status": 503, "req": [], "resp": ["ResponseNotFound", "Unknown response"]},
        {"method": "GET", "path": "/b", "status": 200, "req": [], "resp": ["ResponseNotFound", "Unknown response"]},
        {"method": "GET", "path": "/c", "status": 500, "req": ["PathNotFound"], "resp": []},
        {"method": "GET", "path": "/e", "status": 429, "req": [], "resp": []},
        {"method": "POST", "path": "/f", "status": 200, "req": ["AssertionError", ""], "resp": []},
        {"method": "GET", "path": "/oauth/d", "status": 200, "req": ["PathNotFound"], "resp": []},
    ]
    found = violations(lines, outside=["/oauth"])
    assert [line.partition(" ->")[0] for line in found] == ["GET /b", "GET /c"]
