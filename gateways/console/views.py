"""The console's pages about one agent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from gateways.console.entry import agent_of
from gateways.console.rendering import page
from gateways.refusals import RefusedError
from gateways.services import Services, services
from gateways.wire import workflow_id
from runllm.bridge.surfaces import surface_key
from store import buttons, feedback, inbox, knowledge, messages, published, sessions, tags
from store.models import Feedback, Message, Posting, PublishedWorkflow, Session, Version, VersionStep

_MOST = 100
_VERSIONS = 5
_OVERDUE = timedelta(seconds=30)
_PHASES = {
    "listening": "listening",
    "handling": "answering",
    "waiting_for_button": "waiting for a button",
    "mirroring": "with a person",
    "closed": "closed",
}
_KINDS = {"widget": "Widget", "console": "Console", "slack": "Slack", "zendesk": "Zendesk", "discord": "Discord"}


@dataclass(frozen=True)
class SessionLine:
    """A row of the table of sessions."""

    session: Session
    phase: str
    surface: str
    tags: list[str]
    temporal: str


@dataclass(frozen=True)
class Card:
    """A published workflow with its versions."""

    name: str
    current_build: str | None
    versions: list[tuple[Version, list[VersionStep]]]


@dataclass(frozen=True)
class Entry:
    """A message of a transcript."""

    message: Message
    where: list[str]
    opinions: list[Feedback] = field(default_factory=list)


async def overview(request: web.Request) -> web.StreamResponse:
    """Sessions, workflows, and what is unaccounted for. The filters are in the address."""
    who, agent = await agent_of(request)
    deps = services(request)
    wanted = {name: request.query.get(name) or None for name in ("phase", "handler", "workflow")}
    async with deps.store.read() as db:
        found = await sessions.recent(
            db,
            agent.id,
            phase=wanted["phase"],
            handler=wanted["handler"],
            published_name=wanted["workflow"],
            limit=_MOST,
        )
        lines = [await _line(db, deps, session) for session in found]
        cards = [await _card(db, workflow) for workflow in await published.workflows(db, agent.id)]
        unaccounted = await inbox.count_unaccounted(db)
        overdue = bool(await inbox.unaccounted(db, _OVERDUE, 1))
        knows = await knowledge.counts(db, agent.id)
        sources = await knowledge.sources(db, agent.id)
    return page(
        "overview.html",
        who=who,
        agent=agent,
        lines=lines,
        cards=cards,
        unaccounted=unaccounted,
        overdue=overdue,
        knows=knows,
        sources=sources,
        wanted=wanted,
        phases=_PHASES,
        most=_MOST,
    )


async def session(request: web.Request) -> web.StreamResponse:
    """One session: what was said, logged and asked."""
    who, agent = await agent_of(request)
    deps = services(request)
    number = int(request.match_info["session"])
    async with deps.store.read() as db:
        found = await sessions.get(db, number)
        if found is None or found.agent_id != agent.id:
            raise RefusedError(404, "not_found", f"There is no session {number} of agent {agent.id}.")
        opinions = await feedback.of_session(db, number)
        entries = [await _entry(db, message, opinions) for message in await messages.transcript(db, number)]
        log = await sessions.log_of(db, number)
        waits = await buttons.of_session(db, number)
        surfaces = [surface_key(surface) for surface in await sessions.surfaces_of(db, number)]
        line = await _line(db, deps, found)
    return page(
        "session.html", who=who, agent=agent, line=line, entries=entries, log=log, waits=waits, surfaces=surfaces
    )


async def chat(request: web.Request) -> web.StreamResponse:
    """A conversation with the agent."""
    who, agent = await agent_of(request)
    return page("chat.html", who=who, agent=agent)


async def _line(db: AsyncSession, deps: Services, session: Session) -> SessionLine:
    return SessionLine(
        session=session,
        phase=_PHASES.get(session.phase, session.phase),
        surface=kind_of(session.origin_key),
        tags=await tags.of(db, session.id),
        temporal=temporal_link(deps.settings.temporal_ui_url, deps.temporal.namespace, session.id),
    )


async def _card(db: AsyncSession, workflow: PublishedWorkflow) -> Card:
    newest = (await published.versions_of(db, workflow.name))[:_VERSIONS]
    versions = [(version, await published.steps_of(db, version.id)) for version in newest]
    return Card(name=workflow.name, current_build=workflow.current_build, versions=versions)


async def _entry(db: AsyncSession, message: Message, opinions: Sequence[Feedback]) -> Entry:
    postings: list[Posting] = await messages.postings_of(db, message.id)
    where = list(dict.fromkeys(kind_of(posting.surface_key) for posting in postings))
    return Entry(message, where, [opinion for opinion in opinions if opinion.chat_id == message.id])


def kind_of(key: str) -> str:
    """The platform of a surface, as people call it."""
    kind = key.partition(":")[0]
    return _KINDS.get(kind, kind)


def temporal_link(ui_url: str, namespace: str, session_id: int) -> str:
    """The session in Temporal's Web UI."""
    return f"{ui_url}/namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id(session_id), safe='')}"
