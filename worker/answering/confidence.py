"""How good an answer is that rests on these passages."""

from runllm.bridge.messages import AnswerCategory
from worker.answering.protocol import Found

ANSWERED_FROM = 0.7
LOW_CONFIDENCE_FROM = 0.5
IRRELEVANT_BELOW = 0.3
"""Parts of what a question asks for that the best passage has, rare words counting more."""


def category_of(found: Found) -> AnswerCategory:
    """The category of a question, by its words alone."""
    if found.is_empty:
        return AnswerCategory.UNANSWERED
    if not found.passages or found.coverage < IRRELEVANT_BELOW:
        return AnswerCategory.IRRELEVANT
    if found.coverage >= ANSWERED_FROM:
        return AnswerCategory.ANSWERED
    return AnswerCategory.LOW_CONFIDENCE if found.coverage >= LOW_CONFIDENCE_FROM else AnswerCategory.UNANSWERED
