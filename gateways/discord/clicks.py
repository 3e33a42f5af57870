"""Clicks on buttons: Discord wants an answer within three seconds, and everybody who clicks gets one.

https://discord.com/developers/docs/interactions/receiving-and-responding
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from gateways.discord import components, writing
from gateways.discord.calls import CallError, Calls
from gateways.discord.inbound import Click, Place, Places, chosen, click_of, rated
from gateways.discord.reading import Reading
from gateways.routing import EXPLANATIONS, Accepted, Routing
from runllm.bridge.surfaces import surface_key
from store import buttons
from store.engine import Store

log = logging.getLogger(__name__)

_MESSAGE, _LATER, _UPDATE = 4, 6, 7
_ONLY_FOR_YOU = 1 << 6
_PATIENCE = 1.5
"""Seconds after which Discord is told to wait: half of what it allows."""

_THANKS = "Thank you for telling us."
_NOT_RECORDED = "That could not be recorded. Please try again in a moment."


class Clicks:
    """Takes clicks in and answers them."""

    def __init__(self, store: Store, routing: Routing, api: Calls, reading: Reading, places: Places) -> None:
        self._store = store
        self._routing = routing
        self._api = api
        self._reading = reading
        self._places = places
        self._jobs: set[asyncio.Task[None]] = set()

    def take(self, data: Mapping[str, Any]) -> None:
        """Answers an interaction, after this returns; each at its own pace."""
        job = asyncio.create_task(self._answer(data), name="answer a click")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        """Waits a moment for answers under way."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=_PATIENCE)

    async def _answer(self, data: Mapping[str, Any]) -> None:
        try:
            click = click_of(data)
            if click is not None:
                await self._take_and_show(click)
        except CallError as error:
            log.warning("A click on Discord got no answer: %s", error)  # it is recorded, and settled by its session
        except Exception:
            log.exception("A click on Discord could not be taken")

    async def _take_and_show(self, click: Click) -> None:
        taking = asyncio.create_task(self._sentence(click))
        done, _ = await asyncio.wait([taking], timeout=_PATIENCE)
        if not done:
            await self._call_back(click, {"type": _LATER})
        has_won, sentence = await taking
        if has_won:
            await self._show_choice(click, is_late=not done)
        elif done:
            await self._call_back(click, {"type": _MESSAGE, "data": _whisper(sentence)})
        else:
            await self._api.post(f"/webhooks/{click.application_id}/{click.token}", _whisper(sentence))

    async def _sentence(self, click: Click) -> tuple[bool, str]:
        """Records a click, and says whether it was the choice, and what its author is told otherwise."""
        try:
            place = self._places.find(click.channel_id)
            if place is None and (channel := await self._reading.channel(click.channel_id)) is not None:
                place = self._places.learn(channel)
            if place is None or click.what == "unknown":
                return False, EXPLANATIONS["unknown"]
            if click.what == "opinion":
                accepted = await self._routing.take_in(rated(click, place))
                return False, EXPLANATIONS["unknown"] if accepted.ignored else _THANKS
            result = (await self._choose(click, place)).click or "unknown"
            return result == "won", EXPLANATIONS[result]
        except Exception:
            log.exception("A click on Discord could not be recorded")
            return False, _NOT_RECORDED

    async def _choose(self, click: Click, place: Place) -> Accepted:
        event = chosen(click, place, click.button_id)
        async with self._store.read() as db:
            wait = await buttons.get(db, click.session_id, click.wait_id)
        if wait is None or wait.surface_key != surface_key(event.surface):
            return Accepted(click="unknown")
        for known in wait.button_ids if click.is_digest else ():
            if components.digest_of(known) == click.button_id:
                event = chosen(click, place, known)
        return await self._routing.take_in(event)

    async def _show_choice(self, click: Click, *, is_late: bool) -> None:
        """Shows everybody at once who chose what, in the place of live buttons."""
        custom_id = components.custom_id_of(click.session_id, click.wait_id, click.button_id)
        label = components.label_of(click.components, custom_id) or click.button_id
        shown = {
            "content": writing.noted(click.content, f"Chosen: {label}, by {click.user_name}"),
            "components": components.disabled(click.components),
            "allowed_mentions": {"parse": []},
        }
        if is_late:
            await self._api.patch(f"/webhooks/{click.application_id}/{click.token}/messages/@original", shown)
        else:
            await self._call_back(click, {"type": _UPDATE, "data": shown})

    async def _call_back(self, click: Click, body: dict[str, Any]) -> None:
        await self._api.post(f"/interactions/{click.id}/{click.token}/callback", body)


def _whisper(text: str) -> dict[str, Any]:
    return {"content": text, "flags": _ONLY_FOR_YOU, "allowed_mentions": {"parse": []}}
