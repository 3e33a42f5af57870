"""A Zendesk help centre on this machine: the part of its public API that lists and shows articles."""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.website import Website

PER_PAGE = 2


@dataclass
class HelpCentre(Website):
    """Articles by their numbers. Lists have two articles a page, so that there is always a next one."""

    articles: dict[int, dict[str, Any]] = field(default_factory=dict)
    has_cursors: bool = True

    def put(self, number: int, title: str, body: str, *, changed: str = "2026-01-02T03:04:05Z", **more: Any) -> None:
        """Writes an article."""
        self.articles[number] = {
            "id": number, "title": title, "body": body, "updated_at": changed, "edited_at": changed, "draft": False,
            "html_url": f"https://help.example.com/hc/en-us/articles/{number}", **more,
        }  # fmt: skip

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers as the API does; everything else is the site."""
        prefix = "/api/v2/help_center/en-us/articles"
        if not request.path.startswith(prefix):
            return await super().answer(request)
        self.asked.append(request.path_qs)
        rest = request.path.removeprefix(prefix)
        if rest == ".json":
            return web.json_response(self._list(request))
        article = self.articles.get(int(rest.removeprefix("/").removesuffix(".json")))
        if article is None:
            return web.json_response({"error": "RecordNotFound"}, status=404)
        return web.json_response({"article": article})

    def _list(self, request: web.Request) -> dict[str, Any]:
        start = int(request.query.get("page[after]") or request.query.get("offset") or 0)
        numbers = sorted(self.articles)
        shown = [self.articles[number] for number in numbers[start : start + PER_PAGE]]
        has_more = start + PER_PAGE < len(numbers)
        at = f"{self.url}/api/v2/help_center/en-us/articles.json"
        if self.has_cursors:
            following = f"{at}?page[size]=100&page[after]={start + PER_PAGE}" if has_more else None
            return {"articles": shown, "meta": {"has_more": has_more}, "links": {"next": following}}
        return {"articles": shown, "next_page": f"{at}?offset={start + PER_PAGE}" if has_more else None}
