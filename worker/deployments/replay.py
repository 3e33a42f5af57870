"""`python -m worker.deployments.replay`: do recent conversations take the same path in a new version?

Reads a `ReplayRecent`, answers with a `Replayed`. Sessions stay on the version they run on, so a difference is no
error: it tells the publisher that the handlers now do other things, and in which call that shows first.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowHistory

from worker.deployments import import_errors
from worker.deployments.channel import Limits, take_output
from worker.deployments.connecting import connect
from worker.deployments.settings import temporal_connection
from worker.deployments.verdicts import Replayed, ReplayRecent
from worker.session.hosting import prepare, session_replayer

_DIFFERENCES = (
    (
        re.compile(
            r"[Aa]ctivity type of scheduled event '(.+?)' does not match activity type of activity command '(.+?)'"
        ),
        "`{0}` was called where this version calls `{1}`",
    ),
    (
        re.compile(r"No command scheduled for event .*?ActivityTaskScheduled.*?'?(\w+\.\w+)?"),
        "a call was made where this version makes none",
    ),
)


async def replay(client: Client, question: ReplayRecent) -> Replayed:
    """Replays the newest conversations of the version's published name."""
    deadline = time.monotonic() + question.seconds
    version = question.version
    try:
        prepare(version.published())
    except BaseException as error:
        return Replayed(failure=import_errors.problem(error, version.directory))
    found = [x async for x in client.list_workflows(f"WorkflowType='{version.name}'", limit=question.at_most)]
    same, differences = 0, list[str]()

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for execution in found:
            if time.monotonic() > deadline:
                return
            yield await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()

    async with session_replayer(version.published()).workflow_replay_iterator(histories()) as results:
        async for result in results:
            if result.replay_failure is None:
                same += 1
            else:
                differences.append(first_difference(result.replay_failure))
    return Replayed(
        same=same,
        other=len(differences),
        first_difference=differences[0] if differences else "",
        unread=len(found) - same - len(differences),
    )


def first_difference(failure: BaseException) -> str:
    """Where a history and the code part, in a few words."""
    text = str(failure)
    for pattern, words in _DIFFERENCES:
        if match := pattern.search(text):
            return words.format(*match.groups())
    return " ".join(text.split())[:200]


async def _answer(question: ReplayRecent) -> Replayed:
    return await replay(await connect(temporal_connection(os.environ)), question)


def main() -> None:
    """Answers the one question on standard input."""
    answers = take_output()
    question = ReplayRecent.model_validate_json(sys.stdin.buffer.read())
    Limits().apply()
    replayed = asyncio.run(_answer(question))
    answers.write(replayed.model_dump_json().encode())
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
