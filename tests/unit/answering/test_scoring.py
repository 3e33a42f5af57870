"""The formula that ranks passages."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from store.search import Candidate
from worker.answering.scoring import HISTORY_WEIGHT, Query, Wanted, ranked
from worker.answering.words import stems

NOTHING = Query({})
DOCS = Path(__file__).parents[3] / "examples" / "docs"


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


def test_counting_only_words_that_may_fit_counts_as_counting_all_of_them() -> None:
    texts = [path.read_text() for path in sorted(DOCS.rglob("*.md"))]
    for text in texts:
        all_of_them = Counter(stems(text))
        for wanted in (
            set(list(all_of_them)[::3]),
            set(list(all_of_them)[1::7]),
            {"pai", "eb", "happi", "no", "unheard"},
        ):
            counted = Wanted(wanted).counted(passage(1, text))
            assert counted == {word: count for word, count in all_of_them.items() if word in wanted}
    assert Wanted(set()).counted(passage(1, texts[0])) == {}
    for text in ("pays Payment foo_pay pay-day EBS2 ebs", "Zahlung für Zürich pay"):
        counted = Wanted({"pai", "eb", "zurich"}).counted(passage(1, text))
        assert counted == {
            word: count for word, count in Counter(stems(text)).items() if word in {"pai", "eb", "zurich"}
        }
