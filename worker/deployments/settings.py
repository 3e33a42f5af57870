"""What the worker's processes are told by their environment."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from temporalio.envconfig import ClientConfig, ClientConnectConfig

from store.settings import StoreSettings

_DEFAULT_TEMPORAL = "127.0.0.1:7233"


def temporal_connection(environ: Mapping[str, str]) -> ClientConnectConfig:
    """Arguments for `Client.connect`, from the TEMPORAL_* variables and Temporal's own configuration file."""
    env = {name: value for name, value in environ.items() if value}
    found = ClientConfig.load_client_connect_config(override_env_vars=env)
    return {"target_host": _DEFAULT_TEMPORAL, "namespace": "default", **found}


class WorkerSettings(BaseModel):
    """What the supervisor needs to know.

    Attributes:
        store: Where the record is.
        temporal: Arguments for `Client.connect`.
        is_tethered: End when standard input does: whoever started this process has gone.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    store: StoreSettings
    temporal: ClientConnectConfig
    is_tethered: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "WorkerSettings":
        """Reads RUNLLM_* and TEMPORAL_* variables. Empty ones count as not set."""
        return cls(
            store=StoreSettings.from_env(environ),
            temporal=temporal_connection(environ),
            is_tethered=environ.get("RUNLLM_TETHER") == "1",
        )
