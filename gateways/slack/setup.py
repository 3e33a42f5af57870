"""How a Slack workspace is connected with its bot token, and what is missing there."""

import hashlib
import hmac
import json
import secrets
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from gateways.connecting import Checked, Credentials, Finding, Setup
from gateways.outlets import Outlets
from gateways.platforms import PlatformSettings, SlackSettings
from gateways.slack.installing import INSTALL_PATH
from gateways.slack.manifest import EMOJI_SCOPE, OPTIONAL, SCOPES
from gateways.slack.web_api import in_our_words, web_client
from gateways.slack.workspaces import Credentials as Sealed
from gateways.slack.workspaces import Workspaces, identify, is_refused
from runllm.bridge.emoji_names import STANDARD
from runllm.errors import SurfaceError, UsageError

_PATIENCE = 5.0


async def check(settings: PlatformSettings, credentials: Credentials) -> Checked:
    """Tries a bot token, and looks at what the app may do and whether Slack can reach this engine."""
    external_id, name, found = await identify(settings.slack, _token(credentials))
    how_told = await (_socket(settings.slack) if settings.slack.app_token is not None else _address(settings))
    good = Finding(verdict="good", text=f"Slack accepts the token of {name} ({external_id}).")
    lasts = _lasts(settings, credentials)
    return Checked(external_id=external_id, name=name, findings=[good, *lasts, *_scopes(found), *how_told])


async def install(settings: PlatformSettings, credentials: Credentials, looked: Checked) -> Credentials:
    """What is kept beside the token: who the app is there, and what it may do."""
    _, _, found = await identify(settings.slack, _token(credentials))
    return found.to_seal()


async def emoji(outlets: Outlets, team_id: str) -> frozenset[str] | None:
    """Every workspace's emoji, and the workspace's own; None without the scope that its own can be read with.

    https://docs.slack.dev/reference/methods/emoji.list
    """
    workspaces = Workspaces(outlets.store, outlets.seal, outlets.settings.slack)
    found = await workspaces.find(team_id)
    if found is None or EMOJI_SCOPE not in found.credentials.scopes:
        return None
    with in_our_words(team_id):
        answer = await workspaces.client(await workspaces.fresh(found)).emoji_list()
    return STANDARD | frozenset(answer.get("emoji") or {})


async def refresh(outlets: Outlets, external_id: str) -> None:
    """Renews a token that ends soon."""
    workspaces = Workspaces(outlets.store, outlets.seal, outlets.settings.slack)
    found = await workspaces.find(external_id)
    if found is not None:
        await workspaces.fresh(found)


def _lasts(settings: PlatformSettings, credentials: Credentials) -> list[Finding]:
    """What is to be known of a token that ends."""
    if not credentials.get("refresh_token"):
        return []
    kept = Sealed.model_validate(credentials)
    if kept.refused_at:
        where = f"{settings.public_url}{INSTALL_PATH}"
        return [Finding(verdict="bad", text=f"{is_refused(kept)}, {where}, before the token ends.")]
    if not settings.slack.client_id or settings.slack.client_secret is None:
        text = (
            "The token ends every twelve hours, and is renewed only with RUNLLM_SLACK_CLIENT_ID and "
            "RUNLLM_SLACK_CLIENT_SECRET, which are not set."
        )
        return [Finding(verdict="bad", text=text)]
    return [Finding(verdict="good", text="The token ends every twelve hours, and the engine renews it by itself.")]


def _token(credentials: Credentials) -> str:
    token = credentials.get("bot_token")
    if not isinstance(token, str) or not token.startswith(("xoxb-", "xoxe.xoxb-")):
        raise UsageError(
            "bot_token is not a bot token: it begins with xoxb-. It is on the app's page under OAuth & Permissions"
        )
    return token


def _scopes(found: Sealed) -> list[Finding]:
    if not found.scopes:
        return [Finding(verdict="note", text="Slack did not say what the token may do, so the scopes are unchecked.")]
    missing = sorted(set(SCOPES) - set(found.scopes), key=lambda scope: (scope in OPTIONAL, scope))
    if not missing:
        return [Finding(verdict="good", text="The app has all scopes that it needs.")]
    return [
        Finding(
            verdict="note" if scope in OPTIONAL else "bad",
            text=f"The scope {scope} is missing ({SCOPES[scope]}). Add it on the app's page under OAuth & Permissions, "
            "install the app again, and connect it again.",
        )
        for scope in missing
    ]


async def _socket(settings: SlackSettings) -> list[Finding]:
    """Whether Socket Mode can be used: then Slack need not reach us."""
    assert settings.app_token is not None
    try:
        with in_our_words("of the app"):
            await web_client(settings).apps_connections_open(app_token=settings.app_token.get_secret_value())
    except SurfaceError as error:
        text = f"RUNLLM_SLACK_APP_TOKEN does not open Socket Mode: {error} It needs the scope connections:write."
        return [Finding(verdict="bad", text=text)]
    return [Finding(verdict="good", text="Events come through Socket Mode: Slack need not reach this engine.")]


async def _address(settings: PlatformSettings) -> list[Finding]:
    """Whether Slack could reach us: our own question, signed as Slack's, has to come back answered."""
    if settings.slack.signing_secret is None:
        text = (
            "RUNLLM_SLACK_SIGNING_SECRET is not set for the gateways, so no event of Slack's is taken. It is on the "
            "app's page under Basic Information."
        )
        return [Finding(verdict="bad", text=text)]
    answered = await _answered(f"{settings.public_url}/slack/events", settings.slack.signing_secret.get_secret_value())
    return [*reachable(settings), answered]


def reachable(settings: PlatformSettings) -> list[Finding]:
    """What keeps Slack from our address; nothing where Slack, too, is played on this machine."""
    if _is_local(settings.slack.api_url):
        return []
    url = f"{settings.public_url}/slack/events"
    if _is_local(settings.public_url):
        text = (
            f"Slack cannot reach {url} from the internet. Set RUNLLM_PUBLIC_URL to an address that it can reach, or "
            "RUNLLM_SLACK_APP_TOKEN to use Socket Mode, which needs none."
        )
        return [Finding(verdict="bad", text=text)]
    if not settings.public_url.startswith("https://"):
        return [Finding(verdict="bad", text=f"{url} is not encrypted, and Slack takes https addresses only.")]
    return []


async def _answered(url: str, secret: str) -> Finding:
    challenge = secrets.token_hex(8)
    body = json.dumps({"type": "url_verification", "challenge": challenge})
    stamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signature}",
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE)) as http,
            http.post(url, data=body, headers=headers) as answer,
        ):
            status, text = answer.status, await answer.text()
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        return Finding(
            verdict="bad", text=f"{url} does not answer ({type(error).__name__}). Is RUNLLM_PUBLIC_URL right?"
        )
    if status == 200 and challenge in text:
        return Finding(verdict="good", text=f"{url} answers as Slack wants it.")
    if status == 401:
        text = f"{url} is served with another RUNLLM_SLACK_SIGNING_SECRET. Give all gateways the same."
        return Finding(verdict="bad", text=text)
    return Finding(verdict="bad", text=f"{url} answers with {status}: something else is served there.")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private


SETUP = Setup(check, install, refresh=refresh, emoji=emoji)
