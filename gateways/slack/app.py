"""Wires Slack into the server: its routes, and what runs beside them.

Bolt does what belongs to the protocol: signatures, Slack's own check of the address, Socket Mode, OAuth. What events
mean is ours, in one middleware in front of Bolt's listeners, because Bolt answers before a listener has finished: an
event would be lost with a 200. An event that nobody here knows gets a 200 as well, where Bolt would say 404, which
Slack repeats and counts as a failure.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from gateways.refusals import RefusedError
from gateways.services import Services
from gateways.slack.inbound import Malformed, read_body
from gateways.slack.installing import INSTALL_PATH, REDIRECT_PATH, InstallFlow, install_flow
from gateways.slack.manifest import SCOPES
from gateways.slack.reception import Reception
from gateways.slack.web_api import web_client
from gateways.slack.workspaces import Workspaces, identify
from runllm.errors import SurfaceError

log = logging.getLogger(__name__)

RECEPTION = web.AppKey("slack_reception", Reception)

_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
_STAMP = re.compile(r"[0-9]{1,15}", re.ASCII)
_WINDOW = 300
_NOT_SIGNED = 401
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LOOK_AFTER_TOKENS = 600.0
_LOOK_AGAIN = 6.0


def attach(app: web.Application, deps: Services) -> None:
    """Adds what Slack needs to the server."""
    slack = deps.outlets.settings.slack
    workspaces = Workspaces(deps.store, deps.outlets.seal, slack)
    reception = app[RECEPTION] = Reception(deps, workspaces)
    bolt = _bolt(deps, reception) if slack.is_used else None
    flow = install_flow(deps.outlets.settings, deps.settings.secret, workspaces, sorted(SCOPES))
    receive = _receiver(bolt if slack.signing_secret is not None else None)
    app.add_routes(
        [
            web.post("/slack/events", receive),
            web.post("/slack/interactivity", receive),
            web.get(INSTALL_PATH, _installer(flow, "handle_installation")),
            web.get(REDIRECT_PATH, _installer(flow, "handle_callback")),
        ]
    )
    app.cleanup_ctx.append(_beside(deps, workspaces, reception, bolt))


def _bolt(deps: Services, reception: Reception) -> AsyncApp:
    slack = deps.outlets.settings.slack
    secret = slack.signing_secret.get_secret_value() if slack.signing_secret is not None else None
    bolt = AsyncApp(
        client=web_client(slack),
        signing_secret=secret,
        request_verification_enabled=secret is not None,
        authorize=_leave_to_us,
        process_before_response=True,
        ignoring_self_events_enabled=False,
        attaching_function_token_enabled=False,
        logger=logging.getLogger("gateways.slack.bolt"),
    )

    async def take(body: dict[str, Any]) -> BoltResponse:
        return BoltResponse(status=await reception.take(body), body="")

    bolt.middleware(take)
    return bolt


async def _leave_to_us(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    """Which workspace it is, and whether it is connected, is looked up by the reception: without its token."""
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id)


def _receiver(bolt: AsyncApp | None) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def receive(request: web.Request) -> web.Response:
        if bolt is None:
            raise RefusedError(
                503, "not_configured", "Slack is not set up here: set RUNLLM_SLACK_SIGNING_SECRET to the app's secret."
            )
        _check_form(request)
        try:
            body = read_body(await request.read(), request.content_type)
        except Malformed as error:
            raise RefusedError(400, "not_json", str(error)) from None
        if body.get("type") == "event_callback" and not isinstance(body.get("event"), dict):
            raise RefusedError(400, "no_event", "The delivery holds no event.")
        answer = await bolt.async_dispatch(await _as_bolt_request(request))
        if answer.status == _NOT_SIGNED:
            log.warning(
                "a request to %s was not signed with RUNLLM_SLACK_SIGNING_SECRET: it is not of this Slack app, or the "
                "secret is not the one on the app's page under Basic Information",
                request.path,
            )
        return await to_aiohttp_response(answer)

    return receive


async def _as_bolt_request(request: web.Request) -> AsyncBoltRequest:
    """Bolt looks into the body at once, and takes for granted that everything in it is where Slack puts it."""
    try:
        return await to_bolt_request(request)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise RefusedError(400, "not_understood", "The body is not built as Slack builds it.") from None


def _check_form(request: web.Request) -> None:
    """Whether a request could be from Slack at all: Bolt takes numbers and hexadecimal digits for granted.

    https://docs.slack.dev/authentication/verifying-requests-from-slack
    """
    stamp = request.headers.get("X-Slack-Request-Timestamp", "")
    if not _STAMP.fullmatch(stamp) or abs(time.time() - int(stamp)) > _WINDOW:
        log.warning(
            "a request to %s is not of the last %d minutes: somebody sent an old one again, or this machine's clock is "
            "wrong",
            request.path,
            _WINDOW // 60,
        )
        raise RefusedError(401, "stale", "X-Slack-Request-Timestamp is not the time of now, in seconds.")
    if not _SIGNATURE.fullmatch(request.headers.get("X-Slack-Signature", "")):
        raise RefusedError(401, "not_signed", "X-Slack-Signature is not a signature of Slack's.")


def _installer(flow: InstallFlow | None, step: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        if flow is None:
            raise RefusedError(
                404,
                "not_configured",
                "Workspaces cannot be connected here: set RUNLLM_SLACK_CLIENT_ID and RUNLLM_SLACK_CLIENT_SECRET, or "
                "connect one with its token: runllm connect slack",
            )
        answer: BoltResponse = await getattr(flow, step)(await _as_bolt_request(request))
        return await to_aiohttp_response(answer)

    return serve


def _beside(
    deps: Services, workspaces: Workspaces, reception: Reception, bolt: AsyncApp | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(app: web.Application) -> AsyncIterator[None]:
        slack = deps.outlets.settings.slack
        jobs: list[asyncio.Task[None]] = []
        if slack.bot_token is not None:
            known = await _is_connected(workspaces, slack.bot_token.get_secret_value())
            reception.is_connecting = not known
            jobs.append(asyncio.create_task(_connect_own(deps, workspaces, reception), name="connect Slack"))
        jobs.append(asyncio.create_task(_keep_fresh(workspaces), name="renew Slack's tokens"))
        if slack.app_token is not None and bolt is not None:
            jobs.append(asyncio.create_task(_listen(deps, bolt), name="Slack's Socket Mode"))
        yield
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await reception.close()

    return run


async def _is_connected(workspaces: Workspaces, token: str) -> bool:
    return any(one.credentials.bot_token.get_secret_value() == token for one in await workspaces.all())


async def _connect_own(deps: Services, workspaces: Workspaces, reception: Reception) -> None:
    """Connects the workspace whose token is in the environment: everything else finds it in the record."""
    slack = deps.outlets.settings.slack
    assert slack.bot_token is not None
    pause = _SHORTEST_PAUSE
    while True:
        try:
            external_id, name, credentials = await identify(slack, slack.bot_token.get_secret_value())
            await workspaces.save(external_id, name, credentials)
            log.info("Slack workspace %s is connected", external_id)
            return
        except SurfaceError as error:
            log.warning("the Slack workspace of RUNLLM_SLACK_BOT_TOKEN is not connected yet: %s", error)
        except Exception:
            log.exception("the Slack workspace of RUNLLM_SLACK_BOT_TOKEN is not connected yet")
        finally:
            reception.is_connecting = reception.is_connecting and not await _is_connected(
                workspaces, slack.bot_token.get_secret_value()
            )
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _keep_fresh(workspaces: Workspaces) -> None:
    """Renews tokens also of workspaces where nothing happens: one that ends unused may be past renewing.

    What another process began and did not end is taken up at once: Slack's grace is short.
    """
    while True:
        is_open = False
        try:
            for connected in await workspaces.all():
                with suppress(SurfaceError):  # the log has it, and doctor
                    await workspaces.fresh(connected)
            is_open = any(one.is_being_renewed for one in await workspaces.all())
        except Exception:
            log.exception("the tokens of Slack could not be looked after")
        await asyncio.sleep(_LOOK_AGAIN if is_open else _LOOK_AFTER_TOKENS)


async def _listen(deps: Services, bolt: AsyncApp) -> None:
    """Takes events through Socket Mode. Bolt's client reconnects by itself; the first connection is ours to make.

    Each gateway has a connection of its own, and Slack gives each event to one of them.
    """
    slack = deps.outlets.settings.slack
    assert slack.app_token is not None
    pause = _SHORTEST_PAUSE
    while True:
        handler = AsyncSocketModeHandler(bolt, slack.app_token.get_secret_value(), web_client=web_client(slack))
        try:
            await handler.connect_async()  # type: ignore[no-untyped-call]
            log.info("events come through Slack's Socket Mode")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("Slack's Socket Mode is not connected yet: %s", type(error).__name__)
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
