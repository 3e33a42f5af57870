"""Connecting workspaces in the browser: Slack's OAuth, with Bolt's flow, over our sealed record.

https://docs.slack.dev/authentication/installing-with-oauth
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from gateways.platforms import PlatformSettings
from gateways.signing import read, sign
from gateways.slack.web_api import in_our_words, web_client
from gateways.slack.workspaces import Connected, Credentials, Workspaces

INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

_STATE_LIVES = 600

log = logging.getLogger("gateways.slack.oauth")


class SealedInstallations(AsyncInstallationStore):
    """slack_sdk's interface to the record, where tokens are sealed."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk writes."""
        return log

    async def async_save(self, installation: Installation) -> None:
        """Records a workspace that somebody has just connected."""
        bot = installation.to_bot()
        if not bot.bot_token:
            raise ValueError("Slack gave no bot token: the app asks for no bot scopes.")
        await self.async_save_bot(bot)

    async def async_save_bot(self, bot: Bot) -> None:
        """Records a workspace with its token."""
        credentials = Credentials(
            bot_token=SecretStr(bot.bot_token),
            bot_user_id=bot.bot_user_id,
            bot_id=bot.bot_id or "",
            app_id=bot.app_id or "",
            scopes=list(bot.bot_scopes),
            refresh_token=SecretStr(bot.bot_refresh_token) if bot.bot_refresh_token else None,
            expires_at=float(bot.bot_token_expires_at or 0),
            is_organisation=bool(bot.is_enterprise_install),
            url=str(bot.custom_values.get("url") or ""),
        )
        external_id = bot.enterprise_id if bot.is_enterprise_install else bot.team_id
        name = bot.enterprise_name if bot.is_enterprise_install else bot.team_name
        await self._workspaces.save(str(external_id), str(name or external_id), credentials)
        log.info("Slack workspace %s is connected", external_id)

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """The token of a workspace, fresh."""
        wanted = "" if is_enterprise_install else team_id or ""
        found = await self._workspaces.find(wanted, enterprise_id or "")
        return None if found is None else _as_bot(await self._workspaces.fresh(found))

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """Who installed the app is not kept, so there is nothing beside the bot."""
        return None

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forgets a workspace."""
        await self._workspaces.remove(team_id or enterprise_id or "")

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Nothing is kept of the person who installed the app."""


class SignedStates(AsyncOAuthStateStore):
    """States that any gateway can check: signed, for ten minutes. Bolt ties each to a browser by a cookie.

    The code that comes back with it is good for one use, which Slack sees to.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk writes."""
        return log

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        """A new state."""
        return sign(self._secret, "slack", {"at": time.time_ns()}, _STATE_LIVES)

    async def async_consume(self, state: str) -> bool:
        """Whether it is ours, and still good."""
        return read(self._secret, "slack", state) is not None


class InstallFlow(AsyncOAuthFlow):
    """Bolt's flow, which also learns the workspace's address: links to threads are made of it."""

    async def store_installation(self, request: Any, installation: Installation) -> None:
        """Records what Slack gave."""
        with in_our_words(str(installation.team_id)):
            who = await self.client.auth_test(token=installation.bot_token)
        installation.set_custom_value("url", str(who.get("url") or ""))
        await super().store_installation(request, installation)


def install_flow(
    settings: PlatformSettings, secret: str, workspaces: Workspaces, scopes: Sequence[str]
) -> InstallFlow | None:
    """What serves `/slack/install`; None for an app without client id and secret."""
    slack = settings.slack
    if not slack.client_id or slack.client_secret is None:
        return None
    return InstallFlow(
        client=web_client(slack),
        logger=log,
        settings=AsyncOAuthSettings(
            client_id=slack.client_id,
            client_secret=slack.client_secret.get_secret_value(),
            scopes=list(scopes),
            redirect_uri=f"{settings.public_url}{REDIRECT_PATH}",
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            authorization_url=slack.authorize_url,
            installation_store=SealedInstallations(workspaces),
            installation_store_bot_only=True,
            state_store=SignedStates(secret),
            state_expiration_seconds=_STATE_LIVES,
            logger=log,
        ),
    )


def _as_bot(connected: Connected) -> Bot:
    credentials = connected.credentials
    return Bot(
        app_id=credentials.app_id,
        team_id=connected.workspace.team_id,
        team_name=connected.name,
        bot_token=credentials.bot_token.get_secret_value(),
        bot_id=credentials.bot_id,
        bot_user_id=credentials.bot_user_id,
        bot_scopes=credentials.scopes,
        is_enterprise_install=credentials.is_organisation,
        installed_at=time.time(),
    )
