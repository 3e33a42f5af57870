"""`make record-history`: holds the conversations of `cases.py` on a real server and keeps their histories."""

import asyncio
import json
import re

from tests.replay.cases import CASES, HISTORIES, Case
from tests.temporal_server import dev_server
from tests.workflow.desk import open_desk

_WHO = re.compile(r'"\d+@[^"]*"')
"""Process ids and names of machines say nothing about a conversation."""


async def record(case: Case) -> None:
    """Holds one conversation and writes its history."""
    async with dev_server() as environment, open_desk(environment.client, case.published()) as desk:
        talk = desk.session()
        await case.script(desk, talk)
        history = await talk.handle.fetch_history()
    path = HISTORIES / f"{case.name}.json"
    text = json.dumps(json.loads(history.to_json()), indent=1)
    path.write_text(_WHO.sub('"recorder"', text) + "\n")
    print(f"{path.name}: {len(history.events)} events")


async def main() -> None:
    """Records all cases."""
    HISTORIES.mkdir(exist_ok=True)
    for case in CASES:
        await record(case)


if __name__ == "__main__":
    asyncio.run(main())
