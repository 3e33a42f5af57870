"""All that a session carries from run to run, in one versioned model."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel

from gateways.wire import Envelope, Outcome, Relay, SessionPhase, SessionStart
from runllm.bridge.surfaces import AnySurface, surface_key
from runllm.bridge.triggers import AnyTrigger

REMEMBERED_EVENTS = 500
"""Ids of events kept to recognise the second delivery of one. The inbox has dropped duplicates before."""


class Listened(BaseModel):
    """A surface that the current handler listens to, and what wakes the handler there."""

    surface: AnySurface
    triggers: list[AnyTrigger]


class Late(BaseModel):
    """What a surface of a mirror could not take yet.

    Attributes:
        relay: What to repeat, to that surface alone.
        effect: Number of its effect: the same as that of the attempt that failed.
        inbox_id: The event that is accounted for when it is shown.
        why: Why it could not be shown at once.
    """

    relay: Relay
    effect: int
    inbox_id: int = 0
    why: str = ""


class SessionState(SessionStart):
    """What a session knows. Fields are only ever added, with defaults: older runs carry their state into newer code.

    Attributes:
        handler: Name of the current handler; empty for the entrypoint.
        on: What it listens to, in the order given to `listen`; the origin surface before that.
        phase: What the session is doing.
        tags: The tags on the conversation.
        inbox: Events that no handler has seen yet.
        recent: Ids of the last events, oldest first.
        effects: Number of the last effect: half of its key.
        turns: Number of the last turn.
        outcomes: What became of events that the record does not know of yet.
        known: Keys of surfaces that the record has bound to this session.
        copied: The surfaces that the conversation was copied to: edits and deletions follow there.
        mirror: The surfaces kept in sync after `terminate`.
        late: What some of them could not take yet, oldest first.
        bots_in_a_row: Events of programs since the last one of a person.
        silence: How long silence may last; see `deadline`.
        deadline: When silence has lasted long enough for `on_timeout`.
        on_timeout: The handler to run then.
        build_id: The version that served the session last.
    """

    format: Literal[1] = 1
    handler: str = ""
    on: list[Listened] = []
    phase: SessionPhase = "listening"
    tags: list[str] = []
    inbox: list[Envelope] = []
    recent: list[str] = []
    effects: int = 0
    turns: int = 0
    outcomes: list[Outcome] = []
    known: list[str] = []
    copied: list[AnySurface] = []
    mirror: list[AnySurface] = []
    late: list[Late] = []
    bots_in_a_row: int = 0
    silence: timedelta = timedelta()
    deadline: datetime | None = None
    on_timeout: str = ""
    build_id: str = ""

    def next_effect(self) -> int:
        """A number no other effect of this session has."""
        self.effects += 1
        return self.effects

    def is_new(self, event_id: str) -> bool:
        """Whether this event arrives for the first time; remembers it."""
        if not event_id:
            return True
        if event_id in self.recent:
            return False
        self.recent = [*self.recent[-(REMEMBERED_EVENTS - 1) :], event_id]
        return True

    def listened(self, key: str) -> Listened | None:
        """How the current handler listens to a surface, if it does."""
        return next((x for x in self.on if surface_key(x.surface) == key), None)

    @property
    def surfaces(self) -> list[AnySurface]:
        """The surfaces that the current handler listens to, in the order given to `listen`."""
        return [listened.surface for listened in self.on]
