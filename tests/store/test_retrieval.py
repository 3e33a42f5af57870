"""The whole of retrieval finds the same on SQLite and on PostgreSQL, with vectors and without."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from store import agents, knowledge
from store.engine import Store
from store.knowledge import NewPassage
from worker.answering.embedding import Chosen
from worker.answering.embedding_passages import PassageEmbedding
from worker.answering.protocol import Question, Turn
from worker.answering.retrieval import PassageRetriever

pytestmark = pytest.mark.store

TEXTS = ["A webhook is called with a signature.", "An invoice is sent each month.", "A theme changes the colours."]


class ByTopic:
    """An embedder that takes a callback for a webhook, and money for an invoice."""

    name = "by-topic"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        topics = (("webhook", "callback"), ("invoice", "money"), ("theme",))
        rows = [[0.1 + sum(text.lower().count(word) for word in topic) for topic in topics] for text in texts]
        made = np.asarray(rows, np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


async def _known(store: Store) -> int:
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", "/docs")
        for text in TEXTS:
            await knowledge.put_document(db, source, text, None, "Page", "hash", [NewPassage(text=text)])
    return agent.id


async def test_words_find_a_passage(store: Store) -> None:
    agent = await _known(store)
    found = await PassageRetriever(store).find(agent, Question(text="verify signatures of webhoks"))
    assert [one.text for one in found.passages] == TEXTS[:1]
    assert (found.searched, found.evidence) == (3, None)


async def test_meaning_finds_a_passage_that_shares_no_word(store: Store) -> None:
    agent = await _known(store)
    await PassageEmbedding(store, Chosen(ByTopic())).embed(10)
    retriever = PassageRetriever(store, ByTopic())
    found = await retriever.find(agent, Question(text="callback"))
    assert found.passages[0].text == TEXTS[0]
    assert found.evidence is not None
    assert found.evidence.cosine > 0.9
    follow_up = Question(text="and how much?", history=[Turn(author="user", text="Where does my money go?")])
    assert (await retriever.find(agent, follow_up)).passages[0].text == TEXTS[1]
