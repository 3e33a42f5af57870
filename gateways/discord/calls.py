"""Calls of Discord's HTTP API, version 10: one request each, and a failure says whether anything can have happened.

These are requests of our own and not discord.py's, because that sends some of them again by itself: on 500, 502, 504
and 524, and on 429, where it sleeps. Here Temporal owns retries, so it is told of a 429 at once, with the time to wait.

https://discord.com/developers/docs/reference
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from gateways.adapter import File
from gateways.platforms import DiscordSettings
from runllm.errors import NotConnected, RateLimited, Rejected, SurfaceError, Unavailable
from runllm.version import VERSION

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK = 10003, 10008, 10015
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
THREAD_ARCHIVED, THREAD_EXISTS, THREAD_LOCKED = 50083, 160004, 160005
"""https://discord.com/developers/docs/topics/opcodes-and-status-codes#json"""

_PATIENCE = aiohttp.ClientTimeout(total=20, connect=5)
_AGENT = f"DiscordBot (runllm-engine, {VERSION})"
_ONLY_THIS_ONCE = {"Connection": "close"}


class CallError(Exception):
    """Discord did not do what it was asked.

    Attributes:
        status: Of the answer; 0 where there was none.
        code: Discord's own number for what is wrong; 0 where it gave none.
        retry_after: Seconds to wait, for 429.
    """

    def __init__(self, status: int, code: int = 0, text: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {code} {text}".strip())
        self.status = status
        self.code = code
        self.text = text
        self.retry_after = retry_after

    @property
    def is_unknown(self) -> bool:
        """Nobody knows whether Discord did it: there was no answer, or one that says that Discord is in trouble."""
        return self.status == 0 or self.status >= 500


class Calls:
    """Discord's HTTP API, as one bot."""

    def __init__(self, settings: DiscordSettings, token: str) -> None:
        self._url = settings.api_url
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def kept_open(self) -> AsyncIterator["Calls"]:
        """Calls inside share connections. Without it, each call opens its own and leaves nothing behind."""
        async with aiohttp.ClientSession(timeout=_PATIENCE) as self._session:
            try:
                yield self
            finally:
                self._session = None

    async def get(self, path: str, **query: str | int) -> Any:
        """Reads."""
        return await self._call("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, Any], files: Sequence[File] = (), **query: str | int) -> Any:
        """Makes something new."""
        return await self._call("POST", path, body, files, query)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Changes something."""
        return await self._call("PATCH", path, body)

    async def delete(self, path: str) -> None:
        """Removes something."""
        await self._call("DELETE", path)

    async def download(self, url: str, most: int) -> bytes:
        """The content of a file of a message. The token stays here: the address is signed.

        Raises:
            Rejected: It is larger than `most` bytes.
        """
        async with self._http() as http, http.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise CallError(response.status)
            content = await response.content.read(most + 1)
            while len(content) <= most and (more := await response.content.read(most + 1 - len(content))):
                content += more
        if len(content) > most:
            raise Rejected(f"A file of the message is larger than {most // 1024 // 1024} MB and is not passed on.")
        return content

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        files: Sequence[File] = (),
        query: Mapping[str, str | int] | None = None,
    ) -> Any:
        headers = {"Authorization": f"Bot {self._token}", "User-Agent": _AGENT}
        how: dict[str, Any] = (
            {"data": _form(body or {}, files)} if files else {"json": body} if body is not None else {}
        )
        try:
            async with (
                self._http() as http,
                http.request(method, f"{self._url}{path}", headers=headers, params=query or None, **how) as response,
            ):
                return _answer(response, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CallError(0, text=type(error).__name__) from None  # its text may quote an address with a token in it

    @asynccontextmanager
    async def _http(self) -> AsyncIterator[aiohttp.ClientSession]:
        if self._session is not None:
            yield self._session
            return
        async with aiohttp.ClientSession(timeout=_PATIENCE, headers=_ONLY_THIS_ONCE) as session:
            yield session


@asynccontextmanager
async def as_errors_of_ours(where: str) -> AsyncIterator[None]:
    """Turns what Discord says of `where` into the errors that sessions know."""
    try:
        yield
    except CallError as error:
        raise _ours(error, where) from None


def _ours(error: CallError, where: str) -> SurfaceError:
    match error.status, error.code:
        case 429, _:
            return RateLimited(f"Discord wants fewer calls for {where}.", retry_after=error.retry_after)
        case _ if error.is_unknown:
            return Unavailable(f"Discord does not answer for {where} ({error.status or error.text}).")
        case 401, _:
            return NotConnected(
                f"Discord refuses the bot's token for {where}. Reset it in the Developer Portal and connect again: "
                "runllm connect discord"
            )
        case _, code if code == UNKNOWN_CHANNEL:
            return Rejected(f"There is no {where} any more: it was deleted, or the bot cannot see it.")
        case _, code if code == UNKNOWN_MESSAGE:
            return Rejected(f"The message in {where} was deleted.")
        case _, code if code == THREAD_LOCKED:
            return Rejected(f"The {where} is locked. Unlock it, or give the bot the permission Manage Threads.")
        case 403, _:
            return Rejected(
                f"The bot may not do that in {where}: {error.text}. To see which permission is missing: "
                "runllm connect discord"
            )
        case _:
            return Rejected(f"Discord refused, for {where}: {error.text} (code {error.code}).")


def _answer(response: aiohttp.ClientResponse, content: bytes) -> Any:
    try:
        data = json.loads(content) if content else None
    except ValueError:
        data = None
    if response.status < 300:
        return data
    said = data if isinstance(data, dict) else {}
    text = "; ".join([str(said.get("message", "no reason given")), *_problems(said.get("errors"))])
    waits = said.get("retry_after", response.headers.get("Retry-After", 1))
    raise CallError(response.status, int(said.get("code") or 0), text, float(waits))


def _problems(errors: object, path: str = "") -> list[str]:
    """Which fields Discord did not like, and why; not what was in them."""
    if not isinstance(errors, dict):
        return []
    own = [f"{path}: {one.get('code')}" for one in errors.get("_errors", ()) if isinstance(one, dict)]
    inner = (_problems(value, f"{path}.{name}".strip(".")) for name, value in errors.items() if name != "_errors")
    return own + [problem for problems in inner for problem in problems]


def _form(body: Mapping[str, Any], files: Sequence[File]) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)  # Discord knows `files[0]`, and not `files%5B0%5D`
    listed = [{"id": str(number), "filename": file.name} for number, file in enumerate(files)]
    form.add_field("payload_json", json.dumps({**body, "attachments": listed}), content_type="application/json")
    for number, file in enumerate(files):
        form.add_field(f"files[{number}]", file.data, filename=_header_safe(file.name), content_type=file.mimetype)
    return form


def _header_safe(name: str) -> str:
    return "".join("_" if character in '"\\' or not character.isprintable() else character for character in name)
