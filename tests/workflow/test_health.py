"""What the control API says of Temporal, on a real server: who polls which queue, and what waits."""

import uuid

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from gateways.api.health import look_at_temporal
from gateways.wire import workflow_queue
from tests.workflow.desk import eventually, open_desk, published

pytestmark = pytest.mark.workflow


async def test_workers_and_what_waits_are_counted(client: Client) -> None:
    version = published("front", "answers")
    nobody = f"nobody_{uuid.uuid4().hex[:8]}"
    await client.start_workflow("anything", id=nobody, task_queue=workflow_queue(nobody))
    async with open_desk(client, version):

        async def is_seen() -> bool:
            problem, queues = await look_at_temporal(client, [version.name, nobody])
            assert problem == ""
            found = {queue["what"]: (queue["workers"] > 0, queue["waiting"]) for queue in queues}
            return found[version.name] == (True, 0) and found[nobody] == (False, 1) and found["activities"][0]

        await eventually(is_seen)


async def test_a_server_that_is_away_is_told() -> None:
    away = await Client.connect("127.0.0.1:1", data_converter=pydantic_data_converter, lazy=True)
    problem, queues = await look_at_temporal(away, ["support"])
    assert problem
    assert queues == []
