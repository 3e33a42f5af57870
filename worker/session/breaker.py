"""Stops bots that answer each other: somebody has to notice, and it is neither of them."""

from gateways.wire import Envelope
from worker.session.reporting import Reporter
from worker.session.state import SessionState

BOTS_IN_A_ROW = 10
"""Events of programs, without one of a person in between, that a session acts on."""

STOPPED = f"a program wrote it, and {BOTS_IN_A_ROW} of its kind came before it without a person"

_BY_PERSONS = ("message", "reaction", "button", "edit")


class Breaker:
    """Counts what programs do in a row, in all surfaces of a session together."""

    def __init__(self, state: SessionState, reporter: Reporter) -> None:
        self._state = state
        self._reporter = reporter

    def look_at(self, envelope: Envelope) -> None:
        """A person is there: the count starts anew."""
        if envelope.kind in _BY_PERSONS and not _is_from_bot(envelope):
            self._state.bots_in_a_row = 0

    def lets_pass(self, envelope: Envelope) -> bool:
        """Whether the session may do what it would do for an event. Accounts for one that it may do nothing for."""
        if not _is_from_bot(envelope):
            return True
        self._state.bots_in_a_row += 1
        if self._state.bots_in_a_row <= BOTS_IN_A_ROW:
            return True
        if self._state.bots_in_a_row == BOTS_IN_A_ROW + 1:
            self._reporter.error(
                f"{BOTS_IN_A_ROW} messages of programs came in a row, and none of a person: they may be answering each "
                "other. Nothing more of programs is handled or mirrored here until a person writes"
            )
        self._reporter.account(envelope, "ignored", STOPPED)
        return False


def _is_from_bot(envelope: Envelope) -> bool:
    return envelope.happening is not None and envelope.happening.is_from_bot
