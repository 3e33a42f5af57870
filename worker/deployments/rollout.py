"""The way of one version from uploaded to current. Each step may be repeated: a killed worker starts over where it was.

A step that fails is recorded on the version, for `Client.watch` and the console. Nothing else changes: the version that
was current before stays current.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from temporalio.service import RPCError, RPCStatusCode

from gateways.wire import Manifest
from runllm.bridge.listeners import Listener
from runllm.cli.children import NotReady
from runllm.errors import PublishError
from store import published
from store.listening import place_of
from store.models import Version
from worker.deployments.draining import who_stays
from worker.deployments.environment import for_customer_code
from worker.deployments.judging import JudgeError, ask
from worker.deployments.means import Means
from worker.deployments.verdicts import CheckBundle, Checked, Replayed, ReplayRecent, Unpacked

VALIDATION_SECONDS = 20.0
REPLAY_SECONDS = 20.0
HOST_SECONDS = 30.0
REGISTRATION_SECONDS = 30.0
_POLL_SECONDS = 0.1


class StepFailed(Exception):
    """A step cannot be done; the text tells the publisher why."""


class Rollout:
    """Takes one version as far as it can go."""

    def __init__(self, means: Means, version: Version) -> None:
        self._means = means
        self._store = means.store
        self._version = version
        self._id = version.id

    async def advance(self) -> None:
        """Does the steps that are left, until the version is current or a step fails."""
        async with self._store.read() as db:
            self._version = await published.get_version(db, self._id) or self._version
        steps: dict[str, Callable[[], Awaitable[Version]]] = {
            "uploaded": self._validate,
            "validated": self._replay,
            "replayed": self._load,
            "loaded": self._switch,
        }
        while (step := steps.get(self._version.status)) is not None:
            try:
                self._version = await step()
            except (StepFailed, published.IllegalMoveError):  # recorded; or superseded, or another worker was quicker
                return

    # The steps

    async def _validate(self) -> Version:
        await self._set("uploaded", "done")
        async with self._step("validated"):
            try:
                unpacked = await self._means.unpacked(self._version)
            except PublishError as error:
                raise StepFailed(str(error)) from None
            question = CheckBundle(version=unpacked, listeners=await self._listeners())
            environment = for_customer_code(self._means.environ, temporal=False)
            try:
                checked = await ask("worker.deployments.validate", question, Checked, environment, VALIDATION_SECONDS)
            except JudgeError as error:
                raise StepFailed(f"The bundle cannot be checked. {error}") from None
            if checked.manifest is None:
                raise StepFailed("\n".join(checked.problems))
            await self._refuse_overlap(checked.manifest.listeners)
            async with self._store.begin() as db:
                await published.set_manifest(db, self._id, checked.manifest.model_dump(mode="json"))
                await published.set_step(db, self._id, "validated", "done", _summary(checked.manifest))
                return await published.set_status(db, self._id, "validated")

    async def _replay(self) -> Version:
        async with self._step("replayed"):
            unpacked = await self._means.unpacked(self._version)
            self._means.hosts.start(unpacked)  # it loads while histories are replayed
            return await self._done("replayed", await self._replayed(unpacked))

    async def _load(self) -> Version:
        async with self._step("loaded"):
            child = self._means.hosts.start(await self._means.unpacked(self._version))
            try:
                await child.wait_ready(HOST_SECONDS)
            except NotReady as error:
                raise StepFailed(f"The {error}") from None
            return await self._done("loaded")

    async def _switch(self) -> Version:
        self._means.hosts.start(await self._means.unpacked(self._version))
        async with self._step("registered"):
            await self._until_registered()
            await self._set("registered", "done")
        async with self._step("current"), self._means.switching:
            await self._refuse_overlap(await self._listeners())
            stay = await who_stays(self._means, self._version)
            try:
                await self._make_current()
                async with self._store.begin() as db:
                    await published.set_step(db, self._id, "current", "done", stay)
                    return await published.make_current(db, self._id)
            except (published.IllegalMoveError, asyncio.CancelledError):  # superseded at the last moment
                await asyncio.shield(self._back_to_recorded())
                raise

    # Their parts

    async def _listeners(self) -> list[Listener]:
        async with self._store.read() as db:
            if self._version.manifest is not None:
                return Manifest.model_validate(self._version.manifest).listeners
            return (await published.bundle_of(db, self._id)).listeners

    async def _refuse_overlap(self, listeners: list[Listener]) -> None:
        name = self._version.published_name
        async with self._store.begin() as db:
            found = await published.overlap(db, name, listeners)
        if found is not None:
            other, listener = found
            raise StepFailed(
                f"{name!r} and {other!r} both listen to {place_of(listener)}, so nobody could say which one is to "
                "answer. Change the listener of one of them."
            )

    async def _replayed(self, unpacked: Unpacked) -> str:
        environment = for_customer_code(self._means.environ, temporal=True)
        found = self._means.client.list_workflows(f"WorkflowType='{self._version.published_name}'", limit=1)
        if not [execution async for execution in found]:
            return Replayed().sentence()
        try:
            replayed = await ask(
                "worker.deployments.replay", ReplayRecent(version=unpacked), Replayed, environment, REPLAY_SECONDS
            )
        except JudgeError as error:
            return f"recent conversations could not be replayed. {error}"
        if replayed.failure:
            raise StepFailed(replayed.failure)
        return replayed.sentence()

    async def _until_registered(self) -> None:
        name, build_id = self._version.published_name, self._version.build_id
        deadline = time.monotonic() + REGISTRATION_SECONDS
        while not await self._means.versions.is_registered(name, build_id):
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"Temporal does not know of the host of {name} {build_id} after {REGISTRATION_SECONDS:.0f} s. "
                    "Does the worker's TEMPORAL_ADDRESS lead to the same server as its hosts'?"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _make_current(self) -> None:
        """Tries until Temporal's parts agree that this version polls the queue that it has to."""
        deadline = time.monotonic() + REGISTRATION_SECONDS
        while True:
            try:
                async with asyncio.timeout(REGISTRATION_SECONDS):
                    return await self._means.versions.make_current(self._version.published_name, self._version.build_id)
            except TimeoutError:
                raise StepFailed("Temporal has not told all its parts of the new version; publish again.") from None
            except RPCError as error:
                if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                    raise
                if time.monotonic() > deadline:
                    raise StepFailed(f"Temporal does not make this version current: {error.message}") from None
            await asyncio.sleep(_POLL_SECONDS)

    async def _back_to_recorded(self) -> None:
        async with self._store.read() as db:
            workflow = await published.by_name(db, self._version.published_name)
        if workflow is not None and workflow.current_build is not None:
            await self._means.versions.make_current(workflow.name, workflow.current_build)

    # The record of them

    @asynccontextmanager
    async def _step(self, step: published.Step) -> AsyncIterator[None]:
        await self._set(step, "running")
        try:
            yield
        except StepFailed as error:
            async with self._store.begin() as db:
                await published.set_step(db, self._id, step, "failed", str(error))
                await published.set_status(db, self._id, "failed", error=str(error))
            raise
        except published.IllegalMoveError:
            await self._set(step, "skipped", "a newer version was published")
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._skip_if_superseded(step))
            raise

    async def _done(self, step: Literal["replayed", "loaded"], detail: str = "") -> Version:
        async with self._store.begin() as db:
            await published.set_step(db, self._id, step, "done", detail)
            return await published.set_status(db, self._id, step)

    async def _set(self, step: published.Step, state: published.StepState, detail: str = "") -> None:
        async with self._store.begin() as db:
            await published.set_step(db, self._id, step, state, detail)

    async def _skip_if_superseded(self, step: published.Step) -> None:
        async with self._store.read() as db:
            version = await published.get_version(db, self._id)
        if version is not None and version.status not in published.PREPARING:
            await self._set(step, "skipped", "a newer version was published")


def _summary(manifest: Manifest) -> str:
    handlers = manifest.handler_names()
    text = f"{len(handlers)} handlers: {', '.join(handlers)}" if len(handlers) > 1 else f"1 handler: {handlers[0]}"
    return "\n".join((text, *(f"warning: {warning}" for warning in manifest.warnings)))
