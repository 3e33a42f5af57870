"""The parameters of a handler beyond agent and event, and the surfaces they are given."""

import ast
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from runllm.bridge.surfaces import AdminConsole, ChatSurface, ChatWidget, DiscordThread, SlackThread, ZendeskTicket
from runllm.errors import UsageError

Handler = Callable[..., Any]

_SURFACES: dict[str, type] = {
    kind.__name__: kind for kind in (SlackThread, ZendeskTicket, ChatWidget, DiscordThread, AdminConsole)
}
_ANY = tuple(_SURFACES.values())


def extra_parameters(function: Handler) -> list[tuple[str, str | None]]:
    """Name and annotation, as text, of each parameter after agent and event."""
    return [(p.name, p.annotation) for p in _extra(function)]


def bind(function: Handler, surfaces: Sequence[ChatSurface]) -> dict[str, ChatSurface | None]:
    """Gives each extra parameter a surface, by annotation first, and what is left by order.

    The more an annotation says, the earlier it chooses: `SlackThread` before `SlackThread | ChatWidget`, and both
    before no annotation at all. Parameters that say the same get their surfaces in order. One with a default may go
    without, and one that may be None gets None.

    Raises:
        UsageError: A parameter finds no surface; the text names the handler, the parameter and the surfaces.
    """
    left = list(surfaces)
    bound: dict[str, ChatSurface | None] = {}
    for parameter in sorted(_extra(function), key=lambda p: len(p.kinds)):
        index = next((i for i, surface in enumerate(left) if isinstance(surface, parameter.kinds)), None)
        if index is not None:
            bound[parameter.name] = left.pop(index)
        elif parameter.is_required:
            raise UsageError(_missing(function, parameter, surfaces))
        elif not parameter.has_default:
            bound[parameter.name] = None
    return bound


def check_bindable(function: Handler, surfaces: Sequence[ChatSurface]) -> None:
    """Refuses to listen on surfaces that a handler's parameters cannot be bound from.

    Raises:
        UsageError: A parameter finds no surface; the text names the handler, the parameter and the surfaces.
    """
    bind(function, surfaces)


def check_signature(function: Handler) -> None:
    """Refuses a handler that could not be called.

    Raises:
        UsageError: It does not take an agent and an event, or takes more than can be passed by name.
    """
    name = function.__name__
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_all = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(positional) < 2 and not takes_all:
        raise UsageError(f"{name} has to take an agent and an event: def {name}(agent, event)")
    nameless = [p.name for p in positional[2:] if p.kind is p.POSITIONAL_ONLY]
    if nameless:
        raise UsageError(f"{name}: surfaces are passed by name, so `{nameless[0]}` must not stand before a `/`")


@dataclass(frozen=True)
class _Parameter:
    name: str
    annotation: str | None
    kinds: tuple[type, ...]
    has_default: bool
    may_be_none: bool

    @property
    def is_required(self) -> bool:
        return not (self.has_default or self.may_be_none)


def _extra(function: Handler) -> list[_Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return [_read(function, parameter) for parameter in (*positional[2:], *named)]


def _read(function: Handler, parameter: inspect.Parameter) -> _Parameter:
    names = getattr(inspect.unwrap(function), "__globals__", {})
    kinds = _kinds(parameter.annotation, {**_SURFACES, **names})
    return _Parameter(
        name=parameter.name,
        annotation=_text(parameter.annotation),
        kinds=tuple(kind for kind in _ANY if kind in kinds),
        has_default=parameter.default is not parameter.empty,
        may_be_none=type(None) in kinds,
    )


def _evaluated(annotation: str, names: dict[str, Any]) -> Any:
    """What an annotation that is text means: `from __future__ import annotations` makes all of them text."""
    try:
        return eval(annotation, names)
    except Exception:  # some names exist for type checkers only: then the surfaces that it mentions have to do
        return _mentioned(annotation)


def _mentioned(annotation: str) -> Any:
    try:
        nodes = list(ast.walk(ast.parse(annotation, mode="eval")))
    except SyntaxError:
        return Any
    words = {node.id for node in nodes if isinstance(node, ast.Name)}
    words |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    kinds = [kind for name, kind in _SURFACES.items() if name in words]
    is_optional = "Optional" in words or any(isinstance(node, ast.Constant) and node.value is None for node in nodes)
    return Union[tuple([*kinds, *[None] * is_optional])] if kinds else Any  # noqa: UP007 - made from a list


def _kinds(annotation: Any, names: dict[str, Any]) -> tuple[type, ...]:
    """The kinds of surfaces that fit, with NoneType where None does."""
    if isinstance(annotation, str | typing.ForwardRef):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        annotation = _evaluated(text, names)
    if annotation is None:
        return (type(None),)
    if annotation in (inspect.Parameter.empty, Any, object):
        return _ANY
    if hasattr(annotation, "__value__"):  # type Thread = SlackThread | DiscordThread
        return _kinds(annotation.__value__, names)
    origin = typing.get_origin(annotation)
    if origin in (Union, types.UnionType):
        return tuple(kind for part in typing.get_args(annotation) for kind in _kinds(part, names))
    if origin is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0], names)
    wanted = origin or annotation
    if not isinstance(wanted, type):
        return _ANY
    try:
        return tuple(kind for kind in (*_ANY, type(None)) if issubclass(kind, wanted))
    except TypeError:  # a protocol that cannot be asked
        return _ANY


def _text(annotation: Any) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def _missing(function: Handler, parameter: _Parameter, surfaces: Sequence[ChatSurface]) -> str:
    wanted = f"{parameter.name}: {parameter.annotation}" if parameter.annotation else parameter.name
    if not parameter.kinds:
        return (
            f"{function.__name__} takes `{wanted}`, which is no surface: after agent and event a handler takes the "
            f"surfaces that it listens on. Give the parameter a default"
        )
    given = ", ".join(type(surface).__name__ for surface in surfaces) or "nothing"
    return (
        f"{function.__name__} takes `{wanted}`, but of {given} nothing is left for it: "
        f"add that surface to agent.listen(on=[...]), or give the parameter a default"
    )
