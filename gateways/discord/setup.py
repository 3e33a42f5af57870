"""How a Discord server is connected: with the bot's token, after somebody has invited the bot there."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from gateways.connecting import Checked, Credentials, Finding, Setup
from gateways.discord.calls import CallError, Calls, as_errors_of_ours
from gateways.discord.emoji_names import all_names
from gateways.discord.inbound import ANNOUNCEMENTS, FORUM, TEXT
from gateways.discord.leader import CONTENT_FLAGS, NO_CONTENT
from gateways.outlets import Outlets
from gateways.platforms import PlatformSettings
from runllm.errors import NotConnected, UsageError
from store import installations

NEEDED = {
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Create Public Threads": 1 << 35,
    "Send Messages in Threads": 1 << 38,
    "Read Message History": 1 << 16,
    "Attach Files": 1 << 15,
}
"""https://discord.com/developers/docs/topics/permissions"""
USEFUL = {"Manage Threads": 1 << 34}
_ADMINISTRATOR = 1 << 3
_EVERYTHING = sum((*NEEDED.values(), *USEFUL.values()))
_UNKNOWN_GUILD, _MOST_NAMES = 10004, 5


async def check(settings: PlatformSettings, credentials: Credentials) -> Checked:
    """Looks at the token, the application, and what the bot may do in the server."""
    token = str(credentials.get("token") or "").strip()
    if not token:
        raise UsageError("token is missing: it is in the Developer Portal, under Bot, Reset Token")
    async with Calls(settings.discord, token).kept_open() as api, as_errors_of_ours("the application"):
        application = await api.get("/applications/@me")
        guild_id = str(credentials.get("guild_id") or "") or await _only_guild(api, application)
        guild = await _guild(api, application, guild_id)
        findings = [
            Finding(verdict="good", text=f"The bot {application['name']!r} is in the server {guild['name']!r}."),
            *_of_application(application),
            *await _of_permissions(api, application, guild),
        ]
    return Checked(external_id=guild_id, name=str(guild["name"]), findings=findings)


async def install(settings: PlatformSettings, credentials: Credentials, looked: Checked) -> Credentials:
    """Nothing has to be made on Discord; what is kept is the token, for the server that was found."""
    return {"token": str(credentials["token"]).strip()}


async def emoji(outlets: Outlets, guild_id: str) -> frozenset[str] | None:
    """Discord's emoji under all names that reactions are compared with, and the server's own."""
    async with outlets.store.read() as db:
        row = await installations.get(db, "discord", guild_id)
    if row is None:
        return None
    calls = Calls(outlets.settings.discord, str(outlets.seal.open(row.credentials)["token"]))
    async with as_errors_of_ours(f"server {guild_id}"):
        guild = await calls.get(f"/guilds/{guild_id}")
    return all_names() | frozenset(str(one.get("name") or "") for one in guild.get("emojis", ()))


SETUP = Setup(check, install, emoji=emoji)


def invite_url(application: Mapping[str, Any], guild_id: str = "") -> str:
    """Where somebody who manages a server invites the bot, with the rights that it needs."""
    query = {"client_id": application["id"], "scope": "bot", "permissions": _EVERYTHING}
    chosen = {"guild_id": guild_id, "disable_guild_select": "true"} if guild_id else {}
    return f"https://discord.com/oauth2/authorize?{urlencode({**query, **chosen})}"


async def _only_guild(api: Calls, application: Mapping[str, Any]) -> str:
    """The server that the bot is in, where it is only one."""
    guilds = await api.get("/users/@me/guilds")
    if not guilds:
        raise NotConnected(f"The bot is in no server yet. Invite it: {invite_url(application)}")
    if len(guilds) > 1:
        names = ", ".join(f"{one['name']} ({one['id']})" for one in guilds)
        raise UsageError(f"guild_id is missing, and the bot is in several servers: {names}")
    return str(guilds[0]["id"])


