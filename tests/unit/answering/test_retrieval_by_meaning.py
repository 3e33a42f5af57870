"""With vectors, a question finds what says the same in other words; what is internal stays inside."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import update

from runllm.bridge.messages import AnswerCategory
from store import knowledge, vectors
from store.engine import Store
from store.models import KnowledgeSource
from worker.answering.confidence import DEFAULT, category_of
from worker.answering.embedding import Chosen
from worker.answering.embedding_minilm import MiniLM
from worker.answering.embedding_passages import PassageEmbedding
from worker.answering.protocol import Fitted, Found, Question, Turn
from worker.answering.retrieval import PassageRetriever
from worker.answering.vectors import Floats

AGENT = 1
PARAPHRASED = [
    ("somebody stole our secret token", "guides/api-keys.md"),
    ("log in with our company's identity provider", "guides/sso.md"),
    ("where do I see what I have to pay", "operate/billing.md"),
]
OTHER = ["Can you recommend a good pizza dough recipe?", "Who won the football world cup in 1998?"]


def copy(store: Store, path: Path) -> None:
    """All of an open database, also what is in its write-ahead log."""
    with sqlite3.connect(str(store.url.database)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    connection.close()


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="module")
async def embedded(lantern: Store, minilm: MiniLM, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """The sample documentation with its vectors."""
    path = tmp_path_factory.mktemp("embedded") / "runllm.db"
    copy(lantern, path)
    store = await Store.open(f"sqlite:///{path}", migrate=False)
    await PassageEmbedding(store, Chosen(minilm)).embed(10_000)
    yield store
    await store.close()


@pytest.fixture(scope="module")
def retriever(embedded: Store, minilm: MiniLM) -> PassageRetriever:
    return PassageRetriever(embedded, minilm)


def documents(found: Found) -> list[str]:
    return [str(one.url).partition("#")[0].removeprefix("https://docs.lantern.example/") for one in found.passages]


@pytest.mark.parametrize(("question", "document"), PARAPHRASED)
async def test_other_words_find_the_document(retriever: PassageRetriever, question: str, document: str) -> None:
    found = await retriever.find(AGENT, Question(text=question))
    assert document in documents(found)[:2]
    assert category_of(found) is not AnswerCategory.IRRELEVANT


@pytest.mark.parametrize("question", OTHER)
async def test_what_it_is_not_about_is_irrelevant(retriever: PassageRetriever, question: str) -> None:
    found = await retriever.find(AGENT, Question(text=question))
    assert category_of(found) in (AnswerCategory.IRRELEVANT, AnswerCategory.UNANSWERED)
    assert found.evidence is not None
    assert 0.05 < found.evidence.chance.cosine < 0.45


async def test_the_next_question_waits_for_its_own_vector_only_and_finds_the_same(
    embedded: Store, minilm: MiniLM
) -> None:
    class Noting:
        name = minilm.name

        def __init__(self) -> None:
            self.asked: list[str] = []

        async def embed(self, texts: Sequence[str]) -> Floats:
            self.asked += texts
            return await minilm.embed(texts)

    before = Question(text="Where is the price list?", history=[Turn(author="user", text="We are a small school.")])
    then = Turn(author="assistant", text="On the page about plans.")
    said = Turn(author="user", text=before.text)
    after = Question(text="And for students?", history=[*before.history, said, then])
    ready, unready = Noting(), Noting()
    prepared = PassageRetriever(embedded, ready)
    await prepared.expect_more(before)
    ready.asked.clear()
    found = await prepared.find(AGENT, after)
    assert ready.asked[:1] == ["And for students?"]
    assert "Where is the price list?\nWe are a small school." not in ready.asked
    assert found == await PassageRetriever(embedded, unready).find(AGENT, after)
    assert "Where is the price list?\nWe are a small school." in unready.asked


async def test_an_embedder_that_fails_leaves_words(embedded: Store) -> None:
    found = await PassageRetriever(embedded, Failing()).find(AGENT, Question(text="verify the signature of a webhook"))
    assert documents(found)[0] == "guides/webhooks.md"
    assert found.evidence is None


class Failing:
    name = "minilm-l6-v2-int8"

    async def embed(self, texts: Sequence[str]) -> Floats:
        raise ConnectionError("the embedding service is away")


async def test_calibration_counts_from_the_next_question_on(embedded: Store, minilm: MiniLM) -> None:
    strict = Fitted(relevance=[-9, 0, 0, 0], answer=[-9, 0, 0, 0, 0, 0, 0])
    async with embedded.begin() as db:
        await vectors.keep_calibration(db, AGENT, minilm.name, strict.model_dump(mode="json"), {})
    found = await PassageRetriever(embedded, minilm).find(AGENT, Question(text="How do I restore a backup?"))
    async with embedded.begin() as db:
        assert await vectors.forget_calibration(db, AGENT)
    assert category_of(found) is AnswerCategory.IRRELEVANT
    found = await PassageRetriever(embedded, minilm).find(AGENT, Question(text="How do I restore a backup?"))
    assert category_of(found) is AnswerCategory.ANSWERED


async def test_a_calibration_leans_towards_questions_like_those_that_were_labelled(
    embedded: Store, minilm: MiniLM
) -> None:
    question = "How do I restore a backup?"
    away = -30 * (await minilm.embed([question]))[0]
    fitted = Fitted(relevance=DEFAULT.relevance, answer=DEFAULT.answer, direction=away.tolist())
    async with embedded.begin() as db:
        await vectors.keep_calibration(db, AGENT, minilm.name, fitted.model_dump(mode="json"), {})
    found = await PassageRetriever(embedded, minilm).find(AGENT, Question(text=question))
    async with embedded.begin() as db:
        assert await vectors.forget_calibration(db, AGENT)
    assert found.evidence is not None
    assert found.evidence.leaning == pytest.approx(-30, abs=0.1)
    assert category_of(found) is AnswerCategory.IRRELEVANT


async def test_a_calibration_of_an_older_version_does_not_count(
    embedded: Store, minilm: MiniLM, caplog: pytest.LogCaptureFixture
) -> None:
    older = {"relevance": [-9, 0, 0], "answer": [-9, 0, 0, 0, 0, 0]}
    async with embedded.begin() as db:
        await vectors.keep_calibration(db, AGENT, minilm.name, older, {})
    found = await PassageRetriever(embedded, minilm).find(AGENT, Question(text="How do I restore a backup?"))
    async with embedded.begin() as db:
        assert await vectors.forget_calibration(db, AGENT)
    assert category_of(found) is AnswerCategory.ANSWERED
    assert "runllm docs calibrate" in caplog.text


async def test_what_was_asked_before_counts_for_how_sure_an_answer_is(retriever: PassageRetriever) -> None:
    before = [Turn(author="user", text="How do I restore a backup?")]
    alone = await retriever.find(AGENT, Question(text="And then?"))
    after = await retriever.find(AGENT, Question(text="And then?", history=before))
    assert alone.evidence is not None
    assert after.evidence is not None
    assert alone.evidence.earlier == alone.evidence.conversation == alone.evidence.cosine
    assert after.evidence.earlier > after.evidence.conversation > after.evidence.cosine


async def test_internal_passages_are_found_by_colleagues_only(embedded: Store, minilm: MiniLM, tmp_path: Path) -> None:
    copy(embedded, tmp_path / "runllm.db")
    store = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
    async with store.begin() as db:
        await db.execute(update(KnowledgeSource).values(is_internal=True))
    for retriever in (PassageRetriever(store), PassageRetriever(store, minilm)):
        question = Question(text="verify the signature of a webhook")
        assert not (await retriever.find(AGENT, question)).passages
        assert (await retriever.find(AGENT, question.model_copy(update={"audience": "internal"}))).passages
    await store.close()


async def test_new_passages_and_vanished_ones_are_followed(
    embedded: Store, minilm: MiniLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.answering.nearness.FOLLOWS_AFTER", 0.0)
    monkeypatch.setattr("worker.answering.retrieval._SIZE_SECONDS", 0.0)
    copy(embedded, tmp_path / "runllm.db")
    store = await Store.open(f"sqlite:///{tmp_path}/runllm.db", migrate=False)
    retriever = PassageRetriever(store, minilm)
    question = Question(text="feeding hungry marsupials")
    await retriever.find(AGENT, question)
    async with store.begin() as db:
        source = await knowledge.add_source(db, AGENT, "folder", "/zoo")
        passage = knowledge.NewPassage(text="Kangaroos and wombats eat grass twice a day.")
        await knowledge.put_document(db, source, "a.md", "https://zoo.example", "Animals", "hash", [passage])
    await PassageEmbedding(store, Chosen(minilm)).embed(100)
    assert (await retriever.find(AGENT, question)).passages[0].title == "Animals"
    async with store.begin() as db:
        await knowledge.remove_source(db, source.id)
    assert all(one.title != "Animals" for one in (await retriever.find(AGENT, question)).passages)
    await store.close()
