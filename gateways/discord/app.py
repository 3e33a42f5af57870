"""Wires Discord into the server: its events come over a connection of our own, so there are no routes."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from gateways.discord.leader import Leader
from gateways.services import Services

LEADER = web.AppKey("discord leader", Leader)


def attach(app: web.Application, deps: Services) -> None:
    """Adds what Discord needs to the server."""
    outlets = deps.outlets
    leader = app[LEADER] = Leader(deps.store, outlets.seal, outlets.settings.discord, deps.routing)

    async def listen(app: web.Application) -> AsyncIterator[None]:
        job = asyncio.create_task(leader.run(), name="discord")
        yield
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)

    app.cleanup_ctx.append(listen)
