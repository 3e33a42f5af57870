import math

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from store import agents, knowledge, search
from store.knowledge import NewPassage
from store.models import Document, KnowledgeSource, PassageRow
from worker.answering.stems import stem

pytestmark = pytest.mark.store

FILLER = [
    "Colours can be changed in the settings of a page.",
    "A page has a title, which the browser shows.",
    "Every page is saved when it is left.",
    "People see a page when they are invited.",
    "Pictures are made smaller before they are shown on a page.",
    "The page of an invoice shows when it is due.",
]


@pytest.fixture
async def source(db: AsyncSession) -> KnowledgeSource:
    agent = await agents.ensure_agent(db)
    source = await knowledge.add_source(db, agent.id, "folder", "/docs")
    await _put(db, source, "pages.md", "Pages", *FILLER)
    return source


async def _put(db: AsyncSession, source: KnowledgeSource, path: str, title: str, *texts: str) -> None:
    passages = [NewPassage(text=words, heading_path=f"{title} in detail", anchor="detail") for words in texts]
    await knowledge.put_document(db, source, path, f"https://x/{path}", title, "hash", passages)


async def _found(db: AsyncSession, source: KnowledgeSource, *terms: str, limit: int = 10) -> list[str]:
    return [one.text for one in await knowledge.search(db, source.agent_id, terms, limit)]


async def test_a_passage_comes_with_its_document(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "install.md", "Installation", "Run make dev.")
    [found] = await knowledge.search(db, source.agent_id, ["make"], 10)
    assert (found.title, found.heading_path, found.anchor) == ("Installation", "Installation in detail", "detail")
    assert (found.text, found.path, found.url, found.position) == (
        "Run make dev.",
        "install.md",
        "https://x/install.md",
        0,
    )
    assert found.score > 0


async def test_any_term_in_any_form_is_enough(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "a.md", "Other", "Installing takes a minute.", "Nothing of the kind.", "Upgrades are quick.")
    found = await _found(db, source, "INSTALLED", "upgrading", "unheard")
    assert sorted(found) == ["Installing takes a minute.", "Upgrades are quick."]


async def test_small_words_and_stems_are_the_same_in_every_database(db: AsyncSession, source: KnowledgeSource) -> None:
    """PostgreSQL's own English would leave the first three out, and tell the last from "generate"."""
    await _put(db, source, "a.md", "Other", "It is not shown any more before others generate it.", "More of it.")
    counted = await search.document_frequency(db, source.agent_id, ["not", "before", "more", "generously"])
    before = sum("before" in one for one in FILLER)
    assert counted == {"not": 1, "before": before + 1, "more": 2, "generously": 1}
    assert stem("generously") == stem("generate")


async def test_rare_words_count_more_than_common_ones(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "a.md", "Other", "A webhook is called.", "A page, a page, a page.")
    assert (await _found(db, source, "page", "webhook"))[0] == "A webhook is called."


async def test_titles_count_more_than_text(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "a.md", "Various", "Here a webhook is mentioned, as well as this and that.")
    await _put(db, source, "b.md", "Webhook", "Here it is described at length, with this and that.")
    assert (await _found(db, source, "webhook"))[0].startswith("Here it is described")


async def test_more_of_a_word_counts_more(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(
        db, source, "a.md", "Other", "A webhook and a letter and a call.", "A webhook, a webhook, and a webhook."
    )
    assert (await _found(db, source, "webhook"))[0] == "A webhook, a webhook, and a webhook."


async def test_postgresql_scores_by_how_often_words_occur(db: AsyncSession, source: KnowledgeSource) -> None:
    """It reads that number off its own rank, exactly, and words of headings count twice."""
    if db.get_bind().dialect.name == "sqlite":
        return
    texts = {f"{'invoice ' * times}{'other ' * (120 - times)}".strip(): times for times in (1, 2, 3, 7, 40, 119)}
    await _put(db, source, "a.md", "Of an invoice", *texts)
    found = await knowledge.search(db, source.agent_id, ["invoices"], 10)
    passages = [*FILLER, *texts]
    with_it = {one: times + 4 for one, times in texts.items()} | {FILLER[-1]: 1}
    idf = math.log((len(passages) - len(with_it) + 0.5) / (len(with_it) + 0.5))
    average = sum(map(len, with_it)) / len(with_it)
    for one in found:
        times = with_it[one.text]
        expected = max(idf, 1e-6) * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * len(one.text) / average))
        assert one.score == pytest.approx(expected, rel=1e-9)
    assert len(found) == len(with_it)


async def test_a_limit_keeps_the_best(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "a.md", "Other", "One webhook.", "A page about a webhook.")
    assert len(await _found(db, source, "webhook", "page", limit=2)) == 2


async def test_a_term_of_several_words_is_a_phrase(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "a.md", "Other", "Run make dev now.", "Dev people make things run.")
    assert await _found(db, source, "make-dev") == ["Run make dev now."]
    assert await _found(db, source, "make dev") == ["Run make dev now."]


@pytest.mark.parametrize(
    "term",
    [
        '"',
        '" OR "a',
        "''",
        "*",
        "web*",
        "NEAR(",
        "a:b",
        "text:call",
        "--",
        "",
        " ",
        "(",
        "\\",
        "a\0b",
        "\ud800",
        "&|!",
        "🎉",
    ],
)
async def test_no_character_has_a_meaning_of_its_own(db: AsyncSession, source: KnowledgeSource, term: str) -> None:
    await _put(db, source, "a.md", "Other", "Call a webhook.")
    assert await _found(db, source, term, "webhook") == ["Call a webhook."]


