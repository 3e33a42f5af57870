"""Discord's inbound rules, without any I/O: what the gateway dispatches, in our words.

A thread that is made from a message has that message's id, so the surface of a message that stands in a channel is the
thread that an answer to it will open: known before there is one, and the same for everybody who works it out.

Events: https://discord.com/developers/docs/events/gateway-events
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from gateways.adapter import Earlier, Inbound
from gateways.wire import parse_button_value
from runllm.bridge.surfaces import DiscordThread, DiscordThreadConfig, SurfaceType
from runllm.bridge.triggers import Happening

PLATFORM = "discord"

TEXT, ANNOUNCEMENTS, FORUM, MEDIA = 0, 5, 15, 16
"""Kinds of channels whose threads we know: https://discord.com/developers/docs/resources/channel"""
THREADS = (10, 11, 12)

_SAID = (0, 19)
"""Kinds of messages that somebody wrote: plain ones and replies. The others tell what happened in a channel."""
_MENTION = re.compile(r"<@!?(\d+)>")
_EMOJI = re.compile(r"<a?:(\w+):\d+>")
_HEX = re.compile(r"#[0-9a-f]{32}")


class _Raw(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class User(_Raw):
    """Somebody, as events name them."""

    id: str
    username: str = ""
    global_name: str | None = None
    bot: bool = False

    @property
    def name(self) -> str:
        """What Discord shows where there is no nickname."""
        return self.global_name or self.username or self.id


class Member(_Raw):
    """Somebody in a server. `user` is missing where the event names the author apart."""

    nick: str | None = None
    user: User | None = None


class Attachment(_Raw):
    """A file of a message."""

    id: str
    filename: str
    size: int = 0
    content_type: str | None = None


class Message(_Raw):
    """A message, from the gateway or from the HTTP API."""

    id: str
    channel_id: str
    author: User
    type: int = 0
    content: str = ""
    guild_id: str | None = None
    member: Member | None = None
    mentions: Sequence[User] = ()
    mention_roles: Sequence[str] = ()
    attachments: Sequence[Attachment] = ()
    timestamp: datetime | None = None
    edited_timestamp: datetime | None = None
    webhook_id: str | None = None

    @property
    def is_said(self) -> bool:
        """Somebody wrote it: it does not only tell that a message was pinned, or a thread made."""
        return self.type in _SAID

    @property
    def author_name(self) -> str:
        """What the server shows for its author."""
        nick = self.member.nick if self.member is not None else None
        return nick or self.author.name


class Place(_Raw):
    """A channel, or a thread in one. `thread_id` is empty for the channel itself."""

    guild_id: str
    channel_id: str
    thread_id: str = ""
    kind: int = TEXT

    @property
    def id(self) -> str:
        """What messages name as their `channel_id`."""
        return self.thread_id or self.channel_id

    @property
    def parent(self) -> "Place":
        """The channel."""
        return Place(guild_id=self.guild_id, channel_id=self.channel_id)

    def surface(self, message_id: str) -> DiscordThread:
        """The thread that a message belongs to: the one it is in, or the one that an answer to it opens."""
        thread_id = self.thread_id or message_id
        return DiscordThread(
            config=DiscordThreadConfig(guild_id=self.guild_id, channel_id=self.channel_id, thread_id=thread_id)
        )

    def is_reply(self, message_id: str) -> bool:
        """Whether a message is a reply inside a thread, and not what the thread was made from."""
        return bool(self.thread_id) and message_id != self.thread_id


class Bot(_Raw):
    """Who we are in one server: messages may mention the bot, or the role that Discord made for it."""

    user_id: str
    role_ids: Sequence[str] = ()


class Places:
    """The channels, threads and roles that the gateway has told of: which thread is where."""

    def __init__(self) -> None:
        self._known: dict[str, Place] = {}
        self._roles: dict[str, dict[str, str]] = {}  # guild -> role -> the bot that it was made for

    def observe(self, event: str, data: Mapping[str, Any]) -> None:
        """Takes in what one dispatch says of channels, threads and roles."""
        match event:
            case "GUILD_CREATE":
                for channel in (*data.get("channels", ()), *data.get("threads", ())):
                    self.learn(channel, str(data["id"]))
                self._roles[str(data["id"])] = {}
                for role in data.get("roles", ()):
                    self._learn_role(str(data["id"]), role)
            case "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE":
                self.learn(data)
            case "THREAD_LIST_SYNC":
                for thread in data.get("threads", ()):
                    self.learn(thread, str(data["guild_id"]))
            case "CHANNEL_DELETE" | "THREAD_DELETE":
                self._known.pop(str(data["id"]), None)
            case "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE":
                self._learn_role(str(data["guild_id"]), data["role"])

    def learn(self, channel: Mapping[str, Any], guild_id: str | None = None) -> Place | None:
        """Takes in one channel or thread; None where it is in no server."""
        guild = str(channel.get("guild_id") or guild_id or "")
        if not guild:
            return None
        own, kind = str(channel["id"]), int(channel["type"])
        if kind in THREADS:
            place = Place(guild_id=guild, channel_id=str(channel["parent_id"]), thread_id=own, kind=kind)
        else:
            place = Place(guild_id=guild, channel_id=own, kind=kind)
        self._known[own] = place
        return place

    def find(self, channel_id: str) -> Place | None:
        """The channel or thread with that id."""
        return self._known.get(channel_id)

    def channels_of(self, guild_id: str) -> list[Place]:
        """The channels of a server that hold messages themselves, or threads."""
        kinds = (TEXT, ANNOUNCEMENTS, FORUM, MEDIA)
        return [place for place in self._known.values() if place.guild_id == guild_id and place.kind in kinds]

    def bot_in(self, guild_id: str, user_id: str) -> Bot:
        """The bot, with its roles in a server."""
        roles = [role for role, bot in self._roles.get(guild_id, {}).items() if bot == user_id]
        return Bot(user_id=user_id, role_ids=roles)

    def _learn_role(self, guild_id: str, role: Mapping[str, Any]) -> None:
        made_for = str((role.get("tags") or {}).get("bot_id") or "")
        if made_for:
            self._roles.setdefault(guild_id, {})[str(role["id"])] = made_for


def said(message: Message, place: Place, bot: Bot, earlier: Sequence[Earlier] = ()) -> Inbound:
    """A new message."""
    return Inbound(
        kind="message",
        dedupe_key=_key(message.channel_id, message.id),
        surface=place.surface(message.id),
        happening=Happening(
            surface=SurfaceType.DISCORD_THREAD,
            is_mention=mentions(message, bot),
            is_reply=place.is_reply(message.id),
        ),
        remote_id=message.id,
        text=text_of(message, bot.user_id),
        user=message.author.id,
        author_name=message.author_name,
        attachments=attachments_of(message),
        is_from_bot=is_from_program(message),
        earlier=list(earlier),
    )


def edited(message: Message, place: Place, bot: Bot) -> Inbound | None:
    """A message with another text. None where Discord only added a preview, which changes no text and says so."""
    if message.edited_timestamp is None:
        return None
    return Inbound(
        kind="edit",
        dedupe_key=f"{_key(message.channel_id, message.id)}:edit:{message.edited_timestamp.isoformat()}",
        surface=place.surface(message.id),
        remote_id=message.id,
        text=text_of(message, bot.user_id),
        user=message.author.id,
        author_name=message.author_name,
        is_from_bot=is_from_program(message),
        changed_at=message.edited_timestamp,
    )


def deleted(message_id: str, place: Place) -> Inbound:
    """A message that is gone. Discord does not say who removed it."""
    return Inbound(
        kind="delete",
        dedupe_key=f"{_key(place.id, message_id)}:delete",
        surface=place.surface(message_id),
        remote_id=message_id,
    )


class Reaction(_Raw):
    """Somebody put an emoji on a message."""

    user_id: str
    channel_id: str
    message_id: str
    guild_id: str | None = None
    member: Member | None = None
    emoji: Mapping[str, Any]

    @property
    def emoji_name(self) -> str:
        """The name of a server's own emoji, the character of any other."""
        return str(self.emoji.get("name") or "")


def reacted(
    reaction: Reaction, place: Place, names: Sequence[str], is_last: bool, earlier: Sequence[Earlier] = ()
) -> Inbound:
    """A reaction; `names` are the shortcodes of its emoji, the usual one first."""
    member, user = reaction.member, reaction.member.user if reaction.member else None
    return Inbound(
        kind="reaction",
        # Discord numbers no reactions: taken off and put on again it is the same one.
        dedupe_key=f"{_key(reaction.channel_id, reaction.message_id)}:{reaction.user_id}:{reaction.emoji_name}",
        surface=place.surface(reaction.message_id),
        happening=Happening(
            surface=SurfaceType.DISCORD_THREAD,
            is_message=False,
            emoji=names[0] if names else reaction.emoji_name,
            emoji_aliases=list(names[1:]),
            is_reply=place.is_reply(reaction.message_id),
            is_last=is_last,
        ),
        remote_id=reaction.message_id,
        user=reaction.user_id,
        author_name=(member.nick if member else None) or (user.name if user else None),
        is_from_bot=bool(user and user.bot),
        earlier=list(earlier),
    )


def earlier_of(message: Message, bot: Bot) -> Earlier:
    """A message that was there before the agent was."""
    return Earlier(
        remote_id=message.id,
        text=text_of(message, bot.user_id),
        user=message.author.id,
        author_name=message.author_name,
        attachments=attachments_of(message),
        at=message.timestamp,
        is_from_bot=is_from_program(message),
    )


class Click(_Raw):
    """A click on one of our buttons.

    Attributes:
        id, token: Of the interaction: what it is answered with.
        application_id: Whose interaction it is.
        what: A choice that a handler waits for, an opinion on an answer, or something that is not ours.
        session_id, wait_id, button_id: The choice. A `button_id` that begins with `#` is a digest of the real one.
    """

    id: str
    token: str
    application_id: str
    channel_id: str
    message_id: str
    user: User
    user_name: str
    what: Literal["choice", "opinion", "unknown"] = "unknown"
    session_id: int = 0
    wait_id: int = 0
    button_id: str = ""
    is_helpful: bool = False
    content: str = ""
    components: Sequence[Mapping[str, Any]] = ()

    @property
    def is_digest(self) -> bool:
        """Whether the button's id was too long for Discord, and stands here as a digest."""
        return _HEX.fullmatch(self.button_id) is not None


def click_of(data: Mapping[str, Any]) -> Click | None:
    """The click in an INTERACTION_CREATE; None for other interactions, and for those outside of a server."""
    if data.get("type") != 3 or not data.get("guild_id") or "message" not in data:
        return None
    member = Member.model_validate(data["member"])
    if member.user is None:
        return None
    message = data["message"]
    known = {
        "id": data["id"],
        "token": data["token"],
        "application_id": data["application_id"],
        "channel_id": data["channel_id"],
        "message_id": message["id"],
        "user": member.user,
        "user_name": member.nick or member.user.name,
        "content": message.get("content", ""),
        "components": message.get("components", ()),
    }
    custom_id = str(data["data"].get("custom_id", ""))
    if custom_id in (LIKED, DISLIKED):
        return Click(what="opinion", is_helpful=custom_id == LIKED, **known)
    choice = parse_button_value(custom_id.removeprefix(CHOICE)) if custom_id.startswith(CHOICE) else None
    if choice is None:
        return Click(**known)
    session_id, wait_id, button_id = choice
    return Click(what="choice", session_id=session_id, wait_id=wait_id, button_id=button_id, **known)


CHOICE, LIKED, DISLIKED = "choice:", "helpful:yes", "helpful:no"
"""What the `custom_id` of our buttons begins with, or is."""


def chosen(click: Click, place: Place, button_id: str) -> Inbound:
    """A click on a button that a handler waits for."""
    return Inbound(
        kind="button",
        dedupe_key=f"{PLATFORM}:click:{click.id}",
        surface=place.surface(click.message_id),
        remote_id=click.message_id,
        user=click.user.id,
        author_name=click.user_name,
        wait_id=click.wait_id,
        button_id=button_id,
        is_from_bot=click.user.bot,
    )


def rated(click: Click, place: Place) -> Inbound:
    """An opinion on an answer."""
    return Inbound(
        kind="feedback",
        dedupe_key=f"{PLATFORM}:click:{click.id}",
        surface=place.surface(click.message_id),
        remote_id=click.message_id,
        user=click.user.id,
        author_name=click.user_name,
        is_helpful=click.is_helpful,
    )


def mentions(message: Message, bot: Bot) -> bool:
    """Whether a message mentions the bot, or its role. Everybody at once is nobody in particular."""
    is_named = any(user.id == bot.user_id for user in message.mentions)
    return is_named or any(role in bot.role_ids for role in message.mention_roles)


def is_from_program(message: Message) -> bool:
    """Whether a bot or an integration wrote a message."""
    return message.author.bot or message.webhook_id is not None


def text_of(message: Message, bot_user_id: str) -> str:
    """What a message says, with names in the place of Discord's numbers, and without the call for the bot."""
    names = {user.id: user.name for user in message.mentions}
    text = message.content.strip()
    call = re.compile(rf"^<@!?{re.escape(bot_user_id)}>[\s,:]*|\s*<@!?{re.escape(bot_user_id)}>$")
    text = call.sub("", text).strip() or text
    text = _MENTION.sub(lambda found: f"@{names.get(found[1], found[1])}", text)
    return _EMOJI.sub(r":\1:", text)


def attachments_of(message: Message) -> list[dict[str, Any]]:
    """The files of a message. Their addresses expire within a day, so none is kept: the adapter asks for a new one."""
    return [
        {
            "name": one.filename,
            "mimetype": one.content_type or "application/octet-stream",
            "size": one.size,
            "platform": PLATFORM,
            "ref": f"{message.guild_id or ''}/{message.channel_id}/{message.id}/{one.id}",
        }
        for one in message.attachments
    ]


def _key(channel_id: str, message_id: str) -> str:
    return f"{PLATFORM}:{channel_id}:{message_id}"
