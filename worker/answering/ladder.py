"""Which model is asked, attempt by attempt.

Temporal owns the attempts. The first ones go to the model that was chosen; the later ones, and those that it refuses
for good, to the fallback where there is one. When the money set aside is spent, a model that costs nothing takes its
place.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypeVar

from runllm.errors import ModelError
from worker.answering.completion import ModelBusy, ModelRefused
from worker.answering.protocol import (
    BoundRetriever,
    Emit,
    Found,
    Model,
    ModelAnswer,
    Question,
    Statement,
    Talk,
    ToolsWanted,
    Turn,
)

T = TypeVar("T")

PRIMARY_ATTEMPTS = 3
"""So many attempts go to the model that was chosen, before the fallback is asked."""


@dataclass(frozen=True)
class Circumstances:
    """In which a model is asked.

    Attributes:
        attempt: The first is 1.
        is_last: Nobody will try again.
        seconds_left: For this attempt and all others; None where there is no limit.
        over_cap: Which cap is reached, in words; empty where none is.
    """

    attempt: int = 1
    is_last: bool = False
    seconds_left: float | None = None
    over_cap: str = ""

    def within(self, over_cap: str) -> "Circumstances":
        """The same, with that cap reached."""
        return replace(self, over_cap=over_cap)


_USUAL = Circumstances()
_now: ContextVar[Circumstances] = ContextVar("circumstances", default=_USUAL)


@contextmanager
def under(circumstances: Circumstances) -> Iterator[None]:
    """Models asked inside are asked in these circumstances."""
    token = _now.set(circumstances)
    try:
        yield
    finally:
        _now.reset(token)


def circumstances() -> Circumstances:
    """Those of the work that is under way."""
    return _now.get()


def will_be_tried_again(error: ModelError) -> bool:
    """Whether an attempt that failed like this is followed by another one."""
    now = _now.get()
    if now.is_last or isinstance(error, ModelRefused):
        return False
    wait = error.retry_after if isinstance(error, ModelBusy) else None
    return wait is None or now.seconds_left is None or wait < now.seconds_left


class Ladder:
    """A model that is another one when need be."""

    def __init__(self, primary: Model, fallback: Model | None, free: Model) -> None:
        self._primary, self._fallback, self._free = primary, fallback, free
        self.name = primary.name if fallback is None else f"{primary.name}, then {fallback.name}"
        self.longest = primary.longest

    @property
    def rungs(self) -> list[Model]:
        """All models that may be asked."""
        return [model for model in (self._primary, self._fallback, self._free) if model is not None]

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """See `Model.answer`."""
        return await self._first(lambda model: model.answer(question, found, emit))

    async def chat(self, talk: Talk, retriever: BoundRetriever, emit: Emit) -> ModelAnswer | ToolsWanted:
        """See `Model.chat`."""
        return await self._first(lambda model: model.chat(talk, retriever, emit))

    async def summarize(self, history: Sequence[Turn], before: str = "") -> str:
        """See `Model.summarize`."""
        return await self._first(lambda model: model.summarize(history, before))

    async def categorize(
        self, history: Sequence[Turn], categories: dict[str, str], default: str, guidelines: str | None
    ) -> str:
        """See `Model.categorize`."""
        return await self._first(lambda model: model.categorize(history, categories, default, guidelines))

    async def tag(self, history: Sequence[Turn], options: dict[str, str], guidelines: str | None) -> list[str]:
        """See `Model.tag`."""
        return await self._first(lambda model: model.tag(history, options, guidelines))

    async def learn(self, history: Sequence[Turn]) -> list[Statement]:
        """See `Model.learn`."""
        return await self._first(lambda model: model.learn(history))

    async def _first(self, ask: Callable[[Model], Awaitable[T]]) -> T:
        """The first model's that does not refuse for good.

        Raises:
            ModelRefused: What the chosen model said, where the fallback refuses too: that is what has to be mended.
        """
        first, *others = self._rungs()
        try:
            return await ask(first)
        except ModelRefused:
            for model in others:
                try:
                    return await ask(model)
                except ModelRefused:
                    continue
            raise

    def _rungs(self) -> list[Model]:
        now = circumstances()
        if now.over_cap:
            return [self._free]
        if self._fallback is None:
            return [self._primary]
        return [self._fallback] if now.attempt > PRIMARY_ATTEMPTS else [self._primary, self._fallback]
