"""Finds passages by their words: FTS5 on SQLite, tsvector with GIN on PostgreSQL, the same BM25 on both.

PostgreSQL's own ranks know nothing of how rare a word is and find far worse, so the score is computed here from the
positions that its index holds. In a large knowledge base only the rarest words of a question are looked up: the
common ones match nearly every passage, cost the most and say the least.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

LARGE = 20_000
"""From this many passages on, only the rarest words are searched."""

_RAREST = 6
_MOST = 200
_COMMON = 0.05
_MOST_MATCHES = 5_000
"""Of all words together: each match is scored, and more words than that only repeat what the rarest ones found."""

_MOST_ROWS = 3_000
"""The same for PostgreSQL, which has to look at the row of each match, 1 µs each."""

_SAMPLED = 0.01
"""A word that this share of a large table has is common enough to be known by its statistics, to about 5 %."""

_CANDIDATES = 300
_CANDIDATES_OF_A_LARGE = 200
_BATCH = 100
_SAMPLE = 5_000
_BETWEEN_WORDS = re.compile(r"[\x00-/:-@\[-`{-\x7f]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that has some of the words, with its document. A higher score is better.

    Its fields are the columns of the queries, in their order. A question makes hundreds of them: a plain class takes a
    fifth of the time that a model takes.
    """

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

_HIDDEN = """(:internal OR d.source_id NOT IN
    (SELECT s.id FROM knowledge_sources s WHERE s.agent_id = :agent AND s.is_internal))"""

_NONE_HIDDEN = """
    (:internal OR NOT EXISTS (SELECT 1 FROM knowledge_sources WHERE agent_id = :agent AND is_internal))"""

# Each half looks into the index once; an OR of them would read the index as a whole on PostgreSQL.
_IS_SHARED = """(
    EXISTS (SELECT 1 FROM passages WHERE agent_id < :agent) OR EXISTS (SELECT 1 FROM passages WHERE agent_id > :agent)
)"""

_SHARED = text(f"SELECT {_IS_SHARED}")

# Titles and headings count twice. Where every match is the agent's and may be seen, the index alone decides, and only
# what it chose is read. Elsewhere CROSS JOIN: SQLite must look the words up first; its planner would rather ask the
# index about each passage of the agent, which took a hundred times as long. Only one of the two is carried out.
_SQLITE_SEARCH = text(f"""
    WITH visible AS MATERIALIZED (
        SELECT NOT {_IS_SHARED}
            AND {_NONE_HIDDEN} AS are_all
    ), of_all AS (
        SELECT rowid AS id, -bm25(passages_fts, 2.0, 2.0, 1.0) AS score FROM passages_fts
        WHERE (SELECT are_all FROM visible) AND passages_fts MATCH :query ORDER BY score DESC, rowid LIMIT :limit
    ), of_some AS (
        SELECT p.id, -bm25(passages_fts, 2.0, 2.0, 1.0) AS score
        FROM passages_fts CROSS JOIN passages p ON p.id = passages_fts.rowid JOIN documents d ON d.id = p.document_id
        WHERE NOT (SELECT are_all FROM visible) AND passages_fts MATCH :query AND p.agent_id = :agent AND {_HIDDEN}
        ORDER BY score DESC, p.id LIMIT :limit
    ), best AS (
        SELECT * FROM of_all UNION ALL SELECT * FROM of_some
    )
    SELECT {_PASSAGE}, best.score
    FROM best CROSS JOIN passages p ON p.id = best.id JOIN documents d ON d.id = p.document_id
    ORDER BY best.score DESC, p.id
""")

_BY_ID = f"""
    SELECT {_PASSAGE}, 0.0 AS score FROM passages p JOIN documents d ON d.id = p.document_id
    WHERE {{some}} AND p.agent_id = :agent AND {_HIDDEN}
"""
_SQLITE_BY_ID = text(_BY_ID.format(some="p.id IN :ids")).bindparams(bindparam("ids", expanding=True))
_POSTGRESQL_BY_ID = text(_BY_ID.format(some="p.id = ANY(CAST(:ids AS integer[]))"))
"""One statement for any number, so that it is prepared once."""

# Ten times quicker where all passages are the agent's: then the index alone knows.
_SQLITE_FREQUENCY = """CASE WHEN (SELECT yes FROM shared) THEN (
    SELECT count(*) FROM passages_fts CROSS JOIN passages p ON p.id = passages_fts.rowid
    WHERE passages_fts MATCH :{name} AND p.agent_id = :agent
) ELSE (SELECT count(*) FROM passages_fts WHERE passages_fts MATCH :{name}) END"""

# PostgreSQL tells how often a passage has a word only together with all of its other words, which takes ten times as
# long as all else. Its rank of one word is the sum of 1/j² for j from 1 to that number, divided by what the sum is
# without end: what is missing to 1 says the number.
_TIMES = "round(1 / (1.6449340668482264 * (1 - ts_rank('{{{weights}}}', c.search, term.query))) - 0.5)"

