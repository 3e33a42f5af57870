"""The containers of docker-compose.yml, started and stopped as a user would, with every command and its time shown."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES = ("temporal", "gateways", "worker")
BARE, SCRIPTED = "tests/compose/bare.yml", "tests/compose/scripted.yml"


@dataclass
class Containers:
    """One project of Docker Compose, with ports and volumes of its own.

    Attributes:
        tool: What comes before `docker`, on a machine where the engine has to be reached in some way.
        url: Where the gateways are.
        ui_url: Where Temporal's Web UI is.
    """

    tool: Sequence[str]
    ports: Sequence[int]
    files: list[str] = field(default_factory=lambda: ["docker-compose.yml", BARE])
    project: str = f"runllm-test-{os.getpid()}"
    began: float = field(default_factory=time.monotonic)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    def up(self) -> None:
        """Starts what does not run as its file says, and waits until all is healthy."""
        self.compose("up", "--detach", "--wait", *SERVICES)

    def compose(self, *arguments: str, key: str = "") -> str:
        """Runs `docker compose`; returns what it prints."""
        self.say("$ docker compose " + " ".join(arguments))
        files = [word for file in self.files for word in ("--file", file)]
        command = [*self.tool, "docker", "compose", "--project-name", self.project, *files, *arguments]
        return _run(command, self._environment() | {"RUNLLM_API_KEY": key}).strip()

    def inside(self, service: str, *command: str, key: str = "") -> str:
        """Runs a command in a container, with the key if there is one."""
        return self.compose("exec", "-T", *(["-e", "RUNLLM_API_KEY"] if key else []), service, *command, key=key)

    def runllm(self, *arguments: str, key: str) -> str:
        """Runs `runllm` on this machine, outside the containers."""
        self.say("$ runllm " + " ".join(arguments))
        environment = {**os.environ, "RUNLLM_SERVER": self.url, "RUNLLM_API_KEY": key, "COLUMNS": "80"}
        command = [str(Path(sys.executable).parent / "runllm"), *arguments]
        printed = _run(command, environment)
        print(printed.rstrip(), flush=True)
        return printed

    def say(self, what: str) -> None:
        """Shows what happens, and when."""
        print(f"[{time.monotonic() - self.began:5.0f} s] {what}", flush=True)

    def _environment(self) -> dict[str, str]:
        names = ("RUNLLM_PORT", "RUNLLM_TEMPORAL_UI_PORT", "RUNLLM_TEMPORAL_PORT")
        ours = {name: str(port) for name, port in zip(names, self.ports, strict=True)}
        return {**os.environ, **ours, "COMPOSE_DISABLE_ENV_FILE": "1"}


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@contextmanager
def containers() -> Iterator[Containers | None]:
    """The built containers' project; None where this machine has no engine. Nothing of it is left but the image."""
    ports = free_ports(3)
    tool = os.environ.get("COMPOSE_ENGINE", "")
    if has_engine():
        tool = ""
    elif not tool:
        yield None
        return
    else:  # a program that brings an engine to a machine without one
        subprocess.run([tool, "up", ",".join(map(str, ports))], check=True, stdin=subprocess.DEVNULL)
    found = Containers([tool, "run"] if tool else [], ports)
    try:
        yield found
    finally:
        found.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
        if tool:
            subprocess.run([tool, "down"], check=True, stdin=subprocess.DEVNULL)


def has_engine() -> bool:
    """Whether Docker Compose works here."""
    if shutil.which("docker") is None:
        return False
    asked = [["docker", "info"], ["docker", "compose", "version"]]
    return all(subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0 for words in asked)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, below those that the system hands out by itself."""
    found: list[int] = []
    for number in range(20000 + os.getpid() % 8000, 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
        found.append(number)
        if len(found) == count:
            break
    return found
