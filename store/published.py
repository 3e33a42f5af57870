"""Published workflows and their versions.

    uploaded -> validated -> replayed -> loaded -> current -> draining -> retired
       \\____________\\___________\\__________\\--> failed, or retired where a newer version came first

A failed or retired version that is published again, or rolled back to, starts over; a draining one is still loaded.
At most one version of a workflow is `wanted`: the last one asked for. At most one is current.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import TypeAdapter
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from runllm.bridge.listeners import AnyListener, Listener
from runllm.bundle import Bundle
from runllm.errors import PublishError, RunLLMError
from store.listening import first_overlap
from store.models import PublishedWorkflow, Version, VersionStep, now
from store.rows import FRESH, alone, change, change_one, find, insert, insert_new

Status = Literal["uploaded", "validated", "replayed", "loaded", "current", "draining", "retired", "failed"]

Step = Literal["uploaded", "validated", "replayed", "loaded", "registered", "current", "drained", "deleted"]

StepState = Literal["running", "done", "failed", "skipped"]

PREPARING: tuple[Status, ...] = ("uploaded", "validated", "replayed", "loaded")

MOVES: dict[Status, tuple[Status, ...]] = {
    "uploaded": ("failed", "retired"),
    "validated": ("uploaded",),
    "replayed": ("uploaded", "validated"),
    "loaded": ("uploaded", "validated", "replayed", "draining"),
    "current": ("loaded",),
    "draining": ("current",),
    "retired": (*PREPARING, "draining"),
    "failed": PREPARING,
}
"""Each status with those that it may follow. A version may skip steps while it is prepared."""

_STEPS: tuple[Step, ...] = get_args(Step)
_LISTENERS: TypeAdapter[list[Listener]] = TypeAdapter(list[AnyListener])


class IllegalMoveError(RunLLMError):
    """A version cannot get that status from the one it has: another process was quicker, or our code is wrong."""


async def upload(
    db: AsyncSession, agent_id: int, bundle: Bundle, build_id: str, published_by: str = ""
) -> tuple[Version, bool]:
    """Records a bundle as the version that is wanted; True with it where it was the wanted one already.

    Raises:
        PublishError: The name belongs to another agent.
    """
    await alone(db, "publish")
    workflow = await _workflow_for(db, agent_id, bundle.name)
    listeners = [listener.model_dump(mode="json") for listener in bundle.listeners]
    version = await insert_new(
        db,
        Version,
        workflow_id=workflow.id,
        published_name=bundle.name,
        build_id=build_id,
        bundle=bundle.model_dump(mode="json"),
        listeners=listeners,
        published_by=published_by,
        wanted=False,
    )
    earlier = (
        None if version else await find(db, Version, Version.workflow_id == workflow.id, Version.build_id == build_id)
    )
    if earlier is not None and earlier.wanted and earlier.status != "failed":
        return earlier, True
    chosen = version or earlier
    if chosen is None:
        raise LookupError(f"Version {build_id} of {bundle.name!r} could neither be added nor found.")
    return await want(db, chosen.id), False


async def _workflow_for(db: AsyncSession, agent_id: int, name: str) -> PublishedWorkflow:
    workflow = await insert_new(db, PublishedWorkflow, agent_id=agent_id, name=name, listeners=[])
    workflow = workflow or await by_name(db, name)
    if workflow is None:
        raise LookupError(f"The published workflow {name!r} could neither be added nor found.")
    if workflow.agent_id != agent_id:
        raise PublishError(f"The name {name!r} belongs to another agent's workflow; publish under another name.")
    return workflow


async def by_name(db: AsyncSession, name: str) -> PublishedWorkflow | None:
    """The published workflow of that name."""
    return await find(db, PublishedWorkflow, PublishedWorkflow.name == name)


async def workflows(db: AsyncSession, agent_id: int | None = None) -> list[PublishedWorkflow]:
    """All published workflows, or an agent's, by name."""
    query = select(PublishedWorkflow).order_by(PublishedWorkflow.name)
    return list(await db.scalars(query if agent_id is None else query.where(PublishedWorkflow.agent_id == agent_id)))


