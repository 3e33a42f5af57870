"""Which kind of source a location is, by what it looks like."""

import re
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["folder", "file", "site", "sitemap", "git", "zendesk", "openapi"]

ON_THE_WEB: frozenset[Kind] = frozenset({"site", "sitemap", "zendesk"})
ON_DISK: frozenset[Kind] = frozenset({"folder"})

_FORGES = ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org")
_DOCUMENTS = (".md", ".markdown", ".mdx", ".rst", ".html", ".htm", ".pdf")
_SPECIFICATIONS = (".json", ".yaml", ".yml")
_SITEMAP = re.compile(r"\.xml(?:\.gz)?$|/sitemap[^/]*\.txt$")


def kind_of(location: str) -> Kind:
    """The kind that a location most likely is. People can say otherwise."""
    if location.startswith(("git@", "ssh://", "git://", "file://")) or location.partition("#")[0].endswith(".git"):
        return "git"
    if not location.startswith(("http://", "https://")):
        return _on_disk(location)
    parts = urlsplit(location)
    host, path = (parts.hostname or ""), parts.path.lower()
    if host in _FORGES and len(path.strip("/").split("/")) == 2:
        return "git"
    if host.endswith(".zendesk.com") or path.startswith("/hc/") or path == "/hc":
        return "zendesk"
    if _SITEMAP.search(path):
        return "sitemap"
    suffix = PurePosixPath(path).suffix
    if suffix in _SPECIFICATIONS:
        return "openapi"
    return "file" if suffix in _DOCUMENTS and suffix not in (".html", ".htm") else "site"


def _on_disk(location: str) -> Kind:
    suffix = PurePosixPath(location).suffix.lower()
    return "openapi" if suffix in _SPECIFICATIONS else "file" if suffix in _DOCUMENTS else "folder"


def problem_with(kind: Kind, location: str) -> str | None:
    """Why a location cannot be of that kind; None where it may be."""
    is_address = location.startswith(("http://", "https://"))
    if is_address and urlsplit(location).username is not None:
        return "has a name or a password in it, which everybody would be shown. Leave that out"
    if kind in ON_THE_WEB and not is_address:
        return f"is no address, which a source of the kind {kind} needs. Write it like https://docs.example.com/"
    if kind in ON_DISK and is_address:
        return f"is an address; a source of the kind {kind} is on the worker's disk"
    is_path = PurePosixPath(location).is_absolute()
    if kind in ("folder", "file", "openapi") and not is_address and not is_path:
        return "is relative; give its absolute path on the worker's disk"
    return None
