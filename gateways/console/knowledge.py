"""The console's pages about what an agent knows: its sources, and facts that it learned."""

from dataclasses import dataclass
from typing import get_args

from aiohttp import web

from gateways.console.entry import agent_of, only_from_our_pages
from gateways.console.rendering import page
from gateways.deciding import Decision, decide
from gateways.kept_back import needs_a_look
from gateways.refusals import RefusedError
from gateways.services import services
from store import audit, facts, knowledge
from store.models import KnowledgePage, KnowledgeSource

_MOST = 100
_PROBLEMS = 20


@dataclass(frozen=True)
class Shelf:
    """A source, how much came from it, and what is wrong with its pages."""

    source: KnowledgeSource
    documents: int
    passages: int
    needs_a_look: str | None
    problems: list[KnowledgePage]
    more_problems: int


async def sources(request: web.Request) -> web.StreamResponse:
    """Where documents come from, and how far indexing has got."""
    who, agent = await agent_of(request)
    shelves: list[Shelf] = []
    async with services(request).store.read() as db:
        for source in await knowledge.sources(db, agent.id):
            counts = await knowledge.counts_of_source(db, source.id)
            problems = await knowledge.problems(db, source.id, limit=_PROBLEMS)
            more = await knowledge.count_problems(db, source.id) - len(problems)
            shelves.append(Shelf(source, counts.documents, counts.passages, needs_a_look(source), problems, more))
    return page("knowledge.html", who=who, agent=agent, shelves=shelves)


async def sync(request: web.Request) -> web.StreamResponse:
    """Indexes a source again; where the form says so, what is gone is forgotten, however much that is."""
    only_from_our_pages(request)
    who, agent = await agent_of(request)
    is_accepted = (await request.post()).get("accept_removals") == "true"
    deps, number = services(request), int(request.match_info["source"])
    async with deps.store.begin() as db:
        source = await knowledge.get_source(db, number)
        if source is None or source.agent_id != agent.id:
            raise RefusedError(404, "not_found", f"There is no source {number} of agent {agent.id}.")
        if source.state != "running":
            await knowledge.set_progress(db, number, state="new")
        if is_accepted:
            await knowledge.accept_removals(db, number)
        action = "accept removals" if is_accepted else "sync source"
        await audit.record(db, actor=who.name, action=action, subject=source.location)
    await deps.indexing.start(number)
    raise web.HTTPSeeOther(f"/agent/{agent.id}/knowledge")


async def learned(request: web.Request) -> web.StreamResponse:
    """Facts that people stated, newest first, with what is known already of the same thing."""
    who, agent = await agent_of(request)
    state = request.query.get("state") or None
    wanted: facts.State | None = state if state in get_args(facts.State) else None  # type: ignore[assignment]
    async with services(request).store.read() as db:
        found = await facts.of_agent(db, agent.id, state=wanted, limit=_MOST)
        policy = await facts.policy_of(db, agent.id)
    return page(
        "facts.html", who=who, agent=agent, found=found, policy=policy, wanted=wanted, states=get_args(facts.State)
    )


async def decided(request: web.Request) -> web.StreamResponse:
    """Approves, rejects or undoes; then back to the list."""
    only_from_our_pages(request)
    who, agent = await agent_of(request)
    form = await request.post()
    decision = form.get("decision")
    if decision not in get_args(Decision):
        raise RefusedError(422, "invalid_field", f"decision: {decision!r} is none. Approve, reject or undo.")
    chosen: Decision = decision  # type: ignore[assignment]
    await decide(services(request), agent.id, int(request.match_info["fact"]), chosen, by=who.name)
    raise web.HTTPSeeOther(f"/agent/{agent.id}/facts")


async def policy(request: web.Request) -> web.StreamResponse:
    """Decides what becomes of facts from now on."""
    only_from_our_pages(request)
    who, agent = await agent_of(request)
    learns = (await request.post()).get("learns")
    if learns not in get_args(facts.Policy):
        raise RefusedError(422, "invalid_field", f"learns: {learns!r} is no policy. Choose propose or approve.")
    chosen: facts.Policy = learns  # type: ignore[assignment]
    async with services(request).store.begin() as db:
        await facts.set_policy(db, agent.id, chosen)
        await audit.record(db, actor=who.name, action="set learning", subject=chosen)
    raise web.HTTPSeeOther(f"/agent/{agent.id}/facts")
