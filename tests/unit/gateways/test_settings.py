"""What a gateway is told, and who it believes."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from gateways.rates import Rate, client_address
from gateways.refusals import RefusedError
from gateways.settings import GatewaySettings
from tests.unit.gateways.conftest import SECRET, Gateway


def test_nothing_set_means_this_machine(tmp_path: Path) -> None:
    settings = GatewaySettings.from_env({"RUNLLM_HOME": str(tmp_path), "RUNLLM_PORT": ""})
    assert (settings.host, settings.port, settings.is_tethered) == ("127.0.0.1", 8080, False)
    assert settings.temporal["target_host"] == "127.0.0.1:7233"
    assert settings.temporal["namespace"] == "default"
    assert settings.store.database_url == f"sqlite:///{tmp_path}/runllm.db"
    assert len(settings.secret) == 64
    again = GatewaySettings.from_env({"RUNLLM_HOME": str(tmp_path)})
    assert again.secret == settings.secret


def test_everything_can_be_set() -> None:
    settings = GatewaySettings.from_env(
        {
            "RUNLLM_SECRET": SECRET,
            "RUNLLM_DATABASE_URL": "postgresql://u@h/d",
            "RUNLLM_HOST": "0.0.0.0",
            "RUNLLM_PORT": "9000",
            "TEMPORAL_ADDRESS": "temporal:7233",
            "TEMPORAL_NAMESPACE": "support",
            "RUNLLM_TEMPORAL_UI_URL": "https://temporal.acme.example/",
            "RUNLLM_MAX_MESSAGE_CHARS": "100",
            "RUNLLM_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "RUNLLM_TETHER": "1",
        }
    )
    assert (settings.host, settings.port, settings.is_tethered) == ("0.0.0.0", 9000, True)
    assert settings.temporal["target_host"] == "temporal:7233"
    assert settings.temporal["namespace"] == "support"
    assert settings.temporal_ui_url == "https://temporal.acme.example"
    assert settings.limits.message_chars == 100
    assert settings.trusted_proxies == [ip_network("10.0.0.0/8"), ip_network("::1")]
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RUNLLM_PORT", "70000"), ("RUNLLM_PORT", "-1"), ("RUNLLM_LIMIT_LOGINS", "x"), ("RUNLLM_TRUSTED_PROXIES", "home")],
)
def test_what_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        GatewaySettings.from_env({"RUNLLM_SECRET": SECRET, name: value})


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("8.8.8.8", "", "8.8.8.8"),
        ("8.8.8.8", "1.1.1.1", "8.8.8.8"),  # a stranger says who he is
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1", "1.1.1.1"),  # only the last is our proxy's word
        ("10.0.0.1", "1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_who_calls_behind_proxies(remote: str, forwarded: str, expected: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    assert client_address(request, [ip_network("10.0.0.0/8")]) == expected


def test_a_rate_is_a_burst_and_then_a_trickle(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("gateways.rates.time.monotonic", lambda: clock[0])
    rate = Rate("messages", 60)
    for _ in range(60):
        rate.spend("a")
    with pytest.raises(RefusedError, match="at most 60 a minute"):
        rate.spend("a")
    rate.spend("b")
    clock[0] += 1
    rate.spend("a")
    with pytest.raises(RefusedError):
        rate.spend("a")
    unlimited = Rate("messages", 0)
    for _ in range(1000):
        unlimited.spend("a")


async def test_the_demo_page_suggests_questions_as_text(gateway: Gateway) -> None:
    changed = gateway.services.settings.model_copy(update={"demo_questions": 'Why?|"><script>alert(1)</script>'})
    object.__setattr__(gateway.services, "settings", changed)
    async with gateway.http.get(f"{gateway.url}/demo") as response:
        text = await response.text()
        assert "require-trusted-types-for 'script'" in response.headers["Content-Security-Policy"]
    assert 'data-questions="Why?|&quot;&gt;&lt;script&gt;' in text
