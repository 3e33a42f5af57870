"""Asks the model before a session does, where sessions are sure to.

Most workflows answer what people write, and do so first. Where the last messages to a workflow all came to that, the
model is asked while the next one is still on its way through Temporal. The session's own request, the very same one,
then takes over what the model has said by then. Its effect is in the ledger before anything of it is shown, as ever.

What nobody takes over has cost something for nothing. So one that is not taken over ends it for the next messages, and
it is put on the bill of its session.
"""

import logging
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

from gateways.hub import Said
from worker.activities.memory import fits
from worker.activities.spending import Accounts
from worker.answering.begun import Begun
from worker.answering.ladder import circumstances
from worker.answering.protocol import Emit, Found, Model, ModelAnswer, Question

log = logging.getLogger(__name__)

SURE_AFTER = 3
"""So many messages in a row have come to the question that was expected."""

REMEMBERED = 20
"""So many are looked back upon. One that came to something else ends it until as many others came true."""

ASKED_SOON = 5.0
"""Seconds. Who has not asked by then did something else, or is late; nobody is asked ahead until that is clear."""

KEPT = 60.0
"""Seconds. An answer that was paid for waits longer, for a session on a busy machine."""

AT_ONCE = 4
"""So many answers wait for their sessions, at most."""

PURPOSE = "answers.ahead"
"""What is accounted for under this nobody took over."""


@dataclass(eq=False)
class _Expected:
    """What a message is expected to come to."""

    said: Said
    question: Question
    found: Found
    begun: Begun | None = None
    is_late: bool = False
    since: float = field(default_factory=time.monotonic)

    def is_older_than(self, seconds: float) -> bool:
        return time.monotonic() - self.since > seconds


class Foresight:
    """Answers as the model does, and may have asked it already. Needs a running event loop."""

    def __init__(self, model: Model, accounts: Accounts, *, asks: bool = True) -> None:
        """
        Args:
            asks: Without it, nobody is asked ahead.
        """
        self._model = model
        self._accounts = accounts
        self._asks = asks
        self._expected: deque[_Expected] = deque()
        self._came_true: defaultdict[str, deque[bool]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """See `Model.answer`."""
        begun = await self._begun(question, found)
        return await (begun.taken_over(emit) if begun else self._model.answer(question, found, emit))

    async def expect(self, said: Said, question: Question, found: Found) -> None:
        """Asks the model, where the session is sure to ask it `question` with what was `found`.

        A session that asks after this began is given that answer; one that asked before it is not paid for twice.
        """
        if not self._asks or not fits(self._model, question):  # what is too long will be asked in a shorter form
            return
        expected = _Expected(said, question, found)
        self._expected.append(expected)
        await self._forget()
        if not self._is_sure(expected) or await self._accounts.over_cap(said.session_id):
            return
        if expected in self._expected:  # nobody has asked meanwhile
            expected.begun = Begun(self._model, question, found)

    async def close(self) -> None:
        """Ends what nobody took over."""
        while self._expected:
            await self._give_up(self._expected.popleft())

    async def _begun(self, question: Question, found: Found) -> Begun | None:
        """What was begun for this, if whoever asks would begin the same now; it came true in any case."""
        expected = next((one for one in self._expected if (one.question, one.found) == (question, found)), None)
        if expected is None:
            return None
        self._expected.remove(expected)
        if not expected.is_late:
            self._came_true[expected.said.workflow].append(True)
        now = circumstances()
        if now.attempt > 1 or now.over_cap:
            await self._give_up(expected)
            return None
        return expected.begun

    def _is_sure(self, expected: _Expected) -> bool:
        last = self._came_true[expected.said.workflow]
        waiting = sum(one.begun is not None for one in self._expected)
        return len(last) >= SURE_AFTER and all(last) and waiting < AT_ONCE and _is_next(expected.question)

    async def _forget(self) -> None:
        for one in tuple(self._expected):
            if one.is_older_than(ASKED_SOON) and not one.is_late:
                one.is_late = True
                self._came_true[one.said.workflow].append(False)
            if one.is_older_than(KEPT if one.begun else ASKED_SOON) and one in self._expected:
                self._expected.remove(one)
                await self._give_up(one)

    async def _give_up(self, expected: _Expected) -> None:
        """Ends an answer that nobody wanted, and writes down what it has cost."""
        if expected.begun is None:
            return
        said, bill = expected.said, await expected.begun.given_up()
        log.info("An answer in session %d was asked for ahead, and nobody wanted it.", said.session_id)
        if bill:
            await self._accounts.add(said.session_id, f"ahead:{said.event_id}", PURPOSE, bill)


def _is_next(question: Question) -> bool:
    """What was said before is answered. Otherwise that answer comes first, and the question will be another one."""
    return not question.history or question.history[-1].author == "assistant"
