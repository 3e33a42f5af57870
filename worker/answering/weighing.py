"""Takes the evidence from ranked passages."""

from collections.abc import Sequence

import numpy as np

from worker.answering.evidence import USUAL_AGREEMENT, Chance, Evidence
from worker.answering.protocol import Fitted
from worker.answering.scoring import HISTORY_WEIGHT, Floats, Ranked

_LOOKED_AT = 5
_MOST_ALIKE = 3
_TENTH = 9


def evidence_of(best: Sequence[Ranked], chance: Chance, elsewhere: float) -> Evidence | None:
    """What the ranked passages say; None where they have no vectors, or there are none."""
    if not best or best[0].cosine is None:
        return None
    cosine = max(one.cosine or 0.0 for one in best)
    before = [one.earlier_cosine for one in best if one.earlier_cosine is not None]
    earlier = max(before, default=cosine)
    total = 1 + HISTORY_WEIGHT if before else 1.0
    firsts: dict[int, Ranked] = {}
    for one in best:
        firsts.setdefault(one.candidate.document_id, one)
    documents = list(firsts.values())
    tenth = documents[_TENTH].score if len(documents) > _TENTH else min(documents[-1].score, chance.score)
    return Evidence(
        score=best[0].score / total,
        own_score=best[0].own_score,
        cosine=cosine,
        coverage=best[0].coverage,
        lead=(best[0].score - tenth) / total,
        agreement=_agreement(best) if len(documents) >= _LOOKED_AT else USUAL_AGREEMENT,
        chance=chance,
        earlier=earlier,
        conversation=(cosine + HISTORY_WEIGHT * earlier) / (1 + HISTORY_WEIGHT),
        elsewhere=elsewhere,
    )


def likeness(vector: Floats, elsewhere: Floats, covered: Floats | None) -> float:
    """How like a question is to the few that people ask elsewhere and that are most like it.

    Those that a knowledge base covers itself count less: with a page about bills, a question about bills is on the
    subject.
    """
    alike = elsewhere @ vector - (0.0 if covered is None else covered)
    return float(np.sort(alike)[-_MOST_ALIKE:].mean())


def leaning(fitted: Fitted | None, vector: Sequence[float] | Floats) -> float:
    """What a question by itself is worth in a calibrated knowledge base; 0 in others."""
    if fitted is None or len(fitted.direction) != len(vector):
        return 0.0
    return float(np.dot(np.asarray(fitted.direction), np.asarray(vector)))


def _agreement(best: Sequence[Ranked]) -> int:
    by_words = sorted((one for one in best if one.own > 0), key=lambda one: -one.own)[:_LOOKED_AT]
    by_meaning = sorted(best, key=lambda one: -(one.cosine or 0.0))[:_LOOKED_AT]
    return len({one.candidate.document_id for one in by_words} & {one.candidate.document_id for one in by_meaning})
