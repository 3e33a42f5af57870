"""`python -m worker.deployments.host`: serves the sessions of one version, and nothing else.

The first line of standard input says which version. It stays open as long as the parent lives; its end is the word to
stop. The line `ready` on standard output says that sessions are being taken.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

from temporalio.worker import Worker

from runllm.cli.children import HOPELESS
from runllm.cli.tether import when_stdin_ends
from worker.deployments import import_errors
from worker.deployments.channel import take_output
from worker.deployments.connecting import connect
from worker.deployments.settings import temporal_connection
from worker.deployments.verdicts import Unpacked
from worker.session.hosting import prepare, session_worker

_LAST_SECONDS = 5.0
"""After the word to stop: a handler that never ends must not keep the process."""

log = logging.getLogger("runllm.host")


def main() -> None:
    """Serves until standard input ends or somebody sends SIGTERM."""
    answers = take_output()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    version = Unpacked.model_validate_json(_first_line())
    try:
        prepare(version.published())
    except BaseException as error:
        log.error("%s %s cannot be loaded:\n%s", version.name, version.build_id, _problem(error, version))
        sys.exit(HOPELESS)
    try:
        asyncio.run(serve(version, answers))
    except BaseException:
        log.exception("%s %s stops serving", version.name, version.build_id)
        os._exit(1)
    os._exit(0)  # a handler that never ends, or a thread that customer code left behind, does not keep the process


async def serve(version: Unpacked, answers: BinaryIO) -> None:
    """Connects, polls, says so, and stops when told."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        threading.Timer(_LAST_SECONDS, os._exit, (1,)).start()
        loop.call_soon_threadsafe(stop.set)

    when_stdin_ends(end)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    serving = asyncio.create_task(_serve(version, answers))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    else:
        serving.cancel()  # a worker that is cancelled shuts down as it should
        with suppress(asyncio.CancelledError):
            await serving


async def _serve(version: Unpacked, answers: BinaryIO) -> None:
    client = await connect(temporal_connection(os.environ))
    worker = session_worker(client, version.published())
    running = asyncio.create_task(worker.run())
    try:
        await _polling(worker, running)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not look through it while a session waits
        answers.write(b"ready\n")
        answers.flush()
        log.info("%s %s takes sessions", version.name, version.build_id)
        await asyncio.shield(running)
    finally:
        if worker.is_running:
            await worker.shutdown()


async def _polling(worker: Worker, running: asyncio.Task[None]) -> None:
    while not worker.is_running:
        if running.done():
            return await running
        await asyncio.sleep(0.01)


def _first_line() -> bytes:
    """Read without a buffer, so that the rest of standard input is there for the tether."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("a session host is started by the worker: standard input says which version it serves")
        line += byte
    return bytes(line)


def _problem(error: BaseException, version: Unpacked) -> str:
    return import_errors.problem(error, version.directory)


if __name__ == "__main__":
    main()
