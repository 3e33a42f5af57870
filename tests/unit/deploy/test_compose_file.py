"""What docker-compose.yml, the image and the settings' example promise, as far as it can be read without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runllm.cli import temporal
from worker import alive

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("temporal", "gateways", "worker")


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    documented = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert used - documented == set()


def test_the_example_changes_nothing_and_has_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert all(line.startswith("#") or not line for line in lines)


@pytest.mark.parametrize("name", OURS)
def test_a_container_may_do_little(name: str) -> None:
    assert service(name)["read_only"] is True
    assert service(name)["cap_drop"] == ["ALL"]
    assert service(name)["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service(name)  # the image's own user, which is not root


def test_the_image_runs_as_nobody_in_particular() -> None:
    users = re.findall(r"^USER (\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.M)
    assert users == ["10001:10001"]


@pytest.mark.parametrize("name", [*OURS, "postgres"])
def test_every_service_is_asked_for_its_health_and_listens_to_this_machine_only(name: str) -> None:
    assert service(name)["healthcheck"]["test"]
    assert all(port.startswith("127.0.0.1:") for port in service(name).get("ports", []))


def test_services_start_when_what_they_need_is_healthy() -> None:
    needs = {name: service(name).get("depends_on", {}) for name in OURS}
    assert {name: set(needs[name]) for name in OURS} == {
        "temporal": set(),
        "gateways": {"temporal", "postgres"},
        "worker": {"temporal", "gateways", "postgres"},
    }
    assert all(need["condition"] == "service_healthy" for found in needs.values() for need in found.values())
    assert needs["worker"]["postgres"]["required"] is False


def test_the_settings_file_is_for_those_who_hold_secrets() -> None:
    assert "env_file" not in service("temporal")
    assert service("gateways")["env_file"] == service("worker")["env_file"] == [{"path": ".env", "required": False}]


def test_what_goes_into_the_image_is_named() -> None:
    first, *named = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    assert {line.removeprefix("!").split("/")[0] for line in named if line.startswith("!")} == {
        "LICENSE", "README.md", "pyproject.toml", "requirements", "runllm", "store", "gateways", "worker",
    }  # fmt: skip


def test_the_containers_temporal_is_the_tuned_one_and_can_be_reached(tmp_path: Path, monkeypatch: Any) -> None:
    became: list[list[str]] = []
    monkeypatch.setenv("RUNLLM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("os.execv", lambda program, arguments: became.append(list(arguments)))
    temporal.main()
    [arguments] = became
    here = temporal.server(tmp_path / "home", 7233, 8233, {}).arguments
    assert [word for word in arguments if word != "0.0.0.0"] == [word for word in here if word != "127.0.0.1"]
    assert arguments[arguments.index("--ip") + 1] == "0.0.0.0"
    assert (tmp_path / "home").is_dir()


def test_a_worker_is_alive_as_long_as_it_says_so(tmp_path: Path, monkeypatch: Any) -> None:
    assert alive.problem(tmp_path) == f"no worker has worked on {tmp_path} yet"
    alive.renew(tmp_path)
    assert alive.problem(tmp_path) == ""
    now = alive.time.time()
    monkeypatch.setattr(alive.time, "time", lambda: now + 60)
    assert "has not worked for 60 s" in alive.problem(tmp_path)
    alive.forget(tmp_path)
    assert "has worked on" in alive.problem(tmp_path)
