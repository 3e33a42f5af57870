"""What one bot hears: every message of a place that somebody listens to is taken in, once, also after an outage.

Events are taken one after the other, in order. How far each channel and thread has been read is in the record: after a
start, and after a connection that could not be resumed, what came since then is read before anything new.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from gateways.adapter import Earlier, Inbound
from gateways.discord import inbound
from gateways.discord.emoji_names import names_of
from gateways.discord.finishing import finished_first
from gateways.discord.inbound import ANNOUNCEMENTS, PLATFORM, TEXT, Bot, Message, Place, Places, Reaction
from gateways.discord.reading import PAGE, Reading
from gateways.discord.snowflakes import at_snowflake, position_of
from gateways.matching import Route, is_listened, match_routes
from gateways.routing import Routing, routes_of
from runllm.bridge.surfaces import DiscordThread, surface_key
from store import cursors, messages, sessions
from store.engine import Store
from store.models import now

log = logging.getLogger(__name__)

_THREADS_STAY_OPEN = timedelta(minutes=50)
"""Discord archives a thread after an hour without a message at the earliest: in less, nothing can have been missed in
an archived one."""
_LONGEST_WAIT = 10.0
_SENSELESS = (ValidationError, LookupError, TypeError, ValueError)
_MOST_TRIES = 3
_NOTE_EVERY = 20.0
_HEARD = ("READY", "MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK", "MESSAGE_REACTION_ADD")

Event = tuple[str, Mapping[str, Any]]


class Intake:
    """Takes in what a bot's connection brings."""

    def __init__(
        self, store: Store, routing: Routing, reading: Reading, places: Places, guilds: Callable[[], Collection[str]]
    ) -> None:
        """
        Args:
            guilds: The servers that are connected to this engine with this bot, now.
        """
        self._store = store
        self._routing = routing
        self._reading = reading
        self._places = places
        self._guilds = guilds
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._user_id = ""
        self._ready_at = now()
        self._next_note = 0.0
        self.is_current = False
        """Nothing that Discord had when this connection began is left to be read."""

    def take(self, event: str, data: Mapping[str, Any]) -> None:
        """Takes one dispatch."""
        self._places.observe(event, data)
        if event == "READY":
            self._user_id, self._ready_at = str(data["user"]["id"]), now()
            self.is_current = False
        if event == "GUILD_CREATE" and str(data["id"]) not in self._guilds():
            log.warning(
                "the bot is in Discord server %s, which is not connected: nothing of it is taken. Run: runllm connect "
                "discord",
                data["id"],
            )
        if event in _HEARD:
            self._events.put_nowait((event, data))

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await finished_first(self._until_done(*await self._events.get()))
            self._events.task_done()

    async def settled(self) -> None:
        """Waits until everything that came so far is taken in."""
        await self._events.join()

    async def keep_alive(self) -> None:
        """Writes down, every now and then, that nothing is missed up to now. Channels that are listened to since lately
        are read from here on.
        """
        if self.is_current and time.monotonic() >= self._next_note:
            await self._note()

    async def _note(self, since: datetime | None = None) -> None:
        self._next_note = time.monotonic() + _NOTE_EVERY
        async with self._store.begin() as db:
            await cursors.advance(db, self._alive, "1")
        for guild_id in self._guilds():
            await self._begin_reading(guild_id, since or now())

    async def _until_done(self, event: str, data: Mapping[str, Any]) -> None:
        """Handles an event, again and again while the record is away: nothing that came later overtakes it."""
        pause, tries = 0.5, 0
        while True:
            try:
                return await self._handle(event, data)
            except (SQLAlchemyError, OSError) as error:
                log.warning("A %s of Discord has to wait for the record: %s", event, type(error).__name__)
            except Exception as error:  # only its name is logged: its text may quote what people wrote
                tries += 1
                if isinstance(error, _SENSELESS) or tries >= _MOST_TRIES:
                    log.error("A %s of Discord makes no sense and is left out: %s", event, type(error).__name__)
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_WAIT)

    async def _handle(self, event: str, data: Mapping[str, Any]) -> None:
        match event:
            case "READY":
                await self.catch_up()
            case "MESSAGE_CREATE":
                await self._on_message(data)
            case "MESSAGE_UPDATE":
                await self._on_edit(data)
            case "MESSAGE_DELETE":
                await self._on_delete(data, [str(data["id"])])
            case "MESSAGE_DELETE_BULK":
                await self._on_delete(data, [str(one) for one in data["ids"]])
            case "MESSAGE_REACTION_ADD":
                await self._on_reaction(data)

    # What was missed

    async def catch_up(self) -> None:
        """Reads what came while nobody listened, place by place, each from where it was read last."""
        async with self._store.read() as db:
            last = await cursors.moved_at(db, self._alive)
        was_long = last is None or now() - last > _THREADS_STAY_OPEN
        for guild_id in self._guilds():
            for place, newest, is_bound in await self._unread(guild_id, was_long):
                await self._read_on(place, newest, is_bound)
        await self._note(since=self._ready_at)
        self.is_current = True

    async def _unread(self, guild_id: str, with_archived: bool) -> list[tuple[Place, str | None, bool]]:
        """The places of a server to look into, each with its last message, and whether it is a conversation of ours."""
        channels = await self._reading.channels(guild_id)
        threads = await self._reading.active_threads(guild_id)
        seen = [(self._places.learn(one, guild_id), one.get("last_message_id")) for one in (*channels, *threads)]
        async with self._store.read() as db:
            routes = await routes_of(db)
            bound = {
                surface.config.thread_id: Place(
                    guild_id=guild_id, channel_id=surface.config.channel_id, thread_id=surface.config.thread_id
                )
                for surface in await sessions.open_surfaces(db, f"{PLATFORM}:{guild_id}:")
                if isinstance(surface, DiscordThread)
            }
        found = [
            (place, newest, place.id in bound)
            for place, newest in seen
            if place is not None and (place.id in bound or (_holds_messages(place) and _is_listened(routes, place)))
        ]
        if with_archived:
            known = {place.id for place, _, _ in found}
            found += [(place, None, True) for thread_id, place in bound.items() if thread_id not in known]
        return found

    async def _read_on(self, place: Place, newest: str | None, is_bound: bool) -> None:
        after = await self._read_up_to(place, is_bound)
        if after is None:
            return
        if newest is not None and int(newest) <= int(after):
            return
        while True:
            page = await self._reading.after(place.id, after)
            for data in page:
                await self._on_message({**data, "guild_id": place.guild_id}, place)
                after = str(data["id"])
            if page:
                await self._have_read(place, after)
            if len(page) < PAGE:
                return

    async def _read_up_to(self, place: Place, is_bound: bool) -> str | None:
        """The last message that was read in a place; None where everything in it is from before we listened.

        A thread that was never read is new since its channel was read last, or it is a conversation of ours.
        """
        async with self._store.read() as db:
            position = await cursors.position(db, _cursor(place))
            if position is None and place.thread_id and not is_bound:
                position = await cursors.position(db, _cursor(place.parent))
                position = None if position is None else max(position, position_of(place.thread_id))
        if position is None:
            return place.thread_id if is_bound and place.thread_id else None
        return str(int(position))

    async def _begin_reading(self, guild_id: str, since: datetime) -> None:
        """Channels that are listened to and were never read count as read up to then."""
        async with self._store.read() as db:
            routes = await routes_of(db)
            begun = await cursors.positions(db, f"{PLATFORM}:read:{guild_id}:")
        new = [
            place
            for place in self._places.channels_of(guild_id)
            if place.id not in begun and _is_listened(routes, place)
        ]
        for place in new:
            await self._have_read(place, at_snowflake(since))

    async def _have_read(self, place: Place, message_id: str) -> None:
        async with self._store.begin() as db:
            await cursors.advance(db, _cursor(place), position_of(message_id))

    # What comes

    async def _on_message(self, data: Mapping[str, Any], known: Place | None = None) -> None:
        message = Message.model_validate(data)
        place = known or await self._place(message.channel_id)
        if place is None or place.guild_id not in self._guilds():
            return
        if message.author.id == self._user_id or not message.is_said:
            return
        bot = self._places.bot_in(place.guild_id, self._user_id)
        event = inbound.said(message, place, bot)
        routes, is_bound = await self._who_listens(event)
        if not is_bound and not _is_listened(routes, place):
            return
        if not is_bound and place.is_reply(message.id) and match_routes(routes, event) is not None:
            event = inbound.said(message, place, bot, await self._reading.earlier(place, message.id, bot))
        await self._routing.take_in(event)
        if known is None:  # whoever reads on writes down how far, a page at a time
            await self._have_read(place, message.id)

    async def _on_edit(self, data: Mapping[str, Any]) -> None:
        if "author" not in data or "content" not in data:
            return  # a preview that was added
        message = Message.model_validate(data)
        place = await self._place(message.channel_id)
        if place is None or message.author.id == self._user_id:
            return
        event = inbound.edited(message, place, self._places.bot_in(place.guild_id, self._user_id))
        if event is not None and await self._is_from_elsewhere(event):
            await self._routing.take_in(event)

    async def _on_delete(self, data: Mapping[str, Any], message_ids: list[str]) -> None:
        place = await self._place(str(data["channel_id"]))
        if place is None:
            return
        for message_id in message_ids:
            event = inbound.deleted(message_id, place)
            if await self._is_from_elsewhere(event):
                await self._routing.take_in(event)

    async def _on_reaction(self, data: Mapping[str, Any]) -> None:
        reaction = Reaction.model_validate(data)
        place = await self._place(reaction.channel_id)
        if place is None or place.guild_id not in self._guilds() or reaction.user_id == self._user_id:
            return
        names = names_of(reaction.emoji_name)
        event = inbound.reacted(reaction, place, names, is_last=True)
        routes, is_bound = await self._who_listens(event)
        if not is_bound and match_routes(routes, event) is None:
            return
        bot = self._places.bot_in(place.guild_id, self._user_id)
        is_last = await self._is_last(place, reaction.message_id)
        earlier = [] if is_bound or not is_last else await self._up_to(place, reaction.message_id, bot)
        await self._routing.take_in(inbound.reacted(reaction, place, names, is_last, earlier))

    async def _up_to(self, place: Place, message_id: str, bot: Bot) -> list[Earlier]:
        """A message that somebody reacted to, and what was said before it in its thread."""
        if place.is_reply(message_id):
            return await self._reading.earlier(place, str(int(message_id) + 1), bot)
        found = await self._reading.message(place.id, message_id)
        return [inbound.earlier_of(Message.model_validate(found), bot)] if found is not None else []

    async def _is_last(self, place: Place, message_id: str) -> bool:
        """Whether a message is the last of its thread. One in a channel is, while nobody has answered below it."""
        newest = await self._reading.newest(place.thread_id or message_id)
        return newest in (None, message_id)

    async def _place(self, channel_id: str) -> Place | None:
        """Where a channel or thread is; None where it is none that the bot can see."""
        place = self._places.find(channel_id)
        if place is None and (channel := await self._reading.channel(channel_id)) is not None:
            place = self._places.learn(channel)
        return place

    async def _who_listens(self, event: Inbound) -> tuple[list[Route], bool]:
        """All listeners, and whether the surface has its session already."""
        async with self._store.read() as db:
            return await routes_of(db), await sessions.bound_session(db, surface_key(event.surface)) is not None

    async def _is_from_elsewhere(self, event: Inbound) -> bool:
        """Whether an event changes what somebody else than this engine wrote in a place that concerns us.

        A moderator who removes our copy of a message does not remove the message. A message that the record does not
        have may be on its way: the change waits for it.
        """
        async with self._store.read() as db:
            posting = await messages.find_posting(db, surface_key(event.surface), event.remote_id)
        if posting is not None:
            return posting.effect_key is None
        routes, is_bound = await self._who_listens(event)
        return is_bound or is_listened(routes, event)

    @property
    def _alive(self) -> str:
        return f"{PLATFORM}:alive:{self._user_id}"


def _is_listened(routes: list[Route], place: Place) -> bool:
    """Whether some published workflow listens in a channel, whatever it waits for."""
    return is_listened(routes, Inbound(kind="message", dedupe_key="", surface=place.surface("0")))


def _holds_messages(place: Place) -> bool:
    """Forums hold threads only."""
    return bool(place.thread_id) or place.kind in (TEXT, ANNOUNCEMENTS)


def _cursor(place: Place) -> str:
    return f"{PLATFORM}:read:{place.guild_id}:{place.id}"
