"""Facts that people stated and somebody approved, as documents of a source of their own."""

from store import facts
from store.engine import Store
from worker.answering.documents import Parsed
from worker.answering.passages import Cut
from worker.knowledge.reading import Gone, Got, Known, Listing


class FactsReader:
    """The approved facts of an agent."""

    def __init__(self, agent_id: int, store: Store) -> None:
        self._agent_id = agent_id
        self._store = store

    async def listing(self) -> Listing:
        """The facts; they never change, they come and go."""
        async with self._store.read() as db:
            found = await facts.of_agent(db, self._agent_id, state="approved")
        return Listing(pages={facts.path_of(fact.id): str(fact.id) for fact in found})

    async def read(self, page: Known) -> Got | None:
        """A fact, under a title that says who stated it and when."""
        async with self._store.read() as db:
            fact = await facts.get(db, facts.number_in(page.path))
        if fact is None or fact.state != "approved":
            raise Gone("is not approved any more")
        parsed = Parsed(title=facts.title_of(fact), passages=[Cut(text=fact.text)], dated=fact.created_at.isoformat())
        return Got(parsed=parsed, name=page.path)

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None."""
        return []

    async def close(self) -> None:
        """Nothing is open."""
