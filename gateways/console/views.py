"""The console's pages about one agent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from gateways.console.entry import agent_of
from gateways.console.rendering import page
from gateways.files import described
from gateways.refusals import RefusedError
from gateways.routing import AFTER_CLOSING
from gateways.services import Services, services
from gateways.wire import workflow_id
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import surface_key
from store import buttons, feedback, inbox, knowledge, messages, notices, published, sessions, spending, tags
from store.models import Feedback, Message, Posting, PublishedWorkflow, Session, Version, VersionStep, now

_MOST = 100
_VERSIONS = 5
_OVERDUE = timedelta(seconds=30)
_PATIENCE = timedelta(minutes=1)
"""An answer that takes longer is missed."""
_LATELY = timedelta(days=7)
_ANSWERING = ("listening", "handling")
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
    after_closing: int = 0
    silent_since: datetime | None = None


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
    is_after_closing: bool = False

    @property
    def files(self) -> list[dict[str, Any]]:
        """What came with the message."""
        return [described(file) for file in self.message.attachments]


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
        late = await inbox.ignored_since(db, agent.id, AFTER_CLOSING, now() - _LATELY)
        last = await messages.last_of(db, [session.id for session in found])
        lines = [await _line(db, deps, session, late, last) for session in found]
        cards = [await _card(db, workflow) for workflow in await published.workflows(db, agent.id)]
        unaccounted = await inbox.count_unaccounted(db)
        overdue = bool(await inbox.unaccounted(db, _OVERDUE, 1))
        knows = await knowledge.counts(db, agent.id)
        sources = await knowledge.sources(db, agent.id)
        standing = await notices.standing(db)
        spent = await spending.of_day(db, spending.today())
    return page(
        "overview.html",
        who=who,
        agent=agent,
        lines=lines,
        cards=cards,
        unaccounted=unaccounted,
        overdue=overdue,
        late=sum(map(len, late.values())),
        silent=sum(line.silent_since is not None for line in lines),
        knows=knows,
        sources=sources,
        notices=standing,
        spent=spent,
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
        late = await inbox.ignored_since(db, agent.id, AFTER_CLOSING, found.started_at)
        ignored = set(late.get(number, []))
        entries = [await _entry(db, one, opinions, ignored) for one in await messages.transcript(db, number)]
        log = await sessions.log_of(db, number)
        waits = await buttons.of_session(db, number)
        spent = await spending.of_session(db, number)
        surfaces = [surface_key(surface) for surface in await sessions.surfaces_of(db, number)]
        line = await _line(db, deps, found, late, await messages.last_of(db, [number]))
    return page(
        "session.html",
        who=who,
        agent=agent,
        line=line,
        entries=entries,
        log=log,
        waits=waits,
        surfaces=surfaces,
        spent=spent,
    )


async def attachment(request: web.Request) -> web.StreamResponse:
    """A file of a message of a session."""
    who, agent = await agent_of(request)
    deps = services(request)
    number, chat_id = int(request.match_info["session"]), int(request.match_info["chat"])
    async with deps.store.read() as db:
        found = await sessions.get(db, number)
        message = await messages.get(db, chat_id)
    is_there = found is not None and found.agent_id == agent.id and message is not None
    if not is_there or message is None or message.session_id != number or message.deleted_at is not None:
        raise RefusedError(404, "not_found", f"There is no message {chat_id} in session {number}.")
    return await deps.files.answer(message.attachments, int(request.match_info["number"]), f"console {who.name}")


async def chat(request: web.Request) -> web.StreamResponse:
    """A conversation with the agent."""
    who, agent = await agent_of(request)
    return page("chat.html", who=who, agent=agent)


async def _line(
    db: AsyncSession,
    deps: Services,
    session: Session,
    late: Mapping[int, Sequence[int]],
    last: Mapping[int, tuple[Posting, Message]],
) -> SessionLine:
    return SessionLine(
        session=session,
        phase=_PHASES.get(session.phase, session.phase),
        surface=kind_of(session.origin_key),
        tags=await tags.of(db, session.id),
        temporal=temporal_link(deps.settings.temporal_ui_url, deps.temporal.namespace, session.id),
        after_closing=len(late.get(session.id, ())),
        silent_since=silent_since(session, last.get(session.id)),
    )


def silent_since(session: Session, last: tuple[Posting, Message] | None) -> datetime | None:
    """Since when a person waits for an answer; None where nobody does.

    A handler that failed, or ended without a word, leaves the last word to the person who wrote.
    """
    if last is None or session.phase not in _ANSWERING:
        return None
    posting, message = last
    is_question = posting.effect_key is None and message.author == MessageType.USER and message.deleted_at is None
    is_customers = not (message.is_from_staff or message.is_from_bot or message.is_internal)
    return posting.at if is_question and is_customers and now() - posting.at > _PATIENCE else None


async def _card(db: AsyncSession, workflow: PublishedWorkflow) -> Card:
    newest = (await published.versions_of(db, workflow.name))[:_VERSIONS]
    versions = [(version, await published.steps_of(db, version.id)) for version in newest]
    return Card(name=workflow.name, current_build=workflow.current_build, versions=versions)


async def _entry(db: AsyncSession, message: Message, opinions: Sequence[Feedback], ignored: set[int]) -> Entry:
    postings: list[Posting] = await messages.postings_of(db, message.id)
    where = list(dict.fromkeys(kind_of(posting.surface_key) for posting in postings))
    mine = [opinion for opinion in opinions if opinion.chat_id == message.id]
    return Entry(message, where, mine, is_after_closing=message.id in ignored)


def kind_of(key: str) -> str:
    """The platform of a surface, as people call it."""
    kind = key.partition(":")[0]
    return _KINDS.get(kind, kind)


def temporal_link(ui_url: str, namespace: str, session_id: int) -> str:
    """The session in Temporal's Web UI."""
    return f"{ui_url}/namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id(session_id), safe='')}"
