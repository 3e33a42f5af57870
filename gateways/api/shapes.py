"""Rows of the record as the control API gives them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateways.connecting import Checked, Finding
from gateways.kept_back import needs_a_look
from store.models import (
    ApiKey,
    ButtonWaitRow,
    Document,
    InboxRow,
    Installation,
    KnowledgePage,
    KnowledgeSource,
    LearnedFact,
    Message,
    Session,
    SessionLogRow,
    Version,
    VersionStep,
    now,
)
from store.search import Candidate
from store.spending import Sum


def step_shape(step: VersionStep) -> dict[str, Any]:
    return {"step": step.step, "state": step.state, "detail": step.detail, "at": _time(step.at)}


def version_shape(version: Version, steps: Sequence[VersionStep]) -> dict[str, Any]:
    return {
        "build_id": version.build_id,
        "status": version.status,
        "wanted": version.wanted,
        "error": version.error,
        "note": version.note,
        "published_by": version.published_by,
        "created_at": _time(version.created_at),
        "steps": [step_shape(step) for step in steps],
    }


def session_shape(session: Session, tags: Sequence[str]) -> dict[str, Any]:
    return {
        "id": session.id,
        "published_name": session.published_name,
        "build_id": session.build_id,
        "surface": session.origin_key,
        "phase": session.phase,
        "handler": session.handler,
        "tags": list(tags),
        "started_at": _time(session.started_at),
        "active_at": _time(session.active_at),
        "closed_at": _time(session.closed_at),
    }


def message_shape(message: Message) -> dict[str, Any]:
    return {
        "chat_id": message.id,
        "author": message.author,
        "author_name": message.author_name,
        "text": message.text,
        "category": message.category,
        "sources": message.sources,
        "model": message.model,
        "at": _time(message.created_at),
        "edited_at": _time(message.edited_at),
    }


def log_shape(line: SessionLogRow) -> dict[str, Any]:
    return {"level": line.level, "handler": line.handler, "text": line.text, "at": _time(line.at)}


def inbox_shape(row: InboxRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "session_id": row.session_id,
        "surface": row.surface_key,
        "received_at": _time(row.received_at),
        "signalled_at": _time(row.signalled_at),
        "attempts": row.attempts,
        "seconds": round((now() - row.received_at).total_seconds(), 1),
    }


def source_shape(source: KnowledgeSource, documents: int = 0, passages: int = 0) -> dict[str, Any]:
    return {
        "id": source.id,
        "kind": source.kind,
        "location": source.location,
        "base_url": source.base_url,
        "state": source.state,
        "done": source.done,
        "total": source.total,
        "error": source.error,
        "documents": documents,
        "passages": passages,
        "every_seconds": source.every_seconds,
        "is_internal": source.is_internal,
        "kept_back": source.kept_back,
        "needs_a_look": needs_a_look(source),
        "synced_at": _time(source.synced_at),
    }


def document_shape(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "path": document.path,
        "url": document.url,
        "title": document.title,
        "dated_at": _time(document.dated_at),
        "indexed_at": _time(document.indexed_at),
    }


def fact_shape(fact: LearnedFact) -> dict[str, Any]:
    return {
        "id": fact.id,
        "text": fact.text,
        "state": fact.state,
        "session_id": fact.session_id,
        "chat_id": fact.chat_id,
        "stated_by": fact.stated_by,
        "quote": fact.quote,
        "relations": fact.relations,
        "learned_at": _time(fact.created_at),
        "decided_by": fact.decided_by,
        "decided_at": _time(fact.decided_at),
    }


def problem_shape(page: KnowledgePage) -> dict[str, Any]:
    return {"path": page.path, "problem": page.problem, "at": _time(page.read_at)}


def wait_shape(wait: ButtonWaitRow) -> dict[str, Any]:
    return {
        "wait_id": wait.wait_id,
        "state": wait.state,
        "surface": wait.surface_key,
        "buttons": wait.button_ids,
        "clicked": wait.clicked_button,
        "allowed_users": wait.allowed_users,
    }


def key_shape(key: ApiKey) -> dict[str, Any]:
    return {"id": key.id, "name": key.name, "created_at": _time(key.created_at), "revoked_at": _time(key.revoked_at)}


def installation_shape(row: Installation, findings: Sequence[Finding] | None = None) -> dict[str, Any]:
    """Without the credentials; `findings` is None where nobody has looked."""
    return {
        "platform": row.platform,
        "external_id": row.external_id,
        "name": row.name,
        "created_at": _time(row.created_at),
        "is_from_environment": False,
        "findings": None if findings is None else [finding.model_dump() for finding in findings],
    }


def given_shape(platform: str, looked: Checked) -> dict[str, Any]:
    """As `installation_shape`, for credentials that the environment holds."""
    findings = [finding.model_dump() for finding in looked.findings]
    plain = {"external_id": looked.external_id, "name": looked.name, "created_at": None, "findings": findings}
    return {"platform": platform, **plain, "is_from_environment": True}


def passage_shape(found: Candidate) -> dict[str, Any]:
    return {
        "title": found.title,
        "heading": found.heading_path,
        "path": found.path,
        "url": found.url and found.url + (f"#{found.anchor}" if found.anchor else ""),
        "score": found.score,
        "text": found.text,
    }


def sum_shape(spent: Sum) -> dict[str, Any]:
    return {
        "requests": spent.requests,
        "tokens": spent.tokens,
        "input_tokens": spent.input_tokens,
        "cached_tokens": spent.cached_tokens,
        "output_tokens": spent.output_tokens,
        "usd": round(spent.usd, 6),
        "unpriced": spent.unpriced,
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
