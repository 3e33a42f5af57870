"""Facts from conversations: proposals in the record, with who stated them."""

from collections.abc import Sequence

from temporalio import activity

from gateways.wire import Call
from runllm.operations import Learn
from store import facts
from worker.activities.context import Context
from worker.activities.conversations import conversation
from worker.activities.ledger import close_entry, open_entry
from worker.answering.protocol import Turn


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
        found = await self._context.model.learn(said.turns)
        async with self._context.store.begin() as db:
            for number, fact in enumerate(found):
                await facts.propose(
                    db,
                    agent_id=said.agent_id,
                    session_id=call.session_id,
                    key=f"{call.key}:{number}",
                    text=fact,
                    stated_by=stated_by(fact, said.turns),
                )
            summary = summary_of(found)
            await close_entry(db, entry, {"summary": summary})
        return summary


def stated_by(fact: str, turns: Sequence[Turn]) -> str | None:
    """Who said it, where the words of the fact are in what one of the others wrote."""
    words = " ".join(fact.split())
    others = (turn for turn in turns if turn.author == "user" and not turn.is_asker)
    return next((turn.author_name for turn in others if words in " ".join(turn.text.split())), None)


def summary_of(found: Sequence[str]) -> str:
    """What `Agent.learn` returns."""
    if not found:
        return "Nothing to learn: nobody but the person who asked stated a fact in this conversation."
    count = "1 fact" if len(found) == 1 else f"{len(found)} facts"
    return "\n".join([f"Learned {count}, proposed for the knowledge base:", *(f"- {fact}" for fact in found)])
