"""What only our own processes call, and what only machines ask."""

from aiohttp import web
from pydantic import ValidationError

from gateways.hub import PULSES
from gateways.refusals import RefusedError, first_problem
from gateways.services import Services, services
from gateways.signing import is_hub_token
from gateways.streams import HEARTBEAT
from store import inbox

_BODY_LIMIT = 4 * 1024 * 1024


def routes() -> list[web.AbstractRouteDef]:
    """Routes that no customer sees."""
    return [
        web.post("/internal/hub", take_pulses),
        web.get("/internal/hub", tell_what_is_said),
        web.get("/healthz", health),
    ]


async def take_pulses(request: web.Request) -> web.Response:
    """Pulses from the workers, a list."""
    deps = _ours(request)
    if (request.content_length or 0) > _BODY_LIMIT:
        raise RefusedError(413, "too_large", "That is too much news at once; send it in smaller batches.")
    try:
        pulses = PULSES.validate_json(await request.read())
    except ValidationError as error:
        raise RefusedError(422, "invalid_field", f"The news does not fit: {first_problem(error)}") from None
    for pulse in pulses:
        deps.hub.publish(pulse)
    return web.Response(status=204)


async def tell_what_is_said(request: web.Request) -> web.StreamResponse:
    """A worker listens: a line for each message that people write, or begin; an empty one where there was none."""
    deps = _ours(request)
    response = web.StreamResponse(headers={"Content-Type": "application/jsonl", "Cache-Control": "no-store"})
    await response.prepare(request)
    with deps.hub.listening() as worker:
        while not deps.hub.is_closing:
            news = await worker.next(HEARTBEAT)
            await response.write(news.model_dump_json().encode() + b"\n" if news is not None else b"\n")
    return response


def _ours(request: web.Request) -> Services:
    """What the gateway shares, for a process of this installation."""
    deps = services(request)
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not is_hub_token(deps.settings.secret, token):
        raise RefusedError(401, "unknown_key", "Only processes with this installation's RUNLLM_SECRET may call this.")
    return deps


async def health(request: web.Request) -> web.Response:
    """Whether this gateway can write down what comes in."""
    deps = services(request)
    async with deps.store.read() as db:
        unaccounted = await inbox.count_unaccounted(db)
    return web.json_response({"ok": True, "unaccounted": unaccounted})
