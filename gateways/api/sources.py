"""Knowledge sources over HTTP."""

import re
from pathlib import PurePosixPath
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy.ext.asyncio import AsyncSession

from gateways.api.auth import Caller, caller
from gateways.api.sessions import number_in
from gateways.api.shapes import passage_shape, source_shape
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from store import audit, knowledge, search
from store.models import KnowledgeSource

_WORD = re.compile(r"\w[\w'-]*")
_MOST_WORDS = 60


class NewSource(BaseModel):
    """Where documents come from."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["folder"]
    location: str = Field(max_length=1000)
    base_url: str | None = Field(default=None, max_length=2000, pattern=r"^https?://")

    @field_validator("location")
    @classmethod
    def is_absolute(cls, location: str) -> str:
        """The worker reads it, and its working directory is not the caller's."""
        if not PurePosixPath(location).is_absolute():
            raise ValueError(f"{location!r} is relative; give the folder's absolute path")
        return location


async def add(request: web.Request) -> web.Response:
    """Adds a source, or changes the one at that place, and indexes it."""
    who = await caller(request)
    deps = services(request)
    new = checked(NewSource, await read_json(request, 64 * 1024), what="source")
    async with deps.store.begin() as db:
        source = await knowledge.add_source(db, who.agent_id, new.kind, new.location, new.base_url)
        await knowledge.set_progress(db, source.id, state="new")
        await audit.record(db, actor=who.name, action="add source", subject=new.location)
    await deps.indexing.start(source.id)
    return await _answer(request, source.id, 202)


async def list_sources(request: web.Request) -> web.Response:
    """All sources of the agent."""
    who = await caller(request)
    async with services(request).store.read() as db:
        found = [await _shape(db, source) for source in await knowledge.sources(db, who.agent_id)]
    return web.json_response({"sources": found})


async def get(request: web.Request) -> web.Response:
    """One source, and how far indexing has got."""
    source = await _existing(request, await caller(request))
    return await _answer(request, source.id, 200)


async def sync(request: web.Request) -> web.Response:
    """Indexes a source again: documents that have changed are replaced, those that are gone are removed."""
    who = await caller(request)
    source = await _existing(request, who)
    deps = services(request)
    async with deps.store.begin() as db:
        if source.state != "running":
            await knowledge.set_progress(db, source.id, state="new")
    await deps.indexing.start(source.id)
    return await _answer(request, source.id, 202)


async def remove(request: web.Request) -> web.Response:
    """Forgets a source and all that came from it."""
    who = await caller(request)
    source = await _existing(request, who)
    async with services(request).store.begin() as db:
        await knowledge.remove_source(db, source.id)
        await audit.record(db, actor=who.name, action="remove source", subject=source.location)
    return web.json_response({"id": source.id, "removed": True})


async def find(request: web.Request) -> web.Response:
    """Passages that have words of a question, the best first: by their words alone, as retrieval begins."""
    who = await caller(request)
    question = request.query.get("question", "")
    words = list(dict.fromkeys(_WORD.findall(question.lower())))[:_MOST_WORDS]
    if not words:
        raise RefusedError(422, "invalid_field", f"question: {question!r} has no words to look for.")
    limit = number_in(request, "limit", 5, 1, 50)
    async with services(request).store.read() as db:
        found = await search.search(db, who.agent_id, words, limit)
    return web.json_response({"words": words, "passages": [passage_shape(passage) for passage in found]})


async def _existing(request: web.Request, who: Caller) -> KnowledgeSource:
    number = request.match_info["id"]
    async with services(request).store.read() as db:
        source = await knowledge.get_source(db, int(number))
    if source is None or source.agent_id != who.agent_id:
        raise RefusedError(404, "not_found", f"There is no source {number}. GET /api/v1/sources lists them.")
    return source


async def _answer(request: web.Request, source_id: int, status: int) -> web.Response:
    async with services(request).store.read() as db:
        source = await knowledge.get_source(db, source_id)
        if source is None:
            raise RefusedError(404, "not_found", f"Source {source_id} was removed meanwhile.")
        return web.json_response(await _shape(db, source), status=status)


async def _shape(db: AsyncSession, source: KnowledgeSource) -> dict[str, object]:
    counts = await knowledge.counts_of_source(db, source.id)
    return source_shape(source, counts.documents, counts.passages)
