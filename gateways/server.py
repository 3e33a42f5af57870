"""The HTTP server: all platforms' routes in one application, and the jobs that run beside them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from gateways import internal
from gateways.adapters import discord_adapter, slack_adapter, zendesk_adapter
from gateways.api import app as api
from gateways.connecting import Setups
from gateways.console import app as console
from gateways.discord import app as discord
from gateways.discord import setup as discord_setup
from gateways.files import Readers
from gateways.refusals import as_json, as_refusal
from gateways.services import SERVICES, Services, build
from gateways.settings import GatewaySettings
from gateways.slack import app as slack
from gateways.slack import setup as slack_setup
from gateways.streams import Lookout
from gateways.sweeper import Sweeper
from gateways.temporal import Temporal
from gateways.widget import app as widget
from gateways.zendesk import app as zendesk
from gateways.zendesk import setup as zendesk_setup
from store.engine import Store

SETUPS: Setups = {"slack": slack_setup.SETUP, "zendesk": zendesk_setup.SETUP, "discord": discord_setup.SETUP}
"""How each platform is connected."""

READERS: Readers = {"slack": slack_adapter, "zendesk": zendesk_adapter, "discord": discord_adapter}
"""Who reads the files that came in on each platform."""

_LARGEST_BODY = 8 * 1024 * 1024
_SHUTDOWN_PATIENCE = 3.0


def application(settings: GatewaySettings, store: Store, temporal: Temporal) -> web.Application:
    """The whole gateway. The store stays the caller's to close."""
    app = web.Application(middlewares=[answer_errors], client_max_size=_LARGEST_BODY)
    deps = app[SERVICES] = build(settings, store, temporal, SETUPS, READERS)
    for routes in (internal.routes(), api.routes(), widget.routes(), console.routes()):
        app.add_routes(routes)
    for platform in (slack, zendesk, discord):
        platform.attach(app, deps)
    app.on_response_prepare.append(widget.add_cors)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_jobs_beside(deps))
    return app


def runner(app: web.Application) -> web.AppRunner:
    """Runs an application. A client that leaves ends its stream, and a stop does not wait for open streams."""
    return web.AppRunner(
        app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_PATIENCE, access_log=None, handle_signals=False
    )


@web.middleware
async def answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every error becomes an answer: JSON for programs, a page for people."""
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except ConnectionError:
        raise  # the client has left
    except Exception as error:
        refusal = as_refusal(error, request)
        if console.is_page(request):
            return console.error_page(request, refusal)
        return as_json(refusal)


async def _end_streams(app: web.Application) -> None:
    app[SERVICES].hub.close()


def _jobs_beside(deps: Services) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(app: web.Application) -> AsyncIterator[None]:
        jobs = [
            asyncio.create_task(Sweeper(deps.store, deps.temporal, deps.delivery).run(), name="sweeper"),
            asyncio.create_task(Lookout(deps.store, deps.hub).run(), name="lookout"),
            asyncio.create_task(deps.indexing.run(), name="indexing"),
            asyncio.create_task(deps.origins.run(), name="origins"),
        ]
        yield
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await deps.delivery.close()

    return run
