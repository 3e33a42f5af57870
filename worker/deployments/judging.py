"""Asks a short-lived child process about customer code, and survives whatever that code does to the child."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from runllm.cli.children import describe_exit

A = TypeVar("A", bound=BaseModel)

_LONGEST_TAIL = 1500


class JudgeError(Exception):
    """The child process gave no answer; the text says how it ended."""


async def ask(module: str, question: BaseModel, answer: type[A], environment: Mapping[str, str], seconds: float) -> A:
    """Runs `python -m module`, gives it the question as JSON and reads its answer.

    Raises:
        JudgeError: It took longer than `seconds`, or ended without an answer.
    """
    with tempfile.TemporaryFile() as noise:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", module,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=noise,
            env=environment, process_group=0,
        )  # fmt: skip
        try:
            said, _ = await asyncio.wait_for(process.communicate(question.model_dump_json().encode()), seconds)
        except TimeoutError:
            raise JudgeError(f"It takes more than {seconds:.0f} s.") from None
        finally:
            with contextlib.suppress(ProcessLookupError):  # what it started ends with it
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        try:
            return answer.model_validate_json(said)
        except ValidationError:
            noise.seek(0)
            tail = noise.read().decode(errors="replace")[-_LONGEST_TAIL:].strip()
            how = describe_exit(process.returncode or 0)
            raise JudgeError(f"The process that loads it ended with no answer ({how}).\n{tail}".strip()) from None
