"""A knowledge base of one page, as a new project has it, is answered from like any other."""

from pathlib import Path

import pytest

from runllm.bridge.messages import AnswerCategory
from runllm.cli.new_project import write_project
from store import agents, knowledge
from store.engine import Store
from worker.answering.confidence import category_of
from worker.answering.embedding import Chosen
from worker.answering.embedding_minilm import MiniLM, is_complete
from worker.answering.embedding_passages import PassageEmbedding
from worker.answering.ingest import IndexingActivities
from worker.answering.protocol import Question
from worker.answering.retrieval import PassageRetriever

pytestmark = pytest.mark.skipif(not is_complete(), reason="the weights are not there")


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


@pytest.fixture
async def one_page(store: Store, minilm: MiniLM, tmp_path: Path) -> PassageRetriever:
    write_project(tmp_path / "desk")
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", str(tmp_path / "desk" / "docs"))
    await IndexingActivities(store).index_now(source.id)
    await PassageEmbedding(store, Chosen(minilm)).embed(100)
    return PassageRetriever(store, minilm)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("How do I change my password?", AnswerCategory.ANSWERED),
        ("I forgot my password, what now?", AnswerCategory.ANSWERED),
        ("The mail with the reset link does not arrive", AnswerCategory.ANSWERED),
        ("Do you sell elephants to zoos?", AnswerCategory.IRRELEVANT),
    ],
)
async def test_what_the_page_says_is_answered(one_page: PassageRetriever, text: str, category: AnswerCategory) -> None:
    assert category_of(await one_page.find(1, Question(text=text))) is category
