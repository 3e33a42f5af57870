"""Mark functions as the entrypoint and the tasks of a workflow."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import (  # noqa: UP035 - the documented form of the signatures
    TYPE_CHECKING,
    Any,
    Concatenate,
    List,
    ParamSpec,
    TypeAlias,
    TypeVar,
    get_args,
)

from runllm.bridge.core import Event
from runllm.bridge.listeners import Listener
from runllm.errors import UsageError
from runllm.parameters import check_signature

if TYPE_CHECKING:
    from runllm.agent import Agent

P = ParamSpec("P")
R = TypeVar("R")

EntrypointFunction: TypeAlias = "Callable[Concatenate[Agent, Event, ...], Any]"
"""A function that takes an agent and an event, synchronous or `async def`."""

TaskFunction: TypeAlias = "Callable[Concatenate[Agent, Event, ...], Any]"
"""A function that takes an agent, an event and, for each surface it wants, one more parameter."""


class _Wrapper:
    """A handler: the function, and the name it is known by."""

    def __init__(self, function: Callable[..., Any], name: str | None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = function.__name__ if name is None else name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function, as if it were not decorated."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class TaskWrapper(_Wrapper):
    """A function marked with `@task`.

    Attributes:
        function: The function.
        name: What it is called in the console, in logs and in `Client.publish`.
    """


class EntrypointWrapper(_Wrapper):
    """A function marked with `@entrypoint`.

    Attributes:
        function: The function.
        name: What it is called in the console, in logs and in `Client.publish`.
        listeners: Where the workflow listens for new conversations.
    """

    def __init__(self, function: Callable[..., Any], name: str | None, listeners: Sequence[Listener]) -> None:
        super().__init__(function, name)
        self.listeners = list(listeners)


def needs_parentheses(usage: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes `@task` without parentheses, and other wrong arguments, an error that says how to write it."""

    def decorate(decorator: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(decorator)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                inspect.signature(decorator).bind(*args, **kwargs)
            except TypeError as error:
                raise UsageError(f"write {usage} above the handler: {error}") from None
            return decorator(*args, **kwargs)

        return checked

    return decorate


@needs_parentheses('@entrypoint(listeners=[WidgetListener(domain="example.com")])')
def entrypoint(
    *,
    listeners: List[Listener],  # noqa: UP006
    name: str | None = None,
) -> Callable[[EntrypointFunction], EntrypointWrapper]:
    """Marks the function that new conversations start with.

    Args:
        listeners: Where the workflow listens for new conversations; at least one.
        name: What the handler is called; the function's name where it is None.

    Returns:
        A decorator.

    Raises:
        UsageError: There is no listener, or the function does not take an agent and an event.

    Example:
        ```python
        @entrypoint(listeners=[WidgetListener(domain="docs.example.com")])
        def answer_questions(agent: Agent, event: Event) -> None:
            agent.stream_answer(event.conversation)
        ```
    """
    _check_listeners(listeners)
    _check_name(name)

    def decorate(function: EntrypointFunction) -> EntrypointWrapper:
        _check_handler(function, "entrypoint")
        return EntrypointWrapper(function, name, listeners)

    return decorate


@needs_parentheses("@task()")
def task(*, name: str | None = None) -> Callable[[TaskFunction], TaskWrapper]:
    """Marks a function that a conversation can move on to with `Agent.listen`.

    Args:
        name: What the handler is called; the function's name where it is None.

    Returns:
        A decorator.

    Raises:
        UsageError: The function does not take an agent and an event.

    Example:
        ```python
        @task()
        def follow_up(agent: Agent, event: Event, widget: ChatWidget) -> None:
            agent.send_to_chat_widget(agent.answer(event.conversation), widget)
        ```
    """
    _check_name(name)

    def decorate(function: TaskFunction) -> TaskWrapper:
        _check_handler(function, "task")
        return TaskWrapper(function, name)

    return decorate


def _check_listeners(listeners: object) -> None:
    example = 'listeners=[WidgetListener(domain="example.com")]'
    if not isinstance(listeners, list | tuple):
        raise UsageError(f"listeners= takes a list of listeners, like {example}, and not {listeners!r}")
    if not listeners:
        raise UsageError(f"an entrypoint needs at least one listener, like {example}")
    for listener in listeners:
        if not isinstance(listener, get_args(Listener)):
            raise UsageError(f"listeners= takes listeners, like {example}, and not {listener!r}")


def _check_name(name: object) -> None:
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise UsageError(f"name= takes what the handler is to be called, as text, and not {name!r}")


def _check_handler(function: object, decorator: str) -> None:
    if isinstance(function, _Wrapper):
        raise UsageError(f"{function.name} is marked already: a handler is an entrypoint or a task, and only once")
    if not inspect.isfunction(function):
        raise UsageError(f"@{decorator}(...) marks a function, and not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"{function.__name__} has a `yield`, so that calling it runs nothing: handlers do not yield")
    check_signature(function)
