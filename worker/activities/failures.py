"""From an error to its retry posture: the only place where errors become Temporal's."""

from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy.exc import StatementError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from runllm.errors import BY_NAME, NotConnected, RateLimited, Rejected, RunLLMError, UsageError
from worker.answering.completion import ModelBusy, ModelRefused

FOR_GOOD = (NotConnected, Rejected, UsageError, ModelRefused)
"""Errors after which the same call would fail the same way."""

TOOK_NOTHING = (*FOR_GOOD, RateLimited)
"""Errors that prove that the platform did nothing: a later attempt has nothing to look for."""


def application_error(error: Exception) -> ApplicationError:
    """`error` as Temporal is to treat it: `type` is the class's name, by which the session makes it itself again."""
    if isinstance(error, ApplicationError):
        return error
    return ApplicationError(
        without_words(error),
        type=_type(error),
        non_retryable=isinstance(error, FOR_GOOD),
        next_retry_delay=None if (seconds := retry_after(error)) is None else timedelta(seconds=seconds),
        category=_category(error),
    )


def retry_after(error: Exception) -> float | None:
    """How many seconds whoever was asked wants to be left alone; None where it does not say."""
    return error.retry_after if isinstance(error, RateLimited | ModelBusy) else None


def _type(error: Exception) -> str:
    """The class's name; that of the public class above it, where customers do not know the class."""
    known = [one.__name__ for one in type(error).__mro__ if one.__name__ in BY_NAME]
    return known[0] if isinstance(error, RunLLMError) and known else type(error).__name__


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
