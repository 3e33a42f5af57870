"""What a process needs to serve or to replay the sessions of a published workflow."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker, WorkerDeploymentConfig

from gateways.wire import workflow_queue
from worker.session import guard, steps, watchdog
from worker.session.handlers import PinnedExecutor
from worker.session.published import Published, handlers_of, serve, withdraw
from worker.session.sandbox import runner
from worker.session.workflow import Session

STALL_SECONDS = 8
"""Time of day after which Temporal gives up on a task, below the ten seconds that its server waits for one.

The SDK's two are too few where the watchdog judges by processor time: on a busy machine a handler that loops for ever
has not used its second by then, and one that is merely waiting for its turn would be failed.
"""

__all__ = ["Published", "check_import", "prepare", "session_replayer", "session_worker"]


def prepare(published: Published) -> None:
    """Imports a bundle outside the sandbox, once, and makes its sessions known to this process.

    An import inside a run counts against the deadlock limit; after this one the bytecode is at hand and libraries are
    loaded. Raises whatever the customer's modules raise.
    """
    directory = str(published.directory)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    for entry in published.entries():
        importlib.import_module(entry.module)
    steps.remember_modules(published.modules())
    guard.install()
    serve(published)
    handlers_of(published.name)


def session_worker(client: Client, published: Published, *, versioned: bool = True, **options: Any) -> Worker:
    """A worker that serves the sessions of one version. `prepare` has to come first."""
    if versioned:
        options["deployment_config"] = WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(deployment_name=published.name, build_id=published.build_id),
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.PINNED,
        )
    # A killed host leaves its sessions' next tasks on a queue of its own: another host gets them after this time.
    options.setdefault("sticky_queue_schedule_to_start_timeout", timedelta(seconds=3))
    worker = Worker(
        client,
        task_queue=workflow_queue(published.name),
        workflows=[Session],
        activities=[steps.run_step],
        activity_executor=ThreadPoolExecutor(16, thread_name_prefix="step"),
        workflow_runner=runner(published.modules()),
        workflow_task_executor=PinnedExecutor(),
        **options,
    )
    if watchdog.IS_AVAILABLE and worker._workflow_worker is not None:
        worker._workflow_worker._deadlock_timeout_seconds = STALL_SECONDS
    return worker


def session_replayer(published: Published) -> Replayer:
    """A replayer of the sessions of one version. `prepare` has to come first."""
    return Replayer(
        workflows=[Session],
        workflow_runner=runner(published.modules()),
        workflow_task_executor=PinnedExecutor(),
        data_converter=pydantic_data_converter,
    )


def check_import(published: Published) -> None:
    """Imports a bundle inside the sandbox, as each run will. Raises whatever the customer's modules raise there."""
    serve(published)
    try:
        runner(published.modules()).prepare_workflow(workflow._Definition.must_from_class(Session))
    finally:
        withdraw(published)
