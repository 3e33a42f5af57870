"""Which model answers, and within which limits: RUNLLM_* variables."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from runllm.errors import UsageError
from worker.answering.deadlines import Limits
from worker.answering.language import Manner

HANDOVER = "I cannot answer this right now. A person will look at your question."
"""What a customer is told when no model answers: silence is worse."""

_DEFAULT_NAMES = {"anthropic": "claude-sonnet-5-5"}
_USUAL_KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)


class Caps(BaseModel):
    """How much may be spent, each in US dollars or tokens; None is without a limit."""

    model_config = ConfigDict(frozen=True)

    session_usd: float | None = None
    session_tokens: int | None = None
    workflow_day_usd: float | None = None
    workflow_day_tokens: int | None = None
    day_usd: float | None = None
    day_tokens: int | None = None

    @property
    def any(self) -> bool:
        """There is one."""
        return any(value is not None for value in self.model_dump().values())

    @property
    def any_in_usd(self) -> bool:
        """There is one that needs prices."""
        return any(value is not None for value in (self.session_usd, self.workflow_day_usd, self.day_usd))


class ModelSettings(BaseModel):
    """What the activity worker needs to know of its model.

    Attributes:
        kind: A row of `worker.answering.models.MODELS`.
        model_name: The model, as its service knows it.
        fallback: Another one of the same service, for when the first does not answer.
        api_key: The service's key.
        base_url: Where the service is; the vendor's own address where it is None.
        limits: How long a reply may take.
        manner: How the model is used.
        caps: What may be spent.
        prices: What tokens cost, by the model's name; they come before those that are known here.
        asks_ahead: It is asked while a message is on its way to a session that is sure to ask.
        handover: What a customer is told when no model answers.
        script: What the scripted model says.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = "extractive"
    model_name: str = ""
    fallback: str = ""
    api_key: SecretStr | None = None
    base_url: str | None = None
    limits: Limits = Limits()
    manner: Manner = Manner()
    caps: Caps = Caps()
    prices: dict[str, Price] = {}
    asks_ahead: bool = True
    handover: str = HANDOVER
    script: Path | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ModelSettings":
        """Reads RUNLLM_MODEL and RUNLLM_MODEL_*, RUNLLM_CAP_*, RUNLLM_REDACTION and a few more.

        Raises:
            UsageError: A variable does not hold what it should; the text names it.
        """
        env = {name: value for name, value in environ.items() if value}
        kind = env.get("RUNLLM_MODEL", "extractive")
        key = env.get("RUNLLM_MODEL_KEY") or env.get(_USUAL_KEYS.get(kind, ""))
        given = cls(
            kind=kind,
            model_name=env.get("RUNLLM_MODEL_NAME", _DEFAULT_NAMES.get(kind, "")),
            fallback=env.get("RUNLLM_MODEL_FALLBACK", ""),
            api_key=SecretStr(key) if key else None,
            base_url=env.get("RUNLLM_MODEL_URL"),
            limits=Limits(
                first_token=_number(env, "RUNLLM_MODEL_FIRST_TOKEN_SECONDS", 20.0, most=110.0),
                total=_number(env, "RUNLLM_MODEL_SECONDS", 90.0, most=110.0),
            ),
            manner=Manner(
                max_tokens=int(_number(env, "RUNLLM_MODEL_MAX_TOKENS", 2000)),
                longest=int(_number(env, "RUNLLM_HISTORY_CHARACTERS", 16_000)),
                redacts=_switch(env, "RUNLLM_REDACTION"),
                regions=tuple(_listed(env.get("RUNLLM_PHONE_REGIONS", "US").upper())),
                sites=tuple(_listed(env.get("RUNLLM_SITES", ""))),
            ),
            caps=_caps(env),
            prices=_prices(env.get("RUNLLM_MODEL_PRICES")),
            asks_ahead=_switch(env, "RUNLLM_MODEL_AHEAD"),
            script=Path(env["RUNLLM_SCRIPT"]) if "RUNLLM_SCRIPT" in env else None,
        )
        handover = env.get("RUNLLM_HANDOVER_TEXT")
        return given.model_copy(update={"handover": handover}) if handover else given


def _caps(env: Mapping[str, str]) -> Caps:
    def cap(name: str) -> float | None:
        return _number(env, name, 0.0) if name in env else None

    read = {
        "session_usd": cap("RUNLLM_CAP_SESSION_USD"),
        "session_tokens": cap("RUNLLM_CAP_SESSION_TOKENS"),
        "workflow_day_usd": cap("RUNLLM_CAP_WORKFLOW_DAY_USD"),
        "workflow_day_tokens": cap("RUNLLM_CAP_WORKFLOW_DAY_TOKENS"),
        "day_usd": cap("RUNLLM_CAP_DAY_USD"),
        "day_tokens": cap("RUNLLM_CAP_DAY_TOKENS"),
    }
    return Caps.model_validate(
        {
            field: int(value) if field.endswith("tokens") and value is not None else value
            for field, value in read.items()
        }
    )


def _prices(text: str | None) -> dict[str, Price]:
    if text is None:
        return {}
    try:
        return _Prices.model_validate_json(f'{{"prices": {text}}}').prices
    except ValidationError:
        raise UsageError(
            "RUNLLM_MODEL_PRICES is no table of prices. Write US dollars for a million tokens: "
            '{"model-name": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}}'
        ) from None


class _Prices(BaseModel):
    prices: dict[str, Price]


def _switch(env: Mapping[str, str], name: str) -> bool:
    """Whether something is on, as it is unless it was switched off."""
    said = env.get(name, "on").lower()
    if said not in ("on", "off"):
        raise UsageError(f"{name} is {env[name]!r}. Set it to on or off")
    return said == "on"


def _number(env: Mapping[str, str], name: str, default: float, *, most: float = 1e12) -> float:
    try:
        value = float(env.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        upper = f" and not above {most:g}" if most < 1e12 else ""
        raise UsageError(f"{name} is {env[name]!r}. Set it to a number above 0{upper}")
    return value


def _listed(text: str) -> list[str]:
    return [part for part in (one.strip() for one in text.split(",")) if part]
