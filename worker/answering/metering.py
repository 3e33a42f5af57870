"""Counts the tokens that a piece of work spends, wherever in it a model is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from worker.answering.completion import Spent

_bill: ContextVar[list[Spent] | None] = ContextVar("bill", default=None)


@contextmanager
def metered() -> Iterator[list[Spent]]:
    """Collects what is spent inside, also by requests that failed half-way."""
    spent: list[Spent] = []
    token = _bill.set(spent)
    try:
        yield spent
    finally:
        _bill.reset(token)


def note(spent: Spent) -> None:
    """Adds to the bill of the work that is under way. Providers call it, once for each request."""
    bill = _bill.get()
    if bill is not None:
        bill.append(spent)
