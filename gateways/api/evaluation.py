"""What `runllm eval` needs of an engine: the model's word without a conversation, past conversations, and bundles."""

from datetime import timedelta
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateways.api.auth import caller
from gateways.api.performing import performed
from gateways.api.sessions import number_in
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from gateways.wire import EVALUATE, Evaluate, Evaluated, Said
from store import feedback, messages, published, sessions

_BODY_LIMIT = 512 * 1024
_MOST_SESSIONS = 500
_PATIENCE = timedelta(seconds=100)


class Asking(BaseModel):
    """What `Evaluate` says, but for the agent, which the key says."""

    model_config = ConfigDict(extra="forbid")

    what: str = Field(pattern="^(answer|chat|categorize|tag|summarize)$")
    said: list[Said] = Field(min_length=1, max_length=500)
    options: dict[str, str] = {}
    examples: dict[str, list[str]] = {}
    default: str = ""
    guidelines: str | None = None


async def ask(request: web.Request) -> web.Response:
    """Asks the model, with the knowledge base as it is. Nothing is sent, and nothing is written down."""
    who = await caller(request)
    asking = checked(Asking, await read_json(request, _BODY_LIMIT), what="question")
    question = Evaluate.model_validate({"agent_id": who.agent_id, **asking.model_dump()})
    found = await performed(
        services(request).temporal,
        EVALUATE,
        question,
        Evaluated,
        patience=_PATIENCE,
        summary=f"Evaluate: {question.what}",
    )
    return web.json_response(found.model_dump(mode="json"))


async def cases(request: web.Request) -> web.Response:
    """Answers that were given, each with the conversation before it and what people thought of it. Newest first."""
    who = await caller(request)
    limit = number_in(request, "limit", 200, 1, _MOST_SESSIONS)
    workflow = request.query.get("workflow")
    found: list[dict[str, Any]] = []
    async with services(request).store.read() as db:
        for session in await sessions.recent(db, who.agent_id, published_name=workflow, limit=limit):
            opinions: dict[int, bool] = {}
            for opinion in await feedback.of_session(db, session.id):  # who found it unhelpful counts most
                opinions[opinion.chat_id] = opinion.is_helpful and opinions.get(opinion.chat_id, True)
            said: list[dict[str, str]] = []
            for message in await messages.transcript(db, session.id):
                if message.deleted_at is not None:
                    continue
                if message.author == "assistant" and message.category is not None and said:
                    found.append(
                        {
                            "session_id": session.id,
                            "workflow": session.published_name,
                            "said": list(said),
                            "answer": message.text,
                            "category": message.category,
                            "sources": message.sources,
                            "is_helpful": opinions.get(message.id),
                        }
                    )
                said.append({"author": message.author, "text": message.text})
    return web.json_response({"cases": found})


async def bundle(request: web.Request) -> web.Response:
    """The sources of a version: the current one, or the `build` of the query."""
    who = await caller(request)
    name, build = request.match_info["name"], request.query.get("build")
    async with services(request).store.read() as db:
        workflow = await published.by_name(db, name)
        if workflow is None or workflow.agent_id != who.agent_id:
            raise RefusedError(
                404, "not_found", f"Nothing is published as {name!r}. GET /api/v1/workflows lists what is."
            )
        wanted = build or workflow.current_build
        version = await published.find_version(db, name, wanted) if wanted else None
        if version is None:
            missing = f"has no build {wanted}" if wanted else "has no version that is current"
            raise RefusedError(404, "not_found", f"{name} {missing}. `runllm workflows {name}` lists its versions.")
        sources = (await published.bundle_of(db, version.id)).model_dump(mode="json")
    return web.json_response({"name": name, "build_id": version.build_id, "bundle": sources})
