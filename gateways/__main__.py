"""`python -m gateways`: serves until it is told to stop."""

import asyncio
import gc
import logging
import os
import signal
import sys

from aiohttp import web

from gateways.server import application, runner
from gateways.settings import GatewaySettings
from gateways.temporal import Temporal
from runllm.cli.tether import when_stdin_ends
from store.engine import Store, StoreError

_UNUSABLE = 2


def main() -> None:
    """Reads the environment, serves, and turns what cannot work into one sentence and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        settings = GatewaySettings.from_env(os.environ)
        asyncio.run(serve(settings))
    except (ValueError, StoreError, _PortTakenError) as error:
        print(f"gateways: {error}", file=sys.stderr)
        sys.exit(_UNUSABLE)


class _PortTakenError(Exception):
    """Somebody else listens on our port."""


async def serve(settings: GatewaySettings) -> None:
    """Serves until a signal, or until whoever started us has gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.is_tethered:
        when_stdin_ends(lambda: loop.call_soon_threadsafe(stop.set))
    store = await Store.open(settings.store.database_url)
    run = runner(application(settings, store, Temporal(settings.temporal)))
    try:
        await run.setup()
        await _listen(run, settings)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not look through it again
        await stop.wait()
    finally:
        await run.cleanup()
        await store.close()


async def _listen(run: web.AppRunner, settings: GatewaySettings) -> None:
    try:
        await web.TCPSite(run, settings.host, settings.port).start()
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise _PortTakenError(
            f"Port {settings.port} cannot be used ({where}: {reason}). "
            "Stop the program that uses it, or set RUNLLM_PORT to another port."
        ) from error
    host, port = run.addresses[0][:2]
    logging.getLogger(__name__).info("listening on http://%s:%d", host, port)


if __name__ == "__main__":
    main()
