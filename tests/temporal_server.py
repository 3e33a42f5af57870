"""A Temporal dev server for tests: tuned as `runllm dev` tunes it, and gone when the tests are over."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from gateways.wire import search_attributes_types

BINARY = Path(sys.executable).parent / "temporal"

_SETTINGS = {
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
    "history.transferProcessorMaxPollHostRPS": "5000",
    "history.timerProcessorMaxPollHostRPS": "5000",
    "matching.wv.VersionDrainageStatusRefreshInterval": '"1s"',
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod": '"1s"',
    "frontend.WorkflowTimeSkippingEnabled": "true",
}


@asynccontextmanager
async def dev_server(*settings: str) -> AsyncIterator[WorkflowEnvironment]:
    """A server with the engine's search attributes."""
    wanted = [*(f"{key}={value}" for key, value in _SETTINGS.items()), *settings]
    extra = [x for setting in wanted for x in ("--dynamic-config-value", setting)]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BINARY),
        dev_server_extra_args=extra,
        data_converter=pydantic_data_converter,
    ) as environment:
        await register_search_attributes(environment.client)
        yield environment


async def register_search_attributes(client: Client) -> None:
    """Registers what sessions set, and waits until it can be set."""
    types = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{'KEYWORD_LIST' if kind == 'KeywordList' else 'KEYWORD'}")
        for name, kind in search_attributes_types().items()
    }
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    )
    await asyncio.sleep(0)


@asynccontextmanager
async def time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """A server on which `environment.sleep` lets days pass in a moment."""
    extra = ["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"]
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(BINARY),
        dev_server_extra_args=extra,
        data_converter=pydantic_data_converter,
    ) as environment:
        await register_search_attributes(environment.client)
        yield environment
