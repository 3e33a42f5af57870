"""Takes the evidence from ranked passages."""

from collections.abc import Sequence

from worker.answering.evidence import USUAL_AGREEMENT, Chance, Evidence
from worker.answering.scoring import HISTORY_WEIGHT, Ranked

_LOOKED_AT = 5
_TENTH = 9


def evidence_of(best: Sequence[Ranked], chance: Chance, *, with_history: bool) -> Evidence | None:
    """What the ranked passages say; None where they have no vectors, or there are none."""
    if not best or best[0].cosine is None:
        return None
    total = 1 + HISTORY_WEIGHT if with_history else 1.0
    firsts: dict[int, Ranked] = {}
    for one in best:
        firsts.setdefault(one.candidate.document_id, one)
    documents = list(firsts.values())
    tenth = documents[_TENTH].score if len(documents) > _TENTH else min(documents[-1].score, chance.score)
    return Evidence(
        score=best[0].score / total,
        own_score=best[0].own_score,
        cosine=max(one.cosine or 0.0 for one in best),
        coverage=best[0].coverage,
        lead=(best[0].score - tenth) / total,
        agreement=_agreement(best) if len(documents) >= _LOOKED_AT else USUAL_AGREEMENT,
        chance=chance,
    )


def _agreement(best: Sequence[Ranked]) -> int:
    by_words = sorted((one for one in best if one.own > 0), key=lambda one: -one.own)[:_LOOKED_AT]
    by_meaning = sorted(best, key=lambda one: -(one.cosine or 0.0))[:_LOOKED_AT]
    return len({one.candidate.document_id for one in by_words} & {one.candidate.document_id for one in by_meaning})
