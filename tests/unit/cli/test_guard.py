"""`runllm dev` checks before it starts anything, and says which setting to change."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runllm.cli import temporal
from runllm.cli.guard import Port, check_ports, only_one
from runllm.cli.local import Places
from runllm.cli.refusal import RefusalError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_free_ports_are_fine(free: int) -> None:
    check_ports([Port(free, "the gateways", "RUNLLM_PORT")])


def test_a_taken_port_is_named_with_the_setting_to_change(taken: int, free: int) -> None:
    with pytest.raises(RefusalError) as refused:
        check_ports([Port(free, "the gateways", "RUNLLM_PORT"), Port(taken, "the Temporal server", "RUNLLM_T")])

    assert str(refused.value) == (
        f"Port {taken}, for the Temporal server, is taken. Stop the program that listens there, or set RUNLLM_T to "
        "another port."
    )
    assert refused.value.code == 2


def test_a_port_cannot_be_used_twice(free: int) -> None:
    with pytest.raises(RefusalError, match=r"asked for twice, for a and for b: set A or B to another port\."):
        check_ports([Port(free, "a", "A"), Port(free, "b", "B")])


def test_all_ports_of_the_engine_are_checked() -> None:
    places = Places(Path("/home"), port=1, temporal_port=2, ui_port=3)

    assert [(port.number, port.setting) for port in places.ports()] == [
        (1, "RUNLLM_PORT"),
        (2, "RUNLLM_TEMPORAL_PORT"),
        (3, "RUNLLM_TEMPORAL_UI_PORT"),
    ]


def test_a_home_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(RefusalError, match=r"already runs on .*home \(process \d+\)\. Stop it first, or set")
    with only_one(tmp_path / "home"), refused, only_one(tmp_path / "home"):
        pass
    with only_one(tmp_path / "home"):
        pass


def test_leftovers_are_waited_for_after_a_kill_only(tmp_path: Path) -> None:
    with only_one(tmp_path) as patience:
        assert patience == 0
    code = (
        "import os, signal, sys; from pathlib import Path; from runllm.cli.guard import only_one\n"
        "with only_one(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)

    with only_one(tmp_path) as patience:
        assert patience > 0


def test_another_temporals_settings_do_not_reach_the_engine() -> None:
    environment = Places(Path("/home"), temporal_port=1).environment(
        {"TEMPORAL_ADDRESS": "cloud:7233", "TEMPORAL_API_KEY": "secret", "RUNLLM_SECRET": "s", "PATH": "/bin"}
    )

    assert environment["TEMPORAL_ADDRESS"] == "127.0.0.1:1"
    assert "TEMPORAL_API_KEY" not in environment
    assert environment["RUNLLM_SECRET"] == "s"


def test_the_server_is_tuned(tmp_path: Path) -> None:
    command = temporal.server(tmp_path, 1, 2, {})

    words = " ".join(command.arguments)
    assert "--sqlite-pragma journal_mode=wal --sqlite-pragma synchronous=normal" in words
    assert "history.transferProcessorMaxPollRPS=5000" in words
    assert f"--db-filename {tmp_path}/temporal.db" in words


def test_the_command_says_what_to_install_where_its_libraries_are_missing() -> None:
    code = "import sys; sys.modules['typer'] = None; from runllm.cli import main; main()"

    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert ended.returncode == 1
    assert "needs typer, which is not installed" in ended.stderr
    assert "pip install 'runllm-engine[cli]'" in ended.stderr
