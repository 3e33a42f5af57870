"""Vectors in memory find what an exact search finds."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from store.vectors import Kept
from worker.answering.vectors import Floats, VectorIndex, as_literal, decode, encode


def some(count: int, seed: int = 0) -> Floats:
    """Vectors in groups, as texts about a few dozen matters are."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(40, 384))
    made = (centres[chance.integers(0, 40, count)] + chance.normal(size=(count, 384))).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def kept(vectors: Floats, ids: Iterable[int] = (), source: int = 1) -> Sequence[Kept]:
    numbers = list(ids) or list(range(1, len(vectors) + 1))
    return [
        Kept(id=number, passage_id=10_000 - number, source_id=source, vector=encode(vector))
        for number, vector in zip(numbers, vectors, strict=True)
    ]


def test_a_kept_vector_has_nearly_the_same_cosines() -> None:
    vectors = some(50)
    numbers, scales = decode([encode(vector) for vector in vectors])
    assert np.abs((numbers * scales[:, None]) @ vectors.T - vectors @ vectors.T).max() < 0.005
    assert len(encode(vectors[0])) == 388


def test_a_vector_of_zeros_can_be_kept() -> None:
    numbers, scales = decode([encode(np.zeros(384, np.float32))])
    assert not numbers.any()
    assert np.isfinite(scales).all()


@pytest.mark.parametrize(("count", "share"), [(500, 1.0), (8_000, 0.93)])
def test_the_nearest_are_found(count: int, share: float) -> None:
    vectors = some(count)
    index = VectorIndex().with_more([kept(vectors)])
    hits = []
    for question in some(20, seed=0)[:20] + 0.02:
        exact = {10_000 - (number + 1) for number in np.argsort(-(vectors @ question))[:10]}
        hits.append(len(exact & set(index.nearest(question, 10))) / 10)
    assert np.mean(hits) >= share


@pytest.mark.parametrize("count", [300, 8_000])
def test_hidden_sources_are_not_found(count: int) -> None:
    vectors = some(count)
    half = count // 2
    index = VectorIndex().with_more([kept(vectors[:half]), kept(vectors[half:], range(half + 1, count + 1), source=2)])
    found = index.nearest(vectors[-1], 50, hidden=[2])
    assert len(found) == 50
    assert min(found) >= 10_000 - half
    assert index.nearest(vectors[-1], 1) == [10_000 - count]
    assert index.nearest(vectors[0], 50, hidden=[1, 2]) == []


def test_an_index_that_grew_and_shrank_is_the_same_as_one_made_at_once() -> None:
    vectors = some(600)
    grown = VectorIndex().with_more([kept(vectors[:200])]).with_more([kept(vectors[200:], range(201, 601))])
    stay = [number for number in range(1, 601) if number % 3]
    shrunk = grown.only(stay)
    at_once = VectorIndex().with_more([kept(vectors[[number - 1 for number in stay]], stay)])
    assert shrunk.nearest(vectors[1], 20) == at_once.nearest(vectors[1], 20)
    assert shrunk.bytes == at_once.bytes
    assert grown.only(range(1, 601)) is grown


def test_the_cosine_with_a_passage_that_has_no_vector_is_unknown() -> None:
    vectors = some(3)
    index = VectorIndex().with_more([kept(vectors)])
    made = index.cosines(vectors[:2], [9_998, 4, 9_999, 20_000])
    assert made[:, 0] == pytest.approx(vectors[:2] @ vectors[1], abs=0.005)
    assert np.isnan(made[:, [1, 3]]).all()
    assert np.isnan(VectorIndex().cosines(vectors, [1])).all()


def test_an_empty_index_finds_nothing() -> None:
    assert VectorIndex().nearest(some(1)[0], 5) == []


def test_postgresql_reads_a_vector_as_numbers_in_brackets() -> None:
    assert as_literal(np.array([0.5, -0.25], np.float32)) == "[0.5,-0.25]"
