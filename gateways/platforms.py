"""What the engine is told of platforms by its environment: one model for each of them."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True)


class SlackSettings(_Settings):
    """What belongs to the Slack app, not to one workspace.

    Attributes:
        api_url: Where Slack's Web API is. Only tests need another one.
        authorize_url: Where people are sent to install the app.
        signing_secret: Proves that a request comes from Slack. Without it, events are taken through Socket Mode only.
        client_id, client_secret: The app's; with them, workspaces can be connected at `/slack/install`.
        bot_token: Of the only workspace, for an app that is installed in one: it is connected at every start.
        app_token: With it, events come through Socket Mode, and no public address is needed.
    """

    api_url: str = "https://slack.com/api/"
    authorize_url: str = "https://slack.com/oauth/v2/authorize"
    signing_secret: SecretStr | None = None
    client_id: str = ""
    client_secret: SecretStr | None = None
    bot_token: SecretStr | None = None
    app_token: SecretStr | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "SlackSettings":
        """Reads RUNLLM_SLACK_* variables.

        Raises:
            ValueError: One of them does not make sense; the text names it.
        """
        api_url = _address(env, "RUNLLM_SLACK_API_URL", "https://slack.com/api/").rstrip("/") + "/"
        authorize_url = api_url.removesuffix("/api/") + "/oauth/v2/authorize"
        return cls(
            api_url=api_url,
            authorize_url=_address(env, "RUNLLM_SLACK_AUTHORIZE_URL", authorize_url),
            signing_secret=_secret(env, "RUNLLM_SLACK_SIGNING_SECRET"),
            client_id=env.get("RUNLLM_SLACK_CLIENT_ID", ""),
            client_secret=_secret(env, "RUNLLM_SLACK_CLIENT_SECRET"),
            bot_token=_secret(env, "RUNLLM_SLACK_BOT_TOKEN", "xoxb-", "xoxe.xoxb-"),
            app_token=_secret(env, "RUNLLM_SLACK_APP_TOKEN", "xapp-"),
        )

    @property
    def is_used(self) -> bool:
        """Whether this engine was told of a Slack app at all."""
        return self.signing_secret is not None or self.app_token is not None


class ZendeskSettings(_Settings):
    """What holds for every Zendesk account.

    Attributes:
        url: Where an account is reached; `{subdomain}` in it stands for its name.
        webhook_age: Seconds after which a signed webhook is too old to be believed.
        accepts_test_secret: Webhooks signed with the secret that Zendesk publishes for its "Test webhook" button count
            as genuine. Anybody can sign with it: for a trial on this machine only.
        sweep_every: Seconds between two looks for comments whose webhook was lost; 0 never looks.
        client_id, client_secret: Of an OAuth client; with them, people connect an account by signing in to it.
    """

    url: str = "https://{subdomain}.zendesk.com"
    webhook_age: int = 300
    accepts_test_secret: bool = False
    sweep_every: float = 60.0
    client_id: str = ""
    client_secret: SecretStr | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "ZendeskSettings":
        """Reads RUNLLM_ZENDESK_* variables."""
        url = env.get("RUNLLM_ZENDESK_URL", "https://{subdomain}.zendesk.com").rstrip("/")
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError(
                f"RUNLLM_ZENDESK_URL is {url!r}. Set it to an https address, like https://{{subdomain}}.zendesk.com."
            )
        return cls(
            url=url,
            webhook_age=int(_seconds(env, "RUNLLM_ZENDESK_WEBHOOK_AGE", 300)),
            accepts_test_secret=env.get("RUNLLM_ZENDESK_ACCEPT_TEST_SECRET") == "1",
            sweep_every=_seconds(env, "RUNLLM_ZENDESK_SWEEP_EVERY", 60),
            client_id=env.get("RUNLLM_ZENDESK_CLIENT_ID", ""),
            client_secret=_secret(env, "RUNLLM_ZENDESK_CLIENT_SECRET"),
        )


class DiscordSettings(_Settings):
    """Where Discord is, and how its events are taken.

    Attributes:
        api_url: Its HTTP API, version included, without a slash at the end.
        gateway_url: Where its events come from.
        lease_seconds: For how long the gateway that takes events holds that office without renewing it: another one
            takes over that much later where it ends without a word.
        identify_pause: Seconds before a new session after a lost one. Discord allows one in five seconds.
    """

    api_url: str = "https://discord.com/api/v10"
    gateway_url: str = "wss://gateway.discord.gg/"
    lease_seconds: float = 12.0
    identify_pause: float = 5.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "DiscordSettings":
        """Reads RUNLLM_DISCORD_API_URL and RUNLLM_DISCORD_GATEWAY_URL."""
        here = cls()
        return cls(
            api_url=env.get("RUNLLM_DISCORD_API_URL", here.api_url).rstrip("/"),
            gateway_url=env.get("RUNLLM_DISCORD_GATEWAY_URL", here.gateway_url),
        )


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


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise ValueError(f"{name} is {text!r}. Set it to a number of seconds.")
    return seconds


def _address(env: Mapping[str, str], name: str, default: str) -> str:
    text = env.get(name, default)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name} is {text!r}. Set it to an address, like {default}")
    return text


def _secret(env: Mapping[str, str], name: str, *starts: str) -> SecretStr | None:
    text = env.get(name)
    if text is None:
        return None
    if starts and not text.startswith(starts):
        raise ValueError(f"{name} is no such token: it begins with {' or '.join(starts)}. Copy it from the app's page.")
    return SecretStr(text)
