"""What Discord's objects look like, with every field that its specification requires."""

import time
from datetime import UTC, datetime
from itertools import count
from typing import Any

Json = dict[str, Any]

EPOCH_MS = 1_420_070_400_000
_numbers = count()

VIEW, SEND, ATTACH, HISTORY, EVERYONE = 1 << 10, 1 << 11, 1 << 15, 1 << 16, 1 << 17
MANAGE_THREADS, CREATE_THREADS, SEND_IN_THREADS = 1 << 34, 1 << 35, 1 << 38
ALL = VIEW | SEND | ATTACH | HISTORY | EVERYONE | MANAGE_THREADS | CREATE_THREADS | SEND_IN_THREADS
"""https://discord.com/developers/docs/topics/permissions"""


def snowflake() -> str:
    """A new number, greater than all before it."""
    return str((int(time.time() * 1000) - EPOCH_MS << 22) + next(_numbers) % (1 << 22))


def timestamp() -> str:
    """The time now, as Discord writes it."""
    return datetime.now(UTC).isoformat()


def user(id: str, name: str, *, is_bot: bool = False) -> Json:
    """Somebody."""
    return {
        "id": id,
        "username": name.lower().replace(" ", "_"),
        "global_name": name,
        "avatar": None,
        "discriminator": "0",
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
        **({"bot": True} if is_bot else {}),
    }


def application(id: str, name: str, bot: Json, flags: int, endpoint: str | None) -> Json:
    """The application that a bot belongs to."""
    return {
        "id": id,
        "name": name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": bot,
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": flags,
        "flags_new": str(flags),
        "redirect_uris": [],
        "interactions_endpoint_url": endpoint,
        "role_connections_verification_url": None,
        "owner": user("1", "Owner"),
        "approximate_guild_count": 1,
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": ["bot"],
    }


def role(id: str, name: str, permissions: int, bot_id: str | None = None) -> Json:
    """A role of a server; one with `bot_id` was made for that bot."""
    return {
        "id": id,
        "name": name,
        "permissions": str(permissions),
        "position": 0 if bot_id is None else 1,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": bot_id is not None,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
        **({"tags": {"bot_id": bot_id}} if bot_id is not None else {}),
    }


def member(of: Json, roles: list[str], nick: str | None = None) -> Json:
    """Somebody as a member of a server."""
    return {
        "avatar": None,
        "banner": None,
        "communication_disabled_until": None,
        "flags": 0,
        "joined_at": timestamp(),
        "nick": nick,
        "pending": False,
        "premium_since": None,
        "roles": roles,
        "user": of,
        "mute": False,
        "deaf": False,
    }


def emoji(emoji_id: str, name: str) -> Json:
    """An emoji of a server's own."""
    return {
        "id": emoji_id, "name": name, "roles": [], "require_colons": True, "managed": False, "animated": False,
        "available": True,
    }  # fmt: skip


def guild(id: str, name: str, roles: list[Json]) -> Json:
    """A server."""
    nothing = (
        "icon description home_header splash discovery_splash banner application_id afk_channel_id system_channel_id "
        "widget_channel_id max_presences vanity_url_code rules_channel_id safety_alerts_channel_id "
        "public_updates_channel_id incidents_data"
    )
    zero = (
        "system_channel_flags verification_level default_message_notifications mfa_level explicit_content_filter "
        "premium_tier premium_subscription_count nsfw_level"
    )
    return {
        "id": id,
        "name": name,
        "features": [],
        "owner_id": "1",
        "region": "deprecated",
        "afk_timeout": 300,
        "widget_enabled": False,
        "roles": roles,
        "max_members": 500000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "preferred_locale": "en-US",
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "emojis": [],
        "stickers": [],
        **dict.fromkeys(nothing.split(), None),
        **dict.fromkeys(zero.split(), 0),
    }


def channel(id: str, guild_id: str, name: str, kind: int) -> Json:
    """A channel of a server."""
    return {
        "id": id,
        "type": kind,
        "last_message_id": None,
        "flags": 0,
        "guild_id": guild_id,
        "name": name,
        "parent_id": None,
        "position": 0,
        "permission_overwrites": [],
        "nsfw": False,
    }


def thread(id: str, parent: Json, name: str, owner: str, minutes: int) -> Json:
    """A thread below a channel."""
    return {
        "id": id,
        "type": 10 if parent["type"] == 5 else 11,
        "last_message_id": None,
        "flags": 0,
        "guild_id": parent["guild_id"],
        "name": name,
        "parent_id": parent["id"],
        "rate_limit_per_user": 0,
        "owner_id": owner,
        "thread_metadata": {
            "archived": False,
            "archive_timestamp": timestamp(),
            "auto_archive_duration": minutes,
            "locked": False,
            "create_timestamp": timestamp(),
        },
        "message_count": 0,
        "member_count": 1,
        "total_message_sent": 0,
    }


def thread_member(thread_id: str, user_id: str) -> Json:
    """Somebody's membership of a thread."""
    return {"id": thread_id, "user_id": user_id, "join_timestamp": timestamp(), "flags": 0}


def message(id: str, channel_id: str, author: Json, content: str, kind: int = 0) -> Json:
    """A message."""
    return {
        "id": id,
        "channel_id": channel_id,
        "author": author,
        "type": kind,
        "content": content,
        "timestamp": timestamp(),
        "edited_timestamp": None,
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "attachments": [],
        "embeds": [],
        "components": [],
        "flags": 0,
        "pinned": False,
        "tts": False,
    }


def error(code: int, text: str, errors: Json | None = None) -> Json:
    """The body of a refusal."""
    return {"code": code, "message": text, **({"errors": errors} if errors else {})}


def one_error(path: str, code: str, text: str) -> Json:
    """The `errors` of an invalid form, with one problem at a dotted path."""
    found: Json = {"_errors": [{"code": code, "message": text}]}
    for part in reversed(path.split(".")):
        found = {part: found}
    return found
