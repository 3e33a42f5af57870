"""What indexing is told by its environment."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

USER_AGENT = "RunLLM-Engine/0.1 (documentation indexer)"


class KnowledgeSettings(BaseModel):
    """What may be read, and how fast.

    Attributes:
        cache: Where copies of Git repositories are kept.
        allowed_networks: Private networks that sources may be in; by default none.
        requests_a_second: Of one host.
        user_agent: What web servers and their robots.txt are told.
        site_pages: The most pages of one site.
        may_read_local_repositories: Git repositories on the worker's own disk may be sources.
    """

    model_config = ConfigDict(frozen=True)

    cache: Path = Path(".runllm/knowledge")
    allowed_networks: list[IPv4Network | IPv6Network] = []
    requests_a_second: float = Field(default=5.0, gt=0)
    user_agent: str = USER_AGENT
    site_pages: int = Field(default=20_000, gt=0)
    may_read_local_repositories: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str], home: Path) -> "KnowledgeSettings":
        """Reads RUNLLM_* variables; `home` is where this installation keeps everything.

        Raises:
            ValueError: One of them does not make sense; the text names it.
        """
        return cls(
            cache=home / "knowledge",
            allowed_networks=_networks(environ.get("RUNLLM_ALLOWED_NETWORKS", "")),
            requests_a_second=_number(environ, "RUNLLM_REQUESTS_PER_SECOND", 5.0),
            user_agent=environ.get("RUNLLM_USER_AGENT") or USER_AGENT,
            site_pages=int(_number(environ, "RUNLLM_SITE_PAGES", 20_000)),
            may_read_local_repositories=environ.get("RUNLLM_LOCAL_REPOSITORIES") == "1",
        )


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise ValueError(f"{name} is {text!r}. Set it to a number above 0.")
    return number


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"RUNLLM_ALLOWED_NETWORKS: {error}. Set it to addresses or networks, with commas.") from None
