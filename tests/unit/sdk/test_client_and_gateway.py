"""The client and the real control API: both sides of one contract."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runllm import Client, PublishError, ServerError, WidgetListener, entrypoint
from store import agents, published
from tests.unit.gateways.conftest import Gateway, empty_record, gateway, settings, store, temporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal"]  # fixtures are found by name


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def answer(agent: Any, event: Any) -> None: ...


@entrypoint(listeners=[WidgetListener(domain="acme.example")])
def rival(agent: Any, event: Any) -> None: ...


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runllm.client._POLL_SECONDS", 0.01)


async def client_of(gateway: Gateway) -> Client:
    async with gateway.store.begin() as db:
        key = await agents.create_key(db, (await agents.ensure_agent(db)).id, "laptop")
    return Client(key, gateway.url)


async def roll_out(gateway: Gateway, *statuses: str, error: str | None = None) -> None:
    """Plays the worker: the newest version of `desk` passes these."""
    async with gateway.store.begin() as db:
        version = await published.newest_wanted(db, "desk")
        assert version is not None
        for status in statuses:
            if status == "current":
                await published.make_current(db, version.id)
            else:
                await published.set_status(db, version.id, status, error=error)
            await published.set_step(db, version.id, status if status != "failed" else "validated",
                                     "failed" if error else "done", error or "")  # fmt: skip


async def test_a_workflow_is_published_watched_and_taken_back(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    client = await client_of(gateway)
    await asyncio.to_thread(client.publish, "desk", answer)
    assert capsys.readouterr().out.startswith("desk is published as build ")
    await asyncio.to_thread(client.publish, "desk", answer)
    assert capsys.readouterr().out.startswith("desk is unchanged: build ")
    watching = asyncio.create_task(asyncio.to_thread(client.watch, "desk"))
    await roll_out(gateway, "validated", "replayed", "loaded", "current")
    await watching
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("desk, build ")
    assert shown[-4:] == ["  ✓ validated", "  ✓ replayed", "  ✓ loaded", "  ✓ current"]
    with pytest.raises(ServerError, match="nothing to go back to"):
        await asyncio.to_thread(client.rollback, "desk")


async def test_a_failed_deployment_is_told_in_the_workers_words(gateway: Gateway) -> None:
    client = await client_of(gateway)
    await asyncio.to_thread(client.publish, "desk", answer)
    await roll_out(gateway, "failed", error="desk.py: has no `answer` at its top level.")
    with pytest.raises(PublishError, match=r"not deployed. validated: desk.py: has no `answer` at its top level$"):
        await asyncio.to_thread(client.watch, "desk")


@pytest.mark.parametrize(
    ("act", "kind", "expected"),
    [
        (lambda client: client.publish("desk", rival), PublishError, "'desk' and 'support' both listen to"),
        (lambda client: client.watch("nowhere"), ServerError, "No workflow is published as 'nowhere'"),
        (
            lambda client: Client("wrong", client.server_address).watch("desk"),
            ServerError,
            "does not know this API key",
        ),
    ],
)
async def test_what_the_gateway_refuses_is_told(
    act: Callable[[Client], None], kind: type[Exception], expected: str, gateway: Gateway
) -> None:
    client = await client_of(gateway)
    with pytest.raises(kind, match=expected):
        await asyncio.to_thread(act, client)
