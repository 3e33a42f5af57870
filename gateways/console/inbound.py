"""The console's inbound rules, without any I/O."""

from collections.abc import Mapping

from runllm.bridge.surfaces import AdminConsole, AdminConsoleConfig


def surface_of(agent_id: int, conversation: str) -> AdminConsole:
    """One conversation of the console."""
    return AdminConsole(config=AdminConsoleConfig(agent_id=agent_id, convo_identifier=conversation))


def is_from_our_page(headers: Mapping[str, str], host: str) -> bool:
    """Whether a write comes from a page of this server. Browsers say so, and other sites' pages cannot lie about it."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("Origin")
    return origin is not None and origin.partition("://")[2] == host


def safe_next(path: str | None) -> str:
    """Where to go after signing in: an address of ours, or the console."""
    is_ours = path is not None and path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if path is not None and is_ours else "/console/"