# Candidates are the passages with the rarest words; only theirs are read, since a row is wide. Which documents are
# hidden is looked up only where there are some. Of a phrase only whether it occurs is counted, not how often.
_POSTGRESQL_SEARCH = text(f"""
    WITH term AS (
        SELECT idf, query, numnode(query) = 1 AS is_word
        FROM unnest(CAST(:words AS text[]), CAST(:idfs AS float8[])) AS given(word, idf),
            phraseto_tsquery('runllm_porter', word) AS query
    ), visible AS MATERIALIZED (
        SELECT {_NONE_HIDDEN} AS are_all
    ), rarest AS MATERIALIZED (
        SELECT p.id
        FROM term JOIN passages p ON p.search @@ term.query
        WHERE p.agent_id = :agent AND ((SELECT are_all FROM visible) OR NOT EXISTS (
            SELECT 1 FROM documents d JOIN knowledge_sources s ON s.id = d.source_id
            WHERE d.id = p.document_id AND s.agent_id = :agent AND s.is_internal
        ))
        GROUP BY p.id ORDER BY sum(term.idf) DESC, p.id LIMIT :candidates
    ), candidate AS MATERIALIZED (
        SELECT p.id, p.search, length(p.text) AS length FROM rarest JOIN passages p USING (id)
    ), average AS (
        SELECT greatest(avg(length), 1) AS length FROM candidate
    ), occurrence AS MATERIALIZED (
        SELECT c.id, term.idf, CAST(c.length / average.length AS float8) AS length, CASE
            WHEN is_word THEN {_TIMES.format(weights="1,1,1,1")} + {_TIMES.format(weights="0,0,0,1")}
            WHEN c.search @@ term.query THEN 1 ELSE 0 END AS tf
        FROM candidate c, term, average
    ), best AS (
        SELECT id, sum(idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length))) AS score
        FROM occurrence GROUP BY id ORDER BY score DESC, id LIMIT :limit
    )
    SELECT {_PASSAGE}, best.score
    FROM best JOIN passages p USING (id) JOIN documents d ON d.id = p.document_id
    ORDER BY best.score DESC, p.id
""")

_SQLITE_VOCABULARY = text("SELECT term, doc FROM passages_vocabulary")

_POSTGRESQL_VOCABULARY = text("SELECT word, ndoc FROM ts_stat(:passages)")

_SIZE = text("SELECT count(*) FROM passages WHERE agent_id = :agent")

_AVERAGE_LENGTH = text("""
    SELECT avg(length(sampled.text)) FROM (SELECT text FROM passages WHERE agent_id = :agent LIMIT :some) AS sampled
""")

_POSTGRESQL_FREQUENCY = text("""
    SELECT word, (SELECT count(*) FROM passages p
                  WHERE p.agent_id = :agent AND p.search @@ phraseto_tsquery('runllm_porter', word))
    FROM unnest(CAST(:words AS text[])) AS given(word)
""")

# To count a common word costs more than all else of a question, and what it weighs changes little with a passage more
# or less: in a large table with one agent's passages only, the planner's statistics of a sample tell it well enough.
_POSTGRESQL_COMMON = text("""
    SELECT given.word, round(sampled.share * size.passages)
    FROM unnest(CAST(:words AS text[])) AS given(word),
        (SELECT reltuples AS passages FROM pg_class WHERE oid = 'passages'::regclass) AS size,
        pg_stats,
        unnest(CAST(CAST(most_common_elems AS text) AS text[]), most_common_elem_freqs) AS sampled(stem, share)
    WHERE schemaname = current_schema() AND tablename = 'passages' AND attname = 'search'
        AND size.passages >= :large AND sampled.share >= :common
        AND tsvector_to_array(to_tsvector('runllm_porter', given.word)) = ARRAY[sampled.stem]
""")


async def search(
    db: AsyncSession,
    agent_id: int,
    terms: Sequence[str],
    limit: int,
    *,
    frequency: Mapping[str, int] | None = None,
    size: int | None = None,
    internal: bool = False,
) -> list[Candidate]:
    """The best passages that have any of the terms; a term of several words is looked up as a phrase.

    `frequency` and `size` are for those who know them already: counting costs as much as searching. Passages of
    internal sources are found only with `internal`.
    """
    passages = (await db.execute(_SIZE, {"agent": agent_id})).scalar_one() if size is None else size
    words = {_searchable(term): term for term in terms}
    words.pop("", None)
    if frequency is None:
        frequency = await document_frequency(db, agent_id, words)
        words = {word: word for word in words}
    most = _MOST_MATCHES if _is_sqlite(db) else _MOST_ROWS
    wanted = _worth_searching({word: frequency.get(term, 0) for word, term in words.items()}, passages, most)
    if not wanted:
        return []
    parameters: dict[str, Any] = {"agent": agent_id, "limit": limit}
    if _is_sqlite(db):
        parameters["query"] = " OR ".join(f'"{word}"' for word in wanted)
        rows = await db.execute(_SQLITE_SEARCH, {**parameters, "internal": internal})
    else:
        parameters["words"] = wanted
        parameters["idfs"] = [_idf(frequency[words[word]], passages) for word in wanted]
        parameters["candidates"] = max(limit, _CANDIDATES if passages < LARGE else _CANDIDATES_OF_A_LARGE)
        rows = await db.execute(_POSTGRESQL_SEARCH, {**parameters, "internal": internal})
    return [Candidate(*row) for row in rows]


