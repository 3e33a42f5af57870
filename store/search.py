"""Finds passages by their words: FTS5 on SQLite, tsvector with GIN on PostgreSQL, the same BM25 on both.

PostgreSQL's own ranks know nothing of how rare a word is and find far worse, so the score is computed here from the
positions that its index holds. In a large knowledge base only the rarest words of a question are looked up: the
common ones match nearly every passage, cost the most and say the least.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LARGE = 20_000
"""From this many passages on, only the rarest words are searched."""

_RAREST = 6
_COMMON = 0.05
_CANDIDATES = 300
_BETWEEN_WORDS = re.compile(r"[\x00-/:-@\[-`{-\x7f]+")


class Candidate(BaseModel):
    """A passage that has some of the words, with its document. A higher score is better."""

    model_config = ConfigDict(frozen=True)

    id: int
    document_id: int
    position: int
    title: str
    heading_path: str
    anchor: str
    text: str
    path: str
    url: str | None
    score: float


_PASSAGE = "p.id, p.document_id, p.position, p.title, p.heading_path, p.anchor, p.text, d.path, d.url"

# Titles and headings count twice. CROSS JOIN: SQLite must look the words up first; its planner would rather ask the
# index about each passage of the agent, which took a hundred times as long.
_SQLITE_SEARCH = text(f"""
    SELECT {_PASSAGE}, -bm25(passages_fts, 2.0, 2.0, 1.0) AS score
    FROM passages_fts CROSS JOIN passages p ON p.id = passages_fts.rowid JOIN documents d ON d.id = p.document_id
    WHERE passages_fts MATCH :query AND p.agent_id = :agent
    ORDER BY score DESC, p.id LIMIT :limit
""")

_SQLITE_FREQUENCY = text("""
    SELECT count(*) FROM passages_fts CROSS JOIN passages p ON p.id = passages_fts.rowid
    WHERE passages_fts MATCH :query AND p.agent_id = :agent
""")

_POSTGRESQL_SEARCH = text(f"""
    WITH term AS (
        SELECT word, idf, phraseto_tsquery('english', word) AS query
        FROM unnest(CAST(:words AS text[]), CAST(:idfs AS float8[])) AS given(word, idf)
    ), candidate AS (
        SELECT p.id, sum(term.idf) AS coverage
        FROM term JOIN passages p ON p.search @@ term.query
        WHERE p.agent_id = :agent
        GROUP BY p.id ORDER BY coverage DESC, p.id LIMIT :candidates
    ), occurrence AS (
        SELECT p.id, term.idf, 0.25 + 0.75 * length(p.text) / :average_length AS size, greatest(1, (
            SELECT sum(CASE weight WHEN 'A' THEN 2 ELSE 1 END)
            FROM unnest(p.search) AS word(lexeme, positions, weights), unnest(word.weights) AS weight
            WHERE quote_literal(word.lexeme) = term.query::text
        )) AS tf
        FROM candidate JOIN passages p USING (id) JOIN term ON p.search @@ term.query
    ), scored AS (
        SELECT id, sum(idf * tf * 2.2 / (tf + 1.2 * size)) AS score FROM occurrence GROUP BY id
    )
    SELECT {_PASSAGE}, scored.score
    FROM scored JOIN passages p USING (id) JOIN documents d ON d.id = p.document_id
    ORDER BY scored.score DESC, p.id LIMIT :limit
""")

_SQLITE_VOCABULARY = text("SELECT term, doc FROM passages_vocabulary")

_POSTGRESQL_VOCABULARY = text("SELECT word, ndoc FROM ts_stat(:passages)")

_SIZE = text("SELECT count(*), avg(length(text)) FROM passages WHERE agent_id = :agent")

_POSTGRESQL_FREQUENCY = text("""
    SELECT word, (SELECT count(*) FROM passages p
                  WHERE p.agent_id = :agent AND p.search @@ phraseto_tsquery('english', word))
    FROM unnest(CAST(:words AS text[])) AS given(word)
""")


async def search(db: AsyncSession, agent_id: int, terms: Sequence[str], limit: int) -> list[Candidate]:
    """The best passages that have any of the terms; a term of several words is looked up as a phrase."""
    size = await _size(db, agent_id)
    frequency = await document_frequency(db, agent_id, terms)
    wanted = _worth_searching(frequency, size.passages)
    if not wanted:
        return []
    if _is_sqlite(db):
        query = " OR ".join(_phrase(term) for term in wanted)
        rows = await db.execute(_SQLITE_SEARCH, {"query": query, "agent": agent_id, "limit": limit})
    else:
        idfs = [_idf(frequency[term], size.passages) for term in wanted]
        parameters = {
            "words": [_searchable(term) for term in wanted],
            "idfs": idfs,
            "average_length": max(size.average_length, 1.0),
        }
        bounds = {"agent": agent_id, "limit": limit, "candidates": max(limit, _CANDIDATES)}
        rows = await db.execute(_POSTGRESQL_SEARCH, parameters | bounds)
    return [Candidate.model_validate(row) for row in rows.mappings()]


async def document_frequency(db: AsyncSession, agent_id: int, terms: Iterable[str]) -> dict[str, int]:
    """How many passages of an agent have each term, in any of its forms."""
    words = {term: _searchable(term) for term in dict.fromkeys(terms)}
    if not _is_sqlite(db):
        given = {"words": sorted(set(words.values())), "agent": agent_id}
        found = {word: count for word, count in await db.execute(_POSTGRESQL_FREQUENCY, given)}
        return {term: found[word] for term, word in words.items()}
    return {
        term: (await db.execute(_SQLITE_FREQUENCY, {"query": f'"{word}"', "agent": agent_id})).scalar_one()
        for term, word in words.items()
    }


async def vocabulary(db: AsyncSession, agent_id: int) -> dict[str, int]:
    """Every word as it is written, in lower case, with the number of passages that have it. Worth keeping.

    On SQLite it has the words of all agents.
    """
    query = _SQLITE_VOCABULARY if _is_sqlite(db) else _POSTGRESQL_VOCABULARY
    parameters = {} if _is_sqlite(db) else {"passages": f"SELECT words FROM passages WHERE agent_id = {int(agent_id)}"}
    return {word: count for word, count in await db.execute(query, parameters)}


def _worth_searching(frequency: Mapping[str, int], passages: int) -> list[str]:
    found = sorted((term for term, count in frequency.items() if count), key=lambda term: frequency[term])
    if passages < LARGE:
        return found
    rare = [term for term in found if frequency[term] < _COMMON * passages]
    return (rare or found)[:_RAREST]


def _idf(count: int, passages: int) -> float:
    """As FTS5 has it: a word that most passages have still counts for something."""
    return max(math.log((passages - count + 0.5) / (count + 0.5)), 1e-6)


def _searchable(term: str) -> str:
    """The words of a term and nothing that has a meaning in a query language. As in the index, ASCII's other
    characters stand between words: an option, a path or an address is found by any part of it."""
    return _BETWEEN_WORDS.sub(" ", term).encode(errors="replace").decode().strip()


def _phrase(term: str) -> str:
    return f'"{_searchable(term)}"'


def _is_sqlite(db: AsyncSession) -> bool:
    return db.get_bind().dialect.name == "sqlite"


class _Size(BaseModel):
    passages: int
    average_length: float


async def _size(db: AsyncSession, agent_id: int) -> _Size:
    found = (await db.execute(_SIZE, {"agent": agent_id})).one()
    return _Size(passages=found[0], average_length=float(found[1] or 0))
