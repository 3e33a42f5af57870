"""What people decide of learned facts, wherever they do: in the console, or over the API."""

from collections.abc import Sequence
from typing import Literal

from gateways.refusals import RefusedError
from gateways.services import Services
from store import audit, facts
from store.models import LearnedFact

Decision = Literal["approve", "reject", "undo"]

_BECOMES: dict[Decision, tuple[facts.State, Sequence[facts.State]]] = {
    "approve": ("approved", ("proposed", "rejected")),
    "reject": ("rejected", ("proposed", "approved")),
    "undo": ("proposed", ("approved", "rejected")),
}


async def decide(deps: Services, agent_id: int, fact_id: int, decision: Decision, *, by: str) -> LearnedFact:
    """Carries out a decision, and writes down whose it was.

    Raises:
        RefusedError: There is no such fact, or there is nothing to decide.
    """
    state, was = _BECOMES[decision]
    async with deps.store.begin() as db:
        fact = await facts.decide(db, agent_id, fact_id, state, by=by, was=was)
        if fact is None:
            existing = await facts.get(db, fact_id, agent_id)
            if existing is None:
                raise RefusedError(404, "not_found", f"There is no fact {fact_id}. GET /api/v1/facts lists them.")
            raise RefusedError(409, "decided", f"Fact {fact_id} is {existing.state} already.")
        await audit.record(db, actor=by, action=f"{decision} fact", subject=f"fact {fact_id}")
        source = await facts.source_of(db, agent_id)
    if source is not None and state == "approved":
        await deps.indexing.start(source.id)
    return fact
