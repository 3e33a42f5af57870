"""Facts from conversations: held against rules and what is known, then proposed or approved, with who said so."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from gateways.wire import Call
from runllm.operations import Learn
from store import audit, facts, knowledge
from store.models import LearnedFact
from worker.activities.context import Context
from worker.activities.conversations import Conversation, conversation
from worker.activities.ledger import close_entry, open_entry
from worker.answering import learnable
from worker.answering.blocks import sentences
from worker.answering.likeness import relation
from worker.answering.protocol import Found, Question, Retriever, Statement

log = logging.getLogger(__name__)

_COMPARED = 8
_FACTS_COMPARED = 1000
_SHOWN = 3


@dataclass(frozen=True)
class Related:
    """What was known already about the same thing.

    Attributes:
        how: `same`, `similar`, `conflict`, or `link` for a fact that leads to a host nobody knows.
        what: Where it stands: a document's title, a fact's number.
        text: What it says.
        url: Where it can be read.
    """

    how: str
    what: str
    text: str = ""
    url: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """As the record keeps it."""
        return {"how": self.how, "what": self.what, "text": self.text, "url": self.url}


@dataclass
class Harvest:
    """What became of the statements of a conversation."""

    learned: list[LearnedFact] = field(default_factory=list)
    known: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class LearningActivities:
    """What an agent takes from a conversation for good."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=Learn.name)
    async def learn(self, call: Call[Learn]) -> str:
        """Takes facts that people other than the asker stated, and says which."""
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, Learn.name)
            said = await conversation(db, call.session_id)
        if entry.is_done:
            return str(entry.result["summary"])
        harvest = Harvest()
        statements = await self._allowed(said, harvest)
        found = [await in_knowledge(self._context.retriever, said.agent_id, one.text) for one in statements]
        async with self._context.store.begin() as db:
            for number, (statement, related) in enumerate(zip(statements, found, strict=True)):
                await _record(db, call, f"{call.key}:{number}", statement, related, said, harvest)
            summary = summary_of(harvest)
            await close_entry(db, entry, {"summary": summary})
        return summary

    async def _allowed(self, said: Conversation, harvest: Harvest) -> list[Statement]:
        """The statements of the model that may be learned, each once."""
        allowed: dict[str, Statement] = {}
        for statement in await self._context.model.learn(said.turns):
            reason = learnable.refusal(statement, said.turns)
            if reason is None:
                allowed.setdefault(_squeezed(statement.text), statement)
            else:
                harvest.refused[reason] += 1
                log.info("a statement was not learned: it %s", reason)
        return list(allowed.values())


async def in_knowledge(retriever: Retriever, agent_id: int, text: str) -> list[Related]:
    """What the documents say about the same thing."""
    found: Found = await retriever.find(agent_id, Question(text=text), limit=_COMPARED)
    related: list[Related] = []
    for passage in found.passages:
        compared = ((relation(text, one), one) for one in sentences(" ".join(passage.text.split())))
        worst = min((pair for pair in compared if pair[0]), key=lambda pair: _WORST.index(str(pair[0])), default=None)
        if worst is not None:
            source = passage.source()
            related.append(Related(how=str(worst[0]), what=source.title, text=worst[1], url=source.url))
    return related


_WORST = ("conflict", "same", "similar")


async def _record(
    db: AsyncSession,
    call: Call[Learn],
    key: str,
    statement: Statement,
    related: list[Related],
    said: Conversation,
    harvest: Harvest,
) -> None:
    """Proposes one statement, unless it was before; approves it where that is the rule and nothing is against it."""
    before = await facts.of_agent(db, said.agent_id, limit=_FACTS_COMPARED)
    if any(_squeezed(fact.text) == _squeezed(statement.text) for fact in before):
        harvest.known += 1
        return
    related = [*related, *_among(before, statement.text), *await _strange_links(db, said.agent_id, statement.text)]
    related.sort(key=lambda one: _ORDER.index(one.how))
    fact = await facts.propose(
        db,
        agent_id=said.agent_id,
        session_id=call.session_id,
        key=key,
        text=statement.text,
        stated_by=said.turns[statement.turn].author_name,
        chat_id=said.chat_ids[statement.turn],
        quote=statement.quote,
        relations=[one.as_dict() for one in related[:_SHOWN]],
    )
    if fact is None:
        return
    if not related and await facts.policy_of(db, said.agent_id) == "approve":
        fact = await facts.decide(db, said.agent_id, fact.id, "approved", by=AUTOMATIC, was=["proposed"]) or fact
        await audit.record(db, actor=AUTOMATIC, action="approve fact", subject=f"fact {fact.id}")
    harvest.learned.append(fact)


AUTOMATIC = "the agent's policy"
_ORDER = ("conflict", "link", "same", "similar")


def _among(before: Sequence[LearnedFact], text: str) -> list[Related]:
    """What facts that were not rejected say about the same thing."""
    compared = ((relation(text, fact.text), fact) for fact in before if fact.state != "rejected")
    return [Related(how=how, what=f"fact {fact.id}, {fact.state}", text=fact.text) for how, fact in compared if how]


async def _strange_links(db: AsyncSession, agent_id: int, text: str) -> list[Related]:
    if not learnable.hosts_in(text):
        return []
    sources = await knowledge.sources(db, agent_id)
    places = [place for source in sources for place in (source.location, source.base_url) if place]
    known = {urlsplit(place).hostname or "" for place in places}
    if not learnable.leads_elsewhere(text, known):
        return []
    return [Related(how="link", what=", ".join(sorted(learnable.hosts_in(text) - known)))]


def _squeezed(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".! ")


def summary_of(harvest: Harvest) -> str:
    """What `Agent.learn` returns."""
    lines = [*_learned(harvest.learned), *_left_out(harvest)]
    if lines:
        return "\n".join(lines)
    return "Nothing to learn: nobody but the person who asked stated a fact in this conversation."


def _learned(learned: Sequence[LearnedFact]) -> list[str]:
    lines: list[str] = []
    for state, title in (("approved", "Learned {}:"), ("proposed", "Learned {}, proposed for the knowledge base:")):
        some = [fact for fact in learned if fact.state == state]
        if some:
            lines.append(title.format("1 fact" if len(some) == 1 else f"{len(some)} facts"))
            lines += [f"- {fact.text}{_against(fact)}" for fact in some]
    numbers = ", ".join(str(fact.id) for fact in learned)
    if learned:
        lines.append(f"`runllm facts list` shows them (number {numbers}), and how to undo that.")
    return lines


def _against(fact: LearnedFact) -> str:
    """What a person should look at before believing it."""
    if not fact.relations:
        return ""
    first = fact.relations[0]
    words = {
        "conflict": "something else is said in",
        "same": "the same is said in",
        "similar": "much the same is said in",
        "link": "it leads to",
    }
    return f" ({words[first['how']]} {first['what']})"


def _left_out(harvest: Harvest) -> list[str]:
    lines = []
    if harvest.known:
        lines.append(f"Known already: {harvest.known}.")
    if harvest.refused:
        reasons = "; ".join(
            f"1 statement, which {reason}" if count == 1 else f"{count} statements, each of which {reason}"
            for reason, count in harvest.refused.items()
        )
        lines.append(f"Not learned: {reasons}.")
    return lines
