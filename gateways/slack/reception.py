"""Takes in what Slack tells: into the record first, then Slack gets its answer.

Slack wants an answer within three seconds, and repeats what it got none for. Nothing here waits for Temporal, and for
Slack itself only where an event cannot be understood without asking it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from gateways.adapter import Earlier, Inbound
from gateways.matching import match_routes
from gateways.services import Services
from gateways.slack import inbound as events
from gateways.slack.clicks import Clicks
from gateways.slack.names import Names
from gateways.slack.threads import Threads
from gateways.slack.workspaces import Connected, Workspaces, is_over
from runllm.bridge.listeners import SlackListener, as_list
from runllm.bridge.surfaces import SlackThread, surface_key
from runllm.bridge.triggers import Emoji, is_emoji
from runllm.errors import SurfaceError
from store import messages, sessions

log = logging.getLogger(__name__)

TAKEN = 200
LATER = 503

_REMEMBER = 3.0
_BACK_FILL_PATIENCE = 1.5
_REACTION_PATIENCE = 2.0


class Reception:
    """Receives events and clicks, however they come: by HTTP or through Socket Mode."""

    def __init__(self, deps: Services, workspaces: Workspaces) -> None:
        self._deps = deps
        self._workspaces = workspaces
        self._threads = Threads(workspaces)
        self.names = Names(workspaces, self._name_came_late)
        self.clicks = Clicks(deps.store, workspaces, deps.outlets.settings.slack)
        self._known: dict[tuple[str, str], tuple[Connected, float]] = {}
        self.is_connecting = False
        """The only workspace is about to be connected: what comes from it is not unknown."""

    async def take(self, body: dict[str, Any]) -> int:
        """Takes a verified body in, and returns the status that Slack is to be answered with."""
        team_id, enterprise_id = events.teams_of(body)
        kind = body.get("type")
        if kind not in ("event_callback", "block_actions"):
            return TAKEN
        connected = await self._workspace(team_id, enterprise_id)
        if connected is None:
            if self.is_connecting:
                return LATER
            log.warning(
                "an event of Slack workspace %s is not taken: it is not connected. Run: runllm connect slack", team_id
            )
            return TAKEN
        if kind == "block_actions":
            return await self._take_clicks(body, connected)
        return await self._take_event(events.event_of(body), connected)

    async def close(self) -> None:
        """Ends what goes on beside."""
        await self.names.close()
        await self.clicks.close()

    async def _workspace(self, team_id: str, enterprise_id: str) -> Connected | None:
        """Who tells us. Remembered for a moment: in a burst it is the same workspace again and again."""
        known = self._known.get((team_id, enterprise_id))
        if known is not None and known[1] > time.monotonic():
            return known[0]
        connected = await self._workspaces.find(team_id, enterprise_id)
        if connected is not None:
            self._known[team_id, enterprise_id] = (connected, time.monotonic() + _REMEMBER)
        return connected

    async def _take_clicks(self, body: dict[str, Any], connected: Connected) -> int:
        for click in events.read_actions(body, connected.workspace):
            accepted = await self._deps.routing.take_in(click)
            self.clicks.soon(connected, body, click, accepted)
        return TAKEN

    async def _take_event(self, event: dict[str, Any], connected: Connected) -> int:
        match events.read_event(event, connected.workspace):
            case Inbound():
                return await self._take_message(event, connected)
            case events.Reacted() as reacted:
                return await self._take_reaction(reacted, connected)
            case events.Gone(team_id=team_id):
                await self._forget(team_id, connected)
        return TAKEN

    async def _take_message(self, event: dict[str, Any], connected: Connected) -> int:
        names = await self.names.of(connected, events.people_in(event))
        said = events.read_event(event, connected.workspace, names)
        assert isinstance(said, Inbound)
        if said.kind == "message" and said.happening is not None and said.happening.is_reply:
            said = said.model_copy(update={"earlier": await self._earlier(said, connected)})
        await self._deps.routing.take_in(said)
        return TAKEN

    async def _earlier(self, said: Inbound, connected: Connected) -> list[Earlier]:
        """What a thread had before the agent was summoned into it; nothing where it is there already, or is not meant.

        A history that does not come in time does not hold up the message that asks for it.
        """
        async with self._deps.store.read() as db:
            if await sessions.bound_session(db, surface_key(said.surface)) is not None:
                return []
        if match_routes(await self._deps.routing.routes(), said) is None:
            return []
        assert isinstance(said.surface, SlackThread)
        config = said.surface.config
        try:
            async with asyncio.timeout(_BACK_FILL_PATIENCE):
                before = await self._threads.before(connected, config.channel, config.thread_ts or "", said.remote_id)
                return await self._as_earlier(before, connected)
        except (SurfaceError, TimeoutError) as error:
            reason = str(error) or "Slack did not answer in time"
            log.warning("a thread in Slack channel %s is taken up without its history: %s", config.channel, reason)
            return []

    async def _as_earlier(self, said: Sequence[dict[str, Any]], connected: Connected) -> list[Earlier]:
        people = list(dict.fromkeys(user for one in said for user in events.people_in(one)))
        names = await self.names.of(connected, people)
        found = (events.earlier_message(one, connected.workspace, names) for one in said)
        return [one for one in found if one is not None]

    async def _take_reaction(self, reacted: events.Reacted, connected: Connected) -> int:
        """A reaction says neither its thread nor whether that went on. The record knows, or else Slack."""
        prefix = f"slack:{connected.workspace.team_id}:{reacted.channel}:"
        async with self._deps.store.read() as db:
            posting = await messages.find_in_places(db, prefix, reacted.ts)
            is_last = posting is not None and await messages.is_last(db, posting)
        if posting is not None:
            thread_ts = posting.surface_key.removeprefix(prefix)
            await self._deps.routing.take_in(events.reaction(reacted, connected.workspace, thread_ts, is_last=is_last))
            return TAKEN
        wanted = await self._wanted(reacted, connected)
        if not wanted:
            return TAKEN
        try:
            async with asyncio.timeout(_REACTION_PATIENCE):
                with_replies = any(not trigger.exclude_replies for trigger in wanted)
                place = await self._threads.place(connected, reacted, with_replies=with_replies)
                earlier = await self._as_earlier(place.said, connected) if place else []
        except (SurfaceError, TimeoutError) as error:
            log.warning(
                "a reaction in Slack channel %s is asked for again: %s", reacted.channel, str(error) or "no answer"
            )
            return LATER
        if place is not None:
            await self._deps.routing.take_in(
                events.reaction(reacted, connected.workspace, place.thread_ts, is_last=place.is_last, earlier=earlier)
            )
        return TAKEN

    async def _wanted(self, reacted: events.Reacted, connected: Connected) -> list[Emoji]:
        """The triggers of published workflows that this emoji could fire in this channel."""
        found: list[Emoji] = []
        for route in await self._deps.routing.routes():
            for listener in route.listeners:
                if isinstance(listener, SlackListener) and listener.team_id == connected.workspace.team_id:
                    found += _emojis(listener, reacted.channel)
        return [trigger for trigger in found if is_emoji(reacted.emoji, trigger.shortcode)]

    async def _forget(self, team_id: str, connected: Connected) -> None:
        self._known.clear()
        current = await self._workspaces.find(connected.external_id) or connected
        if await is_over(self._deps.outlets.settings.slack, current):
            await self._workspaces.remove(connected.external_id)
            log.warning("Slack workspace %s removed the app; connect it again: runllm connect slack", team_id)

    async def _name_came_late(self, user: str, name: str) -> None:
        async with self._deps.store.begin() as db:
            await messages.name_author(db, user, name)


def _emojis(listener: SlackListener, channel: str) -> list[Emoji]:
    """The emojis that a listener waits for in a channel."""
    own = next((one.trigger for one in listener.channels or () if one.channel_id == channel), None)
    if listener.channels and all(one.channel_id != channel for one in listener.channels):
        return []
    return [trigger for trigger in as_list(own or listener.default_trigger) if isinstance(trigger, Emoji)]
