"""The workspaces that have the app installed: who they are, and their tokens.

Why not slack_sdk's SQLAlchemy store: it writes tokens as they are into tables of its own. Ours is behind the same
interface (`installing.py`), and in the record they are sealed. Workspaces that rotate their tokens get a new one every
twelve hours: one process at a time fetches it, under a lease. A process that dies before it has written the new tokens
down loses nothing where another one comes soon: Slack takes the old refresh token for "a short grace period" yet, and
the old token is good to its end.

https://docs.slack.dev/authentication/using-token-rotation
"""

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from gateways.platforms import SlackSettings
from gateways.renewing import ASK_AGAIN, RenewalRefused, left_open, to_the_end, written_down
from gateways.slack.inbound import Workspace
from gateways.slack.web_api import TOKEN_IS_OVER, error_code, in_our_words, web_client
from runllm.bridge.surfaces import SlackThreadConfig
from runllm.errors import NotConnected, RateLimited, Rejected, SurfaceError, Unavailable
from runllm.operations import Frozen
from store import agents, installations, leases
from store.engine import Store
from store.models import Installation
from store.sealing import Seal

log = logging.getLogger(__name__)

_RENEW_BEFORE = 3_600.0
_USABLE = 30.0
_PATIENCE = 8
_LEASE = 12.0
"""Seconds: short, since Slack's grace for an old refresh token is, and longer than Slack has for its answer."""

REFUSALS = TOKEN_IS_OVER | {"invalid_refresh_token"}
"""What Slack answers where a refresh token is no good, and where the app is not installed any more."""


class Credentials(Frozen):
    """What is sealed in the record of one workspace, or of an organisation that has the app installed as a whole.

    Attributes:
        bot_token: What calls are made with.
        bot_user_id, bot_id, app_id: The app's own.
        scopes: What the token may do.
        url: The workspace's address.
        refresh_token, expires_at: Where tokens rotate: what fetches the next one, and when this one ends.
        is_organisation: It holds for all workspaces of an organisation.
        asked_at: When new tokens were asked for that are not in the record yet.
        refused_at: When Slack said that it takes the refresh token no more.
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
    asked_at: float = 0.0
    refused_at: float = 0.0

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
    """A workspace and what opens it; `sealed` is how it stands in the record."""

    external_id: str
    name: str
    workspace: Workspace
    credentials: Credentials = field(repr=False)
    sealed: bytes = field(default=b"", repr=False)

    @property
    def is_being_renewed(self) -> bool:
        """New tokens were asked for, and Slack may have given some that are not in the record."""
        return bool(self.credentials.asked_at) and not self.credentials.refused_at

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
        if connected.credentials.refused_at > time.time() - ASK_AGAIN:
            return self._usable(connected, RenewalRefused(is_refused(connected.credentials)))
        holder, lease = secrets.token_hex(8), f"slack-token:{connected.external_id}"
        async with self._store.begin() as db:
            mine = await leases.acquire(db, lease, holder, _LEASE)
        if not mine:
            return self._usable(connected, Unavailable("somebody else renews it now"))
        try:
            again = await self.find(connected.external_id)
            if again is None:
                raise NotConnected(f"Slack workspace {connected.external_id!r} was disconnected.")
            # One of an organisation stays the one of the workspace that was asked for.
            current = replace(again, workspace=connected.workspace)
            return current if current.credentials.lives_for() > _RENEW_BEFORE else await self._renewed(current)
        finally:
            async with self._store.begin() as db:
                await leases.release(db, lease, holder)

    async def _renewed(self, old: Connected) -> Connected:
        credentials = old.credentials
        if not self._settings.client_id or self._settings.client_secret is None or credentials.refresh_token is None:
            why = "RUNLLM_SLACK_CLIENT_ID and RUNLLM_SLACK_CLIENT_SECRET are not set"
            return self._usable(old, Unavailable(why))
        try:
            return await to_the_end(self._renew(old))
        except SurfaceError as error:
            return self._usable(old, error)

    async def _renew(self, old: Connected) -> Connected:
        begun = await self._keep(old, asked_at=old.credentials.asked_at or time.time())
        try:
            answer = await self._ask(old)
        except RenewalRefused as refusal:
            await self._keep(begun, refused_at=time.time(), asked_at=old.credentials.asked_at)
            raise refusal
        except (Rejected, RateLimited):  # Slack has given nothing this time, that is sure
            await self._keep(begun, asked_at=old.credentials.asked_at)
            raise
        changes = {
            "bot_token": SecretStr(str(answer["access_token"])),
            "refresh_token": SecretStr(str(answer["refresh_token"])),
            "expires_at": time.time() + float(str(answer["expires_in"])),
            "asked_at": 0.0,
            "refused_at": 0.0,
        }
        renewed = await written_down(lambda: self._keep(begun, **changes), f"Slack workspace {old.external_id}")
        log.info("the token of Slack workspace %s is renewed", old.external_id)
        return renewed

    async def _ask(self, old: Connected) -> Mapping[str, Any]:
        settings, credentials = self._settings, old.credentials
        assert settings.client_secret is not None
        assert credentials.refresh_token is not None
        with in_our_words(old.external_id):
            try:
                answer = await web_client(settings, patience=_PATIENCE).oauth_v2_access(
                    client_id=settings.client_id,
                    client_secret=settings.client_secret.get_secret_value(),
                    grant_type="refresh_token",
                    refresh_token=credentials.refresh_token.get_secret_value(),
                )
            except SlackApiError as error:
                if error_code(error) in REFUSALS:
                    raise RenewalRefused(is_refused(credentials, f" ({error_code(error)})")) from None
                raise
        return dict(answer.data) if isinstance(answer.data, dict) else {}

    async def _keep(self, old: Connected, **changes: Any) -> Connected:
        """Writes a workspace down as it is now. Whoever connected it again meanwhile has the last word."""
        credentials = old.credentials.model_copy(update=changes)
        async with self._store.begin() as db:
            row = await installations.renew(
                db, self._seal, "slack", old.external_id, old.sealed, credentials.to_seal()
            ) or await installations.get(db, "slack", old.external_id)
        if row is None:
            raise NotConnected(f"Slack workspace {old.external_id!r} was disconnected.")
        return self._connected(row, old.workspace.team_id)

    def _usable(self, connected: Connected, why: SurfaceError) -> Connected:
        """A token that could not be renewed is good until its end."""
        if connected.credentials.lives_for() > _USABLE:
            log.warning("the token of Slack workspace %s could not be renewed yet: %s", connected.external_id, why)
            return connected
        log.warning("the token of Slack workspace %s has ended: %s", connected.external_id, why)
        text = f"The token of Slack workspace {connected.external_id} has ended and is not renewed: {why}"
        raise NotConnected(text) if isinstance(why, NotConnected) else Unavailable(text)

    def _connected(self, row: Installation, team_id: str) -> Connected:
        credentials = Credentials.model_validate(self._seal.open(row.credentials))
        workspace = Workspace(
            team_id=team_id,
            reference=f"slack:{row.external_id}",
            bot_user_id=credentials.bot_user_id,
            bot_id=credentials.bot_id,
            url=credentials.url,
        )
        return Connected(row.external_id, row.name, workspace, credentials, row.credentials)


def is_refused(credentials: Credentials, code: str = "") -> str:
    """What to do where Slack does not renew a token any more."""
    return (
        f"Slack takes the refresh token no more{code}.{left_open(credentials.asked_at)} Install the app there again: "
        "open /slack/install at the public address of the engine"
    )


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
