"""Functions of a workflow that a model may use while it reasons in `Agent.chat`."""

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError

from runllm.decorators import needs_parentheses
from runllm.errors import StepError, UsageError
from runllm.operations import ToolCall, ToolSpec

OURS = ("search", "open_document")
"""Names of the tools that every chat has."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ToolWrapper:
    """A function marked with `@tool`.

    Attributes:
        function: The function.
        name: What the model calls it.
        spec: What the model is told of it: name, description and parameters.
    """

    def __init__(self, function: Callable[..., Any], name: str, description: str) -> None:
        self.function = function
        self.name = name
        self._arguments = _model_of(function, name)
        schema = self._arguments.model_json_schema()
        parameters = {key: value for key, value in schema.items() if key not in ("title", "description")}
        self.spec = ToolSpec(name=name, description=description, parameters=parameters)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function, as if it were not decorated."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<ToolWrapper {self.name}>"

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """What a model gave, as the function's annotations want it.

        Raises:
            UsageError: It does not fit; the text says what, for the model to read.
        """
        try:
            read = self._arguments.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()
            )
            raise UsageError(f"{self.name} does not take that: {problems}") from None
        return {name: getattr(read, name) for name in read.model_fields_set}


@needs_parentheses("@tool()")
def tool(*, name: str | None = None, description: str | None = None) -> Callable[[Callable[..., Any]], ToolWrapper]:
    """Marks a function that a model may use in `Agent.chat`, such as one that looks up an order.

    It runs where the handlers run, as a durable step: it may use clocks, files and the network, its result is
    remembered, and it is tried up to three times. What it returns has to be made of what JSON can hold; the model
    reads it.

    Args:
        name: What the model calls it; the function's name where it is None.
        description: When and how to use it; the function's docstring where it is None. The model decides by it.

    Returns:
        A decorator.

    Raises:
        UsageError: A parameter has no annotation, or nothing describes the function.

    Example:
        ```python
        @tool()
        def order_status(order_id: str) -> str:
            \"\"\"The status of an order, by its number, such as A-1001.\"\"\"
            return {"A-1001": "shipped"}.get(order_id, "there is no such order")
        ```
    """

    def decorate(function: Callable[..., Any]) -> ToolWrapper:
        if not inspect.isfunction(function):
            raise UsageError(f"@tool() marks a function, and not {function!r}")
        called = name or function.__name__
        if not _NAME.fullmatch(called):
            raise UsageError(f"a tool cannot be called {called!r}: letters, digits, _ and -, at most 64 of them")
        if called in OURS:
            raise UsageError(f"a tool cannot be called {called!r}: every chat has a tool of that name. Pass name=")
        about = inspect.cleandoc(description or function.__doc__ or "")
        if not about:
            raise UsageError(f"{called} needs a docstring: by it the model decides when to use the tool")
        return ToolWrapper(function, called, about)

    return decorate


LONGEST_RESULT = 16_000
"""Characters of what a tool gives that a model gets to read."""

Step = Callable[..., Any]
"""`Runtime.step`."""


def use(tool: ToolWrapper, call: ToolCall, step: Step) -> tuple[str, bool]:
    """What a tool gave for a model's call, as text, and whether that is an error that the model should know of."""
    try:
        return as_text(step(f"tool {tool.name}", tool.function, **tool.arguments(call.arguments))), False
    except (StepError, UsageError) as error:
        return str(error), True


def as_text(result: Any) -> str:
    """A tool's result as a model reads it."""
    text = result if isinstance(result, str) else _ANYTHING.dump_json(result).decode()
    return text if len(text) <= LONGEST_RESULT else f"{text[:LONGEST_RESULT]}… (cut off here)"


def by_name(tools: Iterable[ToolWrapper]) -> dict[str, ToolWrapper]:
    """Tools by their names.

    Raises:
        UsageError: Two of them share one.
    """
    named: dict[str, ToolWrapper] = {}
    for tool in tools:
        if named.setdefault(tool.name, tool) is not tool:
            raise UsageError(f"this workflow has two tools called {tool.name!r}. Pass @tool(name=...) to one of them")
    return named


def tools_in(modules: Iterable[ModuleType]) -> list[ToolWrapper]:
    """The tools in these modules, in the order of their names."""
    found = {
        id(value): value for module in modules for value in vars(module).values() if isinstance(value, ToolWrapper)
    }
    return sorted(found.values(), key=lambda one: one.name)


def tools_beside(handlers: Iterable[Any]) -> list[ToolWrapper]:
    """The tools in the modules of these handlers."""
    return tools_in(sys.modules[name] for name in sorted({handler.function.__module__ for handler in handlers}))


def _model_of(function: Callable[..., Any], name: str) -> type[BaseModel]:
    """The function's parameters as a model: the schema that is sent, and the check of what comes back."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UsageError(f"an annotation of {name} names something that is not defined above it: {error}") from None
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _KINDS:
            raise UsageError(f"{name} takes {parameter}: a tool's parameters have names, and are given by them")
        if parameter.name not in hints:
            raise UsageError(f"{name} needs an annotation for {parameter.name}: the model has to know what it is")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        model.model_json_schema()
    except (PydanticUserError, NameError, TypeError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise UsageError(f"a model cannot be asked for the parameters of {name}: {why}") from None
    return model
