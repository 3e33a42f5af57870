"""Finds the passages that a question is about, by its words and by its meaning.

The store brings candidates: those with the question's rarest words, and those whose vectors are nearest. What they are
worth is decided in scoring.py, the same for every database.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from store import search
from store import vectors as vectors_kept
from store.engine import Store
from store.search import Candidate
from worker.answering.embedding import Embedder
from worker.answering.evidence import ELSEWHERE, OFF_TOPIC, Chance, Evidence
from worker.answering.nearness import Nearness
from worker.answering.protocol import MOST_PASSAGES, Fitted, Found, Passage, Question, Turn
from worker.answering.scoring import Floats, Query, Ranked, ranked
from worker.answering.stems import stem
from worker.answering.weighing import evidence_of, leaning, likeness
from worker.answering.words import idf, nearest_word, terms

log = logging.getLogger(__name__)

_HISTORY_TURNS = 4
_LOOKED_AT = 5
_CANDIDATES = 100
_OF_ONE_DOCUMENT = 3
_TYPO_LENGTHS = range(4, 31)
_MOST_TERMS = 64
"""Of a message. Who pastes a log says at its beginning what it is about, or nowhere."""

_SIZE_SECONDS = 5.0
_VOCABULARY_SECONDS = 60.0
_FITTED_SECONDS = 10.0
_FREQUENCIES_KEPT = 50_000
_EXPECTED = 2_000
"""Conversations, the latest: 3 MB."""


@dataclass
class _Knowledge:
    """What is remembered for a while of one agent's knowledge base."""

    size: int = 0
    average_length: float = 1.0
    size_until: float = 0.0
    frequency: dict[str, int] = field(default_factory=dict)
    vocabulary: dict[str, int] = field(default_factory=dict)
    vocabulary_until: float = 0.0
    vocabulary_size: int = 0
    chance: Chance = field(default_factory=Chance)
    chance_size: int = 0
    covered: Floats | None = None
    fitted: Fitted | None = None
    fitted_until: float = 0.0


@dataclass(frozen=True)
class _Asked:
    """A question as it is searched for: the words to look up, and how much each counts."""

    words: list[str]
    last: Query
    earlier_words: list[str]
    history: Query


