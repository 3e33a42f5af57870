"""`python -m worker`: the supervisor. It keeps an activity worker and the session hosts running, and deploys versions.

It prints `ready` once it does. It stops, with all its children, on SIGTERM, on SIGINT and, with RUNLLM_TETHER=1, when
its standard input ends.
"""

import asyncio
import fcntl
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from runllm.cli.children import Child, Command
from store.engine import StoreError, database_url
from worker import alive
from worker.deployments.connecting import connect
from worker.deployments.deployer import Deployer
from worker.deployments.hosts import Hosts
from worker.deployments.means import Means
from worker.deployments.settings import WorkerSettings
from worker.deployments.versions import Versions, register_search_attributes
from worker.running import open_store, until_stopped

LEFTOVER_SECONDS = 10.0
"""A worker whose parent was killed needs so long to end."""

log = logging.getLogger("runllm.worker")


def main() -> None:
    """Runs until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        settings = WorkerSettings.from_env(os.environ)
        with _only_one(settings.store.home):
            asyncio.run(until_stopped(supervise(settings, dict(os.environ)), is_tethered=settings.is_tethered))
    except (StoreError, ValueError) as error:
        sys.exit(f"worker: {error}")


async def supervise(settings: WorkerSettings, environ: Mapping[str, str]) -> None:
    """Works until it is cancelled."""
    home = settings.store.home
    alive.forget(home)
    database_url(settings.store.database_url)  # one that can never be used is refused at once
    store = await open_store(settings.store.database_url, log)
    activities = Child(_activities(home, environ), log.warning)
    hosts = Hosts(home, environ, log.warning)
    try:
        activities.start()
        client = await connect(settings.temporal)
        await _register(client)
        means = Means(store, client, Versions(client), hosts, home, environ)
        print("ready", flush=True)
        deployer = Deployer(means, holder=f"{socket.gethostname()}:{home}")
        saying = asyncio.create_task(_say_alive(home, activities, deployer))
        try:
            await deployer.run()
        finally:
            saying.cancel()
    finally:
        await asyncio.gather(activities.stop(), hosts.stop_all())
        await store.close()


async def _register(client: Client) -> None:
    while True:
        try:
            return await register_search_attributes(client)
        except RPCError as error:
            log.warning("Temporal does not take the search attributes yet; trying again: %s", error)
        await asyncio.sleep(0.5)


async def _say_alive(home: Path, activities: Child, deployer: Deployer) -> None:
    """As long as both halves work: a worker that only runs is none."""
    while True:
        if activities.is_ready and time.monotonic() - deployer.looked_at < alive.STALE_SECONDS:
            alive.renew(home)
        await asyncio.sleep(alive.RENEW_SECONDS)


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Two workers on one home would both take themselves for the one that deploys."""
    home.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LEFTOVER_SECONDS
    with (home / "worker.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    sys.exit(f"worker: another worker runs on {home}. Stop it, or set RUNLLM_HOME for this one.")
                time.sleep(0.1)
        yield


def _activities(home: Path, environ: Mapping[str, str]) -> Command:
    return Command(
        name="activity worker",
        arguments=(sys.executable, "-P", "-m", "worker.activities"),
        log=home / "logs" / "activities.log",
        environment={**environ, "RUNLLM_TETHER": "1"},
    )


if __name__ == "__main__":
    main()
