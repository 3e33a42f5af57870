"""Errors of a bundle that is being loaded, in the words and lines of the customer's own files."""

import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

_LONGEST = 4000


def syntax_problems(sources: Iterable[tuple[str, str]]) -> list[str]:
    """One problem for each file, given as path and text, that is not Python."""
    found = []
    for path, text in sources:
        try:
            compile(text, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            found.append(_syntax_problem(error, path))
        except (ValueError, RecursionError, MemoryError) as error:
            found.append(f"{path}: cannot be compiled: {str(error) or type(error).__name__}")
    return found


def problem(error: BaseException, directory: Path) -> str:
    """What is wrong with the customer's files, for an error that came out of importing them."""
    where = _place(error, directory)
    match error:
        case SyntaxError() if error.filename and Path(error.filename).is_relative_to(directory):
            return _syntax_problem(error, str(Path(error.filename).relative_to(directory)))
        case ModuleNotFoundError() if error.name:
            return f"{where}{_missing(error.name, directory)}"
        case SystemExit():
            return (
                f"{where}the file ends the process (sys.exit) when it is imported. "
                "Put that under `if __name__ == '__main__':`."
            )
        case RestrictedWorkflowAccessError() if str(error).startswith("Cannot access "):
            name = error.qualified_name.removesuffix(".__call__").removesuffix(".__mro_entries__")
            return (
                f"{where}`{name}` is refused: each session imports the file anew, and again on every replay. "
                'Put it in a function, and call agent.step("name", function) in the handler that needs it.'
            )
        case _:
            lines = [*_frames(error.__traceback__, directory), *_last_lines(error)]
            return "\n".join(lines)[-_LONGEST:]


def never_ends(frame: FrameType | None, directory: Path, seconds: float) -> str:
    """The problem of a file that is still being imported after `seconds`: `frame` is where it is now."""
    while frame is not None and not _is_inside(frame.f_code.co_filename, directory):
        frame = frame.f_back
    if frame is None:
        return f"Importing the bundle takes more than {seconds:.0f} s."
    line = _line(Path(frame.f_code.co_filename), frame.f_lineno)
    return (
        f"{_relative(frame.f_code.co_filename, directory)}, line {frame.f_lineno}: importing the file takes more than "
        f"{seconds:.0f} s; it is at `{line}`. A loop or a slow call at the top level of a file belongs into a handler."
    )


def _missing(module: str, directory: Path) -> str:
    top = module.partition(".")[0]
    if (directory / f"{top}.py").exists() or (directory / top).is_dir():
        return f"imports `{module}`, which is not in the bundle. Is that file beside the one that you publish?"
    return (
        f"imports `{module}`, which is not installed on the worker. Install it in the worker's environment "
        "(pip install ...), or remove the import, and publish again."
    )


def _syntax_problem(error: SyntaxError, path: str) -> str:
    text = (error.text or "").rstrip("\n")
    stripped = text.lstrip()
    lines = [f"{path}, line {error.lineno}: {error.msg}"]
    if stripped:
        lines.append(f"    {stripped}")
        if error.offset:
            lines.append("    " + " " * max(error.offset - 1 - (len(text) - len(stripped)), 0) + "^")
    return "\n".join(lines)


def _place(error: BaseException, directory: Path) -> str:
    inside = [f for f in traceback.extract_tb(error.__traceback__) if _is_inside(f.filename, directory)]
    return f"{_relative(inside[-1].filename, directory)}, line {inside[-1].lineno}: " if inside else ""


def _frames(tb: TracebackType | None, directory: Path) -> list[str]:
    lines = []
    for frame in traceback.extract_tb(tb):
        if _is_inside(frame.filename, directory):
            within = "" if frame.name == "<module>" else f", in {frame.name}"
            lines.append(f"{_relative(frame.filename, directory)}, line {frame.lineno}{within}:")
            lines.append(f"    {frame.line}")
    return lines


def _last_lines(error: BaseException) -> Sequence[str]:
    return "".join(traceback.format_exception_only(error)).rstrip().splitlines()


def _is_inside(filename: str, directory: Path) -> bool:
    return filename.startswith(f"{directory}/")


def _relative(filename: str, directory: Path) -> str:
    return filename[len(str(directory)) + 1 :]


def _line(path: Path, number: int) -> str:
    try:
        return path.read_text().splitlines()[number - 1].strip()
    except (OSError, IndexError, ValueError):
        return "?"
