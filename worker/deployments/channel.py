"""How a child process that loads customer code answers: on a standard output that the customer cannot print to."""

import os
import resource
import sys
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Limits:
    """What such a process may use."""

    memory: int = 4 * 1024**3
    """Bytes of address space; the libraries alone reserve one gigabyte of it."""
    processor_seconds: int = 20
    open_files: int = 256
    file_size: int = 16 * 1024**2

    def apply(self) -> None:
        """Sets them for this process, and for those that it starts."""
        for kind, value in (
            (resource.RLIMIT_AS, self.memory),
            (resource.RLIMIT_CPU, self.processor_seconds),
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_FSIZE, self.file_size),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hardest = resource.getrlimit(kind)
            resource.setrlimit(kind, (value if hardest == resource.RLIM_INFINITY else min(value, hardest), hardest))


def take_output() -> BinaryIO:
    """Keeps standard output for answers: what anybody prints from here on goes to standard error."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers
