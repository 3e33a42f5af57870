"""The web, read politely: one request after the other, no faster than a host likes, no more than is wanted.

Redirects are followed by hand, because each address on the way is checked.
"""

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import aiohttp
from protego import Protego

from runllm.errors import RateLimited
from runllm.operations import Frozen
from worker.answering.documents import Unreadable
from worker.answering.folders import LARGEST, LARGEST_PDF
from worker.knowledge.egress import Egress, Forbidden
from worker.knowledge.reading import Gone, Unreachable
from worker.knowledge.settings import KnowledgeSettings

_REDIRECTS = 5
_TIME = aiohttp.ClientTimeout(total=90, sock_connect=10, sock_read=30)
_PATIENCE = 30.0
"""A server that asks to come back within so many seconds is waited for; for longer, the whole source waits."""

_TRIES = 3
_LONGEST_DELAY = 30.0
_CHUNK = 64 * 1024
_LARGEST_ROBOTS = 500_000


class Answer(Frozen):
    """What a server says: `url` is where it was said in the end. A 304 has no content."""

    url: str
    status: int
    content: bytes = b""
    media_type: str = ""
    etag: str = ""
    last_modified: str = ""


class Pace:
    """How fast this process may go at each host, whichever source asks."""

    def __init__(self, requests_a_second: float) -> None:
        self._usual = 1 / requests_a_second
        self._next: dict[str, float] = {}

    async def wait(self, host: str, delay: float = 0.0) -> None:
        """Waits until the next request may go out."""
        now = time.monotonic()
        turn = max(now, self._next.get(host, 0.0))
        self._next[host] = turn + max(self._usual, min(delay, _LONGEST_DELAY))
        await asyncio.sleep(turn - now)


class Web:
    """Fetches pages. One for each activity; they share the pace."""

    def __init__(self, settings: KnowledgeSettings, pace: Pace) -> None:
        self._settings = settings
        self._pace = pace
        self._robots: dict[str, Protego | None] = {}
        self._opened: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes its connections."""
        if self._opened is not None:
            await self._opened.close()

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=Egress(self._settings.allowed_networks).connector(),
                timeout=_TIME,
                headers={"User-Agent": self._settings.user_agent},
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._opened

    async def get(self, url: str, *, known: Mapping[str, str] | None = None, limit: int = LARGEST) -> Answer:
        """What is at an address. `known` are headers that let the server say that nothing has changed.

        Raises:
            Gone: There is nothing any more.
            Unreadable: It may not be read, is too large, or the server refuses.
            Unreachable: Nobody answers there.
            RateLimited: The server wants to be left alone for long.
        """
        for _ in range(_REDIRECTS + 1):
            answer = await self._patiently(url, known or {}, limit)
            if isinstance(answer, Answer):
                return answer
            url = answer
        raise Unreadable(f"is redirected more than {_REDIRECTS} times")

    async def may_read(self, url: str) -> bool:
        """Whether the robots.txt of its host lets us.

        Raises:
            Unreachable: The host does not answer, so nobody knows.
        """
        rules = await self._rules(url)
        return rules is None or rules.can_fetch(url, self._settings.user_agent)

    async def sitemaps(self, url: str) -> list[str]:
        """Sitemaps that the robots.txt of the host names."""
        rules = await self._rules(url)
        return list(rules.sitemaps) if rules is not None else []

    async def _rules(self, url: str) -> Protego | None:
        parts = urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}"
        if root not in self._robots:
            try:
                answer = await self.get(f"{root}/robots.txt", limit=_LARGEST_ROBOTS)
                self._robots[root] = Protego.parse(answer.content.decode("utf-8", "replace"))
            except Unreachable:
                raise
            except (Gone, Unreadable):  # none there, or nothing that could be one: nothing is forbidden
                self._robots[root] = None
        return self._robots[root]

    async def _patiently(self, url: str, known: Mapping[str, str], limit: int) -> Answer | str:
        """An answer, or where it is; a server that is busy is asked again."""
        for attempt in range(1, _TRIES + 1):
            await self._pace.wait(urlsplit(url).netloc, self._delay(url))
            try:
                return await self._ask(url, known, limit)
            except _Busy as busy:
                wait = busy.seconds if busy.seconds is not None else float(2**attempt)
                if wait > _PATIENCE:
                    raise RateLimited(f"{urlsplit(url).netloc} asks to be left alone", retry_after=wait) from None
                if attempt == _TRIES:
                    raise Unreachable(f"answers {busy.status} each time") from None
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    def _delay(self, url: str) -> float:
        parts = urlsplit(url)
        rules = self._robots.get(f"{parts.scheme}://{parts.netloc}")
        return float(rules.crawl_delay(self._settings.user_agent) or 0.0) if rules is not None else 0.0

    async def _ask(self, url: str, known: Mapping[str, str], limit: int) -> Answer | str:
        if urlsplit(url).scheme not in ("http", "https"):
            raise Unreadable(f"leads to {url[:100]}, which is not on the web")
        try:
            async with self._http.get(url, headers=dict(known), allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    return urljoin(url, response.headers.get("Location", ""))
                _judge(response)
                return Answer(
                    url=url,
                    status=response.status,
                    content=b"" if response.status == 304 else await _body(response, limit),
                    media_type=response.headers.get("Content-Type", ""),
                    etag=response.headers.get("ETag", ""),
                    last_modified=response.headers.get("Last-Modified", ""),
                )
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Forbidden):
                raise Unreadable(_forbidden(url, error.os_error.address)) from None
            raise Unreachable(f"cannot be reached ({error.os_error.strerror or error.os_error})") from None
        except TimeoutError:
            raise Unreachable("does not answer in time") from None
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Unreadable(f"is no address that can be asked for ({type(error).__name__})") from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"cannot be read ({type(error).__name__})") from None


class _Busy(Exception):
    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.seconds = seconds


def _judge(response: aiohttp.ClientResponse) -> None:
    """Lets pass what can be read."""
    status = response.status
    if status == 429 or status >= 500:
        raise _Busy(status, _seconds(response.headers.get("Retry-After")))
    if status in (404, 410):
        raise Gone(f"is not there ({status})")
    if status >= 400:
        raise Unreadable(f"is refused by its server ({status})")


def _seconds(retry_after: str | None) -> float | None:
    """Seconds to wait; a date there is rare, and a minute then as good as any other time."""
    if retry_after is None:
        return None
    return float(retry_after) if retry_after.strip().isdecimal() else 60.0


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The content, unpacked; no more of it is read than may be."""
    if "application/pdf" in response.headers.get("Content-Type", ""):
        limit = max(limit, LARGEST_PDF)
    if (response.content_length or 0) > limit:
        raise Unreadable(f"has more than {limit // 1_000_000 or 1} MB")
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise Unreadable(f"has more than {limit // 1_000_000 or 1} MB")
    return bytes(data)


def _forbidden(url: str, address: str) -> str:
    host = urlsplit(url).hostname or ""
    where = address if host == address else f"{host} ({address})"
    return (
        f"leads to {where}, which is not an address of the internet. If that is meant, allow its network to the worker "
        "with RUNLLM_ALLOWED_NETWORKS"
    )
