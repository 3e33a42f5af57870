"""Connected platforms over HTTP. Credentials go in, sealed, and never come out."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, get_args

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateways.api.auth import Caller, caller
from gateways.api.shapes import given_shape, installation_shape
from gateways.connecting import Checked, Credentials, Finding, Setup
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from runllm.errors import RateLimited, RunLLMError, Unavailable, UsageError
from store import audit, installations
from store.engine import StoreError
from store.installations import Platform
from store.models import Installation

T = TypeVar("T")

_LARGEST = 64 * 1024
_PATIENCE = 20.0
"""Seconds that a platform has to answer for its credentials: fewer than callers wait for us."""


class NewInstallation(BaseModel):
    """What opens a workspace, an account or a server; which fields, the platform says."""

    model_config = ConfigDict(extra="forbid")

    platform: Platform
    credentials: dict[str, Any] = Field(repr=False)


class NewSignIn(BaseModel):
    """Which account somebody wants to sign in to."""

    model_config = ConfigDict(extra="forbid")

    platform: Platform
    account: str = Field(min_length=1, max_length=200)


async def connect(request: web.Request) -> web.Response:
    """Tries credentials, has the platform report to us, and keeps them. Connected again, the new ones are kept."""
    who = await caller(request)
    new = checked(NewInstallation, await read_json(request, _LARGEST), what="installation")
    setup = _setup(request, new.platform)
    deps = services(request)
    async with deps.store.read() as db:
        known = await _of_agent(db, who, new.platform)
    looked = await _asked(setup, request, new.credentials)
    await _refuse_strangers(request, who, new.platform, looked)
    keep: Credentials = new.credentials
    if setup.install is not None:
        keep = await _in_words(setup.install(deps.settings.platforms, new.credentials, looked))
    async with deps.store.begin() as db:
        row = await installations.put(
            db,
            deps.outlets.seal,
            agent_id=who.agent_id,
            platform=new.platform,
            external_id=looked.external_id,
            name=looked.name,
            credentials=keep,
        )
        action = "connect again" if looked.external_id in known else "connect"
        await audit.record(db, actor=who.name, action=action, subject=f"{new.platform} {looked.external_id}")
    return web.json_response(installation_shape(row, looked.findings), status=201)


async def sign_in(request: web.Request) -> web.Response:
    """A link on which somebody connects an account by signing in to it."""
    who = await caller(request)
    wanted = checked(NewSignIn, await read_json(request, _LARGEST), what="sign-in")
    make, deps = _setup(request, wanted.platform).link, services(request)
    if make is None:
        message = f"{wanted.platform} is connected with credentials, not on a link: runllm connect {wanted.platform}"
        raise RefusedError(422, "no_sign_in", message)
    try:
        url = make(deps.settings.platforms, deps.settings.secret, who.agent_id, who.name, wanted.account)
    except UsageError as error:
        raise RefusedError(422, "no_sign_in", str(error)) from None
    return web.json_response({"platform": wanted.platform, "url": url}, status=201)


async def list_installations(request: web.Request) -> web.Response:
    """All connected platforms of the agent; with `check=true` each is looked at now, and what the environment holds."""
    who = await caller(request)
    async with services(request).store.read() as db:
        found = [row for row in await installations.every(db) if row.agent_id == who.agent_id]
    if request.query.get("check") != "true":
        return web.json_response({"installations": [installation_shape(row) for row in found]})
    looks = await asyncio.gather(*(_look(request, row) for row in found))
    shapes = [installation_shape(row, findings) for row, findings in zip(found, looks, strict=True)]
    return web.json_response({"installations": [*shapes, *await _given(request)]})


async def disconnect(request: web.Request) -> web.Response:
    """Forgets an installation's credentials. What was said there stays in the record."""
    who = await caller(request)
    platform, external_id = request.match_info["platform"], request.match_info["external_id"]
    deps = services(request)
    async with deps.store.begin() as db:
        known = await _of_agent(db, who, platform) if platform in get_args(Platform) else set()
        if external_id not in known:
            message = f"There is no {platform} installation {external_id}. GET /api/v1/installations lists them."
            raise RefusedError(404, "not_found", message)
        await installations.remove(db, platform, external_id)  # type: ignore[arg-type]  # one of them, see above
        await audit.record(db, actor=who.name, action="disconnect", subject=f"{platform} {external_id}")
    return web.json_response({"platform": platform, "external_id": external_id, "removed": True})


async def _given(request: web.Request) -> list[dict[str, Any]]:
    """What the environment holds the credentials of."""
    deps = services(request)
    shapes: list[dict[str, Any]] = []
    for platform, setup in deps.setups.items():
        credentials = setup.given(deps.settings.platforms) if setup.given is not None else None
        if credentials is None:
            continue
        try:
            looked = await _asked(setup, request, credentials)
        except RefusedError as error:
            looked = Checked(external_id="(environment)", findings=[Finding(verdict="bad", text=str(error))])
        shapes.append(given_shape(platform, looked))
    return shapes


async def _look(request: web.Request, row: Installation) -> list[Finding]:
    """What is to be said about an installation now. Whatever is wrong with it is a finding and no error."""
    deps = services(request)
    try:
        setup = _setup(request, row.platform)
        if setup.refresh is not None:
            await _in_words(setup.refresh(deps.outlets, row.external_id))
        async with deps.store.read() as db:
            fresh = await installations.get(db, row.platform, row.external_id) or row  # type: ignore[arg-type]
        return (await _asked(setup, request, deps.outlets.seal.open(fresh.credentials))).findings
    except (RefusedError, StoreError) as error:
        return [Finding(verdict="bad", text=str(error))]


async def _asked(setup: Setup, request: web.Request, credentials: Credentials) -> Checked:
    return await _in_words(setup.check(services(request).settings.platforms, credentials))


async def _in_words(asking: Awaitable[T]) -> T:
    """What the platform says.

    Raises:
        RefusedError: In words, why it does not accept the credentials or cannot say.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            return await asking
    except TimeoutError:
        message = f"The platform has not answered for {_PATIENCE:.0f} s. Try again in a moment."
        raise RefusedError(503, "platform_away", message) from None
    except UsageError as error:
        raise RefusedError(422, "invalid_field", str(error)) from None
    except RateLimited as error:
        raise RefusedError(503, "platform_busy", str(error), retry_after=error.retry_after) from None
    except Unavailable as error:
        raise RefusedError(503, "platform_away", str(error)) from None
    except RunLLMError as error:
        raise RefusedError(422, "credentials_refused", str(error)) from None


def _setup(request: web.Request, platform: str) -> Setup:
    setup = services(request).setups.get(platform)
    if setup is None:
        raise RefusedError(422, "no_such_platform", f"This engine cannot connect {platform}: it has no setup for it.")
    return setup


async def _refuse_strangers(request: web.Request, who: Caller, platform: Platform, looked: Checked) -> None:
    """Another agent's workspace is not taken over by whoever holds a token of it."""
    async with services(request).store.read() as db:
        row = await installations.get(db, platform, looked.external_id)
    if row is not None and row.agent_id != who.agent_id:
        message = f"{platform} {looked.external_id} is connected to another agent. Remove it there first."
        raise RefusedError(409, "connected_elsewhere", message)


async def _of_agent(db: Any, who: Caller, platform: str) -> set[str]:
    found = await installations.every(db)
    return {row.external_id for row in found if row.platform == platform and row.agent_id == who.agent_id}
