"""Where stand-ins of platforms live: beside the tests, in a worker thread with a loop of its own.

Tests stay plain functions. The ports are taken before the engine starts, so that it can be told of them, and nobody
listens there until a test asks for the platform.
"""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Literal, Protocol, TypeVar, cast

T = TypeVar("T")

Platform = Literal["slack", "zendesk", "discord"]

PATIENCE = 30.0
"""Seconds that tests wait for what the engine does."""

_POLL_SECONDS = 0.05


class Told(Protocol):
    """What has something to tell below a failure."""

    @property
    def title(self) -> str:
        """What it is called there."""
        ...

    def transcript(self) -> str:
        """What happened, a line each."""
        ...


class StandIn(Protocol):
    """What plays a platform.

    Attributes:
        is_away: It answers 503 to everything.
    """

    is_away: bool

    @property
    def planned(self) -> int:
        """How many calls it is still to do something wrong with."""
        ...

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        ...


S = TypeVar("S", bound=StandIn)


class Serving:
    """The stand-ins of one engine.

    Attributes:
        signing_secret: Of the Slack app.
        used: What the current test has talked through, for the plugin.
        check: Called while a test waits; it raises where waiting is in vain.
    """

    def __init__(self) -> None:
        self.signing_secret = secrets.token_hex(16)
        self.used: list[Told] = []
        self.check: Callable[[], None] = lambda: None
        self._sockets: dict[Platform, socket.socket] = {}
        self._stand_ins: dict[Platform, StandIn] = {}
        self._open = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: threading.Thread | None = None

    def environment(self, public_url: str) -> dict[str, str]:
        """The settings of an engine that takes the stand-ins for the platforms, whatever those of this process are."""
        slack, zendesk, discord = (self._port(name) for name in ("slack", "zendesk", "discord"))
        elsewhere = ("SLACK_APP_TOKEN", "SLACK_BOT_TOKEN", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET")
        return {
            **{f"RUNLLM_{name}": "" for name in elsewhere},
            "RUNLLM_PUBLIC_URL": public_url,
            "RUNLLM_SLACK_API_URL": f"http://127.0.0.1:{slack}/api/",
            "RUNLLM_SLACK_AUTHORIZE_URL": f"http://127.0.0.1:{slack}/oauth/v2/authorize",
            "RUNLLM_SLACK_SIGNING_SECRET": self.signing_secret,
            "RUNLLM_ZENDESK_URL": f"http://127.0.0.1:{zendesk}/{{subdomain}}",
            "RUNLLM_DISCORD_API_URL": f"http://127.0.0.1:{discord}/api/v10",
            "RUNLLM_DISCORD_GATEWAY_URL": f"ws://127.0.0.1:{discord}/gateway",
        }

    def begin_test(self) -> None:
        """Ends what the test before has planned, and forgets what it talked through."""
        self.used.clear()
        for one in self._stand_ins.values():
            self._finish(_done(one.calm))

    def stand_in(self, platform: Platform, opened: Callable[[socket.socket], AbstractAsyncContextManager[S]]) -> S:
        """The stand-in of a platform, opened on first sight on the port that the engine was told of."""
        if platform not in self._stand_ins:
            self._port(platform)
            self._stand_ins[platform] = self._finish(self._open.enter_async_context(opened(self._sockets[platform])))
        return cast("S", self._stand_ins[platform])

    def do(self, who: Told, work: Callable[[], T]) -> T:
        """Has `work` done where the stand-ins live, and returns what it returns."""
        return self.finish(who, _done(work))

    def finish(self, who: Told, work: Coroutine[Any, Any, T]) -> T:
        """As `do`, for what takes its time."""
        if not any(one is who for one in self.used):
            self.used.append(who)
        return self._finish(work)

    def until(self, who: Told, look: Callable[[], T | None], seconds: float, missing: Callable[[], str]) -> T:
        """Waits until `look` finds something, and returns it.

        Raises:
            AssertionError: It found nothing in time; `missing` says what.
        """
        __tracebackhide__ = True  # pytest shows the line of the test that waits
        deadline = time.monotonic() + seconds
        while (found := self.do(who, look)) is None:
            self.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.do(who, missing)} in {seconds:g} s")
            time.sleep(_POLL_SECONDS)
        return found

    def read(self, who: Told, look: Callable[[], list[str]], count: int, seconds: float) -> list[str]:
        """Waits until there are `count` texts, and returns all.

        Raises:
            AssertionError: There are fewer after so many seconds.
        """

        __tracebackhide__ = True

        def enough() -> list[str] | None:
            found = look()
            return found if len(found) >= count else None

        return self.until(who, enough, seconds, lambda: f"{len(look())} messages and not {count} came: {look()}")

    def close(self) -> None:
        """Ends all stand-ins, and gives the ports back."""
        if self._loop is not None and self._worker is not None:
            try:
                self._finish(self._open.aclose())
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._worker.join()
                self._loop.close()
                self._loop = None
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()
        self._stand_ins.clear()
        self.used.clear()

    def _port(self, platform: Platform) -> int:
        if platform not in self._sockets:
            taken = self._sockets[platform] = socket.socket()
            taken.bind(("127.0.0.1", 0))
        return int(self._sockets[platform].getsockname()[1])

    def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._worker = threading.Thread(target=self._loop.run_forever, name="platforms", daemon=True)
            self._worker.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * PATIENCE)


async def _done(work: Callable[[], T]) -> T:
    return work()
