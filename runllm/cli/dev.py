"""`runllm dev`: the whole engine on one machine, as child processes of this one."""

import asyncio
import errno
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runllm.cli import first_steps
from runllm.cli.children import Child, Command, NotReady
from runllm.cli.temporal_server import temporal_server

EXAMPLES = Path(__file__).parents[2] / "examples"
"""The sample documentation and the example workflow of a checkout."""

READY_SECONDS = 60.0
"""How long one process may take until it is ready, on a slow machine."""

HOST = "127.0.0.1"


class CannotStart(Exception):
    """`runllm dev` cannot start; the text says what to change."""


@dataclass(frozen=True)
class DevSettings:
    """What the command was told.

    Attributes:
        home: Where everything is kept.
        port: Of the gateways.
        temporal_port: Of the Temporal server.
        ui_port: Of its Web UI.
        docs: Documentation to index.
        workflow: A script that publishes a workflow.
        environment: What child processes inherit.
    """

    home: Path
    port: int
    temporal_port: int
    ui_port: int
    docs: Path | None = None
    workflow: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the gateways are."""
        return f"http://{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Where Temporal's Web UI is."""
        return f"http://{HOST}:{self.ui_port}"

    def for_children(self) -> dict[str, str]:
        """The environment of the engine's processes."""
        return {
            **self.environment,
            "RUNLLM_HOME": str(self.home),
            "RUNLLM_HOST": HOST,
            "RUNLLM_PORT": str(self.port),
            "RUNLLM_GATEWAY_URL": self.url,
            "RUNLLM_TEMPORAL_UI_URL": self.ui_url,
            "RUNLLM_TETHER": "1",
            "TEMPORAL_ADDRESS": f"{HOST}:{self.temporal_port}",
            "TEMPORAL_NAMESPACE": "default",
        }


async def serve(settings: DevSettings) -> None:
    """Starts everything, and serves until Ctrl-C, SIGTERM or SIGHUP. No process is left then.

    Raises:
        CannotStart: A port is taken, the home is in use, a file is missing, or a process does not become ready.
    """
    for path in (settings.docs, settings.workflow):
        if path is not None and not path.exists():
            raise CannotStart(f"{path} does not exist. Name another with --docs or --workflow, or use --no-example.")
    settings.home.mkdir(parents=True, exist_ok=True)
    with _only_one(settings.home):
        _check_ports(settings)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        children = _children(settings)
        try:
            if await _unless(stop, _start(settings, children)):
                await stop.wait()
        except NotReady as error:
            raise CannotStart(str(error)) from None
        finally:
            say("\nStopping…")
            for child in reversed(children):  # the worker first: it may have something to tell Temporal
                await child.stop()
            say("Stopped. Conversations are kept in " + _short(settings.home))


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    with suppress(BrokenPipeError):
        print(line, flush=True)


async def _start(settings: DevSettings, children: list[Child]) -> None:
    temporal, gateways, worker = children
    began = time.monotonic()
    say(f"Starting in {_short(settings.home)}")
    temporal.start()
    await _listening(temporal, settings.temporal_port)
    say(f"  Temporal server     {HOST}:{settings.temporal_port}")
    gateways.start()
    await _listening(gateways, settings.port)
    say(f"  gateways            {settings.url}")
    worker.start()
    await worker.wait_ready(READY_SECONDS)
    say("  worker              ready")
    key, login = await first_steps.credentials(settings.home, settings.for_children())
    if settings.docs is not None:
        await first_steps.index(settings.url, key, settings.docs, say)
    if settings.workflow is not None:
        await first_steps.publish(settings.url, key, settings.workflow, settings.for_children(), say)
    say(_where_to_look(settings, login, time.monotonic() - began))


def _where_to_look(settings: DevSettings, login: str, seconds: float) -> str:
    query = "workflows?query=ExecutionStatus%3D%22Running%22"
    return f"""
Ready after {seconds:.0f} s.

  Demo page           {settings.url}/demo
  Admin console       {settings.url}/console/login?token={login}
                      (the link is good for ten minutes; later, log in with the key)
  Temporal Web UI     {settings.ui_url}/namespaces/default/{query}
  API key             {_short(settings.home / "api_key")}
  Logs                {_short(settings.home / "logs")}

Ctrl-C stops everything."""


def _children(settings: DevSettings) -> list[Child]:
    environment, logs = settings.for_children(), settings.home / "logs"
    commands = [
        temporal_server(settings.home, settings.temporal_port, settings.ui_port, settings.environment),
        Command("gateways", (sys.executable, "-P", "-m", "gateways"), logs / "gateways.log", environment),
        Command("worker", (sys.executable, "-P", "-m", "worker"), logs / "worker.log", environment, says_ready=True),
    ]
    return [Child(command, lambda line: say(f"  {line}")) for command in commands]


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Does the work unless it is stopped before it is done. Returns whether it was done."""
    working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return False
    await working
    return not stop.is_set()


async def _listening(child: Child, port: int) -> None:
    """Waits until the child's port takes connections; a child that keeps ending raises NotReady with its log."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            if child.starts > 2:
                break
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise NotReady(
        f"{child.command.name} does not take connections on port {port}. "
        f"The end of its log, {child.command.log}:\n{child.tail()}"
    )


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "dev.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"another `runllm dev` runs on {_short(home)}. Stop it, or set RUNLLM_HOME to another folder."
            ) from None
        yield


def _check_ports(settings: DevSettings) -> None:
    wanted = (
        (settings.port, "the gateways", "RUNLLM_PORT"),
        (settings.temporal_port, "the Temporal server", "RUNLLM_TEMPORAL_PORT"),
        (settings.ui_port, "Temporal's Web UI", "RUNLLM_TEMPORAL_UI_PORT"),
    )
    for port, whose, setting in wanted:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, port))
            except (OSError, OverflowError) as error:
                is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
                raise CannotStart(
                    f"port {port}, for {whose}, {'is taken' if is_taken else f'cannot be used ({error})'}. "
                    f"Stop the program that uses it, or set {setting} to another port."
                ) from None


def _short(path: Path) -> str:
    """A path as people write it: relative to where they are."""
    with suppress(ValueError):
        return os.path.join(".", str(path.relative_to(Path.cwd())))
    return str(path)
