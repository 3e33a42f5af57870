"""Zendesk help centres, by their public API.

https://developer.zendesk.com/api-reference/help_center/help-center-api/articles/
"""

import json
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from runllm.errors import UsageError
from worker.answering.documents import Parsed, Unreadable
from worker.knowledge.addresses import normal
from worker.knowledge.fetching import Web
from worker.knowledge.reading import Gone, Got, Known, Listing
from worker.knowledge.settings import KnowledgeSettings

_LOCALE = re.compile(r"/hc/([a-z]{2}(?:-[a-z0-9]{2,4})?)(?:/|$)", re.IGNORECASE)
_LARGEST = 20_000_000
_MOST_LISTS = 1000


class HelpCentreReader:
    """The public articles of a help centre, in one language where the address names it."""

    def __init__(self, location: str, web: Web, settings: KnowledgeSettings) -> None:
        address = normal(location)
        if address is None:
            raise UsageError(f"{location} is no address. Write it like https://example.zendesk.com/hc/en-us")
        parts = urlsplit(address)
        locale = _LOCALE.search(parts.path)
        self._location = address
        self._root = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        self._api = f"{self._root}/api/v2/help_center{f'/{locale[1].lower()}' if locale else ''}"
        self._web = web

    async def listing(self) -> Listing:
        """The articles, with the times of their last changes."""
        pages: dict[str, str] = {}
        url: str | None = f"{self._api}/articles.json?page[size]=100"
        for _ in range(_MOST_LISTS):
            if url is None:
                break
            found = await self._list(url)
            for article in found.get("articles", []):
                if isinstance(article, dict) and not article.get("draft") and isinstance(article.get("id"), int):
                    pages[f"articles/{article['id']}"] = f"{article.get('updated_at')} {article.get('edited_at')}"
            url = self._next(found)
        notes = [] if pages else ["There are no articles in it that everybody may read"]
        return Listing(pages=pages, notes=notes)

    async def read(self, page: Known) -> Got | None:
        """An article."""
        article = (await self._json(f"{self._api}/{page.path}.json")).get("article")
        if not isinstance(article, dict) or article.get("draft"):
            raise Gone("is not public")
        return Got(
            content=str(article.get("body") or "").encode(),
            media_type="text/html; charset=utf-8",
            name=page.path,
            url=article.get("html_url") if isinstance(article.get("html_url"), str) else None,
            title=str(article.get("title") or ""),
            dated=str(article.get("edited_at") or article.get("updated_at") or "") or None,
        )

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None: the list has all articles."""
        return []

    async def close(self) -> None:
        """Closes its connections."""
        await self._web.close()

    async def _list(self, url: str) -> dict[str, Any]:
        try:
            found = await self._json(url)
        except (Gone, Unreadable) as error:
            raise UsageError(
                f"{self._location} is no Zendesk help centre that everybody may read: its list of articles {error}. "
                "Write the address of the help centre's start page"
            ) from None
        if not isinstance(found.get("articles"), list):
            raise UsageError(f"{self._location} is no Zendesk help centre: its API lists no articles")
        return found

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self._web.get(url, limit=_LARGEST)
        try:
            found = json.loads(answer.content)
        except (ValueError, RecursionError):
            raise Unreadable("is not JSON") from None
        if not isinstance(found, dict):
            raise Unreadable("is not an object")
        return found

    def _next(self, found: dict[str, Any]) -> str | None:
        """The next part of the list: by cursor, or on older help centres by page. Never on another host."""
        meta, links = found.get("meta"), found.get("links")
        if isinstance(meta, dict):
            url = links.get("next") if isinstance(links, dict) and meta.get("has_more") else None
        else:
            url = found.get("next_page")
        return url if isinstance(url, str) and url.startswith(f"{self._root}/") else None
