"""Publishing over HTTP: bundles in, and how far they have got."""

import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from gateways.api.auth import Caller, caller
from gateways.api.emoji import refuse_unknown_emoji
from gateways.api.shapes import step_shape, version_shape
from gateways.refusals import RefusedError, checked, read_json
from gateways.services import services
from gateways.wire import build_id_of
from runllm.bridge.listeners import Listener
from runllm.bundle import Bundle
from runllm.errors import PublishError
from store import audit, published
from store.listening import place_of
from store.models import PublishedWorkflow, Version, VersionStep

BUNDLE_LIMIT = 4 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_OF_LEAVING = ("drained", "deleted")
_PATH = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[^/\\:\0][^\\:\0]*")


class Rollback(BaseModel):
    """Which version to go back to; the one that was current before where none is named."""

    model_config = ConfigDict(extra="forbid")

    build_id: str | None = None


async def publish(request: web.Request) -> web.Response:
    """Takes a bundle in. What follows is the worker's: `deployment` tells how it goes."""
    who = await caller(request)
    bundle = checked(Bundle, await read_json(request, BUNDLE_LIMIT), what="bundle", code="malformed_bundle")
    _check(bundle)
    await refuse_unknown_emoji(services(request), bundle.listeners)
    async with services(request).store.begin() as db:
        taken = await published.overlap(db, bundle.name, bundle.listeners)
        if taken is not None:
            raise RefusedError(409, "listener_overlap", _overlap_message(bundle.name, *taken))
        try:
            version, unchanged = await published.upload(db, who.agent_id, bundle, build_id_of(bundle), who.name)
        except PublishError as error:
            raise RefusedError(409, "name_taken", str(error)) from None
        if not unchanged:
            await audit.record(
                db, actor=who.name, action="publish", subject=bundle.name, detail={"build_id": version.build_id}
            )
    answer = {"name": bundle.name, "build_id": version.build_id, "unchanged": unchanged}
    return web.json_response(answer, status=202)


async def list_workflows(request: web.Request) -> web.Response:
    """All published workflows of the agent."""
    who = await caller(request)
    async with services(request).store.read() as db:
        found = [await _workflow_shape(db, workflow) for workflow in await published.workflows(db, who.agent_id)]
    return web.json_response({"workflows": found})


async def get_workflow(request: web.Request) -> web.Response:
    """One published workflow with its versions, newest first."""
    who = await caller(request)
    async with services(request).store.read() as db:
        return web.json_response(await _workflow_shape(db, await _existing(db, who, request)))


async def deployment(request: web.Request) -> web.Response:
    """How far the version that was asked for last has got."""
    who = await caller(request)
    async with services(request).store.read() as db:
        workflow = await _existing(db, who, request)
        version = await published.newest_wanted(db, workflow.name)
        if version is None:
            raise RefusedError(404, "not_found", f"No version of {workflow.name!r} is wanted. Publish it.")
        steps = await _steps(db, version)
        replaced, leaving = await _leaving(db, version)
    return web.json_response(
        {
            "name": workflow.name,
            "build_id": version.build_id,
            "status": version.status,
            "error": version.error,
            "note": version.note,
            "steps": [step_shape(step) for step in (*steps, *leaving)],
            "replaces": replaced.build_id if replaced is not None else None,
            "finished": _is_finished(version, replaced),
        }
    )


async def roll_back(request: web.Request) -> web.Response:
    """Makes an earlier version the wanted one."""
    who = await caller(request)
    asked = checked(Rollback, await read_json(request, 4096) if request.can_read_body else {})
    async with services(request).store.begin() as db:
        workflow = await _existing(db, who, request)
        if asked.build_id is None:
            version = await published.previous(db, workflow.name)
            missing = f"No version of {workflow.name!r} was current before this one, so there is nothing to go back to."
        else:
            version = await published.find_version(db, workflow.name, asked.build_id)
            missing = f"{workflow.name!r} has no version {asked.build_id!r}. Ask for the workflow: it lists them."
        if version is None:
            raise RefusedError(404, "not_found", missing)
        await published.want(db, version.id)
        await audit.record(
            db, actor=who.name, action="rollback", subject=workflow.name, detail={"build_id": version.build_id}
        )
    return web.json_response({"name": workflow.name, "build_id": version.build_id})


def _check(bundle: Bundle) -> None:
    """What a bundle's model cannot say.

    Raises:
        RefusedError: With the field that does not fit.
    """
    if not _NAME.fullmatch(bundle.name):
        raise _malformed(f"name: {bundle.name!r} is not a letter and then up to 63 letters, digits, - or _.")
    for path in bundle.files:
        if not _PATH.fullmatch(path):
            raise _malformed(f"files: {path!r} is not a path inside the bundle, like 'support/flow.py'.")
    modules = {_module(path) for path in bundle.files}
    for field, entry in (("entrypoint", bundle.entrypoint), *(("tasks", task) for task in bundle.tasks)):
        if entry.module not in modules:
            raise _malformed(f"{field}: module {entry.module!r} of {entry.name!r} is not among its files.")


def _malformed(problem: str) -> RefusedError:
    return RefusedError(422, "malformed_bundle", f"The bundle does not fit: {problem}")


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _overlap_message(name: str, other: str, listener: Listener) -> str:
    return (
        f"{name!r} and {other!r} both listen to {place_of(listener)}, so nobody could say which one is to answer. "
        "Change the listener of one of them, or publish under the same name."
    )


async def _existing(db: AsyncSession, who: Caller, request: web.Request) -> PublishedWorkflow:
    name = request.match_info["name"]
    workflow = await published.by_name(db, name)
    if workflow is None or workflow.agent_id != who.agent_id:
        raise RefusedError(404, "not_found", f"No workflow is published as {name!r}. GET /api/v1/workflows lists them.")
    return workflow


async def _workflow_shape(db: AsyncSession, workflow: PublishedWorkflow) -> dict[str, Any]:
    versions = await published.versions_of(db, workflow.name)
    return {
        "name": workflow.name,
        "current_build": workflow.current_build,
        "listeners": workflow.listeners,
        "versions": [version_shape(version, await _steps(db, version)) for version in versions],
    }


async def _steps(db: AsyncSession, version: Version) -> Sequence[VersionStep]:
    """The steps of a version; without those of its leaving where somebody has rolled back to it."""
    steps = await published.steps_of(db, version.id)
    has_left = version.status in ("draining", "retired")
    return [step for step in steps if has_left or step.step not in _OF_LEAVING]


async def _leaving(db: AsyncSession, version: Version) -> tuple[Version | None, list[VersionStep]]:
    """The version that this one has replaced last, and the steps of its leaving."""
    found: list[tuple[Version, list[VersionStep]]] = []
    if version.current_at is not None and version.status == "current":
        for old in await published.versions_of(db, version.published_name):
            steps = [step for step in await published.steps_of(db, old.id) if step.step in _OF_LEAVING]
            if old.id != version.id and (
                old.status == "draining" or any(step.at >= version.current_at for step in steps)
            ):
                found.append((old, steps))
    return max(found, key=lambda pair: pair[0].current_at or pair[0].created_at) if found else (None, [])


def _is_finished(version: Version, replaced: Version | None) -> bool:
    """Nothing more will happen soon. A note says which sessions keep an old version, perhaps for weeks."""
    if version.status != "current":
        return version.status == "failed"
    return replaced is None or replaced.status != "draining" or bool(version.note)
