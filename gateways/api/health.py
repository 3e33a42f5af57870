"""What a person should look at: whether Temporal answers, who works on its queues, and what went wrong lately."""

import asyncio
from datetime import timedelta
from typing import Any

from aiohttp import web
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from gateways.api.auth import caller
from gateways.api.shapes import sum_shape
from gateways.services import services
from gateways.temporal import failure_of
from gateways.wire import ACTIVITY_QUEUE, KNOWLEDGE_QUEUE, workflow_queue
from store import inbox, leases, notices, published, sessions, spending, vectors
from store.models import now

_PATIENCE = timedelta(seconds=3)
_LATE = timedelta(seconds=30)
_LATELY = timedelta(days=1)

_ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
_WORKFLOWS = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW


async def health(request: web.Request) -> web.Response:
    """The state of everything that the gateway can see."""
    who = await caller(request)
    deps = services(request)
    async with deps.store.read() as db:
        names = [x.name for x in await published.workflows(db, who.agent_id) if x.current_build]
        late = await inbox.unaccounted(db, _LATE, 100)
        failing = await sessions.with_errors(db, who.agent_id, now() - _LATELY)
        deployer = await leases.holder(db, leases.DEPLOYER)
        embedding = await vectors.recorded_embedder(db)
        passages, embedded = await vectors.covered(db, embedding.embedder) if embedding else (0, 0)
        standing = await notices.standing(db)
        today = await spending.of_day(db, spending.today())
    problem, queues = await look_at_temporal(await deps.temporal.client(), names)
    return web.json_response(
        {
            "temporal": {"is_reachable": not problem, "error": problem, "namespace": deps.temporal.namespace},
            "queues": queues,
            "deployer": deployer,
            "embedding": embedding
            and {"name": embedding.embedder, "note": embedding.note, "passages": passages, "embedded": embedded},
            "notices": [{"level": one.level, "text": one.text} for one in standing],
            "spent_today": sum_shape(today),
            "late": [{"id": row.id, "session_id": row.session_id, "attempts": row.attempts} for row in late],
            "sessions_with_errors": [
                {"id": session.id, "published_name": session.published_name, "errors": errors, "last": text}
                for session, errors, text in failing
            ],
        }
    )


async def look_at_temporal(client: Client, names: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """Why Temporal does not answer, or else the state of all queues of the engine and of these workflows."""
    wanted = [
        ("activities", ACTIVITY_QUEUE, _ACTIVITIES),
        ("indexing", KNOWLEDGE_QUEUE, _ACTIVITIES),
        *((name, workflow_queue(name), _WORKFLOWS) for name in names),
    ]
    try:
        looked = await asyncio.gather(*(_queue(client, *queue) for queue in wanted))
    except Exception as error:
        return failure_of(error).text, []
    return "", list(looked)


async def _queue(client: Client, what: str, name: str, kind: TaskQueueType.ValueType) -> dict[str, Any]:
    question = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=name), task_queue_type=kind, report_stats=True
    )
    answer = await client.workflow_service.describe_task_queue(question, timeout=_PATIENCE)
    return {
        "what": what,
        "queue": name,
        "workers": len(answer.pollers),
        "builds": sorted({poller.deployment_options.build_id for poller in answer.pollers} - {""}),
        "waiting": answer.stats.approximate_backlog_count,
        "oldest_seconds": answer.stats.approximate_backlog_age.ToTimedelta().total_seconds(),
    }
