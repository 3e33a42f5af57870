"""The workspaces that have the app installed: who they are, and their tokens.

Why not slack_sdk's SQLAlchemy store: it writes tokens as they are into tables of its own. Ours is behind the same
interface (`installing.py`), and in the record they are sealed. Workspaces that rotate their tokens get a new one every
twelve hours: one process at a time fetches it, under a lease.

https://docs.slack.dev/authentication/using-token-rotation
"""

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from gateways.platforms import SlackSettings
from gateways.slack.inbound import Workspace
from gateways.slack.web_api import error_code, in_our_words, web_client
from runllm.bridge.surfaces import SlackThreadConfig
from runllm.errors import NotConnected, SurfaceError, Unavailable
from runllm.operations import Frozen
from store import agents, installations, leases
from store.engine import Store
from store.models import Installation
from store.sealing import Seal

log = logging.getLogger(__name__)

_RENEW_BEFORE = 3_600.0
_USABLE = 30.0
_LEASE = 40.0


class Credentials(Frozen):
    """What is sealed in the record of one workspace, or of an organisation that has the app installed as a whole.

    Attributes:
        bot_token: What calls are made with.
        bot_user_id, bot_id, app_id: The app's own.
        scopes: What the token may do.
        url: The workspace's address.
        refresh_token, expires_at: Where tokens rotate: what fetches the next one, and when this one ends.
        is_organisation: It holds for all workspaces of an organisation.
    """

    bot_token: SecretStr
    bot_user_id: str = ""
    bot_id: str = ""
    app_id: str = ""
    scopes: list[str] = []
    url: str = ""
    refresh_token: SecretStr | None = None
    expires_at: float = 0.0
    is_organisation: bool = False

    def to_seal(self) -> dict[str, Any]:
        """The fields with the secrets in plain text: for the seal, and for nothing else."""
        data = self.model_dump(mode="json")
        data["bot_token"] = self.bot_token.get_secret_value()
        data["refresh_token"] = self.refresh_token.get_secret_value() if self.refresh_token else None
        return data

    def lives_for(self) -> float:
        """Seconds until the token ends; without end where it does not rotate."""
        return self.expires_at - time.time() if self.refresh_token is not None else float("inf")


@dataclass(frozen=True)
class Connected:
    """A workspace and what opens it."""

    external_id: str
    name: str
    workspace: Workspace
    credentials: Credentials = field(repr=False)

    def may(self, scope: str) -> bool:
        """Whether the token has a permission."""
        return scope in self.credentials.scopes


