"""Facts from conversations: proposals in the record, with who stated them."""

from collections.abc import Sequence

from temporalio import activity

from gateways.wire import Call
from runllm.operations import Learn
from store import facts
from worker.activities.context import Context
from worker.activities.conversations import conversation
from worker.activities.ledger import close_entry, open_entry
from worker.answering.protocol import Statement, Turn


class LearningActivities:
    """What an agent takes from a conversation for good."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=Learn.name)
    async def learn(self, call: Call[Learn]) -> str:
        """Proposes facts that people other than the asker stated, and says which."""
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, Learn.name)
            said = await conversation(db, call.session_id)
        if entry.is_done:
            return str(entry.result["summary"])
        learned = await self._context.model.learn(said.turns)
        found = [statement for statement in learned if is_by_another(statement, said.turns)]
        async with self._context.store.begin() as db:
            for number, fact in enumerate(found):
                await facts.propose(
                    db,
                    agent_id=said.agent_id,
                    session_id=call.session_id,
                    key=f"{call.key}:{number}",
                    text=fact.text,
                    stated_by=stated_by(fact, said.turns),
                )
            summary = summary_of(found)
            await close_entry(db, entry, {"summary": summary})
        return summary


def is_by_another(statement: Statement, turns: Sequence[Turn]) -> bool:
    """Whether the message that it names was written by a person other than the asker."""
    turn = turns[statement.turn] if 0 <= statement.turn < len(turns) else None
    return turn is not None and turn.author == "user" and not turn.is_asker


def stated_by(statement: Statement, turns: Sequence[Turn]) -> str | None:
    """Who said it."""
    return turns[statement.turn].author_name


def summary_of(found: Sequence[Statement]) -> str:
    """What `Agent.learn` returns."""
    if not found:
        return "Nothing to learn: nobody but the person who asked stated a fact in this conversation."
    count = "1 fact" if len(found) == 1 else f"{len(found)} facts"
    return "\n".join([f"Learned {count}, proposed for the knowledge base:", *(f"- {fact.text}" for fact in found)])
