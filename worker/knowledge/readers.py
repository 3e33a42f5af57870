"""Which reader goes with which kind of source: the one place that knows them all."""

from collections.abc import Callable
from dataclasses import dataclass, field

from runllm.errors import UsageError
from store.engine import Store
from store.models import KnowledgeSource
from worker.answering.parsing import Parser
from worker.knowledge.fetching import Pace, Web
from worker.knowledge.help_centres import HelpCentreReader
from worker.knowledge.learned import FactsReader
from worker.knowledge.local import DownloadReader, FileReader, FolderReader
from worker.knowledge.reading import Reader
from worker.knowledge.repositories import RepositoryReader
from worker.knowledge.settings import KnowledgeSettings
from worker.knowledge.sites import SitemapReader, SiteReader
from worker.knowledge.specifications import SpecificationReader


@dataclass
class Means:
    """What readers read with: one for each process."""

    store: Store
    settings: KnowledgeSettings
    parser: Parser
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.settings.requests_a_second)

    def web(self) -> Web:
        """Connections for one reader."""
        return Web(self.settings, self.pace)


def _file(source: KnowledgeSource, means: Means) -> Reader:
    if source.location.startswith(("http://", "https://")):
        return DownloadReader(source.location, source.base_url, means.web())
    return FileReader(source.location, source.base_url)


READERS: dict[str, Callable[[KnowledgeSource, Means], Reader]] = {
    "folder": lambda source, means: FolderReader(source.location, source.base_url),
    "file": _file,
    "site": lambda source, means: SiteReader(source.location, means.web(), means.settings),
    "sitemap": lambda source, means: SitemapReader(source.location, means.web(), means.settings),
    "git": lambda source, means: RepositoryReader(source.location, source.base_url, means.settings),
    "zendesk": lambda source, means: HelpCentreReader(source.location, means.web(), means.settings),
    "openapi": lambda source, means: SpecificationReader(source.location, source.base_url, means.web(), means.parser),
    "facts": lambda source, means: FactsReader(source.agent_id, means.store),
}


def reader_of(source: KnowledgeSource, means: Means) -> Reader:
    """Who reads a source.

    Raises:
        UsageError: Nobody does, or its location cannot be one of that kind.
    """
    if source.kind not in READERS:
        raise UsageError(f"Sources of the kind {source.kind!r} cannot be indexed. There are: {', '.join(READERS)}")
    return READERS[source.kind](source, means)
