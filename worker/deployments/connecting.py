"""A connection to Temporal, however long it takes to get one."""

import asyncio
import logging

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConnectConfig

_LONGEST_PAUSE = 2.0

log = logging.getLogger(__name__)


async def connect(connection: ClientConnectConfig) -> Client:
    """Connects, and tries again as long as nobody answers: Temporal may start later than we do."""
    pause, was_refused = 0.1, False
    while True:
        try:
            client = await Client.connect(**connection, data_converter=pydantic_data_converter)
        except (RuntimeError, OSError) as error:
            if not was_refused:
                log.warning("Temporal at %s does not answer; trying until it does: %s", _where(connection), error)
            was_refused, pause = True, min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)
        else:
            if was_refused:
                log.info("Temporal at %s answers now", _where(connection))
            return client


def _where(connection: ClientConnectConfig) -> str:
    return connection.get("target_host", "its default address")