async def versions_of(db: AsyncSession, name: str) -> list[Version]:
    """The versions of a workflow, newest first."""
    query = select(Version).where(Version.published_name == name).order_by(Version.id.desc())
    return list(await db.scalars(query))


async def get_version(db: AsyncSession, version_id: int) -> Version | None:
    """The version of that number."""
    return await find(db, Version, Version.id == version_id)


async def find_version(db: AsyncSession, name: str, build_id: str) -> Version | None:
    """The version of a workflow with that build id."""
    return await find(db, Version, Version.published_name == name, Version.build_id == build_id)


async def bundle_of(db: AsyncSession, version_id: int) -> Bundle:
    """The sources of a version."""
    bundle = await db.scalar(select(Version.bundle).where(Version.id == version_id))
    if bundle is None:
        raise LookupError(f"There is no version {version_id}: it was removed from the record.")
    return Bundle.model_validate(bundle)


async def newest_wanted(db: AsyncSession, name: str) -> Version | None:
    """The version of a workflow that was asked for last."""
    wanted = select(Version).where(Version.published_name == name, Version.wanted.is_(True))
    return (await db.scalars(wanted.order_by(Version.id.desc()).limit(1))).first()


async def previous(db: AsyncSession, name: str) -> Version | None:
    """The version that was current before the one that is: where a rollback goes."""
    current = select(PublishedWorkflow.current_build).where(PublishedWorkflow.name == name).scalar_subquery()
    query = select(Version).where(
        Version.published_name == name, Version.current_at.is_not(None), Version.build_id != current
    )
    return (await db.scalars(query.order_by(Version.current_at.desc()).limit(1))).first()


async def live(db: AsyncSession) -> list[Version]:
    """Versions whose host must run, or that must advance; oldest first."""
    query = select(Version).where(Version.status.in_([*PREPARING, "current", "draining"])).order_by(Version.id)
    return list(await db.scalars(query))


async def want(db: AsyncSession, version_id: int) -> Version:
    """Makes a version the wanted one of its workflow. What was wanted before and is not ready yet is retired."""
    await _take_turns(db, version_id)
    version = await _existing(db, version_id)
    others = (Version.workflow_id == version.workflow_id) & (Version.id != version_id)
    superseded = others & Version.status.in_(PREPARING)
    note = f"superseded by {version.build_id} before it was current"
    await change(db, update(Version).where(superseded).values(status="retired", note=note), Version)
    await change(db, update(Version).where(others, Version.wanted.is_(True)).values(wanted=False), Version)
    values: dict[str, Any] = {"wanted": True}
    if version.status in MOVES["uploaded"]:
        values |= {"status": "uploaded", "error": None, "note": None}
        await db.execute(delete(VersionStep).where(VersionStep.version_id == version_id))
    elif version.status == "draining":
        values |= {"status": "loaded", "note": None}
    await change(db, update(Version).where(Version.id == version_id).values(values), Version)
    return await _existing(db, version_id)


async def set_status(
    db: AsyncSession, version_id: int, status: Status, error: str | None = None, note: str | None = None
) -> Version:
    """Moves a version on, or keeps its status and records an error or a note.

    Raises:
        IllegalMoveError: It cannot get there from where it is now.
    """
    await _take_turns(db, version_id)
    given = {"error": error, "note": note}
    values = {"status": status, **{name: text for name, text in given.items() if text is not None}}
    may_move = (Version.id == version_id) & Version.status.in_([status, *MOVES[status]])
    moved = await change_one(db, update(Version).where(may_move).values(values), Version)
    if moved is not None:
        return moved
    version = await _existing(db, version_id)
    raise IllegalMoveError(
        f"Version {version.build_id} of {version.published_name!r} is {version.status} and cannot become {status}: "
        f"read it again, it was moved meanwhile."
    )


async def set_step(db: AsyncSession, version_id: int, step: Step, state: StepState, detail: str = "") -> None:
    """Records how far one step of a publish is."""
    values = {"state": state, "detail": detail, "at": now()}
    new = insert(db, VersionStep).values(version_id=version_id, step=step, **values)
    await db.execute(new.on_conflict_do_update(index_elements=["version_id", "step"], set_=values))


