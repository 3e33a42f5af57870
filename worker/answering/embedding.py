"""Texts as vectors, so that a question finds a passage that says the same in other words.

Nothing here is needed: without an embedder passages are found by their words alone, and `Chosen.note` says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from runllm.errors import UsageError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    Vectors = NDArray[float32]


class Embedder(Protocol):
    """Makes vectors of texts. Implementations are rows of `EMBEDDERS`."""

    @property
    def name(self) -> str:
        """Kept with each vector: vectors of another name are not comparable, and are made again."""
        ...

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """One row of length 1 for each text, so that a dot product is a cosine. Long texts may be cut.

        Raises:
            OSError: The vectors cannot be had right now; questions are then answered by words alone.
        """
        ...


@dataclass(frozen=True)
class Chosen:
    """The embedder, or why there is none."""

    embedder: Embedder | None
    note: str = ""

    @property
    def as_sentence(self) -> str:
        """What to tell somebody who runs the engine."""
        if self.embedder is not None:
            return f"Passages are found by their words and by their meaning ({self.embedder.name})."
        return f"Passages are found by their words alone: {self.note}."


def _minilm() -> Chosen:
    from worker.answering import embedding_minilm

    missing = [name for name in ("numpy", "onnxruntime", "tokenizers") if find_spec(name) is None]
    if missing:
        return Chosen(None, f"{' and '.join(missing)} cannot be imported; pip install 'runllm-engine[engine]'")
    if not embedding_minilm.is_complete():
        return Chosen(None, f"the model's weights are not in {embedding_minilm.HOME}; install the engine again")
    return Chosen(embedding_minilm.MiniLM())


EMBEDDERS: dict[str, Callable[[], Chosen]] = {
    "minilm": _minilm,
    "none": lambda: Chosen(None, "RUNLLM_EMBEDDINGS is none"),
}


def choose_embedder(name: str) -> Chosen:
    """The embedder called `name`, which RUNLLM_EMBEDDINGS gives. It loads nothing yet.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in EMBEDDERS:
        raise UsageError(f"There are no embeddings {name!r}. Set RUNLLM_EMBEDDINGS to one of: {', '.join(EMBEDDERS)}")
    return EMBEDDERS[name]()
