"""What the engine is told of platforms by its environment: one model for each of them."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True)


class SlackSettings(_Settings):
    """What belongs to the Slack app, not to one workspace."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "SlackSettings":
        """Reads RUNLLM_SLACK_* variables."""
        return cls()


class ZendeskSettings(_Settings):
    """What holds for every Zendesk account."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "ZendeskSettings":
        """Reads RUNLLM_ZENDESK_* variables."""
        return cls()


class DiscordSettings(_Settings):
    """What belongs to the Discord application."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "DiscordSettings":
        """Reads RUNLLM_DISCORD_* variables."""
        return cls()


class PlatformSettings(_Settings):
    """All platforms' settings.

    Attributes:
        public_url: Where platforms and people reach the gateways from outside, without a slash at the end.
    """

    public_url: str = "http://127.0.0.1:8080"
    slack: SlackSettings = SlackSettings()
    zendesk: ZendeskSettings = ZendeskSettings()
    discord: DiscordSettings = DiscordSettings()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "PlatformSettings":
        """Reads RUNLLM_PUBLIC_URL and the platforms' own variables. Empty ones count as not set.

        Raises:
            ValueError: One of them does not make sense; the text names it.
        """
        env = {name: value for name, value in environ.items() if value}
        return cls(
            public_url=env.get("RUNLLM_PUBLIC_URL", "http://127.0.0.1:8080").rstrip("/"),
            slack=SlackSettings.from_env(env),
            zendesk=ZendeskSettings.from_env(env),
            discord=DiscordSettings.from_env(env),
        )