async def steps_of(db: AsyncSession, version_id: int) -> list[VersionStep]:
    """The steps of a publish that have begun, in their order."""
    steps = await db.scalars(select(VersionStep).where(VersionStep.version_id == version_id), execution_options=FRESH)
    return sorted(steps, key=lambda row: [*_STEPS, row.step].index(row.step))


async def set_manifest(db: AsyncSession, version_id: int, manifest: dict[str, Any]) -> Version:
    """Records what validation found; its `listeners` replace those that the client sent."""
    values = {"manifest": manifest}
    if "listeners" in manifest:
        values["listeners"] = manifest["listeners"]
    changed = await change_one(db, update(Version).where(Version.id == version_id).values(values), Version)
    return changed or await _existing(db, version_id)


async def make_current(db: AsyncSession, version_id: int) -> Version:
    """New sessions go to this version from now on; the one before it drains.

    Raises:
        IllegalMoveError: It is not loaded.
    """
    await _take_turns(db, version_id)
    version = await _existing(db, version_id)
    this = update(PublishedWorkflow).where(PublishedWorkflow.id == version.workflow_id)
    await change_one(db, this.values(current_build=version.build_id, listeners=version.listeners), PublishedWorkflow)
    before = (Version.workflow_id == version.workflow_id) & (Version.status == "current") & (Version.id != version_id)
    await change(db, update(Version).where(before).values(status="draining"), Version)
    is_new = version.status != "current"
    version = await set_status(db, version_id, "current")
    if is_new:
        since = update(Version).where(Version.id == version_id).values(current_at=now(), error=None)
        await change(db, since, Version)  # which `version` shows too: one session has one object a row
    return version


async def routes(db: AsyncSession) -> list[tuple[str, int, list[Listener]]]:
    """Where new conversations go: (published name, agent, listeners) of workflows that have a current version."""
    row = PublishedWorkflow  # its columns alone: the browser of every visitor asks with every request
    query = select(row.name, row.agent_id, row.listeners).where(row.current_build.is_not(None)).order_by(row.name)
    return [
        (name, agent_id, _LISTENERS.validate_python(listeners)) for name, agent_id, listeners in await db.execute(query)
    ]


async def overlap(db: AsyncSession, name: str, listeners: Sequence[Listener]) -> tuple[str, Listener] | None:
    """The other workflow that claims one of these listeners, and that listener.

    A version on its way to be current claims its listeners too. Asked before `upload` in the same transaction,
    the answer holds until it commits.
    """
    await alone(db, "publish")
    coming = Version.wanted.is_(True) & Version.status.in_(PREPARING)
    claims = [
        *await db.execute(
            select(PublishedWorkflow.name, PublishedWorkflow.listeners).where(
                PublishedWorkflow.name != name, PublishedWorkflow.current_build.is_not(None)
            )
        ),
        *await db.execute(
            select(Version.published_name, Version.listeners).where(Version.published_name != name, coming)
        ),
    ]
    for other, claimed in claims:
        listener = first_overlap(listeners, _LISTENERS.validate_python(claimed))
        if listener is not None:
            return other, listener
    return None


async def successors(db: AsyncSession, name: str) -> list[Version]:
    """The versions that a session may be sent to now: the current one, and one that is about to be.

    Temporal learns of a new current version a moment before the record does. What holds for both holds in between.
    """
    about_to_be = Version.wanted.is_(True) & (Version.status == "loaded")
    query = select(Version).where(Version.published_name == name, (Version.status == "current") | about_to_be)
    return list(await db.scalars(query.order_by(Version.id)))


async def _take_turns(db: AsyncSession, version_id: int) -> None:
    """Lets one transaction at a time change the versions of a workflow: they change together."""
    workflow_id = select(Version.workflow_id).where(Version.id == version_id).scalar_subquery()
    await db.execute(select(PublishedWorkflow.id).where(PublishedWorkflow.id == workflow_id).with_for_update())


async def _existing(db: AsyncSession, version_id: int) -> Version:
    version = await get_version(db, version_id)
    if version is None:
        raise LookupError(f"There is no version {version_id}: it was removed from the record.")
    return version
