"""What is left when a version has become current: sessions of older ones move over, and what nobody needs goes."""

import logging
import time

from gateways.wire import Manifest
from store import published
from store.models import Version
from worker.deployments import sessions
from worker.deployments.means import Means

_MANY_VERSIONS = 75
"""Temporal keeps at most 100 versions of a deployment."""

_SOONEST_AGAIN, _LATEST_AGAIN = 2.0, 300.0
"""Seconds after which a record that could not be deleted is tried again; twice as many each time."""

log = logging.getLogger(__name__)


class Draining:
    """The older versions of one published workflow."""

    def __init__(self, means: Means, name: str) -> None:
        self._means = means
        self._name = name
        self._told: set[tuple[str, str]] = set()
        """Sessions by workflow id, with the build that they were told of."""
        self._delete_later: dict[str, tuple[float, float]] = {}
        """When a record may be tried again that could not be deleted, and how long it waited last."""
        self._said: dict[int, str] = {}
        """What is recorded of each version that drains."""
        self._finished: set[int] = set()
        """Versions that nothing is left of."""

    async def tend(self) -> bool:
        """Does what can be done now. Returns whether there will be more to do."""
        try:
            return await self._tend()
        except published.IllegalMoveError:  # a publish or a rollback came in between: look again
            return True

    async def _tend(self) -> bool:
        async with self._means.store.read() as db:
            versions = await published.versions_of(db, self._name)
        current = next((version for version in versions if version.status == "current"), None)
        draining = [version for version in versions if version.status == "draining"]
        self._forget(versions)
        notes = [await self._drain(version, current) for version in draining]
        if current is not None:
            await self._note(current, "; ".join(filter(None, notes)))
        leftovers = await self._tidy(versions)
        return bool(draining or leftovers)

    def _forget(self, versions: list[Version]) -> None:
        """A version that somebody rolled back to begins its way out anew."""
        for version in versions:
            if version.status != "draining":
                self._said.pop(version.id, None)
            if version.status not in ("retired", "failed"):
                self._finished.discard(version.id)
                self._delete_later.pop(version.build_id, None)

    async def _drain(self, old: Version, current: Version | None) -> str:
        """Moves sessions off a version, and retires it once it has none. Returns why some of its sessions stay."""
        live = await sessions.on_version(self._means.client, self._name, old.build_id)
        handlers = _handlers(current)
        if current is not None:
            await self._wake([s for s in live if sessions.can_move(s, handlers)], current.build_id)
        drainage = await self._means.versions.drainage(self._name, old.build_id)
        if drainage in ("drained", "gone") and not live:
            await self._retire(old)
            return ""
        stay = sessions.why_they_stay(live, old.build_id, handlers)
        detail = stay or (f"{len(live)} running" if live else "waits until Temporal has looked")
        if self._said.get(old.id) != detail:
            async with self._means.store.begin() as db:
                await published.set_step(db, old.id, "drained", "running", detail)
            self._said[old.id] = detail
        return stay

    async def _retire(self, old: Version) -> None:
        async with self._means.store.begin() as db:
            now = await published.get_version(db, old.id)
            if now is None or now.status != "draining":  # somebody has rolled back to it
                return
            await published.set_step(db, old.id, "drained", "done")
            await published.set_step(db, old.id, "deleted", "running")
            await published.set_status(db, old.id, "retired", note="")

    async def _wake(self, idle: list[sessions.Live], build_id: str) -> None:
        new = [session for session in idle if (session.workflow_id, build_id) not in self._told]
        for session in await sessions.wake(self._means.client, new, build_id):
            self._told.add((session.workflow_id, build_id))

    async def _note(self, current: Version, note: str) -> None:
        if (current.note or "") != note:
            async with self._means.store.begin() as db:
                await published.set_status(db, current.id, "current", note=note)

    async def _tidy(self, versions: list[Version]) -> bool:
        """Makes Temporal agree with the record. Returns whether it does not yet."""
        states = {version.build_id: version for version in versions}
        async with self._means.switching:
            registered = await self._means.versions.registered(self._name)
            agrees = await self._restore_current(versions, registered)
        gone = [build for build in registered if build in states and states[build].status in ("retired", "failed")]
        left = [build for build in gone if not await self._delete(states[build])]
        for version in versions:
            if version.status == "retired" and version.build_id not in registered:
                await self._deleted(version)
        if len(registered) > _MANY_VERSIONS:
            log.warning("%s has %d versions in Temporal, which keeps at most 100", self._name, len(registered))
        return bool(left) or not agrees

    async def _restore_current(self, versions: list[Version], registered: list[str]) -> bool:
        """Temporal may have lost its state, or been restored to an older one: what the record says holds."""
        current = next((version.build_id for version in versions if version.status == "current"), None)
        if current is None or await self._means.versions.current(self._name) == current:
            return True
        if current not in registered:
            return False
        log.warning("Temporal does not know that %s %s is current; telling it", self._name, current)
        await self._means.versions.make_current(self._name, current)
        return True

    async def _delete(self, version: Version) -> bool:
        when, waited = self._delete_later.get(version.build_id, (0.0, _SOONEST_AGAIN / 2))
        if time.monotonic() < when:
            return False
        reason = await self._means.versions.delete(self._name, version.build_id)
        if not reason:
            await self._deleted(version)
            return True
        waits = min(2 * waited, _LATEST_AGAIN)
        self._delete_later[version.build_id] = (time.monotonic() + waits, waits)
        if version.status == "retired":
            async with self._means.store.begin() as db:
                detail = f"Temporal keeps its record until it has forgotten the host's last poll: {reason}"
                await published.set_step(db, version.id, "deleted", "running", detail)
        return False

    async def _deleted(self, version: Version) -> None:
        if version.id in self._finished:
            return
        async with self._means.store.begin() as db:
            steps = {step.step: step.state for step in await published.steps_of(db, version.id)}
            if steps.get("deleted") == "running":
                await published.set_step(db, version.id, "deleted", "done")
        self._finished.add(version.id)


async def who_stays(means: Means, new: Version) -> str:
    """On a version that is about to be current: the sessions of older ones that it cannot take over."""
    async with means.store.read() as db:
        versions = await published.versions_of(db, new.published_name)
    sentences = [
        sessions.why_they_stay(
            await sessions.on_version(means.client, new.published_name, old.build_id), old.build_id, _handlers(new)
        )
        for old in versions
        if old.status in ("current", "draining") and old.id != new.id
    ]
    return "; ".join(filter(None, sentences))


def _handlers(version: Version | None) -> list[str]:
    """The handlers of a version that has been validated."""
    return Manifest.model_validate(version.manifest).handler_names() if version and version.manifest else []
