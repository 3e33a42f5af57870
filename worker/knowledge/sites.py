"""Web sites: a list of pages from a sitemap, or a first page and all that it leads to."""

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from runllm.errors import UsageError
from worker.answering.documents import Parsed, Unreadable, format_of
from worker.knowledge.addresses import Scope, may_be_page, normal
from worker.knowledge.fetching import Answer, Web
from worker.knowledge.reading import Gone, Got, Known, Listing
from worker.knowledge.settings import KnowledgeSettings
from worker.knowledge.sitemaps import read_sitemap


class SiteReader:
    """A site that is followed link by link, from a first page on; a sitemap helps where there is one."""

    def __init__(self, location: str, web: Web, settings: KnowledgeSettings) -> None:
        self._start = _address(location)
        self._web = web
        self._scope = Scope(self._start)
        self._most = settings.site_pages

    async def listing(self) -> Listing:
        """Where reading begins: the first page, and what a sitemap says."""
        try:
            if not await self._web.may_read(self._start):
                raise UsageError(_not_for_robots(self._start))
            answer = await self._web.get(self._start)
        except (Gone, Unreadable) as error:
            raise UsageError(f"{self._start} {error}. Check the address, and that it can be read from here") from None
        if not self._scope.has(normal(answer.url) or ""):
            raise UsageError(f"{self._start} leads to {answer.url}. If that is what you want, add that address")
        pages, notes, is_sure = await self._in_sitemaps()
        return Listing(pages={self._start: "", **pages}, notes=notes, is_complete=False, is_sure=is_sure)

    async def read(self, page: Known) -> Got | None:
        """A page; what it leads to elsewhere is a page of its own."""
        answer = await fetched(self._web, page)
        if answer is None:
            return None
        url = normal(answer.url) or ""
        if url != page.path:
            raise Gone("leads elsewhere", [url] if await self._wants(url) else [])
        return got(answer)

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """The site's own pages that a page links to, in order."""
        canonical = normal(parsed.canonical, path) if parsed.canonical else None
        if canonical not in (None, path) and await self._wants(canonical or ""):
            raise Gone("says that it is another page", [canonical or ""])
        links = await self._wanted(path, parsed.links)
        if parsed.is_hidden:
            raise Gone("asks not to be found", links)
        return links

    async def close(self) -> None:
        """Closes its connections."""
        await self._web.close()

    async def _wanted(self, path: str, links: list[str]) -> list[str]:
        base = path
        if links and links[0].startswith("base:"):
            base = urljoin(path, links[0].removeprefix("base:"))
            links = links[1:]
        addresses = dict.fromkeys(normal(link, base) for link in links)
        return [one for one in addresses if one is not None and one != path and await self._wants(one)]

    async def _wants(self, url: str) -> bool:
        return self._scope.has(url) and may_be_page(url) and await self._web.may_read(url)

    async def _in_sitemaps(self) -> tuple[dict[str, str], list[str], bool]:
        """Pages in the sitemaps that the site's robots.txt names, or in the usual place; whether these are all."""
        usual = urljoin(self._start, "/sitemap.xml")
        pages: dict[str, str] = {}
        is_sure = True
        for sitemap in await self._web.sitemaps(self._start) or [usual]:
            try:
                found = await read_sitemap(self._web, sitemap)
            except Gone:
                continue
            except Unreadable:
                is_sure = False  # links lead to most of its pages all the same
                continue
            is_sure = is_sure and not found.notes
            pages |= {url: changed for url, changed in found.pages.items() if await self._wants(url)}
        if len(pages) <= self._most:
            return pages, [], is_sure
        kept = dict(list(pages.items())[: self._most])
        return kept, [f"Of {len(pages):,} pages, {self._most:,} are read"], is_sure


class SitemapReader:
    """Exactly the pages that a sitemap lists, wherever on its host they are."""

    def __init__(self, location: str, web: Web, settings: KnowledgeSettings) -> None:
        self._location = _address(location)
        self._web = web
        self._most = settings.site_pages

    async def listing(self) -> Listing:
        """The pages, with the times of their last changes."""
        try:
            sitemap = await read_sitemap(self._web, self._location)
            found = await self._readable(sitemap.pages)
        except (Gone, Unreadable) as error:
            raise UsageError(f"{self._location} {error}. Check the address of the sitemap") from None
        notes = list(sitemap.notes)
        if not sitemap.pages:
            raise UsageError(f"{self._location} lists no pages. Add the site itself: its links are followed")
        if not found:
            raise UsageError(f"{self._location} lists no page that may be read: {_ROBOTS}")
        if len(found) < len(sitemap.pages):
            notes.append(f"{len(sitemap.pages) - len(found)} pages are on other hosts, or robots.txt forbids them")
        if len(found) > self._most:
            notes.append(f"Of {len(found):,} pages, {self._most:,} are read")
        return Listing(pages=dict(list(found.items())[: self._most]), notes=notes)

    async def read(self, page: Known) -> Got | None:
        """A page."""
        answer = await fetched(self._web, page)
        return None if answer is None else got(answer)

    async def follow(self, path: str, parsed: Parsed) -> list[str]:
        """None: the sitemap has them all."""
        if parsed.is_hidden:
            raise Gone("asks not to be found")
        return []

    async def close(self) -> None:
        """Closes its connections."""
        await self._web.close()

    async def _readable(self, pages: Mapping[str, str]) -> dict[str, str]:
        """Pages of the sitemap's own host that its robots.txt lets us read: a sitemap speaks for its host alone."""
        host = Scope(urljoin(self._location, "/"))
        return {url: changed for url, changed in pages.items() if host.has(url) and await self._web.may_read(url)}


_ROBOTS = "robots.txt forbids it, or they are on other hosts"


async def fetched(web: Web, page: Known) -> Answer | None:
    """What is at a page's address; None where it has not changed."""
    known = {"If-None-Match": page.etag, "If-Modified-Since": page.last_modified}
    answer = await web.get(page.path, known={name: value for name, value in known.items() if value})
    return None if answer.status == 304 else answer


def got(answer: Answer) -> Got:
    """An answer as a page.

    Raises:
        Gone: It is no document: a picture, an archive.
    """
    name = urlsplit(answer.url).path
    if format_of(name, answer.media_type) is None:
        raise Gone(f"is no document ({answer.media_type.partition(';')[0] or 'of an unknown type'})")
    return Got(
        content=answer.content,
        name=name,
        media_type=answer.media_type,
        url=answer.url,
        dated=answer.last_modified or None,
        etag=answer.etag,
        last_modified=answer.last_modified,
    )


def _address(location: str) -> str:
    address = normal(location)
    if address is None:
        raise UsageError(f"{location} is no address of a page. Write it like https://docs.example.com/")
    return address


def _not_for_robots(url: str) -> str:
    host = urlsplit(url).netloc
    return (
        f"The robots.txt of {host} forbids programs like this one to read {url}. Whoever runs the site can allow it "
        "for the user agent in RUNLLM_USER_AGENT, or give you the files"
    )
