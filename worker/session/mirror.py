"""Surfaces that are kept in sync: every event goes to all of them at once, and to one that is away when it is back.

While the session lives, this is so for edits and deletions of what was copied with `sync_conversation`.

A surface that cannot take an event falls behind: what happens from then on waits for it in order, and no other surface
waits. What waits is carried from run to run, each event with the number of its effect: it is shown once, whatever was
tried before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

from temporalio import workflow

from gateways.wire import Envelope, LogLine, Relay, Relayed
from runllm.bridge.surfaces import AnySurface, ChatSurface, surface_key
from runllm.errors import RunLLMError
from worker.session.reporting import Reporter
from worker.session.state import Late, SessionState

INTERNAL = "an internal comment stays with the support team"
NOWHERE = "no other surface took it; the session's log says why"
NOTHING = "no other surface shows it"
ON_RECORD = "the record was changed; no handler runs for it"

_SHORT_ABSENCE = timedelta(seconds=30)
"""A surface that is away for longer is worth a line of the log."""

Perform = Callable[[Relay, int], Awaitable[Any]]
"""Performs a relay under the effect of that number."""


class Mirror:
    """Repeats events of one surface on the others."""

    def __init__(self, state: SessionState, reporter: Reporter, perform: Perform) -> None:
        self._state = state
        self._reporter = reporter
        self._perform = perform
        self._followers: dict[str, asyncio.Task[None]] = {}

    async def repeat(self, envelope: Envelope, source: ChatSurface, chat_id: int, targets: list[AnySurface]) -> None:
        """Repeats one event on all targets that keep up, and leaves it for those that do not."""
        behind = {key_of(late) for late in self._state.late}
        relay = Relay(kind=envelope.kind, chat_id=chat_id, from_surface=source, to=targets)
        ready = [target for target in targets if surface_key(target) not in behind]
        became, failed = Relayed(), False
        if ready:
            effect = self._state.next_effect()
            try:
                result = await self._perform(relay.model_copy(update={"to": ready}), effect)
                # Histories from before say nothing: all surfaces took it.
                became = result or Relayed(shown=[surface_key(target) for target in ready])
            except RunLLMError as error:
                failed = True
                self._reporter.error(f"a message could not be mirrored: {error}")
            for target in ready:
                if (why := became.later.get(surface_key(target))) is not None:
                    self._leave(relay, target, effect, envelope.inbox_id, why)
        for target in targets:
            if surface_key(target) in behind:
                self._leave(relay, target, self._state.next_effect(), envelope.inbox_id)
        for key, why in became.refused.items():
            self._reporter.error(f"a message could not be mirrored to {key}: {why}")
        self._account(envelope, became, failed=failed)
        self.follow()

    def follow(self) -> None:
        """Has somebody look after each surface that is behind. Called again, it changes nothing."""
        for key in dict.fromkeys(map(key_of, self._state.late)):
            if key not in self._followers:
                self._followers[key] = asyncio.create_task(self._catch_up(key))

    async def rest(self) -> None:
        """Stops trying, for now: what waits stays in the state. When this returns, nothing is under way."""
        followers = list(self._followers.values())
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        self._followers = {}

    async def give_up(self) -> None:
        """The session closes: what waits is not shown any more, and the log says so."""
        await self.rest()
        for late in self._state.late:
            self._reporter.error(f"message {late.relay.chat_id} was not mirrored to {key_of(late)}: the session closed")
        for inbox_id in dict.fromkeys(late.inbox_id for late in self._state.late):
            self._reporter.account(Envelope(inbox_id=inbox_id), "ignored", NOWHERE)
        self._state.late = []

    # A surface that is behind

    def _leave(self, relay: Relay, target: AnySurface, effect: int, inbox_id: int, why: str = "") -> None:
        alone = relay.model_copy(update={"to": [target], "insists": True})
        self._state.late = [*self._state.late, Late(relay=alone, effect=effect, inbox_id=inbox_id, why=why)]

    async def _catch_up(self, key: str) -> None:
        """Shows what waits for one surface, oldest first, until nothing does."""
        told = False
        while (late := next(self._waiting_for(key), None)) is not None:
            told = await self._show(late, told)
            self._state.late = [one for one in self._state.late if one is not late]
        if told:
            self._reporter.log(LogLine(level="warning", text=f"{key} takes messages again, and shows all of them"))
        self._followers.pop(key, None)

    async def _show(self, late: Late, told: bool) -> bool:
        """Insists until the surface takes it or refuses it for good. Says whether the log tells that it is away."""
        trying = asyncio.ensure_future(self._perform(late.relay, late.effect))
        try:
            if not told:
                _, pending = await workflow.wait([trying], timeout=_SHORT_ABSENCE.total_seconds())
                if pending:
                    told = True
                    self._reporter.log(LogLine(level="warning", text=_away(late)))
            became: Relayed | None = await trying
        except asyncio.CancelledError:
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            raise
        except RunLLMError as error:
            self._reporter.error(f"message {late.relay.chat_id} was not mirrored to {key_of(late)}: {error}")
            self._settle(late, is_shown=False)
        else:
            self._settle(late, is_shown=became is None or bool(became.shown))
        return told

    def _settle(self, late: Late, *, is_shown: bool) -> None:
        """Accounts for the event; the first outcome stays, so one surface that shows it is enough."""
        if is_shown:
            self._reporter.account(Envelope(inbox_id=late.inbox_id), "mirrored")
        elif not any(one.inbox_id == late.inbox_id and one is not late for one in self._state.late):
            self._reporter.account(Envelope(inbox_id=late.inbox_id), "ignored", NOWHERE)

    def _waiting_for(self, key: str) -> Iterator[Late]:
        return (late for late in self._state.late if key_of(late) == key)

    # Accounts

    def _account(self, envelope: Envelope, became: Relayed, *, failed: bool) -> None:
        if became.shown:
            self._reporter.account(envelope, "mirrored")
        elif self._state.phase != "mirroring" and not self._waits(envelope.inbox_id):
            self._reporter.account(envelope, "handled", ON_RECORD)
        elif self._waits(envelope.inbox_id):
            return  # it is accounted for when it is shown, or refused for good
        elif became.refused or failed:
            self._reporter.account(envelope, "ignored", NOWHERE)
        else:
            self._reporter.account(envelope, "ignored", INTERNAL if became.kept_back else NOTHING)

    def _waits(self, inbox_id: int) -> bool:
        return any(late.inbox_id == inbox_id for late in self._state.late)


def key_of(late: Late) -> str:
    """The surface that it waits for."""
    return surface_key(late.relay.to[0])


def _away(late: Late) -> str:
    why = f" ({late.why})" if late.why else ""
    return (
        f"{key_of(late)} takes no messages just now{why}. They follow in order as soon as it does; the other surfaces "
        "are kept in sync meanwhile"
    )
