"""How good an answer is that rests on these passages.

With vectors: two judgements, one after the other. Is the question about the subject at all, and do the passages have an
answer? Each is a weighted sum of `Evidence`; the weights were fitted to knowledge bases of several kinds. Fitted to two
of the three that are measured, they reach on the third a mean balanced accuracy of 0.75 for answered, unanswered and
irrelevant (see docs/benchmarks-answers.md). `runllm docs calibrate` fits them to a knowledge base of one's own.

By words alone: measured on three knowledge bases with documents taken out, so that some of their questions had no
answer any more, and with questions about something else. How well the best passage fits separates the three (AUROC 0.93
answered from irrelevant, 0.8 answered from unanswered), but what it reaches by chance grows with the knowledge base.
"""

import math
from collections.abc import Sequence

from runllm.bridge.messages import AnswerCategory
from worker.answering.protocol import Fitted, Found

DEFAULT = Fitted(relevance=[1.58, 2.08, 0.71, -1.32], answer=[-0.36, -1.01, 0.31, 1.19, 0.67, 0.18, 1.49])
"""Each a constant, and a weight for each number of `Evidence`."""

UNSURE_WITHIN = 0.35
"""So near to the border between an answer and none, it is one of LOW_CONFIDENCE or none."""

BY_CHANCE = 0.44
"""What the best of a thousand passages or so reaches for a question that has nothing to do with any of them."""

_GROWTH = 0.24
_MEASURED_AT = 2.8
_LEAST, _MOST = 0.25, 0.9
LOW_CONFIDENCE_ABOVE = 0.40
ANSWERED_ABOVE = 0.55
"""How much better than by chance a passage has to fit."""


def category_of(found: Found) -> AnswerCategory:
    """The category of a question, from what was found for it."""
    if not found.searched:
        return AnswerCategory.UNANSWERED
    if found.evidence is None:
        return _by_words_alone(found)
    if not found.passages or not found.weights:
        return AnswerCategory.IRRELEVANT
    fitted = found.fitted or DEFAULT
    if weighed(fitted.relevance, found.evidence.of_relevance()) + found.evidence.leaning < 0:
        return AnswerCategory.IRRELEVANT
    answer = weighed(fitted.answer, found.evidence.of_answer())
    if answer >= UNSURE_WITHIN:
        return AnswerCategory.ANSWERED
    return AnswerCategory.LOW_CONFIDENCE if answer >= -UNSURE_WITHIN else AnswerCategory.UNANSWERED


def weighed(weights: Sequence[float], numbers: Sequence[float]) -> float:
    """The constant and the weighted numbers, together: above 0 is yes."""
    return weights[0] + sum(weight * number for weight, number in zip(weights[1:], numbers, strict=True))


def _by_words_alone(found: Found) -> AnswerCategory:
    better = found.top_score - by_chance(found.searched)
    if not found.passages or better < 0:
        return AnswerCategory.IRRELEVANT
    if better >= ANSWERED_ABOVE:
        return AnswerCategory.ANSWERED
    return AnswerCategory.LOW_CONFIDENCE if better >= LOW_CONFIDENCE_ABOVE else AnswerCategory.UNANSWERED


def by_chance(passages: int) -> float:
    """How well the best of so many passages fits a question about something else, by its words."""
    grown = BY_CHANCE + _GROWTH * (math.log10(max(passages, 1)) - _MEASURED_AT)
    return min(max(grown, _LEAST), _MOST)