class PassageRetriever:
    """Scores the store's candidates, with typos repaired by the knowledge base's own words."""

    def __init__(self, store: Store, embedder: Embedder | None = None) -> None:
        self._store = store
        self._embedder = embedder
        self._near = Nearness(store, embedder) if embedder else None
        self._elsewhere: Floats | None = None
        self._remembered: dict[int, _Knowledge] = {}
        self._expected: dict[str, Floats] = {}

    @property
    def near(self) -> Nearness | None:
        """The vectors, for those who want to know how much memory they take."""
        return self._near

    async def find(self, agent_id: int, question: Question, limit: int = MOST_PASSAGES) -> Found:
        """The best passages for the last message, seen in the light of the ones before it."""
        known = self._remembered.setdefault(agent_id, _Knowledge())
        internal = question.audience == "internal"
        if not known.size:
            async with self._store.read() as db:
                await _measure(db, agent_id, known)
            if not known.size:
                return Found()
        (asked, found), vectors, fitted = await asyncio.gather(
            self._by_words(agent_id, known, question, internal=internal),
            self._vectors(question),
            self._fitted(agent_id, known),
        )
        best = await self._ranked(agent_id, known, asked, found, vectors, internal=internal)
        if vectors is None or not best or best[0].cosine is None:
            return _found(best, asked, known, limit)
        evidence = await self._evidence(agent_id, known, best, vectors[0], fitted)
        return _found(best, asked, known, limit, evidence, fitted)

    async def _by_words(
        self, agent_id: int, known: _Knowledge, question: Question, *, internal: bool
    ) -> tuple[_Asked, dict[int, Candidate]]:
        async with self._store.read() as db:
            await _measure(db, agent_id, known)
            asked = await _asked(db, agent_id, known, question)
            return asked, await _with_the_words(db, agent_id, known, asked, internal=internal)

    async def _ranked(
        self,
        agent_id: int,
        known: _Knowledge,
        asked: _Asked,
        found: Mapping[int, Candidate],
        vectors: Floats | None,
        *,
        internal: bool,
    ) -> list[Ranked]:
        if vectors is None or self._near is None:
            return ranked(list(found.values()), asked.last, asked.history, known.average_length)
        near = await self._near.nearest(agent_id, vectors, _CANDIDATES, internal=internal)
        async with self._store.read() as db:
            more = await search.by_id(db, agent_id, [one for one in near if one not in found], internal=internal)
        candidates = [*found.values(), *more]
        cosines = await self._near.cosines(agent_id, vectors, [one.id for one in candidates])
        return ranked(candidates, asked.last, asked.history, known.average_length, cosines)

    async def _evidence(
        self, agent_id: int, known: _Knowledge, best: Sequence[Ranked], vector: Floats, fitted: Fitted | None
    ) -> Evidence | None:
        elsewhere = await self._asked_elsewhere()
        if elsewhere is None:
            return None
        chance = await self._chance(agent_id, known, elsewhere)
        evidence = evidence_of(best, chance, likeness(vector, elsewhere, known.covered))
        return evidence.model_copy(update={"leaning": leaning(fitted, vector)}) if evidence and fitted else evidence

    async def _asked_elsewhere(self) -> Floats | None:
        if self._elsewhere is None and self._embedder is not None:
            try:
                self._elsewhere = await self._embedder.embed(ELSEWHERE)
            except OSError as error:
                log.warning("How sure an answer is, is told by its words alone: %s", error)
        return self._elsewhere

    async def _chance(self, agent_id: int, known: _Knowledge, elsewhere: Floats) -> Chance:
        """What questions about something else reach: asked once, and again when the size has changed by a fifth."""
        if abs(known.size - known.chance_size) <= 0.2 * known.chance_size:
            return known.chance
        known.chance_size = known.size
        scores: list[float] = []
        cosines: list[float] = []
        for text, vector in zip(OFF_TOPIC, elsewhere[: len(OFF_TOPIC)], strict=True):
            async with self._store.read() as db:
                asked = await _asked(db, agent_id, known, Question(text=text))
                found = await _with_the_words(db, agent_id, known, asked, internal=True)
            best = await self._ranked(agent_id, known, asked, found, vector[None], internal=True)
            scores.append(best[0].score if best else 0.0)
            cosines.append(max((one.cosine or 0.0 for one in best), default=0.0))
        known.chance = Chance(score=median(scores), cosine=median(cosines))
        known.covered = await self._covered(agent_id, elsewhere)
        return known.chance

    async def _covered(self, agent_id: int, elsewhere: Floats) -> Floats | None:
        """How much nearer than usual a knowledge base comes to each question of elsewhere: some it may well answer."""
        nearest = await self._near.nearest(agent_id, elsewhere, 1, internal=True) if self._near else []
        if self._near is None or not nearest:
            return None
        near = np.nan_to_num((await self._near.cosines(agent_id, elsewhere, nearest)).max(axis=1))
        covered: Floats = np.maximum(near - np.median(near), 0.0)
        return covered

    async def _fitted(self, agent_id: int, known: _Knowledge) -> Fitted | None:
        now = time.monotonic()
        if self._embedder is not None and now >= known.fitted_until:
            async with self._store.read() as db:
                kept = await vectors_kept.calibration(db, agent_id, self._embedder.name)
            known.fitted = _usable(Fitted.model_validate(kept), agent_id) if kept else None
            known.fitted_until = now + _FITTED_SECONDS
        return known.fitted

    async def _vectors(self, question: Question) -> Floats | None:
        """Of the last message and, if people asked something before, of that; None where meaning is of no help."""
        text = question.text.strip()
        if self._embedder is None or not text:
            return None
        before = _asked_before(question.history)
        texts = [text, before] if before else [text]
        known = {one: self._expected[one] for one in texts if one in self._expected}
        unknown = [one for one in texts if one not in known]
        try:
            made = await self._embedder.embed(unknown) if unknown else ()
        except OSError as error:
            log.warning("A question is searched by its words alone: %s", error)
            return None
        known |= zip(unknown, made, strict=True)
        return np.stack([known[one] for one in texts])

    async def expect_more(self, question: Question) -> None:
        """Embeds what the next question of the same conversation will be seen in the light of: this one is the last.

        Four questions are as long as a passage, and take as long: whoever asks next need not wait for that.
        """
        said = Turn(author="user", text=question.text)
        before = _asked_before([*question.history, said])
        await self._asked_elsewhere()
        if self._embedder is None or not before or before in self._expected:
            return
        try:
            (vector,) = await self._embedder.embed([before])
        except OSError:
            return  # the next question says so
        self._expected[before] = vector
        while len(self._expected) > _EXPECTED:
            del self._expected[next(iter(self._expected))]


def _usable(fitted: Fitted, agent_id: int) -> Fitted | None:
    if not fitted.fits:
        log.warning(
            "Agent %d was calibrated by an older version, which does not count any more: `runllm docs calibrate` "
            "fits it again", agent_id,
        )  # fmt: skip
        return None
    return fitted


