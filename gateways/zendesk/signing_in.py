"""The two pages of a sign-in: the link that begins it, and where Zendesk sends people back to."""

import html
import logging
import secrets
from collections.abc import Mapping, Sequence

from aiohttp import web
from pydantic import SecretStr

from gateways.connecting import Finding
from gateways.pages import page_headers
from gateways.services import Services
from gateways.signing import read, sign
from gateways.zendesk import oauth, setup
from gateways.zendesk.account import Account, Credentials
from runllm.errors import RunLLMError
from store import audit, installations

log = logging.getLogger(__name__)

_COOKIE = "runllm_zendesk"
_AGAIN = "Ask for a new link: runllm connect zendesk --sign-in"
_MARKS = {"good": "✓", "note": "–", "bad": "✗"}


class SignIn:
    """Signs somebody in and connects their account."""

    def __init__(self, deps: Services) -> None:
        self._deps = deps
        self._settings = deps.settings.platforms

    async def begin(self, request: web.Request) -> web.Response:
        """Sends the browser to Zendesk. What comes back is believed from this browser only."""
        claims = read(self._deps.settings.secret, "zendesk_link", request.query.get("link", ""))
        if claims is None or not oauth.can_sign_in(self._settings.zendesk):
            return _page(400, "This link is not good any more", [_AGAIN])
        verifier = secrets.token_urlsafe(48)
        challenge = oauth.challenge_of(verifier)
        kept = {name: claims[name] for name in ("account", "agent", "who")}
        state = sign(self._deps.settings.secret, "zendesk", {**kept, "challenge": challenge}, oauth.LINK_LIVES)
        address = oauth.authorize_url(self._settings, str(claims["account"]), state, challenge)
        response = web.Response(status=303, headers={**page_headers(), "Location": address})
        response.set_cookie(
            _COOKIE,
            verifier,
            max_age=oauth.LINK_LIVES,
            path="/zendesk",
            httponly=True,
            samesite="Lax",
            secure=self._settings.public_url.startswith("https://"),
        )
        return response

    async def end(self, request: web.Request) -> web.Response:
        """Connects the account of whoever comes back, and says what is missing there."""
        claims = read(self._deps.settings.secret, "zendesk", request.query.get("state", ""))
        verifier = request.cookies.get(_COOKIE, "")
        if claims is None or oauth.challenge_of(verifier) != claims["challenge"]:
            why = "It began in another browser, or more than ten minutes ago."
            return _page(400, "This sign-in cannot be finished", [why, _AGAIN])
        account = str(claims["account"])
        code = request.query.get("code", "")
        if not code:
            why = request.query.get("error_description") or request.query.get("error") or "Zendesk sent no code."
            return _page(403, f"{account}.zendesk.com is not connected", [why[:300], _AGAIN])
        try:
            findings = await self._connect(account, int(claims["agent"]), str(claims["who"]), code, verifier)
        except RunLLMError as error:
            return _page(422, f"{account}.zendesk.com is not connected", [str(error), _AGAIN])
        response = _page(200, f"{account}.zendesk.com is connected", [_line(one) for one in findings])
        response.del_cookie(_COOKIE, path="/zendesk")
        return response

    async def _connect(self, account: str, agent_id: int, who: str, code: str, verifier: str) -> Sequence[Finding]:
        deps = self._deps
        async with deps.store.read() as db:
            row = await installations.get(db, "zendesk", account)
        if row is not None and row.agent_id != agent_id:
            raise RunLLMError(f"zendesk {account} is connected to another agent. Remove it there first.")
        given = await self._signed_in(account, code, verifier)
        looked = await setup.check(self._settings, given)
        keep = await setup.install(self._settings, given, looked)
        async with deps.store.begin() as db:
            await installations.put(
                db,
                deps.outlets.seal,
                agent_id=agent_id,
                platform="zendesk",
                external_id=account,
                name=looked.name,
                credentials=keep,
            )
            action = "connect again" if row is not None else "connect"
            await audit.record(db, actor=who, action=action, subject=f"zendesk {account}")
        log.info("Zendesk account %s is connected by a sign-in", account)
        return looked.findings

    async def _signed_in(self, name: str, code: str, verifier: str) -> Mapping[str, object]:
        """The credentials that a code is exchanged for."""
        nobody = Credentials(subdomain=name, oauth_token=SecretStr(""))
        account = Account(nobody, self._settings.zendesk.url)
        try:
            answer = await account.ask_for_tokens(oauth.exchange(self._settings, code, verifier))
        finally:
            account.close()
        return {name: value for name, value in oauth.signed_in(nobody, answer).in_the_clear().items() if value}


def _line(finding: Finding) -> str:
    return f"{_MARKS[finding.verdict]} {finding.text}"


def _page(status: int, title: str, lines: Sequence[str]) -> web.Response:
    """A page in the plainest style. What is on it may come from an address, so all of it is escaped."""
    shown = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title>'
        '<link rel="stylesheet" href="/console/static/console.css"></head>'
        f"<body><main><h1>{html.escape(title)}</h1>{shown}</main></body></html>"
    )
    return web.Response(status=status, text=text, content_type="text/html", headers=page_headers())