async def by_id(db: AsyncSession, agent_id: int, ids: Collection[int], *, internal: bool = False) -> list[Candidate]:
    """Those of an agent's passages, as candidates without a score."""
    if not ids:
        return []
    query = _SQLITE_BY_ID if _is_sqlite(db) else _POSTGRESQL_BY_ID
    rows = await db.execute(query, {"ids": list(ids), "agent": agent_id, "internal": internal})
    return [Candidate(*row) for row in rows]


async def _is_shared(db: AsyncSession, agent_id: int) -> bool:
    return bool((await db.execute(_SHARED, {"agent": agent_id})).scalar_one())


async def size(db: AsyncSession, agent_id: int) -> int:
    """How many passages an agent has."""
    found: int = (await db.execute(_SIZE, {"agent": agent_id})).scalar_one()
    return found


async def average_length(db: AsyncSession, agent_id: int) -> float:
    """Of the texts of an agent's passages, in characters; of a large knowledge base, of some of them."""
    return float((await db.execute(_AVERAGE_LENGTH, {"agent": agent_id, "some": _SAMPLE})).scalar_one() or 0.0)


async def document_frequency(db: AsyncSession, agent_id: int, terms: Iterable[str]) -> dict[str, int]:
    """How many passages of an agent have each term, in any of its forms."""
    words = {term: _searchable(term) for term in dict.fromkeys(terms)}
    different = sorted(set(words.values()) - {""})
    found = {"": 0}
    for first in range(0, len(different), _BATCH):
        batch = different[first : first + _BATCH]
        found |= await (_count_in_sqlite if _is_sqlite(db) else _count_in_postgresql)(db, agent_id, batch)
    return {term: found[word] for term, word in words.items()}


async def _count_in_sqlite(db: AsyncSession, agent_id: int, words: Sequence[str]) -> dict[str, int]:
    columns = ", ".join(_SQLITE_FREQUENCY.format(name=f"word{number}") for number in range(len(words)))
    query = text(f"WITH shared AS MATERIALIZED (SELECT {_IS_SHARED} AS yes) SELECT {columns}")
    parameters = {f"word{number}": f'"{word}"' for number, word in enumerate(words)}
    row = (await db.execute(query, {**parameters, "agent": agent_id})).one()
    return dict(zip(words, row, strict=True))


async def _count_in_postgresql(db: AsyncSession, agent_id: int, words: Sequence[str]) -> dict[str, int]:
    found = {} if await _is_shared(db, agent_id) else await _common(db, words)
    rare = [word for word in words if word not in found]
    if rare:
        rows = await db.execute(_POSTGRESQL_FREQUENCY, {"words": rare, "agent": agent_id})
        found |= {word: count for word, count in rows}
    return found


async def _common(db: AsyncSession, words: Sequence[str]) -> dict[str, int]:
    rows = await db.execute(_POSTGRESQL_COMMON, {"words": words, "large": LARGE, "common": _SAMPLED})
    return {word: int(count) for word, count in rows}


async def vocabulary(db: AsyncSession, agent_id: int) -> dict[str, int]:
    """Every word as it is written, in lower case, with the number of passages that have it. Worth keeping.

    On SQLite it has the words of all agents.
    """
    query = _SQLITE_VOCABULARY if _is_sqlite(db) else _POSTGRESQL_VOCABULARY
    parameters = {} if _is_sqlite(db) else {"passages": f"SELECT words FROM passages WHERE agent_id = {int(agent_id)}"}
    return {word: count for word, count in await db.execute(query, parameters)}


def _worth_searching(frequency: Mapping[str, int], passages: int, most: int) -> list[str]:
    """Words that there are, the rarest first."""
    found = sorted((word for word, count in frequency.items() if count), key=lambda word: frequency[word])
    if passages < LARGE:
        return found[:_MOST]
    rare = [word for word in found if frequency[word] < _COMMON * passages]
    wanted: list[str] = []
    matches = 0
    for word in (rare or found)[:_RAREST]:
        matches += frequency[word]
        if wanted and matches > most:
            break
        wanted.append(word)
    return wanted


def _idf(count: int, passages: int) -> float:
    """As FTS5 has it: a word that most passages have still counts for something."""
    return max(math.log((passages - count + 0.5) / (count + 0.5)), 1e-6)


def _searchable(term: str) -> str:
    """The words of a term and nothing that has a meaning in a query language. As in the index, ASCII's other
    characters stand between words: an option, a path or an address is found by any part of it."""
    return _BETWEEN_WORDS.sub(" ", term).encode(errors="replace").decode().strip()


def _is_sqlite(db: AsyncSession) -> bool:
    return db.get_bind().dialect.name == "sqlite"