async def _guild(api: Calls, application: Mapping[str, Any], guild_id: str) -> Mapping[str, Any]:
    if not guild_id.isdecimal():
        raise UsageError(f"guild_id is the server's number, and not {guild_id!r}: copy it with Copy Server ID")
    try:
        guild: Mapping[str, Any] = await api.get(f"/guilds/{guild_id}")
    except CallError as error:
        if error.code != _UNKNOWN_GUILD and error.status != 403:
            raise
        url = invite_url(application, guild_id)
        raise NotConnected(f"The bot is not in the server {guild_id}. Invite it, and connect again: {url}") from None
    return guild


def _of_application(application: Mapping[str, Any]) -> list[Finding]:
    found: list[Finding] = []
    if int(application["flags"]) & CONTENT_FLAGS:
        found.append(Finding(verdict="good", text="The bot may read what people write."))
    else:
        found.append(Finding(verdict="bad", text=f"The bot {NO_CONTENT}."))
    if application.get("interactions_endpoint_url"):
        text = (
            "The application has an Interactions Endpoint URL, so clicks on buttons do not come here. Empty it in the "
            "Developer Portal, under General Information."
        )
        found.append(Finding(verdict="bad", text=text))
    return found


async def _of_permissions(api: Calls, application: Mapping[str, Any], guild: Mapping[str, Any]) -> list[Finding]:
    """What the bot lacks in the server, and in which channels more is taken from it."""
    member = await api.get(f"/guilds/{guild['id']}/members/{application['bot']['id']}")
    mine = {guild["id"], *member["roles"]}
    everywhere = 0
    for role in guild["roles"]:
        everywhere |= int(role["permissions"]) if role["id"] in mine else 0
    if everywhere & _ADMINISTRATOR:
        return [Finding(verdict="good", text="The bot is an administrator there, and may do all that it needs to.")]
    found = _missing(everywhere, "in the server", invite_url(application, guild["id"]))
    channels = await api.get(f"/guilds/{guild['id']}/channels")
    limited = [
        f"#{one['name']} ({', '.join(lacks)})"
        for one in channels
        if one["type"] in (TEXT, ANNOUNCEMENTS, FORUM) and (lacks := _taken(one, everywhere, guild["id"], member))
    ]
    if limited:
        more = f" and {len(limited) - _MOST_NAMES} more" if len(limited) > _MOST_NAMES else ""
        text = f"In some channels the bot may do less: {', '.join(limited[:_MOST_NAMES])}{more}."
        found.append(Finding(verdict="note", text=text))
    return found or [Finding(verdict="good", text="The bot has all permissions that it needs.")]


def _missing(permissions: int, where: str, url: str) -> list[Finding]:
    needed = [name for name, bit in NEEDED.items() if not permissions & bit]
    useful = [name for name, bit in USEFUL.items() if not permissions & bit]
    found: list[Finding] = []
    if needed:
        text = f"The bot lacks {where}: {', '.join(needed)}. Give its role these permissions, or invite it again: {url}"
        found.append(Finding(verdict="bad", text=text))
    if useful:
        text = f"Without {', '.join(useful)} the bot cannot write in threads that somebody locked."
        found.append(Finding(verdict="note", text=text))
    return found


def _taken(channel: Mapping[str, Any], everywhere: int, guild_id: str, member: Mapping[str, Any]) -> Sequence[str]:
    """Which of the needed permissions a channel takes away: https://discord.com/developers/docs/topics/permissions"""
    by_id = {one["id"]: one for one in channel.get("permission_overwrites", ())}
    own = str(member["user"]["id"])
    permissions = everywhere
    for ids in ((guild_id,), tuple(member["roles"]), (own,)):
        here = [by_id[one] for one in ids if one in by_id]
        for one in here:
            permissions &= ~int(one["deny"])
        for one in here:
            permissions |= int(one["allow"])
    return [name for name, bit in NEEDED.items() if everywhere & bit and not permissions & bit]
