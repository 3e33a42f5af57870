"""`Agent.step`: a function that runs once, outside the sandbox, and whose result is remembered.

The function is customer code, so it runs on the session host and never on an activity worker, which holds secrets. It
is a local activity: it runs in the process that runs the handler, which is the only place where a closure exists.
"""

import asyncio
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, get_type_hints

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext

ACTIVITY = "session.step"

Ready = Callable[[], Any]

_functions: dict[str, Ready] = {}
"""Functions that wait for their local activity, by run and step. The workflow adds and removes them."""


def offer(key: str, function: Ready) -> None:
    """Makes a function findable for the local activity of this process."""
    _functions[key] = function


def withdraw(key: str) -> None:
    """Forgets a function."""
    _functions.pop(key, None)


@activity.defn(name=ACTIVITY)
def run_step(key: str, name: str) -> Any:
    """Runs the function of one step. `name` is for the Web UI."""
    function = _functions.get(key)
    if function is None:  # the run was evicted in between: the workflow task that needs it offers it again
        raise ApplicationError(f"step {name!r} is not at hand in this process", type="StepNotHere")
    with workflow.unsafe.sandbox_unrestricted():  # for restricted names that a closure brought along
        result = function()
        return asyncio.run(result) if inspect.iscoroutine(result) else result


def outside_sandbox(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the real modules behind its names.

    A handler's module is imported inside the sandbox, where `time`, `open` and the network are refused. The same module
    was imported outside as well, when the host started; the function gets that one's globals.
    """
    function = RestrictionContext.unwrap_if_proxied(function)
    if isinstance(function, types.MethodType):
        bound = outside_sandbox(function.__func__)
        return types.MethodType(bound, function.__self__)
    if not isinstance(function, types.FunctionType):
        return function
    outside = _modules_outside().get(function.__module__)
    if outside is None:
        return function
    twin = types.FunctionType(
        function.__code__, vars(outside), function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def result_type(function: Callable[..., Any]) -> type | None:
    """What the function says it returns, so that a model comes back as a model and not as a dictionary."""
    try:
        return get_type_hints(function).get("return")
    except Exception:  # an annotation that cannot be read is no reason to refuse the step
        return None


_outside: dict[str, types.ModuleType] = {}


def remember_modules(names: list[str]) -> None:
    """Called by the host once, outside the sandbox, after the bundle is imported."""
    _outside.update({name: sys.modules[name] for name in names if name in sys.modules})


def _modules_outside() -> dict[str, types.ModuleType]:
    return _outside
