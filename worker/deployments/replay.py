"""`python -m worker.deployments.replay`: do recent conversations take the same path in a new version?

Reads a `ReplayRecent`, answers with a `Replayed`. Sessions stay on the version they run on, so a difference is no
error: it tells the publisher that the handlers now do other things, and in which call that shows first.
"""

import asyncio
import os
import sys
import time

from temporalio.client import Client

from worker.deployments import import_errors
from worker.deployments.channel import Limits, take_output
from worker.deployments.compare import Trail, tracing
from worker.deployments.connecting import connect
from worker.deployments.differences import first_difference
from worker.deployments.settings import temporal_connection
from worker.deployments.trails import Difference, calls_in, parting
from worker.deployments.verdicts import Replayed, ReplayRecent
from worker.session.hosting import prepare, session_replayer


async def replay(client: Client, question: ReplayRecent) -> Replayed:
    """Replays the newest conversations of the version's published name."""
    deadline = time.monotonic() + question.seconds
    version = question.version
    try:
        prepare(version.published())
    except BaseException as error:
        return Replayed(failure=import_errors.problem(error, version.directory))
    found = [x async for x in client.list_workflows(f"WorkflowType='{version.name}'", limit=question.at_most)]
    trail = Trail(version.directory)
    replayer = tracing(session_replayer(version.published()), trail)
    same, differences = 0, list[str]()
    for execution in found:
        if time.monotonic() > deadline:
            break
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        trail.calls.clear()
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure is None:
            same += 1
        else:
            differences.append(_described(parting(calls_in(history), trail.calls), result.replay_failure))
    return Replayed(
        same=same,
        other=len(differences),
        first_difference=differences[0] if differences else "",
        unread=len(found) - same - len(differences),
    )


def _described(difference: Difference | None, failure: BaseException) -> str:
    if difference is None:
        return first_difference(failure)
    return f"{difference.text}; {difference.line}" if difference.line else difference.text


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
