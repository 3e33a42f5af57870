"""`python -m worker.deployments.validate`: is a bundle a workflow? Reads a `CheckBundle`, answers with a `Checked`.

It imports customer code, so it runs with limits and without secrets, and its caller expects the worst of it.
"""

import asyncio
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateways.wire import HandlerManifest, Manifest
from runllm.bridge.listeners import Listener, ListenerType
from runllm.bridge.surfaces import AdminConsole, ChatSurface, ChatWidget, DiscordThread, SlackThread, ZendeskTicket
from runllm.bundle import BundleEntry
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import UsageError
from runllm.parameters import bind, extra_parameters
from worker.deployments import import_errors
from worker.deployments.channel import Limits, take_output
from worker.deployments.source_checks import Findings, Handler, SourceFile, check
from worker.deployments.verdicts import CheckBundle, Checked, Unpacked
from worker.session.hosting import check_import

_NAME = re.compile(r"\w[\w .:+@-]{0,99}")

_ORIGIN: dict[ListenerType, type[ChatSurface]] = {
    ListenerType.SLACK_THREAD: SlackThread,
    ListenerType.WIDGET: ChatWidget,
    ListenerType.DISCORD_THREAD: DiscordThread,
    ListenerType.ADMIN_CONSOLE: AdminConsole,
    ListenerType.ZENDESK_TICKET: ZendeskTicket,
}
"""Where the conversations of each kind of listener start."""


def main() -> None:
    """Answers the one question on standard input."""
    answers = take_output()
    question = CheckBundle.model_validate_json(sys.stdin.buffer.read())
    once = threading.Lock()

    def answer(checked: Checked) -> None:
        with once:
            answers.write(checked.model_dump_json().encode())
            answers.flush()
            os._exit(0)  # no threads and exit handlers of the customer's

    _give_up_after(question.import_seconds, question.version.directory, answer)
    Limits().apply()
    answer(validate(question))


def validate(question: CheckBundle) -> Checked:
    """Imports a bundle and looks at its handlers."""
    version = question.version
    sources = list(_sources(version.directory))
    problems = import_errors.syntax_problems(sources) or _taken_names(path for path, _ in sources)
    if problems:
        return Checked(problems=problems)
    findings, handlers = Findings(), list[Handler]()
    try:
        handlers = _import(version, findings)
        if not findings.problems:
            _check(question, handlers, findings)
            asyncio.run(_import_in_sandbox(version))
    except BaseException as error:  # whatever customer code raises when it is imported, SystemExit too
        findings.problems.append(import_errors.problem(error, version.directory))
    if findings.problems:
        return Checked(problems=findings.problems)
    return Checked(manifest=_manifest(version, handlers, findings.warnings))


def _sources(directory: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(directory.rglob("*.py")):
        yield str(path.relative_to(directory)), path.read_text(encoding="utf-8")


def _taken_names(paths: Iterator[str]) -> list[str]:
    """Files that would hide a module of Python or of the engine, or be hidden by it."""
    taken = sys.stdlib_module_names | {name.partition(".")[0] for name in sys.modules}
    found = {path.partition("/")[0].removesuffix(".py"): path for path in paths}
    return [
        f"{found[name]}: `{name}` is the name of a module that Python or the engine has. Give the file another name."
        for name in sorted(found.keys() & taken)
    ]


def _import(version: Unpacked, findings: Findings) -> list[Handler]:
    """The handlers that the bundle says it has."""
    sys.path.insert(0, str(version.directory))
    handlers: list[Handler] = []
    for entry in version.entries():
        value = getattr(importlib.import_module(entry.module), entry.function, None)
        wanted = EntrypointWrapper if entry is version.entrypoint else TaskWrapper
        if isinstance(value, wanted) and value.name == entry.name:
            handlers.append(value)
        else:
            findings.problems.append(_not_a_handler(entry, value, wanted))
    return handlers


async def _import_in_sandbox(version: Unpacked) -> None:
    """As each session will. The sandbox makes a workflow instance, which needs a running loop."""
    check_import(version.published())


def _not_a_handler(entry: BundleEntry, value: object, wanted: type[Handler]) -> str:
    path = f"{entry.module.replace('.', '/')}.py"
    if value is None:
        return f"{path}: has no `{entry.function}` at its top level."
    if isinstance(value, wanted):
        return (
            f"{path}: `{entry.function}` is named {value.name!r} here and {entry.name!r} where it was published. "
            "A name must not depend on the environment."
        )
    decorator = "@entrypoint(listeners=[...])" if wanted is EntrypointWrapper else "@task()"
    return f"{path}: `{entry.function}` is not decorated with `{decorator}`."


def _check(question: CheckBundle, handlers: list[Handler], findings: Findings) -> None:
    entrypoint = handlers[0]
    assert isinstance(entrypoint, EntrypointWrapper)
    _check_names(question.version, findings)
    _check_listeners(question, entrypoint, findings)
    for file in _files_of(handlers, question.version.directory):
        check(file, handlers, findings)


def _check_names(version: Unpacked, findings: Findings) -> None:
    names = [entry.name for entry in version.entries()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        findings.problems.append(f"Two handlers are named {name!r}: give one of them another `name=`.")
    for name in sorted({name for name in names if not _NAME.fullmatch(name)}):
        findings.problems.append(
            f"The handler name {name!r} will not do: use up to 100 letters, digits, spaces and any of _ - . : + @"
        )


def _check_listeners(question: CheckBundle, entrypoint: EntrypointWrapper, findings: Findings) -> None:
    if entrypoint.listeners != question.listeners:
        findings.problems.append(
            f"The listeners of `{entrypoint.name}` differ between where it was published "
            f"({_listeners(question.listeners)}) and here ({_listeners(entrypoint.listeners)}). They must not depend "
            "on the environment."
        )
    for listener in entrypoint.listeners:
        try:
            bind(entrypoint.function, [_ORIGIN[listener.type].model_construct()])
        except UsageError as error:
            findings.problems.append(f"A conversation from {_listeners([listener])} cannot start: {error}.")


def _listeners(listeners: Sequence[Listener]) -> str:
    return ", ".join(map(repr, listeners))


def _files_of(handlers: list[Handler], directory: Path) -> Iterator[SourceFile]:
    for name in dict.fromkeys(handler.function.__module__ for handler in handlers):
        module = sys.modules[name]
        path = Path(module.__file__ or "")
        if path.is_relative_to(directory):
            yield SourceFile(str(path.relative_to(directory)), path.read_text(encoding="utf-8"), vars(module))


def _manifest(version: Unpacked, handlers: list[Handler], warnings: list[str]) -> Manifest:
    found = [
        HandlerManifest(
            name=entry.name,
            module=entry.module,
            function=entry.function,
            is_entrypoint=entry is version.entrypoint,
            parameters=extra_parameters(handler.function),
        )
        for entry, handler in zip(version.entries(), handlers, strict=True)
    ]
    entrypoint = handlers[0]
    assert isinstance(entrypoint, EntrypointWrapper)
    return Manifest(entrypoint=found[0], tasks=found[1:], listeners=list(entrypoint.listeners), warnings=warnings)


def _give_up_after(seconds: float, directory: Path, answer: Callable[[Checked], None]) -> None:
    loading = threading.main_thread().ident

    def give_up() -> None:
        frame = sys._current_frames().get(loading or 0)
        answer(Checked(problems=[import_errors.never_ends(frame, directory, seconds)]))

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
