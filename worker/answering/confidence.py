"""How good an answer is that rests on these passages.

Measured on three knowledge bases with documents taken out, so that some of their questions had no answer any more, and
with questions about something else: how well the best passage fits separates the three (AUROC 0.93 answered from
irrelevant, 0.8 answered from unanswered), but what it reaches by chance grows with the size of the knowledge base.
"""

import math

from runllm.bridge.messages import AnswerCategory
from worker.answering.protocol import Found

BY_CHANCE = 0.44
"""What the best of a thousand passages or so reaches for a question that has nothing to do with any of them."""

_GROWTH = 0.24
_MEASURED_AT = 2.8
_LEAST, _MOST = 0.25, 0.9
LOW_CONFIDENCE_ABOVE = 0.40
ANSWERED_ABOVE = 0.55
"""How much better than by chance a passage has to fit."""


def category_of(found: Found) -> AnswerCategory:
    """The category of a question, by its words alone."""
    if not found.searched:
        return AnswerCategory.UNANSWERED
    better = found.top_score - by_chance(found.searched)
    if not found.passages or better < 0:
        return AnswerCategory.IRRELEVANT
    if better >= ANSWERED_ABOVE:
        return AnswerCategory.ANSWERED
    return AnswerCategory.LOW_CONFIDENCE if better >= LOW_CONFIDENCE_ABOVE else AnswerCategory.UNANSWERED


def by_chance(passages: int) -> float:
    """How well the best of so many passages fits a question about something else."""
    grown = BY_CHANCE + _GROWTH * (math.log10(max(passages, 1)) - _MEASURED_AT)
    return min(max(grown, _LEAST), _MOST)
