"""The examples in docstrings of the SDK and the testing kit."""

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType

import runllm

_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def modules() -> Iterator[ModuleType]:
    """All public modules of the SDK: what is in it for customers, and not its command line."""
    yield runllm
    for found in pkgutil.walk_packages(runllm.__path__, "runllm."):
        if found.name.split(".")[1] != "cli":
            yield importlib.import_module(found.name)


def documented() -> Iterator[tuple[str, str]]:
    """Name and docstring of each module, and of all that it defines."""
    for module in modules():
        yield module.__name__, module.__doc__ or ""
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != module.__name__ or name.startswith("_"):
                continue
            yield f"{module.__name__}.{name}", inspect.getdoc(value) or ""
            for member, inner in vars(value).items() if inspect.isclass(value) else ():
                if not member.startswith("_"):
                    yield f"{module.__name__}.{name}.{member}", inspect.getdoc(inner) or ""


EVERY = {
    f"{name} {number}": textwrap.dedent(block)
    for name, text in documented()
    for number, block in enumerate(_BLOCK.findall(text), 1)
}

OF_PLATFORMS = tuple(f"runllm.testing.{name}." for name in ("slack", "zendesk", "discord", "played"))
"""Whose examples need somebody who plays the engine on a platform."""

OF_VISITORS = "runllm.testing.visitor."
"""Whose examples need a widget."""

EXAMPLES = {name: code for name, code in EVERY.items() if not name.startswith((*OF_PLATFORMS, OF_VISITORS))}
PLATFORM_EXAMPLES = {name: code for name, code in EVERY.items() if name.startswith(OF_PLATFORMS)}
VISITOR_EXAMPLES = {name: code for name, code in EVERY.items() if name.startswith(OF_VISITORS)}
