"""all-MiniLM-L6-v2 on this machine's processor: 384 numbers a text, English, no network.

The weights are int8 and beside this file (see weights/README.md). Measured on one core: 2 ms for a question, 17 ms for
a passage of 800 characters.
"""

import asyncio
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.answering.embedding import Vectors

HOME = Path(__file__).parent / "minilm"
WIDTH = 384
LONGEST = 256
"""Words and parts of words; what a text has beyond is not seen. The model was trained so."""

_FILES = ("model.onnx", "tokenizer.json")
_MOST_CHARACTERS = 4_000
"""Far more than `LONGEST` parts: nobody waits for a tokeniser that reads a pasted log."""


def is_complete() -> bool:
    """Whether the weights are there."""
    return all((HOME / name).is_file() for name in _FILES)


class MiniLM:
    """The model, loaded when it is first asked for: half a second, about 90 MB."""

    name = "minilm-l6-v2-int8"

    def __init__(self, home: Path = HOME, threads: int = 1) -> None:
        self._home = home
        self._threads = threads
        self._loading = threading.Lock()

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Each text in its own pass: padding them to one length costs more than it saves."""
        return await asyncio.to_thread(self.embed_now, texts)

    def embed_now(self, texts: Sequence[str]) -> "Vectors":
        """The same, in the caller's thread. Several threads may do so at once."""
        import numpy as np

        with self._loading:
            session, tokenizer = self._loaded
        made = np.empty((len(texts), WIDTH), dtype=np.float32)
        for row, text in enumerate(texts):
            ids = tokenizer.encode(text[:_MOST_CHARACTERS] or " ").ids
            words = np.asarray([ids], dtype=np.int64)
            made[row] = session.run(None, {"ids": words, "mask": np.ones_like(words)})[0][0]
        return made

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(self._home / _FILES[0]), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(self._home / _FILES[1]))
        tokenizer.enable_truncation(LONGEST)
        return session, tokenizer
