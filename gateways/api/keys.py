"""Keys of the control API over HTTP."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateways.api.auth import caller
from gateways.api.shapes import key_shape
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from store import agents, audit


class NewKey(BaseModel):
    """What a key is called: a person, a machine, a pipeline."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, pattern=r"\S")


async def create(request: web.Request) -> web.Response:
    """Makes a key. This answer is the only place where it can be read."""
    who = await caller(request)
    new = checked(NewKey, await read_json(request, 4096), what="key")
    async with services(request).store.begin() as db:
        key = await agents.create_key(db, who.agent_id, new.name.strip())
        row = await agents.find_key(db, key)
        await audit.record(db, actor=who.name, action="create key", subject=new.name)
    shape = {} if row is None else key_shape(row)
    return web.json_response({**shape, "key": key}, status=201)


async def list_keys(request: web.Request) -> web.Response:
    """All keys of the agent, without the keys themselves."""
    who = await caller(request)
    async with services(request).store.read() as db:
        found = await agents.keys_of(db, who.agent_id)
    return web.json_response({"keys": [key_shape(key) | {"is_yours": key.id == who.key_id} for key in found]})


async def revoke(request: web.Request) -> web.Response:
    """Makes a key useless. Not the caller's own: nobody could take that back."""
    who = await caller(request)
    number = int(request.match_info["id"])
    if number == who.key_id:
        message = f"Key {number} is the one that you call with. Create another one, and revoke this one with that."
        raise RefusedError(409, "own_key", message)
    async with services(request).store.begin() as db:
        key = await agents.revoke_key(db, who.agent_id, number)
        if key is None:
            raise RefusedError(404, "not_found", f"There is no key {number}. GET /api/v1/keys lists them.")
        await audit.record(db, actor=who.name, action="revoke key", subject=key.name)
    return web.json_response(key_shape(key))
