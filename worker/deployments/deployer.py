"""Keeps what runs in step with what was published. It looks at the record again and again: it may be killed anywhere.

Every worker runs a host for each live version. One worker at a time, the holder of a lease, takes new versions through
their steps and old ones out.
"""

import asyncio
import logging
import math
import time
from contextlib import suppress

from temporalio.service import RPCError

from store import leases, published
from store.models import Version
from worker.deployments.draining import Draining
from worker.deployments.means import Means
from worker.deployments.rollout import Rollout

LEASE_SECONDS = 15.0
RENEW_SECONDS = 4.0
LOOK_SECONDS = 0.25
AFTER_ERROR_SECONDS = 2.0
SOONEST_TEND, LATEST_TEND = 0.5, 15.0

_Key = tuple[str, str | int]

log = logging.getLogger(__name__)


class Deployer:
    """The loop of one worker."""

    def __init__(self, means: Means, holder: str) -> None:
        self._means = means
        self._holder = holder
        self._jobs: dict[_Key, asyncio.Task[None]] = {}
        self._not_before: dict[_Key, float] = {}
        self._builds: dict[str, str | None] = {}
        self._draining: dict[str, Draining] = {}
        self._renewed = -RENEW_SECONDS
        self._is_leader = False
        self.looked_at = -math.inf
        """When it last saw what is published, by the monotonic clock."""

    async def run(self) -> None:
        """Works until it is cancelled; then stops its jobs and gives the lease back."""
        try:
            while True:
                try:
                    await self._look()
                    self.looked_at = time.monotonic()
                except Exception:  # the database is away for a moment, say: the next look finds everything as it was
                    log.exception("cannot look at what is published; trying again")
                    await asyncio.sleep(AFTER_ERROR_SECONDS)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._drop(list(self._jobs))
            with suppress(Exception):
                async with self._means.store.begin() as db:
                    await leases.release(db, leases.DEPLOYER, self._holder)

    async def _look(self) -> None:
        async with self._means.store.read() as db:
            live = await published.live(db)
            workflows = await published.workflows(db)
        await self._run_hosts(live)
        await self._renew()
        wanted: dict[_Key, Version | str] = {}
        if self._is_leader:
            wanted |= {("rollout", v.id): v for v in live if v.wanted and v.status in published.PREPARING}
            wanted |= {("tend", workflow.name): workflow.name for workflow in workflows}
        await self._drop([key for key in self._jobs if key not in wanted])
        for workflow in workflows:  # a switch: look after the older versions at once
            if self._builds.get(workflow.name, workflow.current_build) != workflow.current_build:
                await self._drop([("tend", workflow.name)])
            self._builds[workflow.name] = workflow.current_build
        for key, subject in wanted.items():
            self._ensure_job(key, subject)

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed < RENEW_SECONDS:
            return
        async with self._means.store.begin() as db:
            leads = await leases.acquire(db, leases.DEPLOYER, self._holder, LEASE_SECONDS)
        self._renewed = time.monotonic()
        if leads != self._is_leader:
            log.info("this worker %s the versions of all workers", "now deploys" if leads else "no longer deploys")
        self._is_leader = leads

    async def _run_hosts(self, live: list[Version]) -> None:
        hosts = self._means.hosts
        versions = {(version.published_name, version.build_id): version for version in live}
        for key in hosts.running() - versions.keys():
            hosts.stop(key)
        for key in versions.keys() - hosts.running():
            if versions[key].status == "uploaded":  # nobody knows yet whether it can be loaded
                continue
            try:
                hosts.start(await self._means.unpacked(versions[key]))
            except Exception:  # one version that cannot be unpacked, on a full disk say, does not hold up the others
                log.exception("%s %s cannot be started; trying again", *key)

    def _ensure_job(self, key: _Key, subject: Version | str) -> None:
        job = self._jobs.get(key)
        if job is not None and job.done():
            del self._jobs[key]
            if (error := job.exception()) is not None:
                is_away = isinstance(error, RPCError)  # Temporal is being restarted, or has too much to do
                log.warning("%s %s: trying again: %s", *key, error, exc_info=None if is_away else error)
                self._not_before[key] = time.monotonic() + AFTER_ERROR_SECONDS
        if key not in self._jobs and time.monotonic() >= self._not_before.get(key, 0.0):
            work = self._tend(subject) if isinstance(subject, str) else Rollout(self._means, subject).advance()
            self._jobs[key] = asyncio.create_task(work, name=f"{key[0]} {key[1]}")

    async def _tend(self, name: str) -> None:
        draining = self._draining.setdefault(name, Draining(self._means, name))
        pause = SOONEST_TEND
        while True:
            pause = min(1.3 * pause, LATEST_TEND) if await draining.tend() else 2 * LATEST_TEND
            await asyncio.sleep(pause)

    async def _drop(self, keys: list[_Key]) -> None:
        jobs = [self._jobs.pop(key) for key in keys if key in self._jobs]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
