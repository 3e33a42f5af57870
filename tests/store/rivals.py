"""Other processes that do the same thing at the same moment.

A rival gets ready, says so, and does its deed when it is told to.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path

from store import inbox, messages, sessions
from store.engine import Store

_ROOT = Path(__file__).parents[2]


class Rival:
    """A process that runs one of the deeds below."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, deed: str, *arguments: str) -> "Rival":
        """Starts it, and returns when it is ready."""
        command = (sys.executable, "-m", "tests.store.rivals", deed, *arguments)
        rival = cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=_ROOT))
        await rival.hears("ready")
        return rival

    async def hears(self, expected: str) -> None:
        """Waits until it says `expected`."""
        said = await self._line()
        if said != expected:
            raise AssertionError(f"the other process said {said!r} instead of {expected!r}")

    def begin(self) -> None:
        """Tells it to do its deed."""
        if self._process.stdin is not None:
            self._process.stdin.write(b"go\n")

    async def go(self) -> str:
        """Tells it to do its deed, and returns what came of it."""
        self.begin()
        result = await self._line()
        await self._process.wait()
        return result

    async def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        self._process.kill()
        await self._process.wait()

    async def _line(self) -> str:
        if self._process.stdout is None:
            raise AssertionError("the other process has no output")
        return str(json.loads(await self._process.stdout.readline() or '"nothing: it has ended"'))


def _say(what: str) -> None:
    print(json.dumps(what), flush=True)


async def _go() -> None:
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)


async def migrate(url: str) -> str:
    """Opens an empty database."""
    await _go()
    store = await Store.open(url)
    async with store.read() as db:
        await inbox.count_unaccounted(db)
    await store.close()
    return "migrated"


async def take_in(url: str, dedupe_key: str) -> str:
    """Takes in the same event as the others."""
    store = await Store.open(url)
    await _go()
    async with store.begin() as db:
        row = await inbox.add(
            db, dedupe_key=dedupe_key, kind="message", session_id=None, chat_id=None, surface_key="", envelope={}
        )
    await store.close()
    return "taken" if row else "seen before"


async def post_many(url: str, session_id: str, count: str) -> str:
    """Posts messages in a session, one transaction each."""
    store = await Store.open(url)
    await _go()
    for _ in range(int(count)):
        async with store.begin() as db:
            await sessions.next_seq(db, int(session_id))
    await store.close()
    return "posted"


async def stop_half_way(url: str, session_id: str) -> str:
    """Writes, and stays in the transaction until it is killed."""
    store = await Store.open(url)
    await _go()
    async with store.begin() as db:
        message = await messages.add(db, session_id=int(session_id), author="user", text="half", key="half")
        await messages.post(
            db, session_id=int(session_id), chat_id=message.id, surface_key="widget:a", remote_id="half"
        )
        _say("half way")
        await asyncio.Event().wait()
    return "never"


DEEDS: dict[str, Callable[..., Awaitable[str]]] = {
    "migrate": migrate,
    "take_in": take_in,
    "post_many": post_many,
    "stop_half_way": stop_half_way,
}


async def _main(deed: str, *arguments: str) -> None:
    _say(await DEEDS[deed](*arguments))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