class Workspaces:
    """Finds workspaces in the record, and keeps their tokens fresh."""

    def __init__(self, store: Store, seal: Seal, settings: SlackSettings) -> None:
        self._store = store
        self._seal = seal
        self._settings = settings

    async def find(self, team_id: str, enterprise_id: str = "") -> Connected | None:
        """The workspace, or the organisation that it belongs to; None where neither is connected."""
        async with self._store.read() as db:
            for external_id in (team_id, enterprise_id):
                row = await installations.get(db, "slack", external_id) if external_id else None
                if row is not None:
                    return self._connected(row, team_id)
        return None

    async def of(self, config: SlackThreadConfig) -> Connected:
        """The workspace of a thread, with a token that is good.

        Raises:
            NotConnected: The app is not installed there any more.
            Unavailable: Its token is being renewed.
        """
        organisation = config.bot_conn_token.removeprefix("slack:")
        return await self.need(config.team_id, organisation)

    async def need(self, team_id: str, enterprise_id: str = "") -> Connected:
        """As `find`, with a token that is good; an error where there is none."""
        found = await self.find(team_id, enterprise_id)
        if found is None:
            raise NotConnected(
                f"Slack workspace {team_id!r} is not connected to this engine. Connect it: runllm connect slack"
            )
        return await self.fresh(found)

    def client(self, connected: Connected) -> AsyncWebClient:
        """A client with the workspace's token."""
        return web_client(self._settings, connected.credentials.bot_token.get_secret_value())

    async def all(self) -> list[Connected]:
        """All connected workspaces and organisations."""
        async with self._store.read() as db:
            return [self._connected(row, row.external_id) for row in await installations.of_platform(db, "slack")]

    async def save(self, external_id: str, name: str, credentials: Credentials) -> None:
        """Records a workspace; connected again, it has the new token only."""
        async with self._store.begin() as db:
            before = await installations.get(db, "slack", external_id)
            agent_id = before.agent_id if before is not None else (await agents.ensure_agent(db)).id
            await installations.put(
                db,
                self._seal,
                agent_id=agent_id,
                platform="slack",
                external_id=external_id,
                name=name,
                credentials=credentials.to_seal(),
            )

    async def remove(self, external_id: str) -> bool:
        """Forgets a workspace and its token."""
        async with self._store.begin() as db:
            return await installations.remove(db, "slack", external_id)

    async def fresh(self, connected: Connected) -> Connected:
        """The workspace with a token that will last for a while."""
        if connected.credentials.lives_for() > _RENEW_BEFORE:
            return connected
        holder, lease = secrets.token_hex(8), f"slack-token:{connected.external_id}"
        async with self._store.begin() as db:
            mine = await leases.acquire(db, lease, holder, _LEASE)
        if not mine:
            return self._usable(connected, "somebody else renews it now")
        try:
            again = await self.find(connected.external_id)
            if again is None:
                raise NotConnected(f"Slack workspace {connected.external_id!r} was disconnected.")
            # One of an organisation stays the one of the workspace that was asked for.
            current = Connected(again.external_id, again.name, connected.workspace, again.credentials)
            return current if current.credentials.lives_for() > _RENEW_BEFORE else await self._renew(current)
        finally:
            async with self._store.begin() as db:
                await leases.release(db, lease, holder)

    async def _renew(self, old: Connected) -> Connected:
        settings, credentials = self._settings, old.credentials
        if not settings.client_id or settings.client_secret is None or credentials.refresh_token is None:
            return self._usable(old, "RUNLLM_SLACK_CLIENT_ID and RUNLLM_SLACK_CLIENT_SECRET are not set")
        try:
            with in_our_words(old.external_id):
                answer = await asyncio.shield(
                    web_client(settings).oauth_v2_access(
                        client_id=settings.client_id,
                        client_secret=settings.client_secret.get_secret_value(),
                        grant_type="refresh_token",
                        refresh_token=credentials.refresh_token.get_secret_value(),
                    )
                )
        except SurfaceError as error:
            return self._usable(old, str(error))
        renewed = credentials.model_copy(
            update={
                "bot_token": SecretStr(str(answer["access_token"])),
                "refresh_token": SecretStr(str(answer["refresh_token"])),
                "expires_at": time.time() + float(str(answer["expires_in"])),
            }
        )
        await self.save(old.external_id, old.name, renewed)
        log.info("the token of Slack workspace %s is renewed", old.external_id)
        return Connected(old.external_id, old.name, old.workspace, renewed)

    def _usable(self, connected: Connected, why: str) -> Connected:
        """A token that could not be renewed is good until its end."""
        if connected.credentials.lives_for() > _USABLE:
            log.warning("the token of Slack workspace %s could not be renewed yet: %s", connected.external_id, why)
            return connected
        raise Unavailable(f"The token of Slack workspace {connected.external_id} has ended and is not renewed: {why}")

    def _connected(self, row: Installation, team_id: str) -> Connected:
        credentials = Credentials.model_validate(self._seal.open(row.credentials))
        workspace = Workspace(
            team_id=team_id,
            reference=f"slack:{row.external_id}",
            bot_user_id=credentials.bot_user_id,
            bot_id=credentials.bot_id,
            url=credentials.url,
        )
        return Connected(row.external_id, row.name, workspace, credentials)


async def identify(settings: SlackSettings, token: str) -> tuple[str, str, Credentials]:
    """Whose bot token this is: the workspace's id and name, and what is to be sealed.

    Raises:
        NotConnected: Slack does not accept it.
        Unavailable: Slack cannot be reached.
    """
    with in_our_words("of the token"):
        answer = await web_client(settings, token).auth_test()
    scopes = next((str(v) for n, v in answer.headers.items() if n.lower() == "x-oauth-scopes"), "")
    is_organisation = bool(answer.get("is_enterprise_install"))
    credentials = Credentials(
        bot_token=SecretStr(token),
        bot_user_id=str(answer.get("user_id") or ""),
        bot_id=str(answer.get("bot_id") or ""),
        app_id=str(answer.get("app_id") or ""),
        scopes=[scope.strip() for scope in scopes.split(",") if scope.strip()],
        url=str(answer.get("url") or ""),
        is_organisation=is_organisation,
    )
    external_id = str(answer.get("enterprise_id") if is_organisation else answer.get("team_id"))
    return external_id, str(answer.get("team") or external_id), credentials


async def is_over(settings: SlackSettings, connected: Connected) -> bool:
    """Whether Slack really no longer takes the token: news of its end may be late, and the app installed again."""
    try:
        await web_client(settings, connected.credentials.bot_token.get_secret_value()).auth_test()
    except SlackApiError as error:
        return error_code(error) in ("account_inactive", "invalid_auth", "token_revoked", "not_authed")
    return False
