"""The formula that ranks passages."""

import numpy as np
import pytest

from store.search import Candidate
from worker.answering.scoring import HISTORY_WEIGHT, Query, ranked

NOTHING = Query({})


def passage(number: int, text: str) -> Candidate:
    return Candidate(
        id=number, document_id=number, position=0, title="", heading_path="", anchor="", text=text, path="", url=None,
        score=0.0,
    )  # fmt: skip


WEBHOOKS, INVOICES = passage(1, "A webhook is called."), passage(2, "An invoice is sent.")
BOTH = [WEBHOOKS, INVOICES]


def test_words_and_meaning_are_mixed() -> None:
    best, other = ranked(BOTH, Query({"webhook": 3.0}), NOTHING, 20.0, np.array([[0.1, 0.4]], np.float32))
    assert (best.candidate, best.score) == (WEBHOOKS, pytest.approx(0.35 + 0.65 * 0.1))
    assert (other.candidate, other.score) == (INVOICES, pytest.approx(0.65 * 0.4))
    assert best.cosine == pytest.approx(0.1)


def test_words_that_hardly_fit_count_little() -> None:
    near = np.zeros((1, 2), np.float32)
    few, many = (
        ranked(BOTH, Query({"webhook": 3.0, **dict.fromkeys(others, 3.0)}), NOTHING, 20.0, near)[0].score
        for others in ("ab", "abcdefgh")
    )
    assert 0.35 > few > 2 * many > 0


def test_meaning_alone_can_decide() -> None:
    best, _ = ranked(BOTH, Query({"bill": 3.0}), NOTHING, 20.0, np.array([[0.1, 0.6]], np.float32))
    assert best.candidate == INVOICES


def test_without_vectors_words_decide() -> None:
    best, other = ranked(BOTH, Query({"invoic": 3.0}), NOTHING, 20.0)
    assert (best.candidate, best.cosine, other.score) == (INVOICES, None, 0.0)
    assert ranked(BOTH, Query({"invoic": 3.0}), NOTHING, 20.0, np.full((1, 2), np.nan, np.float32))[0].cosine is None


def test_what_was_asked_before_counts_less() -> None:
    near = np.array([[0.2, 0.2], [0.0, 0.5]], np.float32)
    best, other = ranked(BOTH, NOTHING, Query({"invoic": 2.0}), 20.0, near)
    assert best.candidate == INVOICES
    assert best.score - other.score == pytest.approx(HISTORY_WEIGHT * (0.35 + 0.65 * 0.5))
    (best, _) = ranked(BOTH, Query({"webhook": 1.0}), Query({"invoic": 1.0}), 20.0, np.zeros((2, 2), np.float32))
    assert best.candidate == WEBHOOKS


def test_a_passage_that_has_no_vector_yet_is_taken_for_a_middling_one() -> None:
    near = np.array([[0.6, np.nan, 0.2]], np.float32)
    order = ranked([*BOTH, passage(3, "Else.")], NOTHING, NOTHING, 20.0, near)
    assert [one.candidate.id for one in order] == [1, 2, 3]


def test_no_candidates_are_no_error() -> None:
    assert ranked([], Query({"a": 1.0}), NOTHING, 20.0, np.empty((1, 0), np.float32)) == []
