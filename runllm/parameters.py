"""The parameters of a handler beyond agent and event, and the surfaces they are given."""

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Union

from runllm.bridge.surfaces import AdminConsole, ChatSurface, ChatWidget, DiscordThread, SlackThread, ZendeskTicket
from runllm.errors import UsageError

_SURFACES: dict[str, type] = {
    kind.__name__: kind for kind in (SlackThread, ZendeskTicket, ChatWidget, DiscordThread, AdminConsole)
}


def extra_parameters(function: Callable[..., Any]) -> list[tuple[str, str | None]]:
    """Name and annotation, as text, of each parameter after agent and event."""
    return [(p.name, _text(p.annotation)) for p in _extra(function)]


def bind(function: Callable[..., Any], surfaces: Sequence[ChatSurface]) -> dict[str, ChatSurface]:
    """Gives each extra parameter its surface: by annotation first, and what is left by order.

    Several parameters of one type get the surfaces of that type in order. A parameter with a default may go without.

    Raises:
        UsageError: A parameter finds no surface; the text names both.
    """
    left = list(surfaces)
    bound: dict[str, ChatSurface] = {}
    parameters = _extra(function)
    for parameter in parameters:
        wanted = _wanted(function, parameter)
        if wanted:
            found = next((surface for surface in left if isinstance(surface, wanted)), None)
            if found is None and parameter.default is parameter.empty:
                raise _missing(function, parameter, surfaces)
            if found is not None:
                left = [surface for surface in left if surface is not found]
                bound[parameter.name] = found
    for parameter in parameters:
        if parameter.name not in bound and not _wanted(function, parameter):
            if left:
                bound[parameter.name] = left.pop(0)
            elif parameter.default is parameter.empty:
                raise _missing(function, parameter, surfaces)
    return bound


def _extra(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    return [p for p in list(inspect.signature(function).parameters.values())[2:] if p.kind in kinds]


def _wanted(function: Callable[..., Any], parameter: inspect.Parameter) -> tuple[type, ...]:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return ()
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, getattr(function, "__globals__", {}), dict(_SURFACES))
        except Exception:  # a name that only a type checker sees says nothing about surfaces
            return ()
    return _types(annotation)


def _types(annotation: Any) -> tuple[type, ...]:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return tuple(kind for part in typing.get_args(annotation) for kind in _types(part))
    return (annotation,) if annotation in _SURFACES.values() else ()


def _text(annotation: Any) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _missing(function: Callable[..., Any], parameter: inspect.Parameter, surfaces: Sequence[ChatSurface]) -> UsageError:
    given = ", ".join(type(surface).__name__ for surface in surfaces) or "nothing"
    annotation = _text(parameter.annotation)
    wanted = f"{parameter.name}: {annotation}" if annotation else parameter.name
    return UsageError(
        f"{function.__name__} wants `{wanted}`, but it listens on {given}: "
        f"add that surface to agent.listen(on=[...]) or give the parameter a default"
    )
