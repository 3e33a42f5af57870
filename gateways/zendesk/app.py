"""Wires Zendesk into the server: where its webhooks arrive, and the sweeper that heals lost ones.

What the answer means to Zendesk: 2xx, we have it; 503 with `Retry-After` below 60 s, come again; anything else, never
mind. So whatever keeps us from having it, our own database included, is a 503, and everything that a repetition cannot
change is not.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

from aiohttp import web

from gateways.services import Services
from gateways.zendesk import oauth
from gateways.zendesk.account import Account
from gateways.zendesk.accounts import Accounts
from gateways.zendesk.inbound import MalformedError, Notice, SignatureError, read_webhook, verify
from gateways.zendesk.reading import Reader
from gateways.zendesk.signing_in import SignIn
from gateways.zendesk.sweeping import TicketSweeper
from runllm.errors import NotConnected, RateLimited, Rejected, Unavailable
from store.models import now

log = logging.getLogger(__name__)

PATH = "/zendesk/{subdomain}/webhook"
"""Where an account's webhook leads, below the public URL."""

_PATIENCE = 9.0
"""Seconds for one webhook: Zendesk gives up after ten or twelve."""

_LARGEST = 1024 * 1024
_LONGEST_RETRY = 59


def attach(app: web.Application, deps: Services) -> None:
    """Adds the routes of the webhook and of sign-ins, and the sweeper."""
    settings = deps.settings.platforms.zendesk
    accounts = Accounts(deps.store, deps.outlets.seal, settings)
    reader = Reader(deps.store, deps.routing)

    async def webhook(request: web.Request) -> web.Response:
        return await _receive(request, deps, accounts, reader)

    async def beside(_: web.Application) -> AsyncIterator[None]:
        sweeper = TicketSweeper(deps.store, accounts, reader, settings.sweep_every)
        job = asyncio.create_task(sweeper.run(), name="zendesk sweeper") if settings.sweep_every else None
        yield
        if job is not None:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
        accounts.close()

    sign_in = SignIn(deps)
    app.router.add_post(PATH, webhook)
    app.router.add_get(oauth.LINK_PATH, sign_in.begin)
    app.router.add_get(oauth.REDIRECT_PATH, sign_in.end)
    app.cleanup_ctx.append(beside)


async def _receive(request: web.Request, deps: Services, accounts: Accounts, reader: Reader) -> web.Response:
    subdomain = request.match_info["subdomain"]
    settings = deps.settings.platforms.zendesk
    if (request.content_length or 0) > _LARGEST:
        return _answer(413, "The body is too large.")
    body = await request.read()
    try:
        account = await accounts.get(subdomain)
        credentials = account.credentials
        secret = credentials.signing_secret.get_secret_value() if credentials.signing_secret else ""
        window = timedelta(seconds=settings.webhook_age)
        verify(body, request.headers, secret, now(), window, settings.accepts_test_secret)
        notice = read_webhook(body, account.subdomain, credentials.bot_user_id)
    except NotConnected as error:
        log.warning("Zendesk: a webhook for an account that is not connected: %s", error)
        return _answer(404, "This account is not connected.")
    except SignatureError as error:
        log.warning("Zendesk: a webhook for %s was not believed: %s", subdomain, error)
        return _answer(401, f"The webhook was not believed: {error}.")
    except MalformedError as error:
        log.warning("Zendesk: a webhook of %s was not understood: %s", subdomain, error)
        return _answer(400, f"The webhook was not understood: {error}.")
    return await _take(account, notice, reader)


async def _take(account: Account, notice: Notice, reader: Reader) -> web.Response:
    where = f"ticket {notice.ticket_id} of {account.subdomain}"
    try:
        async with asyncio.timeout(_PATIENCE):
            for event in notice.events:
                await reader.take(event)
            if notice.is_hint:
                await reader.read(account, notice.ticket_id)
    except RateLimited as error:
        return _again(where, error, error.retry_after)
    except (Rejected, NotConnected) as error:  # deleted, or for a person to put right: the sweeper catches up then
        log.warning("Zendesk: %s was not read: %s", where, error)
    except TimeoutError:
        return _again(where, TimeoutError(f"no answer in {_PATIENCE:.0f} s"))
    except Unavailable as error:
        return _again(where, error)
    except Exception as error:
        log.exception("Zendesk: a webhook about %s failed; it is asked for again", where)
        return _again(where, error)
    return web.Response(status=204)


def _again(where: str, error: Exception, after: float = 5.0) -> web.Response:
    log.warning("Zendesk: %s was not read, and the webhook is asked for again: %s", where, type(error).__name__)
    seconds = max(1, min(int(after) + 1, _LONGEST_RETRY))
    return web.Response(status=503, headers={"Retry-After": str(seconds)}, text="Not now.")


def _answer(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
