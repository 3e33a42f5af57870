"""From an error to its retry posture: the only place where errors become Temporal's."""

from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy.exc import StatementError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from runllm.errors import NotConnected, RateLimited, Rejected, RunLLMError, UsageError

FOR_GOOD = (NotConnected, Rejected, UsageError)
"""Errors after which the same call would fail the same way."""

TOOK_NOTHING = (*FOR_GOOD, RateLimited)
"""Errors that prove that the platform did nothing: a later attempt has nothing to look for."""


def application_error(error: Exception) -> ApplicationError:
    """`error` as Temporal is to treat it: `type` is the class's name, by which the session makes it itself again."""
    if isinstance(error, ApplicationError):
        return error
    return ApplicationError(
        without_words(error),
        type=type(error).__name__,
        non_retryable=isinstance(error, FOR_GOOD),
        next_retry_delay=timedelta(seconds=error.retry_after) if isinstance(error, RateLimited) else None,
        category=_category(error),
    )


def without_words(error: Exception) -> str:
    """The text of an error, without what people wrote: databases and validators like to quote it."""
    match error:
        case StatementError():
            error.hide_parameters = True  # also where others log this error after us
        case ValidationError():
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['type']}" for one in problems)
    return str(error) or type(error).__name__


def _category(error: Exception) -> ApplicationErrorCategory:
    """A platform that says no is the normal course of things; anything we did not foresee is worth an alarm."""
    expected = isinstance(error, RunLLMError)
    return ApplicationErrorCategory.BENIGN if expected else ApplicationErrorCategory.UNSPECIFIED
