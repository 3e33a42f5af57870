"""The Slack app: what it may do, what it is told, and the manifest that makes it. Pure."""

from typing import Any

EMOJI_SCOPE = "emoji:read"

SCOPES = {
    "app_mentions:read": "to be called by its name",
    "channels:history": "to read the public channels that it is in",
    "channels:read": "to know the channels that it is in",
    "chat:write": "to answer",
    "chat:write.customize": "to show the author's name on messages that come from elsewhere",
    EMOJI_SCOPE: "to tell a misspelt emoji from one of the workspace's own",
    "files:read": "to take files along",
    "files:write": "to post files that come from elsewhere",
    "groups:history": "to read the private channels that it is in",
    "im:history": "to read what people write to it directly",
    "mpim:history": "to read the group conversations that it is in",
    "reactions:read": "to be woken by an emoji",
    "users:read": "to know what people are called",
}
"""What the app may do, and what for."""

EVENTS = (
    "app_mention",
    "app_uninstalled",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "tokens_revoked",
)
"""What Slack is to tell."""

OPTIONAL = frozenset({"chat:write.customize", "channels:read", EMOJI_SCOPE})
"""Without these everything works, and some of it looks plainer."""


def manifest(public_url: str, name: str = "Support", *, is_socket: bool = False) -> dict[str, Any]:
    """The app as Slack's page "Create an app from a manifest" takes it.

    https://docs.slack.dev/reference/app-manifest
    """
    url = public_url.rstrip("/")
    address = {} if is_socket else {"request_url": f"{url}/slack/events"}
    clicks = {} if is_socket else {"request_url": f"{url}/slack/interactivity"}
    # Slack takes redirects to https only.
    redirect = {"redirect_urls": [f"{url}/slack/oauth_redirect"]} if url.startswith("https://") else {}
    return {
        "display_information": {"name": name, "description": "Answers questions, and brings people in"},
        "features": {
            "app_home": {"messages_tab_enabled": True, "messages_tab_read_only_enabled": False},
            "bot_user": {"display_name": name, "always_online": True},
        },
        "oauth_config": {**redirect, "scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {**address, "bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True, **clicks},
            "org_deploy_enabled": False,
            "socket_mode_enabled": is_socket,
            "token_rotation_enabled": False,
        },
    }
