"""What the activity worker is told by its environment."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from temporalio.envconfig import ClientConnectConfig

from gateways.platforms import PlatformSettings
from store.settings import StoreSettings
from worker.activities.context import APOLOGY
from worker.answering.model_settings import ModelSettings
from worker.deployments.settings import temporal_connection
from worker.knowledge.settings import KnowledgeSettings


class ActivitySettings(BaseModel):
    """What the activity worker needs to know.

    Attributes:
        store: Where the record is, and the secret.
        temporal: Arguments for `Client.connect`.
        gateway_url: Where answers in the making are shown to those who watch.
        knowledge: What may be read to be indexed, and how fast.
        model: Which model answers, and within which limits.
        apology: What people are told where a handler failed on their message; empty for nothing.
        embeddings: How passages are compared by meaning, a row of `worker.answering.embedding.EMBEDDERS`.
        is_tethered: End when standard input does: whoever started this process has gone.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    store: StoreSettings
    temporal: ClientConnectConfig
    platforms: PlatformSettings = PlatformSettings()
    gateway_url: str = "http://127.0.0.1:8080"
    knowledge: KnowledgeSettings = KnowledgeSettings()
    model: ModelSettings = ModelSettings()
    apology: str = APOLOGY
    embeddings: str = "minilm"
    is_tethered: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ActivitySettings":
        """Reads RUNLLM_* and TEMPORAL_* variables. Empty ones count as not set."""
        env = {name: value for name, value in environ.items() if value}
        store = StoreSettings.from_env(env)
        return cls(
            store=store,
            temporal=temporal_connection(env),
            knowledge=KnowledgeSettings.from_env(env, store.home),
            platforms=PlatformSettings.from_env(env),
            gateway_url=env.get("RUNLLM_GATEWAY_URL", "http://127.0.0.1:8080"),
            model=ModelSettings.from_env(env),
            apology="" if (said := env.get("RUNLLM_APOLOGY_TEXT", APOLOGY)) == "off" else said,
            embeddings=env.get("RUNLLM_EMBEDDINGS", "minilm"),
            is_tethered=env.get("RUNLLM_TETHER") == "1",
        )
