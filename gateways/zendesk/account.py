"""One Zendesk account as we call it: zenpy, with nothing sent twice and no other host reached.

zenpy blocks, so every call runs in a thread. What it would do behind our back is switched off: PUTs are not sent again,
a 429 is not slept through, nothing is cached. All of that is Temporal's.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from urllib3.util import Retry
from zenpy import Zenpy
from zenpy.lib.api_objects import BaseObject, Ticket, User
from zenpy.lib.exception import APIException, ZenpyException

from gateways.renewing import RenewalRefused
from runllm.errors import NotConnected, RateLimited, Rejected, SurfaceError, Unavailable
from runllm.operations import Frozen

T = TypeVar("T")

LARGEST_FILE = 20 * 1024 * 1024
"""Bytes of a file that is read from a ticket or attached to one; Zendesk takes up to 50 MB."""

_TIMEOUT = 20.0
_RENEW_BEFORE = 3600.0
_THREADS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="zendesk")
_RECONNECT = "Connect it again: runllm connect zendesk"
_SIGN_IN = "Sign in again: runllm connect zendesk --sign-in"


class Credentials(Frozen):
    """What opens one Zendesk account, and what the engine has installed there.

    Attributes:
        subdomain: `company` of `company.zendesk.com`.
        email, api_token: An agent's address with an API token, or else
        oauth_token: an OAuth access token.
        refresh_token, expires_at, lives: Of a sign-in that ends: what renews it, for one time; when it ends; and how
            many seconds it was good for when it was new.
        asked_at: When a renewal was asked for whose answer is not in the record yet.
        refused_at: When Zendesk said that it renews the sign-in no more.
        bot_user_id: The user as whom the engine acts: what it writes there is not news.
        mark: Tells the effects of this engine from those of another one that shares the account.
        signing_secret, webhook_id, trigger_id: Of the webhook that tells the engine of comments.
    """

    subdomain: str
    email: str = ""
    api_token: SecretStr | None = None
    oauth_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    expires_at: float = 0.0
    lives: float = 0.0
    asked_at: float = 0.0
    refused_at: float = 0.0
    bot_user_id: int = 0
    mark: str = ""
    signing_secret: SecretStr | None = None
    webhook_id: str = ""
    trigger_id: int = 0

    @property
    def seconds_left(self) -> float:
        """Until a sign-in ends; without end for all else."""
        return self.expires_at - time.time() if self.refresh_token is not None and self.expires_at else float("inf")

    @property
    def is_ending(self) -> bool:
        """Whether it is time to renew a sign-in: before its last hour, and a short one in its last quarter."""
        return self.seconds_left < min(_RENEW_BEFORE, self.lives / 4)

    def in_the_clear(self) -> dict[str, Any]:
        """As the seal takes it."""
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in self
            if value is not None
        }


class CollisionError(Exception):
    """Somebody else changed the ticket between our look and our write, so nothing was written."""


class Account:
    """Calls of one account. All raise `SurfaceError`s, and `CollisionError` where they compare a stamp."""

    def __init__(
        self,
        credentials: Credentials,
        url_template: str = "https://{subdomain}.zendesk.com",
        is_replaced: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """
        Args:
            is_replaced: Whether there are newer credentials than these by now. Zendesk takes old ones back at once.
        """
        self.credentials = credentials
        self._is_replaced = is_replaced
        self.subdomain = credentials.subdomain
        self._wire = _Wire(self.subdomain, url_template.replace("{subdomain}", self.subdomain))

    def close(self) -> None:
        """Lets go of open connections."""
        self._wire.close()

    @property
    def room(self) -> float:
        """How much of the account's rate was left at the last call, from 0 to 1.

        https://developer.zendesk.com/api-reference/introduction/rate-limits/
        """
        return self._wire.room

    def marked(self, key: str) -> str:
        """The key of an effect as it is written on the account."""
        return f"{self.credentials.mark}:{key}" if self.credentials.mark else key

    # Who we are

    async def me(self) -> dict[str, Any]:
        """The user as whom we act."""
        return await self._run(lambda zenpy: _plain(zenpy.users.me()))

    async def create_or_update_user(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The user with this `external_id`, made where there is none. Nobody is sent a mail about it."""
        user = User(**fields, skip_verify_email=True)
        return await self._run(lambda zenpy: _plain(zenpy.users.create_or_update(user)))

    async def ask_for_tokens(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What Zendesk gives for a code, or for a refresh token.

        Raises:
            RenewalRefused: Zendesk takes neither; the text holds nothing of them.
            NotConnected: Nor does it take the engine's OAuth client.
        """
        return await self._in_thread(functools.partial(self._wire.ask_for_tokens, body))

    # Tickets

    async def ticket(self, id: str | int) -> dict[str, Any]:
        """One ticket as it is now."""
        return await self._run(lambda zenpy: _plain(zenpy.tickets(id=id)))

    async def tickets_of(self, external_id: str) -> list[dict[str, Any]]:
        """Tickets that carry this external id, oldest first. Zendesk does not keep it unique."""
        found = await self._run(lambda zenpy: [_plain(ticket) for ticket in zenpy.tickets(external_id=external_id)])
        return sorted(found, key=lambda ticket: int(ticket["id"]))

    async def create_ticket(self, fields: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Creates a ticket once for each `key`, for the two hours that Zendesk remembers one.

        https://developer.zendesk.com/api-reference/ticketing/introduction/#idempotency
        """
        ticket, headers = Ticket(**fields), {"Idempotency-Key": key}
        made = await self._run(lambda zenpy: _plain(zenpy.tickets.create(ticket)), headers)
        return dict(made.get("ticket", made))

    async def update_ticket(self, id: str | int, fields: Mapping[str, Any], stamp: str) -> dict[str, Any]:
        """Updates a ticket that nobody has changed since `stamp`. Returns the audit of the change.

        https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/#protecting-against-ticket-update-collisions
        """
        ticket = Ticket(id=int(id), **fields, safe_update=True, updated_stamp=stamp)
        return dict((await self._run(lambda zenpy: _plain(zenpy.tickets.update(ticket))))["audit"])

    async def add_tags(self, id: str | int, tags: list[str], stamp: str) -> list[str]:
        """Adds tags to those that a ticket has, unless somebody changed it since `stamp`; returns all of them."""
        body = {"tags": tags, "safe_update": "true", "updated_stamp": stamp}
        return [str(tag) for tag in (await self.send("put", f"tickets/{id}/tags.json", body))["tags"]]

    async def audits(self, id: str | int) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
        """What was ever done to a ticket, oldest first, and who they are that did it, by id."""
        audits: list[dict[str, Any]] = []
        people: dict[int, dict[str, Any]] = {}
        page = await self.get(f"tickets/{id}/audits.json", **{"page[size]": "100", "include": "users"})
        while True:
            audits += page["audits"]
            people |= {int(user["id"]): user for user in page.get("users", [])}
            following = (page.get("links") or {}).get("next")
            if not (page.get("meta") or {}).get("has_more") or not following:
                return audits, people | await self._people(_authors(audits) - set(people))
            page = await self.get(following)

    async def _people(self, ids: set[int]) -> dict[int, dict[str, Any]]:
        """Users that did not come along. Who is of the team decides what a comment may do: nobody stays unknown."""
        people: dict[int, dict[str, Any]] = {}
        wanted = sorted(ids)
        for start in range(0, len(wanted), 100):
            some = ",".join(map(str, wanted[start : start + 100]))
            found = await self.get("users/show_many.json", ids=some)
            people |= {int(user["id"]): user for user in found["users"]}
        return people

    async def comments(self, id: str | int) -> list[dict[str, Any]]:
        """All comments of a ticket, oldest first."""
        comments: list[dict[str, Any]] = []
        page = await self.get(f"tickets/{id}/comments.json", **{"page[size]": "100"})
        while True:
            comments += page["comments"]
            following = (page.get("links") or {}).get("next")
            if not (page.get("meta") or {}).get("has_more") or not following:
                return comments
            page = await self.get(following)

    async def changed_tickets(self, since: int) -> dict[str, Any]:
        """One page of the incremental export: tickets that changed at `since` (Unix time) or later, and until when.

        Zendesk leaves out the last minute, and refuses to begin in it.
        https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/
        """
        return await self.get("incremental/tickets.json", start_time=str(since))

    # Files

    async def upload(self, name: str, mimetype: str, content: bytes) -> str:
        """Uploads a file; its token attaches it to a comment."""

        def put(zenpy: Zenpy) -> str:
            # zenpy puts the name into the address as it is
            upload = zenpy.attachments.upload(content, target_name=quote(name, safe=""), content_type=mimetype)
            return str(upload.token)

        return await self._run(put)

    async def download(self, attachment_id: str) -> bytes:
        """The content of a file of a ticket."""
        found = await self.get(f"attachments/{attachment_id}.json")
        return await self._in_thread(functools.partial(self._wire.download, str(found["attachment"]["content_url"])))

    # Any call

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Reads something; `path` is below `/api/v2`, or a whole address that Zendesk gave."""

        def ask(zenpy: Zenpy) -> dict[str, Any]:
            url = path if path.startswith("https://") else self._wire.address(path)
            return dict(zenpy.users._get(url, raw_response=True, params=parameters or None).json())

        return await self._run(ask)

    async def send(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Changes something, once."""

        def do(zenpy: Zenpy) -> dict[str, Any]:
            api = zenpy.users
            response = api._call_api(
                getattr(api.session, method), self._wire.address(path), json=body, timeout=api.timeout
            )
            return dict(response.json()) if response.content else {}

        return await self._run(do, headers)

    async def _run(self, call: Callable[[Zenpy], T], headers: Mapping[str, str] | None = None) -> T:
        return await self._in_thread(lambda: call(self._zenpy(headers or {})))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(_THREADS, call)
        except SurfaceError:
            raise
        except (APIException, ZenpyException, requests.RequestException, ValueError, KeyError) as error:
            meaning = self._meaning(error)
        if isinstance(meaning, NotConnected) and self._is_replaced is not None and await self._is_replaced():
            raise Unavailable(f"the sign-in to {self.subdomain}.zendesk.com was renewed meanwhile")
        raise meaning

    def _zenpy(self, headers: Mapping[str, str]) -> Zenpy:
        """A client for one call: its sessions are not made for several threads. Connections are shared."""
        session = requests.Session()
        session.mount("https://", self._wire)
        session.headers.update(headers)
        session.auth = _signer(self.credentials)
        return Zenpy(subdomain=self.subdomain, session=session, anonymous=True, timeout=_TIMEOUT, disable_cache=True)

    def _meaning(self, error: Exception) -> Exception:
        """What went wrong, in our terms: whether trying again may help, and who can put it right."""
        response = getattr(error, "response", None)
        where = f"{self.subdomain}.zendesk.com"
        if response is None:
            return Unavailable(f"{where} gave no answer ({type(error).__name__})")
        status, said = response.status_code, _said(response)
        match status:
            case 401:
                again = _SIGN_IN if self.credentials.refresh_token is not None else _RECONNECT
                return NotConnected(f"{where} no longer accepts the engine's credentials. {again}")
            case 403:
                return Rejected(f"{where} does not let the engine's user do this: {said}")
            case 404:
                return Rejected(f"{where} has no such ticket, or the engine's user may not see it: {said}")
            case 409 if "IdempotentRequest" in said:
                return Unavailable(f"{where} is still working on the same request")
            case 400 if "IdempotentRequest" in said:  # an earlier attempt came through: the next one finds its ticket
                return Unavailable(f"{where} has taken this request before, with other words")
            case 409:
                return CollisionError(f"{where}: {said}")
            case 408 | 500 | 502 | 503 | 504:
                return Unavailable(f"{where} cannot answer now ({status})")
            case _ if status < 400:
                return Unavailable(f"{where} gave an answer that makes no sense ({type(error).__name__})")
        return Rejected(f"{where} refused ({status}): {said}")


class _Wire(HTTPAdapter):
    """Carries requests to one account and nowhere else, each once; a read may be asked for again."""

    def __init__(self, subdomain: str, base: str) -> None:
        super().__init__(
            max_retries=Retry(
                total=1,
                status=0,
                redirect=0,
                allowed_methods=frozenset({"GET", "HEAD"}),
                respect_retry_after_header=False,
            )
        )
        self.room = 1.0
        self._host = f"{subdomain}.zendesk.com"
        self._base = urlsplit(base.rstrip("/"))

    def address(self, path: str) -> str:
        """Where something is, as Zendesk itself writes it."""
        return f"https://{self._host}/api/v2/{path}"

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        if url.hostname != self._host:
            raise Rejected(f"{self._host} names an address on another host; credentials do not go there.")
        carried = request.copy()
        path = f"{self._base.path}{url.path}"
        carried.url = urlunsplit((self._base.scheme, self._base.netloc, path, url.query, ""))
        response = super().send(carried, *args, **kwargs)
        response.request, response.url = request, request.url or ""
        self.room = _room(response.headers.get("X-Rate-Limit"), response.headers.get("X-Rate-Limit-Remaining"))
        if response.status_code == 429:
            response.close()
            raise RateLimited(f"{self._host} wants fewer calls", _seconds(response.headers.get("Retry-After")))
        return response

    def ask_for_tokens(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """One request for tokens, without credentials beside those in it."""
        with requests.Session() as session:
            session.mount(f"https://{self._host}/", self)
            with session.post(f"https://{self._host}/oauth/tokens", json=body, timeout=_TIMEOUT) as response:
                if response.status_code in (400, 401, 403):
                    code = _oauth_error(response)
                    if code == "invalid_grant":
                        raise RenewalRefused(f"{self._host} refuses the sign-in ({code}). {_SIGN_IN}")
                    raise NotConnected(
                        f"{self._host} gives the engine no tokens ({code}). Look at the OAuth client there, and put "
                        "RUNLLM_ZENDESK_CLIENT_ID and RUNLLM_ZENDESK_CLIENT_SECRET right"
                    )
                response.raise_for_status()
                answer: Any = response.json()
                if not isinstance(answer, dict) or not answer.get("access_token"):
                    raise ValueError
                return dict(answer)

    def download(self, url: str) -> bytes:
        """A file by the address that Zendesk gave of it, which holds a token: no credentials are sent."""
        with requests.Session() as session:
            session.mount(f"https://{self._host}/", self)
            with session.get(url, timeout=_TIMEOUT, stream=True) as response:
                response.raise_for_status()
                content = b""
                for piece in response.iter_content(64 * 1024):
                    content += piece
                    if len(content) > LARGEST_FILE:
                        raise Rejected(f"The file is larger than {LARGEST_FILE // 1024 // 1024} MB.")
                return content


def short_name(domain: str) -> str:
    """`acme` of `acme`, `acme.zendesk.com` and `https://acme.zendesk.com/`."""
    host = domain.strip().lower().removeprefix("https://").removesuffix("/")
    return host.removesuffix(".zendesk.com")


def _authors(audits: list[dict[str, Any]]) -> set[int]:
    """Who wrote the comments."""
    events = (event for audit in audits for event in audit["events"])
    return {int(event["author_id"]) for event in events if int(event.get("author_id") or 0) > 0}


def _plain(found: BaseObject) -> dict[str, Any]:
    return dict(found.to_dict())


def _signer(credentials: Credentials) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if credentials.oauth_token is not None:
            request.headers["Authorization"] = f"Bearer {credentials.oauth_token.get_secret_value()}"
            return request
        token = credentials.api_token.get_secret_value() if credentials.api_token is not None else ""
        signed: requests.PreparedRequest = requests.auth.HTTPBasicAuth(f"{credentials.email}/token", token)(request)
        return signed

    return sign


def _said(response: requests.Response) -> str:
    """Zendesk's own words for a refusal. They name fields and rules, not what people wrote."""
    try:
        body = response.json()
    except ValueError:
        return f"status {response.status_code}"
    if not isinstance(body, dict):
        return f"status {response.status_code}"
    error = body.get("error")
    parts = [error.get("title") or error.get("message") if isinstance(error, dict) else error, body.get("description")]
    for field, problems in (body.get("details") or {}).items() if isinstance(body.get("details"), dict) else ():
        for problem in problems if isinstance(problems, list) else ():
            parts.append(f"{field}: {problem.get('description') if isinstance(problem, dict) else problem}")
    return "; ".join(str(part) for part in parts if part)[:300] or f"status {response.status_code}"


def _oauth_error(response: requests.Response) -> str:
    """OAuth's name for what is wrong. Descriptions may quote what was sent, so they are left out."""
    try:
        code = response.json().get("error")
    except (ValueError, AttributeError):
        code = None
    return code if isinstance(code, str) and code.replace("_", "").isalpha() else f"status {response.status_code}"


def _room(limit: str | None, remaining: str | None) -> float:
    if not limit or not remaining or not limit.isdecimal() or not remaining.isdecimal() or int(limit) == 0:
        return 1.0
    return int(remaining) / int(limit)


def _seconds(header: str | None) -> float:
    try:
        return max(float(header or 1), 0.1)
    except ValueError:
        return 10.0
