"""What a session has to tell the record, and when that is worth an activity of its own."""

from gateways.wire import Envelope, LogLine, Outcome, OutcomeKind, Report
from runllm.bridge.surfaces import AnySurface, surface_key
from worker.session.state import SessionState

_MANY_OUTCOMES = 100


class Reporter:
    """Collects during a turn; `due` is the report at its end, if one is due.

    Outcomes alone are no reason for a report: they travel with the next call, or are asked for.
    """

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._lines: list[LogLine] = []
        self._ended_waits: list[int] = []
        self._reported = self._now()

    @property
    def has_lines(self) -> bool:
        """Something was logged since the last report."""
        return bool(self._lines)

    def log(self, line: LogLine) -> None:
        """Adds to the session's log."""
        self._lines.append(line)

    def error(self, text: str, handler: str = "") -> None:
        """Adds an error to the session's log."""
        self._lines.append(LogLine(level="error", text=text, handler=handler))

    def end_wait(self, wait_id: int) -> None:
        """Nobody waits for these buttons any more."""
        self._ended_waits.append(wait_id)

    def account(self, envelope: Envelope, outcome: OutcomeKind, reason: str = "") -> None:
        """Notes what became of an event."""
        if envelope.inbox_id:
            self._state.outcomes.append(Outcome(inbox_id=envelope.inbox_id, outcome=outcome, reason=reason))

    def due(self, handler: str) -> Report | None:
        """The report to make now; None while there is nothing that cannot wait."""
        state = self._state
        surfaces: list[AnySurface] = [*state.surfaces, *state.mirror]
        unbound = [surface for surface in surfaces if surface_key(surface) not in state.known]
        has_news = self._lines or self._ended_waits or unbound or len(state.outcomes) > _MANY_OUTCOMES
        if not has_news and self._now() == self._reported:
            return None
        report = Report(
            lines=self._lines,
            phase=state.phase,
            current_handler=handler,
            build_id=state.build_id,
            stop_waits=self._ended_waits,
            bound=unbound,
        )
        self._lines, self._ended_waits, self._reported = [], [], self._now()
        state.known = [*state.known, *map(surface_key, unbound)]
        return report

    def last(self, handler: str) -> Report | None:
        """What is left to say before the session ends; also outcomes that nobody would ask for later."""
        report = self.due(handler)
        if report is None and self._state.outcomes:
            report = Report(phase=self._state.phase, current_handler=handler, build_id=self._state.build_id)
        return report

    def _now(self) -> tuple[str, str, str]:
        # A session starts as the record has it: listening, at the entrypoint.
        return (self._state.phase, self._state.handler, self._state.build_id)
