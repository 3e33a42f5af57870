"""Fits how sure answers are to one knowledge base, from questions that people labelled.

Fifty labels are few for eleven weights, so what is fitted is how the weights differ from `DEFAULT`, and every
difference has its price: with no labels nothing changes, and each label counts for more where the defaults are wrong.

The questions themselves count too. What people ask that is about something else is often of a few kinds, and so are
the subjects of a knowledge base; `Fitted.direction` tells the ones from the others by their meaning.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runllm.bridge.messages import AnswerCategory
from runllm.operations import Frozen
from worker.answering.confidence import DEFAULT, category_of
from worker.answering.protocol import Fitted, Found, Turn
from worker.answering.weighing import leaning

Label = Literal["answered", "unanswered", "irrelevant"]
LABELS: tuple[Label, ...] = ("answered", "unanswered", "irrelevant")

_PRICE = 1.0
_PRICE_OF_CONSTANT = 0.1
_PRICE_OF_DIRECTION = 0.05
"""Of each number of `Fitted.direction`. Anything from 0.01 to 0.1 does as well."""

_STEPS = 50
_FOLDS = 5

Numbers = NDArray[np.float64]


class Labelled(Frozen):
    """A question with what a person says of it: the documentation answers it or not, or it is about something else."""

    question: str
    label: Label
    history: Sequence[Turn] = ()


class Figures(Frozen):
    """How many of each label were told right: `LABELS` in order, and their mean."""

    labels: int
    recall: dict[str, float]
    balanced: float


class Judged(Frozen):
    """A label, what was found for its question, and the question as a vector, if it has one."""

    label: Label
    found: Found
    vector: Sequence[float] = ()


def fit(judged: Sequence[Judged], prior: Fitted = DEFAULT) -> Fitted:
    """Weights for this knowledge base; each label counts the same in all, however many questions have it."""
    known = [(one.label, one.found.evidence, one.vector) for one in judged if one.found.evidence is not None]
    if not known:
        return prior
    width = min(len(vector) for *_, vector in known)
    counts = {label: max(sum(one == label for one, *_ in known), 1) for label in LABELS}
    relevance = _fitted(
        [*prior.relevance, *[0.0] * width],
        [[*evidence.of_relevance(), *vector[:width]] for _, evidence, vector in known],
        [label != "irrelevant" for label, *_ in known],
        [(1.0 if label == "irrelevant" else 0.5) / counts[label] for label, *_ in known],
        width,
    )
    about = [(label, evidence) for label, evidence, _ in known if label != "irrelevant"]
    answer = _fitted(
        prior.answer,
        [evidence.of_answer() for _, evidence in about],
        [label == "answered" for label, _ in about],
        [1 / counts[label] for label, _ in about],
    )
    weights, direction = relevance[: len(prior.relevance)], relevance[len(prior.relevance) :]
    return Fitted(relevance=weights, answer=answer, direction=direction if any(direction) else ())


def measure(judged: Sequence[Judged], fitted: Fitted | None) -> Figures:
    """How well the categories fit the labels; LOW_CONFIDENCE is an answer."""
    return _figures([one.label for one in judged], [told(one, fitted) for one in judged])


def cross_validated(judged: Sequence[Judged]) -> Figures:
    """What to expect after calibration: each fifth of the questions is told by a fit to the others."""
    labels: list[Label] = []
    answers: list[Label] = []
    for fold in range(_FOLDS):
        others = [one for place, one in enumerate(judged) if place % _FOLDS != fold]
        fitted = fit(others)
        for one in judged[fold::_FOLDS]:
            labels.append(one.label)
            answers.append(told(one, fitted))
    return _figures(labels, answers)


def told(one: Judged, fitted: Fitted | None) -> Label:
    """The label that the category of an answer stands for."""
    evidence = one.found.evidence
    if evidence is not None:
        evidence = evidence.model_copy(update={"leaning": leaning(fitted, one.vector)})
    category = category_of(one.found.model_copy(update={"fitted": fitted, "evidence": evidence}))
    if category is AnswerCategory.IRRELEVANT:
        return "irrelevant"
    return "unanswered" if category is AnswerCategory.UNANSWERED else "answered"


def _figures(labels: Sequence[Label], answers: Sequence[Label]) -> Figures:
    recall: dict[str, float] = {}
    for label in LABELS:
        mine = [answer == label for said, answer in zip(labels, answers, strict=True) if said == label]
        if mine:
            recall[label] = sum(mine) / len(mine)
    return Figures(labels=len(labels), recall=recall, balanced=sum(recall.values()) / max(len(recall), 1))


def _fitted(
    prior: Sequence[float],
    numbers: Sequence[Sequence[float]],
    is_yes: Sequence[bool],
    counts: Sequence[float],
    width: int = 0,
) -> list[float]:
    """Logistic regression with a price on every difference from `prior`, by Newton's steps that never go uphill.

    The last `width` weights are those of a direction.
    """
    start = np.asarray(prior, np.float64)
    if len(set(is_yes)) < 2:
        return list(prior)
    rows = np.column_stack([np.ones(len(numbers)), np.asarray(numbers, np.float64)])
    yes = np.asarray(is_yes, np.float64)
    count = np.asarray(counts, np.float64) * len(counts) / sum(counts)
    price = np.full(len(start), _PRICE)
    price[0] = _PRICE_OF_CONSTANT
    price[len(price) - width :] = _PRICE_OF_DIRECTION
    now, cost = start, _cost(start, start, rows, yes, count, price)
    for _ in range(_STEPS):
        sure = 1 / (1 + np.exp(-rows @ now))
        slope = rows.T @ (count * (sure - yes)) + price * (now - start)
        bend = (rows * (count * sure * (1 - sure) + 1e-9)[:, None]).T @ rows + np.diag(price)
        step = np.linalg.solve(bend, slope)
        while (after := _cost(now - step, start, rows, yes, count, price)) > cost and np.abs(step).max() > 1e-9:
            step = step / 2
        if cost - after < 1e-9:
            break
        now, cost = now - step, after
    return [round(float(weight), 4) for weight in now]


def _cost(now: Numbers, start: Numbers, rows: Numbers, yes: Numbers, count: Numbers, price: Numbers) -> float:
    said = rows @ now
    return float(np.sum(count * (np.logaddexp(0, said) - yes * said)) + 0.5 * np.sum(price * (now - start) ** 2))


def lacks(judged: Sequence[Judged]) -> list[Label]:
    """Labels that no question has: what they separate cannot be fitted."""
    there = {one.label for one in judged}
    return [label for label in LABELS if label not in there]
