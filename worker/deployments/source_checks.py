"""Mistakes that can be seen in a handler's source: better found when it is published than in a conversation."""

import ast
import builtins
import inspect
import symtable
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runllm.agent import Agent
from runllm.bridge.emoji_names import STANDARD, did_you_mean
from runllm.bridge.triggers import Emoji
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.parameters import extra_parameters

Handler = EntrypointWrapper | TaskWrapper
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class SourceFile:
    """One imported file of a bundle: where it is, what it says and what its names are bound to."""

    path: str
    text: str
    names: Mapping[str, Any]


@dataclass
class Findings:
    """What was found: problems that refuse the version, warnings that do not."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(file: SourceFile, published: Sequence[Handler], findings: Findings) -> None:
    """Checks the handlers that a file defines.

    Args:
        file: The file.
        published: All handlers that the version has: those that `listen` may name.
        findings: Where to add what is found.
    """
    tree = ast.parse(file.text, file.path)
    handlers = [node for node in tree.body if _is_handler(node, file)]
    for node in handlers:
        if isinstance(node, _Function):
            _Checker(file, published, findings, _agent_name(node)).check(node)
    for shortcode, line in sorted(_unknown_emoji(tree, file), key=lambda found: found[1]):
        findings.warnings.append(
            f"{file.path}, line {line}: `Emoji({shortcode!r})` is none of the emoji that everybody has: it counts only "
            f"where your workspace or server has its own of that name.{did_you_mean(shortcode, STANDARD)}"
        )
    unknown = _undefined_names(file, {node.name: node for node in handlers if isinstance(node, _Function)})
    for handler, name, line in unknown:
        findings.warnings.append(f"{file.path}, line {line}: `{handler}` uses `{name}`, which is not defined")


def required_parameters(handler: Handler) -> list[str]:
    """Names of the parameters after agent and event that have no default."""
    parameters = inspect.signature(handler.function).parameters
    return [
        name for name, _ in extra_parameters(handler.function) if parameters[name].default is inspect.Parameter.empty
    ]


def _is_handler(node: ast.stmt, file: SourceFile) -> bool:
    if not isinstance(node, _Function):
        return False
    value = file.names.get(node.name)
    return isinstance(value, Handler) and value.function.__module__ == file.names.get("__name__")


def _agent_name(node: _Function) -> str:
    parameters = [*node.args.posonlyargs, *node.args.args]
    return parameters[0].arg if parameters else ""


def _unknown_emoji(tree: ast.Module, file: SourceFile) -> Iterator[tuple[str, int]]:
    """Shortcodes that are written out in a file, and that no platform brings along."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if file.names.get(node.func.id) is not Emoji:
            continue
        for given in (*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "shortcode")):
            if isinstance(given, ast.Constant) and isinstance(given.value, str):
                shortcode = given.value.strip().strip(":")
                if shortcode and not _is_common(shortcode):
                    yield shortcode, node.lineno


def _is_common(shortcode: str) -> bool:
    if shortcode in STANDARD:
        return True
    from gateways.discord.emoji_names import all_names  # a large table, and seldom asked

    return shortcode in all_names()


class _Checker:
    """The checks of one handler."""

    def __init__(self, file: SourceFile, published: Sequence[Handler], findings: Findings, agent: str) -> None:
        self._file, self._published, self._findings, self._agent = file, published, findings, agent

    def check(self, handler: _Function) -> None:
        for node in ast.walk(handler):
            match node:
                case ast.Await(value=ast.Call() as call) if (method := self._method(call)) is not None:
                    self._problem(
                        node,
                        f"`await {self._agent}.{method}(...)`: the agent's methods are synchronous, also in async "
                        "handlers. Drop the `await`.",
                    )
                case ast.Call() if (method := self._method(node)) is not None:
                    if not hasattr(Agent, method):
                        self._warning(node, f"an agent has no method `{method}`")
                    elif method == "listen":
                        self._check_listen(node)

    def _check_listen(self, call: ast.Call) -> None:
        arguments = dict(zip(("on", "handler", "triggers"), call.args, strict=False))
        arguments |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        on = _length(arguments.get("on"))
        triggers = _length(arguments.get("triggers"))
        if on is not None and triggers is not None and on != triggers:
            self._problem(
                call, f"`listen` is given {on} surfaces and {triggers} triggers: there has to be one for each surface."
            )
        for argument in ("handler", "on_timeout"):
            if (node := arguments.get(argument)) is not None:
                self._check_target(call, node, on)

    def _check_target(self, call: ast.Call, node: ast.expr, on: int | None) -> None:
        if not isinstance(node, ast.Name) or node.id not in self._file.names:
            return
        target = self._file.names[node.id]
        if callable(target) and not isinstance(target, Handler):
            self._problem(call, f"`listen` is given `{node.id}`, which is not a task: decorate it with `@task()`.")
        elif isinstance(target, Handler) and not any(target is handler for handler in self._published):
            self._problem(
                call,
                f"`listen` is given `{node.id}`, which is not published: add it to `tasks` where the workflow is "
                f"published, as in `publish(..., tasks=[{node.id}])`.",
            )
        elif isinstance(target, Handler) and on is not None:
            self._check_parameters(call, node.id, target, on)

    def _check_parameters(self, call: ast.Call, name: str, target: Handler, on: int) -> None:
        needed = required_parameters(target)
        if len(needed) > on:
            surfaces = "1 surface" if on == 1 else f"{on} surfaces"
            self._problem(
                call,
                f"`listen` is given {surfaces}, but `{name}` takes {len(needed)}: {', '.join(needed)}. Pass as many "
                "surfaces in `on` as the task has parameters after agent and event.",
            )

    def _method(self, call: ast.Call) -> str | None:
        match call.func:
            case ast.Attribute(value=ast.Name(id=owner), attr=method) if owner == self._agent:
                return method
        return None

    def _problem(self, node: ast.expr, text: str) -> None:
        self._findings.problems.append(f"{self._file.path}, line {node.lineno}: {text}")

    def _warning(self, node: ast.expr, text: str) -> None:
        self._findings.warnings.append(f"{self._file.path}, line {node.lineno}: {text}")


def _length(node: ast.expr | None) -> int | None:
    if isinstance(node, ast.List | ast.Tuple) and not any(isinstance(item, ast.Starred) for item in node.elts):
        return len(node.elts)
    return None


def _undefined_names(file: SourceFile, handlers: Mapping[str, _Function]) -> Iterator[tuple[str, str, int]]:
    known = {*file.names, *vars(builtins)}
    for table in symtable.symtable(file.text, file.path, "exec").get_children():
        node = handlers.get(table.get_name())
        if node is None or table.get_lineno() not in range(_first_line(node), node.lineno + 1):
            continue
        for name in sorted(_globals_of(table) - known):
            yield table.get_name(), name, _line_of(node, name)


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    own = {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced() and not s.is_assigned()}
    return own.union(*(_globals_of(child) for child in table.get_children()))


def _first_line(node: _Function) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _line_of(node: _Function, name: str) -> int:
    lines = [n.lineno for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == name]
    return min(lines, default=node.lineno)
