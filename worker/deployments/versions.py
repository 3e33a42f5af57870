"""Temporal's side of a version: registered, current, draining, deleted."""

import asyncio
from typing import Literal

from temporalio.api.deployment.v1 import (
    WorkerDeploymentInfo,
    WorkerDeploymentVersion,
    WorkerDeploymentVersionInfo,
)
from temporalio.api.enums.v1 import (
    IndexedValueType,
    RoutingConfigUpdateState,
    VersionDrainageStatus,
    WorkerDeploymentVersionStatus,
)
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DeleteWorkerDeploymentVersionRequest,
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentVersionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from gateways.wire import search_attributes_types

_KINDS = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
_POLL_SECONDS = 0.1
"""Temporal limits how often a deployment may be asked about; a refusal is tried again inside the client."""

Drainage = Literal["in use", "draining", "drained", "gone"]


class Versions:
    """The versions of all published workflows, as Temporal sees them: a deployment is a published name."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._service = client.workflow_service

    async def is_registered(self, name: str, build_id: str) -> bool:
        """Whether a host of this version has polled."""
        return await self._describe(name, build_id) is not None

    async def registered(self, name: str) -> list[str]:
        """The builds that Temporal has a record of."""
        info = await self._deployment(name)
        return [summary.deployment_version.build_id for summary in info.version_summaries] if info else []

    async def current(self, name: str) -> str | None:
        """The build that new sessions go to."""
        info = await self._deployment(name)
        return (info.routing_config.current_deployment_version.build_id or None) if info else None

    async def make_current(self, name: str, build_id: str) -> None:
        """Sends new sessions to this version, and returns when all of Temporal's routing knows.

        A version that is not registered yet is a NOT_FOUND or FAILED_PRECONDITION error: try again.
        """
        if await self.current(name) != build_id:
            await self._service.set_worker_deployment_current_version(
                SetWorkerDeploymentCurrentVersionRequest(
                    namespace=self._client.namespace, deployment_name=name, build_id=build_id
                )
            )
        while True:
            if await self._is_settled(name):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def drainage(self, name: str, build_id: str) -> Drainage:
        """How far a version is on its way out. Unspecified means draining: the server has not looked yet."""
        info = await self._describe(name, build_id)
        if info is None:
            return "gone"
        status = WorkerDeploymentVersionStatus
        if info.status in (
            status.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT,
            status.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING,
        ):
            return "in use"
        never_used = (
            status.WORKER_DEPLOYMENT_VERSION_STATUS_INACTIVE,
            status.WORKER_DEPLOYMENT_VERSION_STATUS_CREATED,
        )
        drained = info.drainage_info.status == VersionDrainageStatus.VERSION_DRAINAGE_STATUS_DRAINED
        return "drained" if drained or info.status in never_used else "draining"

    async def delete(self, name: str, build_id: str) -> str:
        """Deletes Temporal's record of a version. Returns why it cannot be deleted yet, or nothing."""
        version = WorkerDeploymentVersion(deployment_name=name, build_id=build_id)
        try:
            await self._service.delete_worker_deployment_version(
                DeleteWorkerDeploymentVersionRequest(namespace=self._client.namespace, deployment_version=version)
            )
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return ""
            if error.status == RPCStatusCode.FAILED_PRECONDITION:
                return error.message
            raise
        return ""

    async def _is_settled(self, name: str) -> bool:
        info = await self._deployment(name)
        completed = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_COMPLETED
        return info is not None and info.routing_config_update_state == completed

    async def _deployment(self, name: str) -> WorkerDeploymentInfo | None:
        request = DescribeWorkerDeploymentRequest(namespace=self._client.namespace, deployment_name=name)
        try:
            return (await self._service.describe_worker_deployment(request, retry=True)).worker_deployment_info
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _describe(self, name: str, build_id: str) -> WorkerDeploymentVersionInfo | None:
        version = WorkerDeploymentVersion(deployment_name=name, build_id=build_id)
        request = DescribeWorkerDeploymentVersionRequest(namespace=self._client.namespace, deployment_version=version)
        try:
            return (
                await self._service.describe_worker_deployment_version(request, retry=True)
            ).worker_deployment_version_info
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise


async def register_search_attributes(client: Client) -> None:
    """Makes sure that sessions can be found by what they are doing; returns once queries may name the attributes."""
    wanted = {name: _KINDS[kind] for name, kind in search_attributes_types().items()}
    known = await _search_attributes(client)
    missing = {name: kind for name, kind in wanted.items() if name not in known}
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            if error.status != RPCStatusCode.ALREADY_EXISTS:
                raise
    query = " AND ".join(f"{name} IS NULL" for name in wanted)
    while True:
        try:
            await client.count_workflows(query)
            return
        except RPCError as error:
            if error.status != RPCStatusCode.INVALID_ARGUMENT:  # a frontend that has not read its settings again
                raise
        await asyncio.sleep(_POLL_SECONDS)


async def _search_attributes(client: Client) -> dict[str, "IndexedValueType.ValueType"]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    return dict((await client.operator_service.list_search_attributes(request)).custom_attributes)
