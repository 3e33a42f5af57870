"""What people see on the platforms after a run, for pictures of it."""

import re
from collections.abc import Mapping
from typing import Any

from tests.crossing.pictures import Said
from tests.crossing.world import World

_SIGNS = {":thumbsup:": "👍", ":thumbsdown:": "👎"}


def on_slack(here: World, thread: str) -> list[Said]:
    """The thread as its readers see it."""
    people = {**here.slack.users, here.slack.bot_user_id: "Support"}
    return [
        Said(
            str(one.get("username") or people.get(one["user"], one["user"])),
            in_names(here.slack.words(one), people),
            [_with_signs(label) for label in here.slack.buttons(one)],
            is_app=one.get("bot_id") == here.slack.bot_id,
        )
        for one in here.slack.messages("C1", thread)
    ]


def in_names(words: str, people: Mapping[str, str]) -> str:
    """People and signs as Slack shows them. Who chose what is shown by the gateway or the session: both say it here."""
    words = re.sub(r":white_check_mark: \*(.+)\* · <@(\w+)>", r"Chosen: \1, by <@\2>", words)
    words = re.sub(r"<(https?://[^|>]+)\|([^>]+)>", r"\2", words)
    words = re.sub(r"<@(\w+)>", lambda found: f"@{people.get(found[1], found[1])}", words)
    return re.sub(r"(Chosen: .*, by )@", r"\1", words)


def _with_signs(label: str) -> str:
    for name, sign in _SIGNS.items():
        label = label.replace(name, sign)
    return label


def on_discord(here: World, message: dict[str, Any]) -> Said:
    """One message as its readers see it."""
    is_app = message["author"]["id"] == here.discord.bot["id"]
    text = message["content"].replace(here.discord.mention, "@Support")
    text = re.sub(r"^-# ", "", re.sub(r"\[([^\]]+)\]\(<?[^)]*>?\)", r"\1", text), flags=re.MULTILINE)
    labels = [
        one.get("label") or one["emoji"]["name"] for row in message["components"] for one in row.get("components", [])
    ]
    return Said("Support" if is_app else message["author"]["global_name"], text, labels, is_app=is_app)


def on_zendesk(here: World, number: int) -> list[Said]:
    """The comments of a ticket, as an agent sees them."""
    names = {id: user["name"] for id, user in here.acme.users.items()}
    ours = {id for id, user in here.acme.users.items() if user.get("email") == here.acme.email}
    return [
        Said(
            names[one["author_id"]],
            re.sub(r"/p\d{16}", "/p1795621216000001", one["plain_body"]),
            is_app=one["author_id"] in ours,
            is_internal=not one["public"],
        )
        for one in here.acme.comments(number)
    ]
