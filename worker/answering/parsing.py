"""Parsing in a process of its own: a hostile or broken document may take time and memory there, and nothing else.

The process reads requests from its standard input (a line of JSON, then so many bytes) and answers each with a line of
JSON. It ends with its standard input, and is started again where a document was the end of it.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from runllm.operations import Frozen
from worker.answering.documents import Parsed, Unreadable

SECONDS = 60.0
"""A document that takes longer to parse is given up."""

_MEMORY = 2 * 1024**3
_LARGEST_ANSWER = 256 * 1024**2


class Part(Frozen):
    """One of several documents in a file, such as an operation of an API."""

    path: str
    anchor: str
    parsed: Parsed


class Parser:
    """Parses documents, one at a time, in a process that is started when it is needed."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    async def parse(self, path: str, content: bytes, media_type: str = "", title: str = "") -> Parsed:
        """The passages of a document.

        Raises:
            Unreadable: It cannot be parsed; the text says why.
        """
        request = {"path": path, "media_type": media_type, "title": title}
        return Parsed.model_validate(await asyncio.to_thread(self._ask, request, content))

    async def parse_openapi(self, content: bytes) -> list[Part]:
        """The operations of an API.

        Raises:
            Unreadable: It is no OpenAPI file, or cannot be parsed.
        """
        found = await asyncio.to_thread(self._ask, {"openapi": True}, content)
        return [Part.model_validate(one) for one in found]

    def _ask(self, request: dict[str, Any], content: bytes) -> Any:
        with self._one_at_a_time:
            process = self._running()
            given_up = threading.Event()
            late = threading.Timer(self._seconds, _give_up, (process, given_up))
            late.start()
            try:
                answer = _exchange(process, {**request, "size": len(content)}, content)
            finally:
                late.cancel()
            if answer is None:
                self._process = None
                process.wait()
                if given_up.is_set():
                    raise Unreadable(f"takes longer than {self._seconds:g} s to parse")
                raise Unreadable("cannot be parsed: it was the end of the parser's process")
        found = json.loads(answer)
        if "unreadable" in found:
            raise Unreadable(found["unreadable"])
        return found["parsed"]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.answering.parsing"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            weakref.finalize(self, _end, process)
            self._process = process
        return self._process


def _exchange(process: subprocess.Popen[bytes], request: dict[str, Any], content: bytes) -> bytes | None:
    """The answer to one request; None where the process has died of it."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n" + content)
        process.stdin.flush()
        answer = process.stdout.readline(_LARGEST_ANSWER)
    except BrokenPipeError:
        return None
    if answer.endswith(b"\n"):
        return answer
    process.kill()
    return None


def _give_up(process: subprocess.Popen[bytes], given_up: threading.Event) -> None:
    given_up.set()
    process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def main() -> None:
    """Answers requests until standard input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries that print do not get into the answers
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while line := requests.readline():
        request = json.loads(line)
        _answer(answers, request, requests.read(request["size"]))


def _answer(answers: IO[bytes], request: dict[str, Any], content: bytes) -> None:
    try:
        found = {"parsed": _parsed(request, content)}
        data = json.dumps(found).encode("utf-8", "replace")
    except Unreadable as error:
        data = json.dumps({"unreadable": str(error)}).encode()
    except MemoryError:
        data = json.dumps({"unreadable": "needs more memory than a document may"}).encode()
    except RecursionError:
        data = json.dumps({"unreadable": "is nested too deeply"}).encode()
    except Exception as error:  # a parser's own mistake is that document's bad luck, not the source's
        data = json.dumps({"unreadable": f"cannot be parsed ({type(error).__name__})"}).encode()
    answers.write(data + b"\n")
    answers.flush()


def _parsed(request: dict[str, Any], content: bytes) -> dict[str, Any] | Sequence[dict[str, Any]]:
    from worker.answering.documents import as_text, parse, parsed
    from worker.answering.openapi import parse_openapi

    if not request.get("openapi"):
        return parse(request["path"], content, request["media_type"], request["title"]).model_dump(mode="json")
    operations = parse_openapi(as_text(content)[0])
    return [
        Part(path=one.path, anchor=one.anchor, parsed=parsed(one.draft, one.draft.title)).model_dump(mode="json")
        for one in operations
    ]


if __name__ == "__main__":
    main()
