"""Weights follow the labels of a knowledge base, and stay where there are none."""

from collections.abc import Sequence

import numpy as np
import pytest

from runllm.bridge.messages import AnswerCategory
from worker.answering import calibration
from worker.answering.calibration import Judged, Label
from worker.answering.confidence import DEFAULT, category_of
from worker.answering.evidence import Chance, Evidence
from worker.answering.protocol import Found, Passage

PASSAGE = Passage(id=1, document_id=1, title="A", heading_path="", url=None, text="A.")


def found(score: float, cosine: float, lead: float = 0.2, chance: float = 0.2) -> Found:
    evidence = Evidence(
        score=score, own_score=score, cosine=cosine, coverage=0.5, lead=lead, agreement=2,
        earlier=cosine, conversation=cosine, chance=Chance(score=chance, cosine=chance),
    )  # fmt: skip
    return Found(passages=[PASSAGE], weights={"a": 1.0}, searched=500, evidence=evidence)


def some(centres: dict[Label, tuple[float, float]], each: int, seed: int = 0) -> Sequence[Judged]:
    chance = np.random.default_rng(seed)
    made = [
        Judged(label=label, found=found(*(float(one + chance.normal(0, 0.05)) for one in centre)))
        for _ in range(each)
        for label, centre in centres.items()
    ]
    return made


@pytest.mark.parametrize(
    ("score", "cosine", "category"),
    [
        (0.85, 0.75, AnswerCategory.ANSWERED),
        (0.55, 0.50, AnswerCategory.UNANSWERED),
        (0.22, 0.20, AnswerCategory.IRRELEVANT),
    ],
)
def test_without_labels_the_defaults_tell_the_three_apart(
    score: float, cosine: float, category: AnswerCategory
) -> None:
    lead = 0.3 if category is AnswerCategory.ANSWERED else 0.05
    assert category_of(found(score, cosine, lead)) is category


def test_what_is_reached_by_chance_is_subtracted() -> None:
    assert category_of(found(0.45, 0.45, chance=0.15)) is not AnswerCategory.IRRELEVANT
    assert category_of(found(0.45, 0.45, chance=0.42)) is AnswerCategory.IRRELEVANT


def test_between_an_answer_and_none_it_is_unsure() -> None:
    seen = [category_of(found(0.15 + step / 150, 0.2 + step / 200, 0.02 + step / 300)) for step in range(120)]
    order = [
        AnswerCategory.IRRELEVANT,
        AnswerCategory.UNANSWERED,
        AnswerCategory.LOW_CONFIDENCE,
        AnswerCategory.ANSWERED,
    ]
    assert list(dict.fromkeys(seen)) == order


def test_fifty_labels_move_the_borders_to_where_this_knowledge_base_has_them() -> None:
    centres: dict[Label, tuple[float, float]] = {
        "answered": (0.95, 0.9), "unanswered": (0.8, 0.75), "irrelevant": (0.55, 0.5),
    }  # fmt: skip
    labelled, others = some(centres, 17), some(centres, 100, seed=1)
    before = calibration.measure(others, None)
    after = calibration.measure(others, calibration.fit(labelled))
    assert before.balanced < 0.6
    assert after.balanced > 0.85
    assert calibration.cross_validated(labelled).balanced == pytest.approx(after.balanced, abs=0.12)


def test_without_labels_nothing_changes() -> None:
    assert calibration.fit([]) == DEFAULT
    alike = some({"answered": (0.8, 0.8)}, 20)
    assert calibration.fit(alike) == DEFAULT, "one label alone separates nothing"
    assert calibration.lacks(alike) == ["unanswered", "irrelevant"]


def test_a_rare_label_counts_as_much_as_a_frequent_one() -> None:
    many = some({"answered": (0.9, 0.85), "unanswered": (0.75, 0.7)}, 40)
    few = some({"irrelevant": (0.6, 0.55)}, 4)
    fitted = calibration.fit([*many, *few])
    assert calibration.measure([*many, *few], fitted).recall["irrelevant"] >= 0.75


def test_a_question_nearer_to_what_people_ask_elsewhere_is_about_something_else() -> None:
    def asked(elsewhere: float) -> AnswerCategory:
        seen = found(0.36, 0.38)
        assert seen.evidence is not None
        return category_of(
            seen.model_copy(update={"evidence": seen.evidence.model_copy(update={"elsewhere": elsewhere})})
        )

    assert asked(0.10) is not AnswerCategory.IRRELEVANT
    assert asked(0.45) is AnswerCategory.IRRELEVANT


def test_labelled_questions_tell_others_like_them_where_what_is_found_tells_nothing() -> None:
    chance = np.random.default_rng(3)
    subjects = {"unanswered": [1.0, 0.0, 0.2], "irrelevant": [0.0, 1.0, 0.2]}

    def asked(label: Label, each: int) -> list[Judged]:
        rows = [np.asarray(subjects[label]) + chance.normal(0, 0.15, 3) for _ in range(each)]
        return [
            Judged(label=label, found=found(0.4, 0.4, 0.05), vector=(row / np.linalg.norm(row)).tolist())
            for row in rows
        ]

    fitted = calibration.fit([*asked("unanswered", 17), *asked("irrelevant", 17)])
    others = [*asked("unanswered", 50), *asked("irrelevant", 50)]
    assert calibration.measure(others, None).balanced == 0.5, "the same was found for all of them"
    assert calibration.measure(others, fitted).balanced > 0.95


def test_figures_tell_each_label_and_their_mean() -> None:
    judged = [
        Judged(label="answered", found=found(0.9, 0.8, 0.4)),
        Judged(label="irrelevant", found=found(0.1, 0.1)),
        Judged(label="irrelevant", found=found(0.9, 0.8, 0.4)),
    ]
    figures = calibration.measure(judged, None)
    assert figures.recall == {"answered": 1.0, "irrelevant": 0.5}
    assert (figures.labels, figures.balanced) == (3, 0.75)
