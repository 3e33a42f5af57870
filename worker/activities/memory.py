"""Long conversations: what is old is summarised once, and the summary is written on as the conversation grows."""

from collections.abc import Sequence

from store import summaries
from worker.activities.context import Context
from worker.activities.conversations import Conversation
from worker.answering.protocol import Model, Question, Turn

KEPT = 2
"""So many of the newest messages are always sent as they are, however long they are."""


def fits(model: Model, question: Question) -> bool:
    """Whether a model takes the whole conversation in as it is."""
    return not model.longest or _length(question.history) <= model.longest


async def shortened(context: Context, session_id: int, question: Question) -> Question:
    """`question` with a summary of the messages that are too old to be sent as they are.

    The summary in the record is written on once what came after it has grown too long again. It is an addition for the
    model: retrieval and the stable numbers of redaction go on seeing the whole history.
    """
    if fits(context.model, question):
        return question
    longest = context.model.longest
    covered, text = await _so_far(context, session_id, question.history)
    after = question.history[covered:]
    if _length(after) <= longest or len(after) <= KEPT:
        return question.model_copy(update={"summary": text, "summarised": covered})
    end = len(question.history) - _newest(after, longest // 2)
    text = await context.model.summarize(question.history[covered:end], text)
    last = question.history[end - 1]
    async with context.store.begin() as db:
        await summaries.extend(db, session_id, last.chat_id, text)
    return question.model_copy(update={"summary": text, "summarised": end})


async def summary_of(context: Context, session_id: int, said: Conversation) -> str:
    """The whole conversation in a few sentences, from its running summary where it has one."""
    if not context.model.longest:
        return await context.model.summarize(said.turns)
    covered, text = await _so_far(context, session_id, said.turns)
    return await context.model.summarize(said.turns[covered:], text)


async def _so_far(context: Context, session_id: int, history: Sequence[Turn]) -> tuple[int, str]:
    """How many messages the summary in the record covers, and what it says."""
    async with context.store.read() as db:
        row = await summaries.of(db, session_id)
    if row is None:
        return 0, ""
    covered = sum(turn.chat_id <= row.until_chat_id for turn in history)
    return covered, row.text


def _newest(turns: Sequence[Turn], longest: int) -> int:
    """How many of the newest messages stay: half of what fits, so that the next summary is not due at once."""
    kept = KEPT
    while kept < len(turns) and _length(turns[-kept - 1 :]) <= longest:
        kept += 1
    return kept


def _length(turns: Sequence[Turn]) -> int:
    return sum(len(turn.text) for turn in turns)
