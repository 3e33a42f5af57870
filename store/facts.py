"""Facts that people stated in conversations, and what became of them.

An approved fact is a document of a source of its own, so that it is found as documents are. It becomes one in the
transaction that approves it, and stops being one in the transaction that takes that back.
"""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from store import knowledge
from store.models import Agent, KnowledgeSource, LearnedFact, now
from store.rows import FRESH, change_one, find, insert_new

LOCATION = "learned-facts"
"""The location of the source that an agent's approved facts belong to; its kind is `facts`."""

State = Literal["proposed", "approved", "rejected"]
Policy = Literal["propose", "approve"]


async def policy_of(db: AsyncSession, agent_id: int) -> Policy:
    """What becomes of facts that people state: proposed to somebody, or approved at once."""
    learns = await db.scalar(select(Agent.learns).where(Agent.id == agent_id))
    return "approve" if learns == "approve" else "propose"


async def set_policy(db: AsyncSession, agent_id: int, policy: Policy) -> None:
    """Decides what becomes of facts from now on."""
    await db.execute(update(Agent).where(Agent.id == agent_id).values(learns=policy))


async def propose(
    db: AsyncSession,
    *,
    agent_id: int,
    session_id: int,
    key: str,
    text: str,
    stated_by: str | None,
    chat_id: int | None = None,
    quote: str = "",
    relations: Sequence[dict[str, Any]] = (),
) -> LearnedFact | None:
    """Records a fact for somebody to approve; None where the same `key` did before, which changes nothing."""
    return await insert_new(
        db,
        LearnedFact,
        agent_id=agent_id,
        session_id=session_id,
        key=key,
        text=text,
        stated_by=stated_by,
        chat_id=chat_id,
        quote=quote,
        relations=list(relations),
    )


async def get(db: AsyncSession, fact_id: int, agent_id: int | None = None) -> LearnedFact | None:
    """The fact of that number."""
    mine = [] if agent_id is None else [LearnedFact.agent_id == agent_id]
    return await find(db, LearnedFact, LearnedFact.id == fact_id, *mine)


async def of_session(db: AsyncSession, session_id: int) -> list[LearnedFact]:
    """The facts that a conversation brought, in the order in which they were learned."""
    query = select(LearnedFact).where(LearnedFact.session_id == session_id).order_by(LearnedFact.id)
    return list(await db.scalars(query))


async def of_agent(
    db: AsyncSession, agent_id: int, *, state: State | None = None, before: int | None = None, limit: int | None = None
) -> list[LearnedFact]:
    """The facts of an agent, newest first."""
    query = select(LearnedFact).where(LearnedFact.agent_id == agent_id)
    if state is not None:
        query = query.where(LearnedFact.state == state)
    if before is not None:
        query = query.where(LearnedFact.id < before)
    return list(await db.scalars(query.order_by(LearnedFact.id.desc()).limit(limit)))


async def decide(
    db: AsyncSession, agent_id: int, fact_id: int, state: State, *, by: str, was: Sequence[State]
) -> LearnedFact | None:
    """Changes what became of a fact; None where it is not there, or is in none of the states in `was`."""
    mine = (LearnedFact.id == fact_id, LearnedFact.agent_id == agent_id, LearnedFact.state.in_(was))
    statement = update(LearnedFact).where(*mine).values(state=state, decided_by=by, decided_at=now())
    fact = await change_one(db, statement, LearnedFact)
    if fact is not None:
        await (_publish if state == "approved" else _withdraw)(db, fact)
    return fact


async def source_of(db: AsyncSession, agent_id: int) -> KnowledgeSource | None:
    """The source that an agent's approved facts belong to."""
    mine = (KnowledgeSource.agent_id == agent_id, KnowledgeSource.location == LOCATION)
    return (await db.scalars(select(KnowledgeSource).where(*mine), execution_options=FRESH)).one_or_none()


async def _publish(db: AsyncSession, fact: LearnedFact) -> None:
    """Makes an approved fact a document. The source is new again: its workflow does what else is to be done."""
    source = await source_of(db, fact.agent_id)
    if source is None:
        source = await knowledge.add_source(db, fact.agent_id, "facts", LOCATION)
    passages = [knowledge.NewPassage(text=fact.text)]
    title = title_of(fact)
    digest = knowledge.digest_of(None, title, passages)
    await knowledge.put_document(db, source, path_of(fact.id), None, title, digest, passages, dated_at=fact.created_at)
    await knowledge.set_progress(db, source.id, state="new")


async def _withdraw(db: AsyncSession, fact: LearnedFact) -> None:
    source = await source_of(db, fact.agent_id)
    if source is not None:
        await knowledge.remove_document(db, source.id, path_of(fact.id))


def path_of(fact_id: int) -> str:
    """The path of a fact's document."""
    return f"fact-{fact_id}"


def number_in(path: str) -> int:
    """The fact whose document has that path; 0 where it is none."""
    number = path.removeprefix("fact-")
    return int(number) if number.isdecimal() else 0


def title_of(fact: LearnedFact) -> str:
    """Where a fact comes from, as people are shown it."""
    who = fact.stated_by or "somebody"
    return f"Stated by {who} on {fact.created_at.day} {fact.created_at:%B %Y}"
