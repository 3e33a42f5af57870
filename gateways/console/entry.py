"""Who may look into the console: people with an API key, and whoever can read this installation's secret."""

from dataclasses import dataclass

from aiohttp import web

from gateways.console.inbound import is_from_our_page, safe_next
from gateways.console.rendering import page
from gateways.refusals import RefusedError
from gateways.services import services
from gateways.signing import read, sign
from store import agents, audit
from store.models import Agent

COOKIE = "runllm_console"
_LIVES = 7 * 24 * 3600
_LINK = "The link is used up or too old. Take a fresh one from the terminal, or sign in with an API key."


@dataclass(frozen=True)
class Guest:
    """Somebody who is signed in. A key opens one agent, the link all of them."""

    name: str
    agent_id: int | None

    def may_see(self, agent_id: int) -> bool:
        """Whether that agent is theirs to see."""
        return self.agent_id in (None, agent_id)


async def guest(request: web.Request) -> Guest:
    """Who looks.

    Raises:
        RefusedError: Nobody that we know: sign in.
    """
    deps = services(request)
    claims = read(deps.settings.secret, "console", request.cookies.get(COOKIE, ""))
    if claims is not None and claims["key"]:
        async with deps.store.read() as db:
            claims = claims if await agents.is_key_valid(db, claims["key"]) else None
    if claims is None:
        raise RefusedError(401, "signed_out", "You are not signed in. Sign in at /console/login.")
    return Guest(name=claims["by"], agent_id=claims["agent"])


async def agent_of(request: web.Request) -> tuple[Guest, Agent]:
    """The agent that an address names, and who looks at it."""
    who = await guest(request)
    agent_id = int(request.match_info["agent"])
    async with services(request).store.read() as db:
        found = [agent for agent in await agents.every_agent(db) if agent.id == agent_id]
    if not found or not who.may_see(agent_id):
        raise RefusedError(404, "not_found", f"There is no agent {agent_id} that you may see.")
    return who, found[0]


def only_from_our_pages(request: web.Request) -> None:
    """Refuses writes that another site's page makes with our guest's cookie."""
    if not is_from_our_page(request.headers, request.host):
        raise RefusedError(403, "other_site", "The console takes this only from its own pages.")


async def home(request: web.Request) -> web.StreamResponse:
    """To the overview of the guest's agent."""
    who = await guest(request)
    async with services(request).store.read() as db:
        mine = [agent for agent in await agents.every_agent(db) if who.may_see(agent.id)]
    if not mine:
        return page("welcome.html", who=who)
    raise web.HTTPFound(f"/agent/{mine[0].id}/overview")


async def show_login(request: web.Request) -> web.StreamResponse:
    """The form; with a good token of `login_token`, in at once."""
    token = request.query.get("token")
    after = safe_next(request.query.get("next"))
    if token is None:
        return page("login.html", after=after, problem="")
    if read(services(request).settings.secret, "login", token) is None:
        return page("login.html", status=401, after=after, problem=_LINK)
    return _let_in(request, after, name="local", agent_id=None, key_id=0)


async def log_in(request: web.Request) -> web.StreamResponse:
    """In with an API key."""
    only_from_our_pages(request)
    deps = services(request)
    form = await request.post()
    after = safe_next(str(form.get("next", "")))
    key = str(form.get("key", "")).strip()
    async with deps.store.begin() as db:
        row = await agents.find_key(db, key)
        if row is not None:
            await audit.record(db, actor=row.name, action="sign in", subject="console")
    if row is None:
        try:
            deps.logins.spend(deps.address(request))
        except RefusedError as refusal:
            return page("login.html", status=429, after=after, problem=refusal.message)
        problem = "That API key is not known here. The dev command writes its key to api_key in RUNLLM_HOME."
        return page("login.html", status=401, after=after, problem=problem)
    return _let_in(request, after, name=row.name, agent_id=row.agent_id, key_id=row.id)


async def log_out(request: web.Request) -> web.StreamResponse:
    """Out."""
    only_from_our_pages(request)
    response = web.HTTPSeeOther("/console/login")
    response.del_cookie(COOKIE)
    raise response


def _let_in(request: web.Request, after: str, *, name: str, agent_id: int | None, key_id: int) -> web.Response:
    claims = {"by": name, "agent": agent_id, "key": key_id}
    value = sign(services(request).settings.secret, "console", claims, _LIVES)
    response = web.Response(status=303, headers={"Location": after, "Cache-Control": "no-store"})
    is_secure = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
    response.set_cookie(COOKIE, value, max_age=_LIVES, httponly=True, samesite="Lax", secure=is_secure, path="/")
    return response
