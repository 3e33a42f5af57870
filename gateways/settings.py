"""What a gateway is told by its environment."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from pydantic import BaseModel, ConfigDict, Field
from temporalio.envconfig import ClientConfig, ClientConnectConfig

from gateways.platforms import PlatformSettings
from store.settings import StoreSettings

_DEFAULT_TEMPORAL = "127.0.0.1:7233"


class Limits(BaseModel):
    """How much one visitor may do. 0 is no limit."""

    model_config = ConfigDict(frozen=True)

    message_chars: int = 20_000
    messages_a_minute: int = 120
    """Of one conversation."""
    conversations_a_minute: int = 600
    """From one address."""
    streams: int = 200
    """Open at once from one address."""
    logins_a_minute: int = 10
    """Failed ones from one address."""


class GatewaySettings(BaseModel):
    """What a gateway needs to know.

    Attributes:
        store: Where the record is, and the secret.
        temporal: Arguments for `Client.connect`.
        temporal_ui_url: Where people look at workflows.
        trusted_proxies: Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        is_tethered: End when standard input does: whoever started this process has gone.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    store: StoreSettings
    temporal: ClientConnectConfig
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    temporal_ui_url: str = "http://127.0.0.1:8233"
    limits: Limits = Limits()
    platforms: PlatformSettings = PlatformSettings()
    trusted_proxies: list[IPv4Network | IPv6Network] = []
    is_tethered: bool = False
    demo_questions: str = ""
    """What the demo page suggests to ask, with `|` between questions."""

    @property
    def secret(self) -> str:
        """What tokens are signed with."""
        return self.store.secret.get_secret_value()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "GatewaySettings":
        """Reads RUNLLM_* and TEMPORAL_* variables. Empty ones count as not set.

        Raises:
            ValueError: One of them does not make sense; the text names it.
        """
        env = {name: value for name, value in environ.items() if value}
        temporal = ClientConfig.load_client_connect_config(override_env_vars=env)
        return cls(
            store=StoreSettings.from_env(env),
            temporal={"target_host": _DEFAULT_TEMPORAL, "namespace": "default", **temporal},
            host=env.get("RUNLLM_HOST", "127.0.0.1"),
            port=_number(env, "RUNLLM_PORT", 8080, 65535),
            temporal_ui_url=env.get("RUNLLM_TEMPORAL_UI_URL", "http://127.0.0.1:8233").rstrip("/"),
            limits=Limits(
                message_chars=_number(env, "RUNLLM_MAX_MESSAGE_CHARS", 20_000),
                messages_a_minute=_number(env, "RUNLLM_LIMIT_MESSAGES", 120),
                conversations_a_minute=_number(env, "RUNLLM_LIMIT_CONVERSATIONS", 600),
                streams=_number(env, "RUNLLM_LIMIT_STREAMS", 200),
                logins_a_minute=_number(env, "RUNLLM_LIMIT_LOGINS", 10),
            ),
            platforms=PlatformSettings.from_env(env),
            trusted_proxies=_networks(env.get("RUNLLM_TRUSTED_PROXIES", "")),
            is_tethered=env.get("RUNLLM_TETHER") == "1",
            demo_questions=env.get("RUNLLM_DEMO_QUESTIONS", ""),
        )


def _number(env: Mapping[str, str], name: str, default: int, most: int = 10_000_000) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) > most:
        raise ValueError(f"{name} is {text!r}. Set it to a number from 0 to {most}.")
    return int(text)


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"RUNLLM_TRUSTED_PROXIES: {error}. Set it to addresses or networks, with commas.") from None
