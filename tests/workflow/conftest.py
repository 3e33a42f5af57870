from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.temporal_server import dev_server


@pytest.fixture(scope="session")
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """One dev server for all workflow tests."""
    async with dev_server() as environment:
        yield environment


@pytest.fixture
def client(environment: WorkflowEnvironment) -> Client:
    """A client of the dev server."""
    return environment.client
