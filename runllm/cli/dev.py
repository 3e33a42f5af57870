"""`runllm dev`: the whole engine on this machine, until Ctrl-C."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from runllm.cli import furnishing
from runllm.cli.furnishing import EXAMPLES, Furniture
from runllm.cli.guard import check_ports, only_one
from runllm.cli.local import LocalEngine, Places, check_installed
from runllm.cli.refusal import RefusalError


def command(
    home: Annotated[Path, typer.Option(envvar="RUNLLM_HOME", help="Where everything is kept.")] = Path(".runllm"),
    host: Annotated[str, typer.Option(envvar="RUNLLM_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="RUNLLM_PORT", help="Port of widget, console and API.")] = 8080,
    temporal_port: Annotated[
        int, typer.Option(envvar="RUNLLM_TEMPORAL_PORT", help="Port of the Temporal server.")
    ] = 7233,
    ui_port: Annotated[int, typer.Option(envvar="RUNLLM_TEMPORAL_UI_PORT", help="Port of Temporal's Web UI.")] = 8233,
    example: Annotated[bool, typer.Option(help="Index the sample documents and publish the example.")] = True,
    docs: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Index this folder instead of the sample.")
    ] = None,
    workflow: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Run this script to publish, not the example.")
    ] = None,
) -> None:
    """Start the whole engine on this machine, and serve until Ctrl-C.

    Starts a Temporal server with its Web UI, the gateways and the worker, and starts again whichever of them ends.
    Conversations are kept: the next start finds them.
    """
    console = Console(highlight=False)
    places = Places(home.absolute(), host, port, temporal_port, ui_port)
    furniture = Furniture(
        workflow=workflow.absolute() if workflow else _sample(EXAMPLES / "answer_or_escalate.py", example),
        docs=docs.absolute() if docs else _sample(EXAMPLES / "docs", example),
    )
    try:
        check_installed()
        with only_one(places.home) as patience:
            check_ports(places.ports(), patience)
            asyncio.run(Dev(places, furniture, os.environ, console).run())
    except RefusalError as error:
        console.print(f"[red]runllm dev:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(error.code) from None


def _sample(path: Path, is_wanted: bool) -> Path | None:
    return path if is_wanted and path.exists() else None


class Dev:
    """One run of the engine: start, furnish, serve, stop."""

    def __init__(self, places: Places, furniture: Furniture, environ: Mapping[str, str], console: Console) -> None:
        self._places = places
        self._furniture = furniture
        self._console = console
        self._is_stopping = asyncio.Event()
        self._engine = LocalEngine(places, environ, self._say)

    async def run(self) -> None:
        """Serves until a signal says stop; whatever happens, no process is left.

        Raises:
            RefusalError: It could not be started.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop)
        serving = asyncio.create_task(self._serve())
        stopping = asyncio.create_task(self._is_stopping.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
        finally:
            stopping.cancel()
            serving.cancel()
            await asyncio.gather(serving, stopping, return_exceptions=True)
            await self._engine.stop()
        self._console.print("stopped; conversations are kept in", str(self._places.home), soft_wrap=True)

    async def _serve(self) -> None:
        with self._console.status("starting Temporal, the gateways and the worker"):
            await self._engine.start()
            key = await furnishing.api_key(self._engine)
        await self._furnish(key)
        await self._tell_where_to_look()
        await asyncio.Event().wait()

    async def _furnish(self, key: str) -> None:
        """What fails here is told, and the engine serves all the same: it can be done again by hand."""
        try:
            if self._furniture.docs is not None:
                with self._console.status("indexing documents") as status:
                    count = await furnishing.index(
                        self._engine, key, self._furniture.docs,
                        lambda done, total: status.update(f"indexing documents: {done} of {total}"),
                    )  # fmt: skip
                self._say(f"indexed {count} documents from {_short(self._furniture.docs)}")
            if self._furniture.workflow is not None:
                with self._console.status(f"publishing {self._furniture.workflow.name}"):
                    await furnishing.publish(self._engine, key, self._furniture.workflow, self._say)
        except (RefusalError, httpx.HTTPError) as error:
            self._console.print(f"[red]not done:[/] {escape(str(error))}", soft_wrap=True)

    async def _tell_where_to_look(self) -> None:
        token = await furnishing.login_token(self._engine)
        home = self._places.home
        rows = [
            ("Demo page", f"{self._places.url}/demo"),
            ("Admin console", f"{self._places.url}/console/login?token={token}"),
            ("", "(good for ten minutes; later, log in with the API key)"),
            ("Temporal Web UI", f"{self._places.ui_url}/namespaces/default/workflows"),
            ("API key", _short(home / "api_key")),
            ("Logs", _short(home / "logs")),
        ]
        self._console.print()
        for name, where in rows:
            self._console.print(f"  [bold]{name:<16}[/] {where}", soft_wrap=True)
        self._console.print("\n  Ctrl-C stops everything. Conversations are kept.\n")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)

    def _stop(self) -> None:
        if self._is_stopping.is_set():  # the second Ctrl-C
            self._engine.kill()
            return
        self._is_stopping.set()
        self._console.print("stopping; once more to stop at once")


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
