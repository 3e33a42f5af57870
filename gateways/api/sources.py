"""Knowledge sources over HTTP."""

import re
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from gateways.api.auth import Caller, caller
from gateways.api.sessions import number_in
from gateways.api.shapes import document_shape, passage_shape, problem_shape, source_shape
from gateways.api.source_kinds import Kind, kind_of, problem_with
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from store import audit, knowledge, search
from store.models import KnowledgeSource

_WORD = re.compile(r"\w[\w'-]*")
_MOST_WORDS = 60
_OFTEN_ENOUGH = 60


class NewSource(BaseModel):
    """Where documents come from. For a location that is known already, what is left out stays as it is.

    Attributes:
        kind: Guessed from the location where it is left out.
        every_seconds: How often it is indexed again by itself; 0 is never.
        is_internal: Its passages are for colleagues only.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    location: str = Field(max_length=1000, pattern=r"^\S(?:.*\S)?$")
    base_url: str | None = Field(default=None, max_length=2000, pattern=r"^https?://")
    every_seconds: int | None = Field(default=None, ge=0, le=366 * 86400)
    is_internal: bool | None = None

    @model_validator(mode="after")
    def is_whole(self) -> "NewSource":
        """The worker reads it, and its working directory is not the caller's."""
        if problem := problem_with(self.of_kind, self.location):
            raise ValueError(f"location: {self.location!r} {problem}")
        if self.every_seconds and self.every_seconds < _OFTEN_ENOUGH:
            raise ValueError(f"every_seconds: at most once a minute, which is {_OFTEN_ENOUGH}")
        return self

    @property
    def of_kind(self) -> Kind:
        """The kind that was given or guessed."""
        return self.kind or kind_of(self.location)

    @property
    def columns(self) -> dict[str, Any]:
        """What else was given, as columns of the source."""
        given: dict[str, Any] = {} if self.base_url is None else {"base_url": self.base_url}
        if self.every_seconds is not None:
            given["every_seconds"] = self.every_seconds or None
        if self.is_internal is not None:
            given["is_internal"] = self.is_internal
        return given


async def add(request: web.Request) -> web.Response:
    """Adds a source, or changes the one at that place, and indexes it."""
    who = await caller(request)
    deps = services(request)
    new = checked(NewSource, await read_json(request, 64 * 1024), what="source")
    async with deps.store.begin() as db:
        source = await knowledge.add_source(db, who.agent_id, new.of_kind, new.location, **new.columns)
        if source.state != "running":
            await knowledge.set_progress(db, source.id, state="new")
        detail = {"kind": source.kind, "every_seconds": source.every_seconds, "is_internal": source.is_internal}
        await audit.record(db, actor=who.name, action="add source", subject=new.location, detail=detail)
    if new.every_seconds is not None:
        await deps.indexing.schedule(source.id, source.every_seconds)
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
    """Indexes a source again: documents that have changed are replaced, those that are gone are removed.

    With `accept_removals=true` also where that is most of them.
    """
    who = await caller(request)
    source = await _existing(request, who)
    deps = services(request)
    async with deps.store.begin() as db:
        if request.query.get("accept_removals") == "true":
            await knowledge.accept_removals(db, source.id)
            await audit.record(db, actor=who.name, action="accept removals", subject=source.location)
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
    if source.every_seconds is not None:
        await services(request).indexing.schedule(source.id, None)
    return web.json_response({"id": source.id, "removed": True})


async def list_documents(request: web.Request) -> web.Response:
    """The documents of a source by path, or with `failed=1` the pages that something is wrong with."""
    source = await _existing(request, await caller(request))
    limit = number_in(request, "limit", 100, 1, 1000)
    async with services(request).store.read() as db:
        if request.query.get("failed") == "1":
            number = number_in(request, "after", 0, 0)
            pages = await knowledge.problems(db, source.id, number, limit)
            following = pages[-1].id if len(pages) == limit else None
            return web.json_response({"problems": [problem_shape(page) for page in pages], "next": following})
        found = await knowledge.documents_after(db, source.id, request.query.get("after", ""), limit)
    last = found[-1].path if len(found) == limit else None
    return web.json_response({"documents": [document_shape(one) for one in found], "next": last})


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
    troubles = await knowledge.count_problems(db, source.id)
    return source_shape(source, counts.documents, counts.passages) | {"problems": troubles}
