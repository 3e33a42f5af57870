"""An exception in customer code, as the customer should read it."""

import traceback
from pathlib import Path

from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

from worker.session.watchdog import LIMIT_SECONDS, HandlerSpun

_GENERIC = "Cannot access "


def describe(error: BaseException, handler: str, directory: Path) -> str:
    """What happened, in which line of the customer's files, and what to do about it where we know."""
    where = _last_customer_line(error, directory)
    return f"{_what(error)}{f' at {where}' if where else ''}, in handler `{handler}`"


def _what(error: BaseException) -> str:
    match error:
        case HandlerSpun():
            return f"computed for more than {LIMIT_SECONDS:g} s without calling the agent; does a loop never end?"
        case RestrictedWorkflowAccessError() if str(error).startswith(_GENERIC):
            return (
                f"{error.qualified_name} is refused in a handler, because every replay would do it again: "
                f'put it in a function and call agent.step("name", function)'
            )
        case RestrictedWorkflowAccessError():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _last_customer_line(error: BaseException, directory: Path) -> str:
    root = str(directory)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(root)]
    if not frames:
        return ""
    last = frames[-1]
    return f"{last.filename[len(root) :].lstrip('/')}:{last.lineno}"
