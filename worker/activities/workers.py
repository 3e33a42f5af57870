"""The two workers of this process: one performs operations, the other indexes knowledge."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from gateways.wire import ACTIVITY_QUEUE, KNOWLEDGE_QUEUE
from store.engine import Store
from worker.activities.calibrating import CalibrationActivities
from worker.activities.context import Context
from worker.activities.evaluation import EvaluationActivities
from worker.activities.interceptor import ActivityManners
from worker.activities.registry import activities
from worker.activities.spending import Accounting, Accounts
from worker.answering.embedding import Chosen
from worker.answering.embedding_passages import PassageEmbedding
from worker.answering.indexing import EmbedSource, IndexOnSchedule, IndexSource
from worker.answering.ingest import IndexingActivities
from worker.knowledge.settings import KnowledgeSettings

GRACE = timedelta(seconds=5)
"""What is under way when the process is told to stop gets so long to finish."""

_NO_VECTORS = Chosen(None, "this worker has no embeddings")


def session_activities(client: Client, context: Context, chosen: Chosen = _NO_VECTORS) -> Worker:
    """Performs what sessions ask for, and what people ask who evaluate and calibrate."""
    return Worker(
        client,
        task_queue=ACTIVITY_QUEUE,
        activities=[
            *activities(context),
            EvaluationActivities(context).ask,
            CalibrationActivities(context, chosen).calibrate,
        ],
        interceptors=[ActivityManners(), Accounting(Accounts(context.store, context.caps, context.prices))],
        max_concurrent_activities=200,
        graceful_shutdown_timeout=GRACE,
    )


def knowledge_worker(
    client: Client,
    store: Store,
    task_queue: str = KNOWLEDGE_QUEUE,
    settings: KnowledgeSettings | None = None,
    embedding: PassageEmbedding | None = None,
) -> Worker:
    """Indexes knowledge sources; their passages get vectors where there is an `embedding`."""
    embedding = embedding or PassageEmbedding(store, Chosen(None))
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[IndexSource, IndexOnSchedule, EmbedSource],
        workflow_runner=knowledge_sandbox(),
        activities=[*IndexingActivities(store, settings).all(), embedding.embed_source],
        interceptors=[ActivityManners()],
        max_concurrent_activities=4,
        graceful_shutdown_timeout=GRACE,
    )


def knowledge_sandbox() -> SandboxedWorkflowRunner:
    """Where the indexing workflow runs, and replays."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules("runllm", "gateways")
    )
