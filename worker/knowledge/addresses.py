"""Addresses of pages: one spelling for each page, and which of them belong to a site."""

import posixpath
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

LONGEST = 1000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TRACKING = ("utm_", "ref", "source", "fbclid", "gclid", "mc_")
_NO_PAGES = frozenset({
    ".7z", ".avi", ".bmp", ".bz2", ".css", ".csv", ".deb", ".dmg", ".eot", ".exe", ".gif", ".gz", ".ico", ".iso",
    ".jar", ".jpeg", ".jpg", ".js", ".json", ".map", ".mov", ".mp3", ".mp4", ".msi", ".png", ".rar", ".rpm", ".rss",
    ".svg", ".tar", ".tgz", ".ttf", ".wasm", ".wav", ".webm", ".webp", ".whl", ".woff", ".woff2", ".xls", ".xlsx",
    ".xml", ".xz", ".yaml", ".yml", ".zip",
})  # fmt: skip


def normal(url: str, base: str = "") -> str | None:
    """The one spelling of an address, without what only a browser needs; None where it is no address of a page."""
    try:
        parts = urlsplit(urljoin(base, url.strip()))
        host, port = (parts.hostname or "").encode("idna").decode().lower(), parts.port
    except (ValueError, UnicodeError):
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host or parts.username or parts.password:
        return None
    host = f"[{host}]" if ":" in host else host
    netloc = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    path = quote(unquote(parts.path), safe="/:@!$&'()*+,;=~-._") or "/"
    found = urlunsplit((parts.scheme, netloc, path, _query(parts.query), ""))
    return found if len(found) <= LONGEST else None


def _query(query: str) -> str:
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if not name.startswith(_TRACKING)]
    return urlencode(sorted(kept))


def may_be_page(url: str) -> bool:
    """Whether what is there is likely to be read by people: no picture, no archive."""
    return posixpath.splitext(urlsplit(url).path)[1].lower() not in _NO_PAGES


class Scope:
    """What belongs to a site: the same host, at the first page's folder and below."""

    def __init__(self, start: str) -> None:
        parts = urlsplit(start)
        self._host = _host(parts.netloc)
        last = parts.path.rpartition("/")[2]
        # A last part without a full stop is a folder whose slash was left out: /docs is /docs/.
        self._folder = parts.path if not last else parts.path[: -len(last)] if "." in last else parts.path + "/"

    def has(self, url: str) -> bool:
        """Whether a page belongs to it."""
        parts = urlsplit(url)
        path = parts.path
        return _host(parts.netloc) == self._host and (path + "/" == self._folder or path.startswith(self._folder))


def _host(netloc: str) -> str:
    return netloc.lower().removeprefix("www.")
