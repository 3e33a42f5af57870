"""The engine on this machine: Temporal, gateways and worker as child processes that are kept running."""

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from runllm.cli import temporal
from runllm.cli.children import Child, Command, stop_all
from runllm.cli.guard import Port
from runllm.cli.refusal import FAILED, RefusalError

START_SECONDS = 60.0
_POLL_SECONDS = 0.1
_GRACE = 10.0


@dataclass(frozen=True)
class Places:
    """Where the engine keeps things and listens.

    Attributes:
        home: Directory of everything it keeps.
        host: Address that the gateways listen on.
        port: Port of the gateways.
        temporal_port: Port of the Temporal server.
        ui_port: Port of Temporal's Web UI.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8080
    temporal_port: int = 7233
    ui_port: int = 8233

    @property
    def local_url(self) -> str:
        """Where programs on this machine reach the gateways."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where people reach the gateways: widgets of `localhost` are served."""
        return f"http://localhost:{self.port}"

    @property
    def ui_url(self) -> str:
        """Temporal's Web UI."""
        return f"http://localhost:{self.ui_port}"

    def ports(self) -> list[Port]:
        """All ports, each with the setting that chooses another."""
        return [
            Port(self.port, "the gateways", "RUNLLM_PORT", self.host),
            Port(self.temporal_port, "the Temporal server", "RUNLLM_TEMPORAL_PORT"),
            Port(self.ui_port, "Temporal's Web UI", "RUNLLM_TEMPORAL_UI_PORT"),
        ]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of the engine's processes: that of this one, without another Temporal's settings."""
        kept = {name: value for name, value in environ.items() if not name.startswith("TEMPORAL_")}
        return kept | {
            "RUNLLM_HOME": str(self.home),
            "RUNLLM_HOST": self.host,
            "RUNLLM_PORT": str(self.port),
            "RUNLLM_GATEWAY_URL": self.local_url,
            "RUNLLM_TEMPORAL_UI_URL": self.ui_url,
            "RUNLLM_TETHER": "1",
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.temporal_port}",
            "TEMPORAL_CONFIG_FILE": str(self.home / "temporal.toml"),  # not the one of the user's home directory
            "PYTHONUNBUFFERED": "1",
        }


class LocalEngine:
    """The engine's processes."""

    def __init__(self, places: Places, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.places = places
        self.environment = places.environment(environ)
        self._temporal = Child(
            temporal.server(places.home, places.temporal_port, places.ui_port, self.environment), say
        )
        self._gateways = Child(self._python("gateways", says_ready=False), say)
        self._worker = Child(self._python("worker", says_ready=True), say)

    async def start(self) -> None:
        """Starts all processes, and returns when they do their work.

        Raises:
            RefusalError: One does not; the text ends with what it wrote.
        """
        children = (self._temporal, self._gateways, self._worker)
        for child in children:
            child.start()
        try:
            async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
                while not (self._worker.is_ready and await self._is_healthy(http)):
                    if (broken := next((child for child in children if child.keeps_ending), None)) is not None:
                        raise RefusalError(f"{broken.command.name} keeps ending. {_end_of_log(broken)}", FAILED)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            late = self._gateways if self._worker.is_ready else self._worker
            raise RefusalError(
                f"{late.command.name} does not work after {START_SECONDS:.0f} s. {_end_of_log(late)}", FAILED
            ) from None

    async def stop(self) -> None:
        """Stops all processes; the Temporal server last, because the others finish their work with it."""
        await stop_all([self._gateways, self._worker], _GRACE)
        await self._temporal.stop(_GRACE)

    def kill(self) -> None:
        """Does not wait any longer."""
        for child in (self._gateways, self._worker, self._temporal):
            child.kill()

    async def _is_healthy(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(f"{self.places.local_url}/healthz")).is_success
        except httpx.TransportError:
            return False

    def _python(self, module: str, *, says_ready: bool) -> Command:
        return Command(
            name=module,
            arguments=(sys.executable, "-P", "-m", module),
            log=self.places.home / "logs" / f"{module}.log",
            environment=self.environment,
            says_ready=says_ready,
        )


def _end_of_log(child: Child) -> str:
    return f"The end of its log, {child.command.log}:\n{child.tail()}"


def check_installed() -> None:
    """Refuses where only the SDK is installed."""
    missing = [name for name in ("gateways", "worker", "temporalio") if importlib.util.find_spec(name) is None]
    if missing:
        raise RefusalError(
            f"`runllm dev` runs the whole engine, and {missing[0]} is not installed here. "
            "Install it with `pip install 'runllm-engine[engine]'`, or `pip install '.[engine]'` in a checkout."
        )
    temporal.binary()