@pytest.mark.parametrize("term", ["--max-size", "max", "conf", "example", "/etc/app.conf", "docs.example.com"])
async def test_options_paths_and_addresses_are_found_by_their_parts(
    db: AsyncSession, source: KnowledgeSource, term: str
) -> None:
    passage = "Set --max-size in /etc/app.conf (see https://docs.example.com/conf?id=3.11)."
    await _put(db, source, "a.md", "Other", passage)
    assert await _found(db, source, term) == [passage]


@pytest.mark.parametrize("terms", [[], ["unheard"], ['"', "--"]])
async def test_nothing_is_found_for_words_that_are_nowhere(
    db: AsyncSession, source: KnowledgeSource, terms: list[str]
) -> None:
    assert await _found(db, source, *terms) == []


async def test_an_agent_finds_only_what_it_knows(db: AsyncSession, source: KnowledgeSource) -> None:
    other = await agents.ensure_agent(db, "other")
    theirs = await knowledge.add_source(db, other.id, "folder", "/theirs")
    await _put(db, theirs, "secret.md", "Secret", "The webhook of another agent.")
    assert await _found(db, source, "webhook") == []
    assert await knowledge.document_frequency(db, source.agent_id, ["webhook"]) == {"webhook": 0}
    assert await _found(db, theirs, "webhook") == ["The webhook of another agent."]


async def test_passages_with_a_term_are_counted(db: AsyncSession, source: KnowledgeSource) -> None:
    found = await knowledge.document_frequency(db, source.agent_id, ["pages", "invoices", "unheard", "--", "pages"])
    assert found == {"pages": 6, "invoices": 1, "unheard": 0, "--": 0}


async def test_the_vocabulary_has_words_as_they_are_written(db: AsyncSession, source: KnowledgeSource) -> None:
    words = await knowledge.vocabulary(db, source.agent_id)
    assert (words["pages"], words["invoice"], words["smaller"]) == (6, 1, 1)
    assert "Pages" not in words
    assert "invoic" not in words


async def test_the_index_keeps_in_step_with_the_passages(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "a.md", "Other", "Call a webhook.")
    await db.execute(update(PassageRow).where(PassageRow.text == "Call a webhook.").values(text="Call a friend."))
    assert await _found(db, source, "webhook") == []
    assert await _found(db, source, "friend") == ["Call a friend."]
    await db.execute(delete(Document).where(Document.path == "a.md"))  # takes its passages along
    assert await _found(db, source, "friend") == []
    assert "friend" not in await knowledge.vocabulary(db, source.agent_id)


@pytest.mark.parametrize("opened", ["sqlite"], indirect=True)
async def test_sqlite_finds_its_index_to_be_whole(db: AsyncSession, source: KnowledgeSource) -> None:
    await _put(db, source, "pages.md", "Pages", *FILLER[:3])
    await knowledge.remove_source(db, source.id)
    for index in ("passages_fts", "passages_words"):
        await db.execute(text(f"INSERT INTO {index}({index}, rank) VALUES ('integrity-check', 1)"))


async def test_of_a_large_knowledge_base_only_rare_words_are_searched(
    db: AsyncSession, source: KnowledgeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LARGE", 5)
    monkeypatch.setattr(search, "_COMMON", 0.5)
    assert await _found(db, source, "page", "invoice") == ["The page of an invoice shows when it is due."]
    assert len(await _found(db, source, "page")) == 6  # common, and all there is


async def test_a_large_postgresql_knows_common_words_by_its_statistics(
    db: AsyncSession, source: KnowledgeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.get_bind().dialect.name == "sqlite":
        return
    monkeypatch.setattr(search, "LARGE", 100)
    texts = [f"Chapter {n} is about invoices{' and refunds' if n % 4 == 0 else ''}." for n in range(200)]
    await _put(db, source, "chapters.md", "Chapters", *texts)
    await db.flush()
    await db.execute(text("ANALYZE passages"))
    await _put(db, source, "more.md", "More", *["A refund of an invoice."] * 50)
    counted = await search.document_frequency(db, source.agent_id, ["refunds", "199", "unheard"])
    assert counted == {"refunds": 50, "199": 1, "unheard": 0}, "only what is common is not counted anew"
    other = await agents.ensure_agent(db, "other")
    theirs = await knowledge.add_source(db, other.id, "folder", "/theirs")
    await _put(db, theirs, "a.md", "A", "Of one who sells nothing.")
    shared = await search.document_frequency(db, source.agent_id, ["refunds"])
    assert shared == {"refunds": 100}, "statistics are of all agents together"


async def test_a_question_may_be_very_long(db: AsyncSession, source: KnowledgeSource) -> None:
    words = [f"word{number}" for number in range(1000)]
    await _put(db, source, "a.md", "Other", " ".join(words), "A webhook.")
    found = await _found(db, source, "webhook", *words, *(f"unheard{number}" for number in range(2000)))
    assert len(found) == 2


async def test_the_size_of_a_knowledge_base_is_known(db: AsyncSession, source: KnowledgeSource) -> None:
    assert await search.size(db, source.agent_id) == len(FILLER)
    assert await search.average_length(db, source.agent_id) == pytest.approx(sum(map(len, FILLER)) / len(FILLER))
    assert await search.size(db, source.agent_id + 1) == 0
    assert await search.average_length(db, source.agent_id + 1) == 0
