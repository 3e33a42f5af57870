"""The models there are, by the name that `RUNLLM_MODEL` gives."""

from collections.abc import Callable

from runllm.errors import UsageError
from worker.answering.completion import Provider
from worker.answering.embedding import Embedder
from worker.answering.extractive import ExtractiveModel
from worker.answering.ladder import Ladder
from worker.answering.language import LanguageModel
from worker.answering.model_settings import ModelSettings
from worker.answering.prices import price_of
from worker.answering.protocol import Model
from worker.answering.scripted import ScriptedModel


def _scripted(settings: ModelSettings, embedder: Embedder | None) -> Model:
    if settings.script is None:
        raise UsageError("The scripted model has no script. Set RUNLLM_SCRIPT to a JSON file")
    return ScriptedModel.from_file(settings.script)


def _anthropic(settings: ModelSettings, embedder: Embedder | None) -> Model:
    # Here, because the client takes a second to import, and who quotes needs none.
    from worker.answering.anthropic import AnthropicProvider

    key = _key(settings, "ANTHROPIC_API_KEY")

    def provider(model: str) -> Provider:
        return AnthropicProvider(model, api_key=key, base_url=settings.base_url, limits=settings.limits)

    return _language(settings, provider, embedder)


def _openai_compatible(settings: ModelSettings, embedder: Embedder | None) -> Model:
    from worker.answering.openai_compatible import OpenAICompatibleProvider

    # Servers of one's own often want no key; the client wants one all the same.
    key = "none" if settings.base_url and settings.api_key is None else _key(settings, "OPENAI_API_KEY")

    def provider(model: str) -> Provider:
        return OpenAICompatibleProvider(model, api_key=key, base_url=settings.base_url, limits=settings.limits)

    return _language(settings, provider, embedder)


def _language(settings: ModelSettings, provider: Callable[[str], Provider], embedder: Embedder | None) -> Model:
    """A language model, its fallback, and the one that quotes for when the money is spent."""
    if not settings.model_name:
        raise UsageError(f"RUNLLM_MODEL={settings.kind} needs the name of a model: set RUNLLM_MODEL_NAME")
    names = [name for name in (settings.model_name, settings.fallback) if name]
    unpriced = [name for name in names if price_of(name, settings.prices) is None]
    if settings.caps.any_in_usd and unpriced:
        raise UsageError(
            f"A cap in dollars is set, and nobody knows what {unpriced[0]} costs. "
            "Set RUNLLM_MODEL_PRICES, or cap tokens instead"
        )
    primary = LanguageModel(provider(settings.model_name), settings.manner)
    fallback = LanguageModel(provider(settings.fallback), settings.manner) if settings.fallback else None
    return Ladder(primary, fallback, ExtractiveModel(embedder))


def _key(settings: ModelSettings, usual: str) -> str:
    if settings.api_key is None:
        raise UsageError(f"RUNLLM_MODEL={settings.kind} needs a key: set RUNLLM_MODEL_KEY, or {usual}")
    return settings.api_key.get_secret_value()


MODELS: dict[str, Callable[[ModelSettings, Embedder | None], Model]] = {
    "extractive": lambda settings, embedder: ExtractiveModel(embedder),
    "scripted": _scripted,
    "anthropic": _anthropic,
    "openai": _openai_compatible,
}


def open_model(settings: ModelSettings, embedder: Embedder | None = None) -> Model:
    """The model of that kind; what is quoted is compared by meaning where there is an `embedder`.

    Raises:
        UsageError: There is none of that kind, or it cannot be set up.
    """
    if settings.kind not in MODELS:
        raise UsageError(f"There is no model {settings.kind!r}. Set RUNLLM_MODEL to one of: {', '.join(MODELS)}")
    return MODELS[settings.kind](settings, embedder)


async def close_model(model: Model) -> None:
    """Closes what a model holds open."""
    for one in model.rungs if isinstance(model, Ladder) else [model]:
        if isinstance(one, LanguageModel):
            await one.close()
