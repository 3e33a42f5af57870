"""The models there are, by the name that `RUNLLM_MODEL` gives."""

from collections.abc import Callable
from pathlib import Path

from runllm.errors import UsageError
from worker.answering.extractive import ExtractiveModel
from worker.answering.protocol import Model
from worker.answering.scripted import ScriptedModel


def _scripted(script: Path | None) -> Model:
    if script is None:
        raise UsageError("The scripted model has no script. Set RUNLLM_SCRIPT to a JSON file")
    return ScriptedModel.from_file(script)


MODELS: dict[str, Callable[[Path | None], Model]] = {
    "extractive": lambda script: ExtractiveModel(),
    "scripted": _scripted,
}


def open_model(name: str, script: Path | None) -> Model:
    """The model called `name`.

    Raises:
        UsageError: There is none of that name, or it cannot be set up.
    """
    if name not in MODELS:
        raise UsageError(f"There is no model {name!r}. Set RUNLLM_MODEL to one of: {', '.join(MODELS)}")
    return MODELS[name](script)
