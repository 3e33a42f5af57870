"""What people in Slack are called: events bring ids only.

An answer to Slack must not wait for Slack, so a name that does not come at once comes later, into the record.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from gateways.slack.web_api import in_our_words
from gateways.slack.workspaces import Connected, Workspaces
from runllm.errors import SurfaceError

log = logging.getLogger(__name__)

_KEEP = 3_600.0
_KEEP_UNKNOWN = 60.0
_MOST = 20_000
_PATIENCE = 0.25


class Names:
    """Remembers names for an hour."""

    def __init__(self, workspaces: Workspaces, came_late: Callable[[str, str], Awaitable[None]]) -> None:
        """
        Args:
            came_late: Called with `team:user` and the name, where somebody was told that there is none yet.
        """
        self._workspaces = workspaces
        self._came_late = came_late
        self._known: dict[tuple[str, str], tuple[str, float]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._missed: set[tuple[str, str]] = set()

    async def of(self, connected: Connected, users: Sequence[str]) -> dict[str, str]:
        """The names of those whose name is known, or comes in a moment."""
        team = connected.workspace.team_id
        asking = [task for user in users if (task := self._ask(connected, user)) is not None]
        if asking:
            await asyncio.wait(asking, timeout=_PATIENCE)
        found = {user: self._known[team, user][0] for user in users if (team, user) in self._known}
        self._missed.update((team, user) for user in users if (team, user) in self._asking)
        return {user: name for user, name in found.items() if name}

    async def idle(self) -> None:
        """Waits until all names that were asked for are there."""
        while self._asking:
            await asyncio.wait(list(self._asking.values()))

    async def close(self) -> None:
        """Asks for no more names."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _ask(self, connected: Connected, user: str) -> "asyncio.Task[None] | None":
        key = (connected.workspace.team_id, user)
        known = self._known.get(key)
        if known is not None and known[1] > time.monotonic():
            return None
        if key not in self._asking:
            task = asyncio.create_task(self._learn(connected, user), name="name of a person")
            self._asking[key] = task
        return self._asking[key]

    async def _learn(self, connected: Connected, user: str) -> None:
        key = (connected.workspace.team_id, user)
        try:
            name = await self._fetch(connected, user)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (name, time.monotonic() + (_KEEP if name else _KEEP_UNKNOWN))
        finally:
            del self._asking[key]
        if key in self._missed:
            self._missed.discard(key)
            if name:
                await self._came_late(f"{key[0]}:{user}", name)

    async def _fetch(self, connected: Connected, user: str) -> str:
        try:
            fresh = await self._workspaces.fresh(connected)
            with in_our_words(connected.workspace.team_id):
                answer = await self._workspaces.client(fresh).users_info(user=user)
        except SurfaceError as error:
            log.info("the name of a person in Slack workspace %s is not known: %s", connected.external_id, error)
            return ""
        person = answer.get("user") or {}
        profile = person.get("profile") or {}
        said = (profile.get("display_name"), profile.get("real_name"), person.get("real_name"), person.get("name"))
        return next((str(name) for name in said if name), "")
