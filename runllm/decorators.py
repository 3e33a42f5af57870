"""Mark functions as the entrypoint and the tasks of a workflow."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from runllm.bridge.listeners import AdminConsoleListener, DiscordListener, Listener, SlackListener, WidgetListener
from runllm.errors import UsageError

EntrypointFunction: TypeAlias = Callable[..., Any]
"""A function that takes an agent and an event, synchronous or `async def`."""

TaskFunction: TypeAlias = Callable[..., Any]
"""A function that takes an agent, an event and, for each surface it wants, one more parameter."""


class _Wrapper:
    """A handler: the function, and the name it is known by."""

    def __init__(self, function: Callable[..., Any], name: str | None) -> None:
        self.function = function
        self.name = name or function.__name__
        functools.update_wrapper(self, function)

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


def entrypoint(
    *, listeners: list[Listener], name: str | None = None
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

    def decorate(function: EntrypointFunction) -> EntrypointWrapper:
        _check_handler(function, "entrypoint")
        return EntrypointWrapper(function, name, listeners)

    return decorate


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

    def decorate(function: TaskFunction) -> TaskWrapper:
        _check_handler(function, "task")
        return TaskWrapper(function, name)

    return decorate


def _check_listeners(listeners: object) -> None:
    kinds = SlackListener | WidgetListener | DiscordListener | AdminConsoleListener
    if not isinstance(listeners, list | tuple) or not listeners:
        raise UsageError("@entrypoint needs at least one listener: listeners=[WidgetListener(domain=...)]")
    for listener in listeners:
        if not isinstance(listener, kinds):
            raise UsageError(f"listeners=[...] takes listeners like WidgetListener(domain=...), not {listener!r}")


def _check_handler(function: object, decorator: str) -> None:
    if not inspect.isfunction(function):
        raise UsageError(f"@{decorator}(...) marks a function, not {function!r}")
    positional = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) < 2:
        name = function.__name__
        raise UsageError(f"{name} has to take an agent and an event: def {name}(agent, event)")
