"""Asks a short-lived child process about customer code, and survives whatever that code does to the child."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from typing import BinaryIO, TypeVar, cast

from pydantic import BaseModel, ValidationError

from runllm.cli.children import describe_exit
from runllm.cli.spawning import spawn

A = TypeVar("A", bound=BaseModel)

_LONGEST_TAIL = 1500


class JudgeError(Exception):
    """The child process gave no answer; the text says how it ended."""


async def ask(module: str, question: BaseModel, answer: type[A], environment: Mapping[str, str], seconds: float) -> A:
    """Runs `python -m module`, gives it the question as JSON and reads its answer.

    Raises:
        JudgeError: It took longer than `seconds`, or ended without an answer.
    """
    said = bytearray()
    with tempfile.TemporaryFile() as noise:
        command = (sys.executable, "-P", "-m", module)
        process = await spawn(command, environment, errors=cast("BinaryIO", noise), take=said.extend)
        try:
            process.write(question.model_dump_json().encode())
            process.end_input()
            async with asyncio.timeout(seconds):
                status = await asyncio.shield(process.ended)
                await process.last_words()
        except TimeoutError:
            raise JudgeError(f"It takes more than {seconds:.0f} s.") from None
        finally:
            process.close()
        try:
            return answer.model_validate_json(bytes(said))
        except ValidationError:
            noise.seek(0)
            tail = noise.read().decode(errors="replace")[-_LONGEST_TAIL:].strip()
            how = describe_exit(status)
            raise JudgeError(f"The process that loads it ended with no answer ({how}).\n{tail}".strip()) from None
