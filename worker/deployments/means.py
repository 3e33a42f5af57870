"""What versions are rolled out and drained with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client

from store import published
from store.engine import Store
from store.models import Version
from worker.deployments import bundles
from worker.deployments.hosts import Hosts
from worker.deployments.verdicts import Unpacked
from worker.deployments.versions import Versions


@dataclass(frozen=True)
class Means:
    """The record, Temporal, and this machine's hosts and directories."""

    store: Store
    client: Client
    versions: Versions
    hosts: Hosts
    home: Path
    environ: Mapping[str, str]
    switching: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while Temporal and the record may disagree on which version is current."""

    async def unpacked(self, version: Version) -> Unpacked:
        """The version's files on this machine."""
        async with self.store.read() as db:
            bundle = await published.bundle_of(db, version.id)
        directory = await asyncio.to_thread(bundles.unpack, bundle, version.build_id, self.home / "bundles")
        return Unpacked.of(bundle, version.build_id, directory)