def _found(
    best: Sequence[Ranked],
    asked: _Asked,
    known: _Knowledge,
    limit: int,
    evidence: Evidence | None = None,
    fitted: Fitted | None = None,
) -> Found:
    looked_at = sorted((one for one in best[:_LOOKED_AT] if one.own > 0), key=lambda one: -one.match)
    return Found(
        passages=[_passage(one) for one in _diverse(best, limit)],
        coverage=looked_at[0].coverage if looked_at else 0.0,
        top_score=looked_at[0].match if looked_at else 0.0,
        weights=dict(asked.last.weights),
        searched=known.size,
        evidence=evidence,
        fitted=fitted,
    )


def _diverse(ranked: Sequence[Ranked], limit: int) -> list[Ranked]:
    """The best, but not all from one document."""
    taken: Counter[int] = Counter()
    chosen: list[Ranked] = []
    for one in ranked:
        if one.score <= 0 or len(chosen) == limit:
            break
        if taken[one.candidate.document_id] < _OF_ONE_DOCUMENT:
            taken[one.candidate.document_id] += 1
            chosen.append(one)
    return chosen


def _passage(one: Ranked) -> Passage:
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


def _asked_before(history: Sequence[Turn]) -> str:
    """What people asked before, the newest first: should it be too much, that counts."""
    asked = [turn.text for turn in history if turn.author == "user"][-_HISTORY_TURNS:]
    return "\n".join(reversed(asked)).strip()


async def _asked(db: AsyncSession, agent_id: int, known: _Knowledge, question: Question) -> _Asked:
    words, last = await _query(db, agent_id, known, terms(question.text)[:_MOST_TERMS], repair=True)
    earlier = terms(_asked_before(question.history))[:_MOST_TERMS]
    earlier_words, history = await _query(db, agent_id, known, earlier, repair=False)
    return _Asked(words, last, earlier_words, history)


async def _with_the_words(
    db: AsyncSession, agent_id: int, known: _Knowledge, asked: _Asked, *, internal: bool
) -> dict[int, Candidate]:
    found: dict[int, Candidate] = {}
    for words in (asked.words, asked.earlier_words if asked.words else []):
        if words:
            some = await search.search(
                db, agent_id, words, _CANDIDATES, frequency=known.frequency, size=known.size, internal=internal
            )
            found |= {one.id: one for one in some}
    return found


async def _query(
    db: AsyncSession, agent_id: int, known: _Knowledge, words: Sequence[str], *, repair: bool
) -> tuple[list[str], Query]:
    """The words to search for, and how much each counts. One that the knowledge base lacks counts most of all."""
    await _count(db, agent_id, known, words)
    if repair and any(_may_be_typo(word, known.frequency) for word in words):
        vocabulary = await _vocabulary(db, agent_id, known)
        better = {word: nearest_word(word, vocabulary) for word in words if _may_be_typo(word, known.frequency)}
        words = list(dict.fromkeys(better.get(word) or word for word in words))
        await _count(db, agent_id, known, words)
    weights: dict[str, float] = {}
    for word in words:
        weights.setdefault(stem(word), idf(known.frequency[word], known.size))
    return list(words), Query(weights)


def _may_be_typo(word: str, frequency: Mapping[str, int]) -> bool:
    return not frequency[word] and len(word) in _TYPO_LENGTHS and word.isalpha()


async def _count(db: AsyncSession, agent_id: int, known: _Knowledge, words: Sequence[str]) -> None:
    """Counting a common word costs more than all else, and people use the same ones."""
    new = [word for word in words if word not in known.frequency]
    if new:
        if len(known.frequency) > _FREQUENCIES_KEPT:
            known.frequency.clear()
            new = list(words)
        known.frequency |= await search.document_frequency(db, agent_id, new)


async def _measure(db: AsyncSession, agent_id: int, known: _Knowledge) -> None:
    """An empty knowledge base is looked at each time: somebody may be waiting for its first document."""
    now = time.monotonic()
    if now < known.size_until and known.size:
        return
    size = await search.size(db, agent_id)
    if size != known.size:
        known.size = size
        known.frequency = {}
        known.average_length = max(await search.average_length(db, agent_id), 1.0)
    known.size_until = now + _SIZE_SECONDS


async def _vocabulary(db: AsyncSession, agent_id: int, known: _Knowledge) -> Mapping[str, int]:
    now = time.monotonic()
    if now >= known.vocabulary_until and known.vocabulary_size != known.size:
        known.vocabulary = await search.vocabulary(db, agent_id)
        known.vocabulary_until = now + _VOCABULARY_SECONDS
        known.vocabulary_size = known.size
    return known.vocabulary
