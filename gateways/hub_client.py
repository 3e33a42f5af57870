"""The workers' side of the hub: what they tell is fire and forget, what they hear is a bonus."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
from pydantic import ValidationError

from gateways.hub import MAX_BATCH, NEWS, PULSES, Delta, News, Poke, Pulse, Stage, units
from gateways.signing import hub_token

log = logging.getLogger(__name__)

_WAITING = 2000
_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_LISTENING = aiohttp.ClientTimeout(total=None, connect=2.0, sock_read=40.0)
_AGAIN = 2.0
"""Seconds until a gateway that was not there is asked again."""

_MERGED = 4000


class HubClient:
    """Sends pulses to the gateways in the background, in order. Nothing it does can fail or wait.

    Needs a running event loop from its first pulse on; `close` sends what is left.
    """

    def __init__(self, gateway_url: str, secret: str) -> None:
        self._url = f"{gateway_url.rstrip('/')}/internal/hub"
        self._token = hub_token(secret)
        self._waiting: asyncio.Queue[Pulse] = asyncio.Queue(_WAITING)
        self._job: asyncio.Task[None] | None = None
        self._is_reachable = True

    async def push(self, surface_key: str, message: str, attempt: int, offset: int, text: str) -> None:
        """Shows the next piece of the message that will have the remote id `message`."""
        self._put(Delta(surface_key=surface_key, message=message, attempt=attempt, offset=offset, text=text))

    def poke(self, surface_key: str) -> None:
        """Says that what a surface shows has changed."""
        self._put(Poke(surface_key=surface_key))

    def stage(self, surface_key: str, text: str) -> None:
        """Shows what the agent is doing; empty for nothing any more."""
        self._put(Stage(surface_key=surface_key, text=text))

    async def hear(self) -> AsyncIterator[News]:
        """What people write from now on, for as long as anybody asks for the next. What is lost is lost."""
        headers = {"Authorization": f"Bearer {self._token}"}
        async with aiohttp.ClientSession(timeout=_LISTENING, headers=headers) as http:
            while True:
                with suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with http.get(self._url, raise_for_status=True) as response:
                        async for line in response.content:
                            try:
                                news = NEWS.validate_json(line)
                            except ValidationError:
                                continue  # it is empty, or of another version
                            yield news
                await asyncio.sleep(random.uniform(0.5, 1.5) * _AGAIN)

    async def close(self) -> None:
        """Sends what is left, for two seconds at most."""
        if self._job is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._waiting.join(), 2.0)
            self._job.cancel()
            with suppress(asyncio.CancelledError):
                await self._job

    def _put(self, pulse: Pulse) -> None:
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(pulse)
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._send_all(), name="hub client")

    async def _send_all(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as http:
            while True:
                batch = [await self._waiting.get()]
                while not self._waiting.empty() and len(batch) < MAX_BATCH:
                    batch.append(self._waiting.get_nowait())
                try:
                    await self._send(http, merged(batch))
                finally:
                    for _ in batch:
                        self._waiting.task_done()

    async def _send(self, http: aiohttp.ClientSession, batch: list[Pulse]) -> None:
        try:
            async with http.post(self._url, data=PULSES.dump_json(batch)) as response:
                answer = "" if response.ok else f"HTTP {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            answer = str(error) or type(error).__name__
        if answer and self._is_reachable:  # once, not for every piece of every answer
            log.warning("%s takes no news: %s. Answers appear when they are complete.", self._url, answer)
        self._is_reachable = not answer


def merged(batch: list[Pulse]) -> list[Pulse]:
    """The same news in fewer pulses: adjoining pieces of one answer become one, repeated pokes too."""
    out: list[Pulse] = []
    for pulse in batch:
        last = out[-1] if out else None
        if pulse == last and isinstance(pulse, Poke):
            continue
        if isinstance(pulse, Delta) and isinstance(last, Delta) and _continues(last, pulse):
            out[-1] = last.model_copy(update={"text": last.text + pulse.text})
        else:
            out.append(pulse)
    return out


def _continues(last: Delta, pulse: Delta) -> bool:
    same = (last.surface_key, last.message, last.attempt) == (pulse.surface_key, pulse.message, pulse.attempt)
    return same and pulse.offset == last.offset + units(last.text) and len(last.text) < _MERGED
