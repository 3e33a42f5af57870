"""`@entrypoint` and `@task`: what they keep of a function, and what they refuse."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from runllm import Agent, Event, SlackListener, UsageError, WidgetListener, entrypoint, task
from runllm.decorators import EntrypointWrapper, TaskWrapper

HERE = [WidgetListener(domain="localhost")]


def add(agent: int, event: int, third: int = 0) -> int:
    """Adds."""
    return agent + event + third


def test_an_entrypoint_keeps_function_name_and_listeners() -> None:
    listeners = [WidgetListener(domain="localhost"), SlackListener(team_id="T1")]
    wrapper = entrypoint(listeners=listeners)(add)
    assert isinstance(wrapper, EntrypointWrapper)
    assert (wrapper.function, wrapper.name, wrapper.listeners) == (add, "add", listeners)
    listeners.clear()
    assert len(wrapper.listeners) == 2, "what the caller does with the list later changes nothing"


def test_a_task_keeps_function_and_name() -> None:
    wrapper = task()(add)
    assert isinstance(wrapper, TaskWrapper)
    assert (wrapper.function, wrapper.name, repr(wrapper)) == (add, "add", "<TaskWrapper add>")


def test_a_name_of_its_own() -> None:
    assert entrypoint(listeners=HERE, name="front desk")(add).name == "front desk"
    assert task(name="back office")(add).name == "back office"


def test_a_wrapper_reads_like_the_function_and_can_be_called() -> None:
    wrapper = task()(add)
    assert (wrapper.__name__, wrapper.__doc__, wrapper.__module__) == ("add", "Adds.", __name__)  # type: ignore[attr-defined]
    assert wrapper(1, 2, third=3) == 6


def test_a_custom_name_does_not_rename_the_function() -> None:
    wrapper = task(name="sum")(add)
    assert (wrapper.name, wrapper.__name__) == ("sum", "add")  # type: ignore[attr-defined]


async def test_async_handlers_stay_async() -> None:
    @task()
    async def handler(agent: Agent, event: Event) -> str:
        return "done"

    assert await handler(None, None) == "done"


def test_a_decorator_below_counts_by_the_function_that_it_wraps() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    assert task()(logged(add)).name == "add"


def no_parameters() -> None: ...


def one_parameter(agent: Agent) -> None: ...


def keywords_only(*, agent: Agent, event: Event) -> None: ...


def nameless(agent: Agent, event: Event, thread: Any, /) -> None: ...


def yields(agent: Agent, event: Event) -> Iterator[int]:
    yield 1


async def yields_async(agent: Agent, event: Event) -> AsyncIterator[int]:
    yield 1


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "@task without parentheses": (lambda: task(add), r"write @task\(\) above the handler"),
    "@entrypoint without parentheses": (lambda: entrypoint(add), r"write @entrypoint\(listeners=\[.*above the handler"),
    "@entrypoint()": (lambda: entrypoint(), "missing a required argument: 'listeners'"),
    "an unknown option": (lambda: task(title="x"), "unexpected keyword argument 'title'"),
    "listeners without a name": (lambda: entrypoint(HERE), "too many positional arguments"),
    "one listener alone": (lambda: entrypoint(listeners=HERE[0]), "takes a list of listeners"),
    "no listeners": (lambda: entrypoint(listeners=[]), "needs at least one listener"),
    "a domain": (lambda: entrypoint(listeners=["example.com"]), "and not 'example.com'"),
    "a listener's class": (lambda: entrypoint(listeners=[WidgetListener]), "takes listeners, like"),
    "a number as name": (lambda: task(name=3), "takes what the handler is to be called"),
    "an empty name": (lambda: entrypoint(listeners=HERE, name=" "), "takes what the handler is to be called"),
    "a class": (lambda: task()(Agent), "marks a function, and not <class"),
    "a method of a built-in": (lambda: task()(print), "marks a function"),
    "a partial": (lambda: task()(functools.partial(add, 1)), "marks a function"),
    "twice": (lambda: task()(task()(add)), "add is marked already"),
    "both": (lambda: entrypoint(listeners=HERE)(task()(add)), "an entrypoint or a task"),
    "a generator": (lambda: task()(yields), "handlers do not yield"),
    "an async generator": (lambda: task()(yields_async), "handlers do not yield"),
    "no parameters": (lambda: task()(no_parameters), r"def no_parameters\(agent, event\)"),
    "one parameter": (lambda: entrypoint(listeners=HERE)(one_parameter), r"def one_parameter\(agent, event\)"),
    "keywords only": (lambda: task()(keywords_only), r"has to take an agent and an event"),
    "a surface by position only": (lambda: task()(nameless), "`thread` must not stand before a `/`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_where_it_is_written(case: str) -> None:
    mistake, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        mistake()


@pytest.mark.parametrize(
    "function",
    [
        lambda agent, event: None,
        lambda agent, event, /, thread=None: None,
        lambda *everything: None,
        lambda agent, *rest, widget=None: None,
        lambda a, e, **surfaces: None,
    ],
)
def test_any_function_that_takes_an_agent_and_an_event_will_do(function: Any) -> None:
    assert task()(function).function is function
