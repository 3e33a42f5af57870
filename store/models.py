"""The tables of the record.

Times are timezone-aware UTC. JSON columns hold pydantic models dumped in JSON mode.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from store.columns import Clean, Cut, UtcTime


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Row(AsyncAttrs, DeclarativeBase):
    """The root of all tables."""

    # Constraints with names can be changed by a migration, on SQLite too.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


class Agent(Row):
    """A support agent: owns workflows, knowledge and keys."""

    __tablename__ = "agents"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    learns: Mapped[str] = mapped_column(String(10), default="propose", server_default="propose")
    """What becomes of facts that people state: propose, or approve at once"""
    created_at: Mapped[datetime] = mapped_column(default=now)


class ApiKey(Row):
    """A key of the control API; only its SHA-256 is kept."""

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    name: Mapped[str] = mapped_column(String(200))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]


class PublishedWorkflow(Row):
    """A name under which customer code is published."""

    __tablename__ = "published_workflows"
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    name: Mapped[str] = mapped_column(String(100), unique=True)
    current_build: Mapped[str | None] = mapped_column(String(64))
    listeners: Mapped[list[Any]] = mapped_column(default=list)
    """Listeners of the current version: what routing matches."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Version(Row):
    """One build of a published workflow. `status` moves forward only; see store/published.py."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("workflow_id", "build_id"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    workflow_id: Mapped[int] = mapped_column(ForeignKey("published_workflows.id"))
    published_name: Mapped[str] = mapped_column(String(100), index=True)
    """Name of its published workflow, which never changes."""
    build_id: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(20), default="uploaded", index=True)
    bundle: Mapped[dict[str, Any]] = mapped_column(deferred=True, deferred_raiseload=True)
    """The sources: megabytes, so only `published.bundle_of` reads them."""
    listeners: Mapped[list[Any]] = mapped_column(default=list)
    """As the client sees them, then as validation found them."""
    manifest: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Clean)
    note: Mapped[str | None] = mapped_column(Clean)
    wanted: Mapped[bool] = mapped_column(default=True)
    """This version is to become (or to stay) the current one: the last one published, or rolled back to."""
    published_by: Mapped[str] = mapped_column(Cut(200), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    current_at: Mapped[datetime | None]
    """When it last became the current version."""


class VersionStep(Row):
    """One step of a publish, as `Client.watch` shows it."""

    __tablename__ = "version_steps"
    __table_args__ = (UniqueConstraint("version_id", "step"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"))
    step: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(10))
    detail: Mapped[str] = mapped_column(Clean, default="")
    at: Mapped[datetime] = mapped_column(default=now)


class Installation(Row):
    """Credentials for one workspace, subdomain or server of a platform, encrypted."""

    __tablename__ = "installations"
    __table_args__ = (UniqueConstraint("platform", "external_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    platform: Mapped[str] = mapped_column(String(20))
    external_id: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200), default="")
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Session(Row):
    """One conversation's durable execution: Temporal workflow `session-{id}`."""

    __tablename__ = "sessions"
    # The number is the id of a Temporal workflow, so it may never be given out again, as SQLite otherwise would.
    __table_args__ = (
        Index("ix_sessions_agent_active", "agent_id", "active_at"),
        Index("ix_sessions_agent_phase", "agent_id", "phase", "active_at"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    published_name: Mapped[str] = mapped_column(String(100), index=True)
    origin_key: Mapped[str] = mapped_column(String(300))
    phase: Mapped[str] = mapped_column(String(20), default="listening")
    handler: Mapped[str] = mapped_column(Cut(200), default="")
    build_id: Mapped[str] = mapped_column(String(64), default="")
    last_seq: Mapped[int] = mapped_column(default=0)
    """Counter behind `Posting.seq`."""
    started_at: Mapped[datetime] = mapped_column(default=now)
    active_at: Mapped[datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime | None]


class SurfaceBinding(Row):
    """A place and the session it belongs to: never recomputed."""

    __tablename__ = "surface_bindings"
    surface_key: Mapped[str] = mapped_column(String(300), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    surface: Mapped[dict[str, Any]]
    """The surface itself, as JSON."""
    channel_key: Mapped[str | None] = mapped_column(String(300))
    """Set for threads that `create_or_get_*` made: one a session and channel."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    __table_args__ = (UniqueConstraint("session_id", "channel_key"),)


class Message(Row):
    """What somebody said, once, wherever it is shown. `id` is the public `chat_id`."""

    __tablename__ = "messages"
    __table_args__ = {"sqlite_autoincrement": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    author: Mapped[str] = mapped_column(String(10))
    """A MessageType: `user` or `assistant`."""
    author_id: Mapped[str | None] = mapped_column(Cut(200))
    author_name: Mapped[str | None] = mapped_column(Cut(200))
    text: Mapped[str] = mapped_column(Clean)
    category: Mapped[str | None] = mapped_column(String(20))
    sources: Mapped[list[Any]] = mapped_column(default=list)
    attachments: Mapped[list[Any]] = mapped_column(default=list)
    is_internal: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Only the support team may see it."""
    is_from_staff: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A member of the support team wrote it."""
    is_from_bot: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A program wrote it that is not this engine."""
    key: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Effect key of the operation that made it: a retried operation finds its message."""
    model: Mapped[str] = mapped_column(Cut(100), default="")
    input_tokens: Mapped[int] = mapped_column(default=0)
    output_tokens: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class Posting(Row):
    """A message on a surface. A change of what is shown there gives it a new `seq`: streams resume after one."""

    __tablename__ = "postings"
    __table_args__ = (
        UniqueConstraint("surface_key", "remote_id"),
        Index("ix_postings_surface_seq", "surface_key", "seq"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), index=True)
    surface_key: Mapped[str] = mapped_column(String(300))
    remote_id: Mapped[str] = mapped_column(String(200), index=True)
    """The platform's identifier; the client's message id, or the effect key, on our own surfaces."""
    effect_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    seq: Mapped[int]
    position: Mapped[int]
    """`seq` when it was first shown: the order of the conversation."""
    extras: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What is shown beside the text: prefix, blocks with button states, wait id, whether feedback is asked for."""
    at: Mapped[datetime] = mapped_column(default=now)


_OPEN = "outcome IS NULL"
_DUE = "signalled_at IS NULL AND outcome IS NULL"


class InboxRow(Row):
    """An inbound event, written before it is acknowledged. It ends with an outcome."""

    __tablename__ = "inbox"
    __table_args__ = (
        # Only the few open rows are in these: the sweeper reads them all the time.
        Index("ix_inbox_due", "next_attempt_at", sqlite_where=text(_DUE), postgresql_where=text(_DUE)),
        Index("ix_inbox_open", "received_at", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(String(300), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    session_id: Mapped[int | None] = mapped_column(ForeignKey("sessions.id"), index=True)
    chat_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    surface_key: Mapped[str] = mapped_column(String(300), default="")
    envelope: Mapped[dict[str, Any]]
    """The envelope without its message, which is in `messages`."""
    received_at: Mapped[datetime] = mapped_column(default=now)
    signalled_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Clean, default="")
    accounted_at: Mapped[datetime | None]


class EarlyChange(Row):
    """An edit or a deletion that came before its message, and waits for it."""

    __tablename__ = "early_changes"
    __table_args__ = (Index("ix_early_changes_message", "surface_key", "remote_id"),)
    inbox_id: Mapped[int] = mapped_column(ForeignKey("inbox.id"), primary_key=True)
    surface_key: Mapped[str] = mapped_column(String(300))
    remote_id: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(10))
    """edit or delete"""
    text: Mapped[str] = mapped_column(Clean, default="")
    made_at: Mapped[datetime | None]
    """When it was made, by the platform's clock."""
    kept_at: Mapped[datetime] = mapped_column(default=now)


class EffectRow(Row):
    """An operation that changes something, written before the change is tried."""

    __tablename__ = "effects"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    operation: Mapped[str] = mapped_column(String(60))
    surface_key: Mapped[str] = mapped_column(String(300), default="")
    state: Mapped[str] = mapped_column(String(10), default="started")
    """started, done or failed"""
    attempts: Mapped[int] = mapped_column(default=1)
    remote_id: Mapped[str | None] = mapped_column(String(200), index=True)
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Clean)
    started_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class TagRow(Row):
    """A tag on a conversation, and who put it there."""

    __tablename__ = "tags"
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(Cut(200), primary_key=True)
    origin: Mapped[str] = mapped_column(String(10))
    """workflow, model, pinned or person"""
    pinned_group: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Feedback(Row):
    """What a person thinks of a message; one opinion a person and message."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("chat_id", "author_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
    author_id: Mapped[str] = mapped_column(Cut(200), default="")
    is_helpful: Mapped[bool]
    comment: Mapped[str] = mapped_column(Clean, default="")
    at: Mapped[datetime] = mapped_column(default=now)


class ButtonWaitRow(Row):
    """Buttons that a parked handler waits for. The first click wins."""

    __tablename__ = "button_waits"
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), primary_key=True)
    wait_id: Mapped[int] = mapped_column(primary_key=True)
    chat_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    surface_key: Mapped[str] = mapped_column(String(300))
    button_ids: Mapped[list[Any]] = mapped_column(default=list)
    allowed_users: Mapped[list[Any] | None]
    state: Mapped[str] = mapped_column(String(10), default="open")
    """open, clicked, expired or cancelled"""
    clicked_button: Mapped[str | None] = mapped_column(Clean)
    clicked_by: Mapped[str | None] = mapped_column(Cut(200))
    clicked_by_name: Mapped[str | None] = mapped_column(Cut(200))
    created_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class SessionLogRow(Row):
    """What handlers printed, and errors in them."""

    __tablename__ = "session_log"
    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    """Effect key of the report and line number: a retried report adds nothing."""
    level: Mapped[str] = mapped_column(String(10))
    handler: Mapped[str] = mapped_column(Cut(200), default="")
    text: Mapped[str] = mapped_column(Clean)
    at: Mapped[datetime] = mapped_column(default=now)


class KnowledgeSource(Row):
    """Where documents come from, and how far indexing has got."""

    __tablename__ = "knowledge_sources"
    __table_args__ = (UniqueConstraint("agent_id", "location"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    kind: Mapped[str] = mapped_column(String(20))
    location: Mapped[str] = mapped_column(String(1000))
    base_url: Mapped[str | None] = mapped_column(Clean)
    """Address that a file's path is appended to, where people read the documents."""
    is_internal: Mapped[bool] = mapped_column(default=False, server_default=false())
    """For colleagues only: its passages are not found for a question that was asked on a public surface."""
    state: Mapped[str] = mapped_column(String(10), default="new")
    """new, running, done or failed"""
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Clean)
    every_seconds: Mapped[int | None]
    """How often it is indexed again by itself."""
    kept_back: Mapped[int] = mapped_column(default=0, server_default="0")
    """Documents that the last sync did not find and kept all the same, since they were so many."""
    accepts_removals: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Somebody said that they are really gone: the next sync forgets them."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    synced_at: Mapped[datetime | None]


class KnowledgePage(Row):
    """What a source holds, as it was listed last: a file, a page, an article. A new one gets a higher number."""

    __tablename__ = "knowledge_pages"
    __table_args__ = (UniqueConstraint("source_id", "path"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("knowledge_sources.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(String(1000))
    wanted: Mapped[str] = mapped_column(String(64), default="")
    """What the listing says that it should be like; empty where only reading it tells."""
    stamp: Mapped[str] = mapped_column(String(64), default="")
    """`wanted` as it was when its document was indexed."""
    etag: Mapped[str] = mapped_column(Cut(300), default="")
    last_modified: Mapped[str] = mapped_column(Cut(100), default="")
    links: Mapped[list[Any]] = mapped_column(default=list)
    """Other pages of the source that it leads to."""
    problem: Mapped[str | None] = mapped_column(Clean)
    """Why it could not be indexed, or what to know about how it was."""
    is_gone: Mapped[bool] = mapped_column(default=False)
    """There is nothing to index there any more, or nobody may: its document goes."""
    read_at: Mapped[datetime | None]
    """When it was read and found to be new, changed or broken."""


class Document(Row):
    """One document of a source."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("source_id", "path"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), index=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("knowledge_sources.id"))
    path: Mapped[str] = mapped_column(String(1000))
    url: Mapped[str | None] = mapped_column(Clean)
    title: Mapped[str] = mapped_column(Cut(500))
    content_hash: Mapped[str] = mapped_column(String(64))
    dated_at: Mapped[datetime | None]
    """When its author changed it last, as it or its server says."""
    indexed_at: Mapped[datetime] = mapped_column(default=now)


class PassageRow(Row):
    """A piece of a document. Its words are in the full-text index beside this table (see store/knowledge.py)."""

    __tablename__ = "passages"
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(Integer, index=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    title: Mapped[str] = mapped_column(Cut(500))
    heading_path: Mapped[str] = mapped_column(Cut(1000), default="")
    anchor: Mapped[str] = mapped_column(Cut(300), default="")
    text: Mapped[str] = mapped_column(Clean)


class PassageVector(Row):
    """What a passage says, as an embedder's vector. `id` only grows, so a reader knows which ones are new to it."""

    __tablename__ = "passage_vectors"
    __table_args__ = (
        UniqueConstraint("passage_id", "embedder"),
        Index("ix_passage_vectors_agent", "agent_id", "embedder", "id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(Integer)
    passage_id: Mapped[int] = mapped_column(ForeignKey("passages.id", ondelete="CASCADE"))
    embedder: Mapped[str] = mapped_column(String(60))
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """As worker/answering/vectors.py writes it. With pgvector there is a column `numbers` beside it."""


class EmbedderState(Row):
    """The one row that says how the activity workers find passages, for people to see."""

    __tablename__ = "embedder_state"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedder: Mapped[str] = mapped_column(String(60), default="")
    """Empty: by words alone."""
    note: Mapped[str] = mapped_column(Clean, default="")
    at: Mapped[datetime] = mapped_column(default=now)


class Calibration(Row):
    """How sure an agent's answers are, fitted to its knowledge base by questions that people labelled."""

    __tablename__ = "calibrations"
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    embedder: Mapped[str] = mapped_column(String(60), primary_key=True)
    """The embedder that it was fitted with; empty without one."""
    fitted: Mapped[dict[str, Any]]
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)


class LearnedFact(Row):
    """A fact that a person stated in a conversation, and what became of it."""

    __tablename__ = "learned_facts"
    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), index=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    key: Mapped[str] = mapped_column(String(80), unique=True)
    text: Mapped[str] = mapped_column(Clean)
    stated_by: Mapped[str | None] = mapped_column(Cut(200))
    chat_id: Mapped[int | None]
    """The message that states it."""
    quote: Mapped[str] = mapped_column(Clean, default="", server_default="")
    """The words of that message."""
    relations: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """What was known already that says the same, or something else."""
    state: Mapped[str] = mapped_column(String(10), default="proposed")
    """proposed, approved or rejected"""
    decided_by: Mapped[str | None] = mapped_column(Cut(200))
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class ChatRow(Row):
    """A chat under way: what was asked, and with which tools. `key` is its effect's."""

    __tablename__ = "chats"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    question: Mapped[dict[str, Any]]
    """A MessageRef."""
    tools: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)


class ChatStepRow(Row):
    """What a model said in one turn of a chat (`call_id` is empty), or what a tool gave for one of its calls."""

    __tablename__ = "chat_steps"
    chat_key: Mapped[str] = mapped_column(ForeignKey("chats.key", ondelete="CASCADE"), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[str] = mapped_column(String(200), primary_key=True, default="")
    content: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(default=now)


class SpendingRow(Row):
    """The tokens of one request to a model, also of one that failed half-way."""

    __tablename__ = "spending"
    __table_args__ = (
        Index("ix_spending_day_workflow", "day", "published_name"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(100), unique=True)
    """Effect key, attempt and number of the request: a retried accounting adds nothing."""
    session_id: Mapped[int | None] = mapped_column(ForeignKey("sessions.id"), index=True)
    """None where no conversation asked, but an evaluation."""
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    """Of an evaluation; a session knows its own."""
    published_name: Mapped[str] = mapped_column(String(100))
    day: Mapped[str] = mapped_column(String(10))
    """In UTC, like 2026-01-31."""
    purpose: Mapped[str] = mapped_column(Cut(60))
    """Name of the activity that asked."""
    model: Mapped[str] = mapped_column(Cut(100))
    input_tokens: Mapped[int] = mapped_column(default=0)
    output_tokens: Mapped[int] = mapped_column(default=0)
    cache_read_tokens: Mapped[int] = mapped_column(default=0)
    cache_write_tokens: Mapped[int] = mapped_column(default=0)
    microdollars: Mapped[int | None] = mapped_column(BigInteger)
    """Millionths of a US dollar; None where nobody knows the model's price."""
    at: Mapped[datetime] = mapped_column(default=now)


class SummaryRow(Row):
    """What the beginning of a long conversation comes to: written on, and never begun anew."""

    __tablename__ = "summaries"
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), primary_key=True)
    until_chat_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
    """The last message that it covers."""
    text: Mapped[str] = mapped_column(Clean)
    at: Mapped[datetime] = mapped_column(default=now)


class NoticeRow(Row):
    """Something about the engine as a whole that a person should know, for as long as it is so."""

    __tablename__ = "notices"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    level: Mapped[str] = mapped_column(String(10))
    """note or bad"""
    text: Mapped[str] = mapped_column(Clean)
    at: Mapped[datetime] = mapped_column(default=now)
    until: Mapped[datetime | None]
    """When it has ended by itself."""


class Audit(Row):
    """Who changed what through the control API or the console."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    actor: Mapped[str] = mapped_column(Cut(200))
    action: Mapped[str] = mapped_column(Cut(60))
    subject: Mapped[str] = mapped_column(Cut(300))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    at: Mapped[datetime] = mapped_column(default=now)


class Lease(Row):
    """Who does what only one process may do, until when."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    holder: Mapped[str] = mapped_column(String(100))
    until: Mapped[datetime]


class Cursor(Row):
    """How far what a platform keeps has been read."""

    __tablename__ = "cursors"
    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    position: Mapped[str] = mapped_column(String(300))
    moved_at: Mapped[datetime] = mapped_column(default=now)
