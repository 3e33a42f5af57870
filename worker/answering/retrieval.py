"""Finds the passages that a question is about, by its words.

The store brings candidates; what they are worth is decided here, the same for every database. A further part of the
score, like the nearness of meaning, belongs into `_scored`.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from store import knowledge, search
from store.engine import Store
from store.search import Candidate
from worker.answering.protocol import Found, Passage, Question, Turn
from worker.answering.stems import stem
from worker.answering.words import idf, nearest_word, stems, terms

HISTORY_WEIGHT = 0.45
"""What people asked before counts, measured on conversations that people had with documentation.

Their own words only: 220 follow-up questions gave nDCG@10 0.72 without the messages before, 0.74 with all of them, and
0.80 with those of people. An answer is made of a passage's words, and would bring that passage back for ever.
"""

_HISTORY_TURNS = 4
_LOOKED_AT = 5
_CANDIDATES = 100
_OF_ONE_DOCUMENT = 3
_K1 = 1.2
_B = 0.75
_TITLE_WEIGHT = 2
_TYPO_LENGTHS = range(4, 31)
_MOST_TERMS = 64
"""Of a message. Who pastes a log says at its beginning what it is about, or nowhere."""

_SIZE_SECONDS = 5.0
_VOCABULARY_SECONDS = 60.0


@dataclass(frozen=True)
class _Query:
    """Stems to look for, with how much each counts."""

    weights: Mapping[str, float]

    @property
    def total(self) -> float:
        """What a passage with all of them would be worth."""
        return sum(self.weights.values())


@dataclass
class _Knowledge:
    """What is remembered for a while of one agent's knowledge base."""

    size: int = 0
    average_length: float = 1.0
    size_until: float = 0.0
    vocabulary: dict[str, int] = field(default_factory=dict)
    vocabulary_until: float = 0.0


class LexicalRetriever:
    """BM25 over the store's candidates, with typos repaired by the knowledge base's own words."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remembered: dict[int, _Knowledge] = {}

    async def find(self, agent_id: int, question: Question, limit: int = 8) -> Found:
        """The best passages for the last message, seen in the light of the ones before it."""
        known = self._remembered.setdefault(agent_id, _Knowledge())
        async with self._store.read() as db:
            await _measure(db, agent_id, known)
            if not known.size:
                return Found()
            asked, last = await _query(db, agent_id, known, terms(question.text)[:_MOST_TERMS], repair=True)
            before, history = await _query(db, agent_id, known, _history_terms(question.history), repair=False)
            found = {one.id: one for one in await search.search(db, agent_id, asked, _CANDIDATES)}
            if before and asked:
                found |= {one.id: one for one in await search.search(db, agent_id, before, _CANDIDATES)}
        ranked = _ranked(list(found.values()), last, history, known.average_length)
        best = sorted((one for one in ranked[:_LOOKED_AT] if one.score > 0), key=lambda one: -one.match)
        return Found(
            passages=[_passage(one) for one in _diverse(ranked, limit)],
            coverage=best[0].coverage if best else 0.0,
            top_score=best[0].match if best else 0.0,
            weights=dict(last.weights),
            searched=known.size,
        )


@dataclass(frozen=True)
class _Ranked:
    """A passage with its score, which of the question's words it has, and how much it is about them."""

    candidate: Candidate
    score: float
    coverage: float
    match: float


def _ranked(candidates: Sequence[Candidate], last: _Query, history: _Query, average_length: float) -> list[_Ranked]:
    scored = [_scored(candidate, last, history, average_length) for candidate in candidates]
    return sorted(scored, key=lambda one: (-one.score, one.candidate.id))


def _scored(candidate: Candidate, last: _Query, history: _Query, average_length: float) -> _Ranked:
    """What a passage is worth: the one place where that is decided."""
    heading = stems(f"{candidate.title} {candidate.heading_path}")
    counts = Counter(stems(candidate.text))
    for word in heading:
        counts[word] += _TITLE_WEIGHT
    length = len(candidate.text) / average_length
    own = _bm25(counts, length, last.weights)
    covered = sum(weight for word, weight in last.weights.items() if word in counts)
    total = last.total or 1.0
    score = own + HISTORY_WEIGHT * _bm25(counts, length, history.weights)
    # A question that stands alone fits by itself; "and how do I raise it?" fits together with what came before.
    match = max(own / total, score / (total + HISTORY_WEIGHT * history.total))
    return _Ranked(candidate, score=score, coverage=covered / total, match=match)


def _bm25(counts: Mapping[str, int], length: float, weights: Mapping[str, float]) -> float:
    score = 0.0
    for word, weight in weights.items():
        count = counts.get(word, 0)
        if count:
            score += weight * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))
    return score


def _diverse(ranked: Sequence[_Ranked], limit: int) -> list[_Ranked]:
    """The best, but not all from one document."""
    taken: Counter[int] = Counter()
    chosen: list[_Ranked] = []
    for one in ranked:
        if one.score <= 0 or len(chosen) == limit:
            break
        if taken[one.candidate.document_id] < _OF_ONE_DOCUMENT:
            taken[one.candidate.document_id] += 1
            chosen.append(one)
    return chosen


def _passage(one: _Ranked) -> Passage:
    candidate = one.candidate
    anchor = f"#{candidate.anchor}" if candidate.anchor else ""
    return Passage(
        id=candidate.id,
        document_id=candidate.document_id,
        title=candidate.title,
        heading_path=candidate.heading_path,
        url=f"{candidate.url}{anchor}" if candidate.url else None,
        text=candidate.text,
        score=one.score,
    )


def _history_terms(history: Sequence[Turn]) -> list[str]:
    """What people asked before; should it be too much, the newest counts."""
    asked = [turn.text for turn in history if turn.author == "user"][-_HISTORY_TURNS:]
    return terms("\n".join(reversed(asked)))[:_MOST_TERMS]


async def _query(
    db: AsyncSession, agent_id: int, known: _Knowledge, words: Sequence[str], *, repair: bool
) -> tuple[list[str], _Query]:
    """The words to search for, and how much each counts. One that the knowledge base lacks counts most of all."""
    frequency = await search.document_frequency(db, agent_id, words)
    if repair and any(_may_be_typo(word, frequency) for word in words):
        vocabulary = await _vocabulary(db, agent_id, known)
        better = {word: nearest_word(word, vocabulary) for word in words if _may_be_typo(word, frequency)}
        words = list(dict.fromkeys(better.get(word) or word for word in words))
        frequency = await search.document_frequency(db, agent_id, words)
    weights: dict[str, float] = {}
    for word in words:
        weights.setdefault(stem(word), idf(frequency[word], known.size))
    return list(words), _Query(weights)


def _may_be_typo(word: str, frequency: Mapping[str, int]) -> bool:
    return not frequency[word] and len(word) in _TYPO_LENGTHS and word.isalpha()


async def _measure(db: AsyncSession, agent_id: int, known: _Knowledge) -> None:
    """An empty knowledge base is looked at each time: somebody may be waiting for its first document."""
    now = time.monotonic()
    if now >= known.size_until or not known.size:
        counts = await knowledge.counts(db, agent_id)
        known.size, known.average_length = counts.passages, max(counts.average_length, 1.0)
        known.size_until = now + _SIZE_SECONDS


async def _vocabulary(db: AsyncSession, agent_id: int, known: _Knowledge) -> Mapping[str, int]:
    now = time.monotonic()
    if now >= known.vocabulary_until:
        known.vocabulary = await search.vocabulary(db, agent_id)
        known.vocabulary_until = now + _VOCABULARY_SECONDS
    return known.vocabulary
