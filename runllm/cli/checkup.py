"""`runllm doctor`: looks at everything that can go wrong, and says in sentences what to do."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import typer

from runllm.cli import showing
from runllm.cli.connecting import show_findings
from runllm.cli.conversations import cost
from runllm.cli.engine import DEFAULT_SERVER, FAILED, ApiKey, AsJson, Engine, Server, in_words
from runllm.errors import ServerError

_OLD_SECONDS = 30.0
"""What waits longer than this in a queue waits for somebody who is not there."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        verdict: `good`; `note`, worth knowing; `bad`, needs a person.
        text: What is so, and where it is not good, what to do.
    """

    verdict: Literal["good", "note", "bad"]
    text: str


def doctor(json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """Check every part of the engine, and say what needs a person.

    Looks at the server, the key, Temporal, the workers on each queue and what waits there, the worker that deploys,
    the host of each version, messages that nobody has accounted for, versions that failed or cannot drain,
    documentation that was not indexed, connected platforms, and sessions with errors in the last day. Ends with 1
    where something needs a person.
    """
    with in_words():
        findings = list(examine(Engine.of(server, api_key)))
    if json:
        showing.as_json({"findings": [asdict(finding) for finding in findings]})
    else:
        show_findings(asdict(finding) for finding in findings)
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(FAILED)


def examine(engine: Engine) -> Iterator[Finding]:
    """Looks at one thing after the other. What depends on something broken is left out."""
    try:
        engine.is_alive()
    except ServerError as error:
        yield Finding("bad", f"{error}.")
        return
    yield Finding("good", f"The server at {engine.server} answers.")
    try:
        health = engine.get("health")
    except ServerError as error:
        yield Finding("bad", f"{error}.")
        return
    yield Finding("good", "The API key is valid.")
    yield from _notices(health)
    yield from _temporal(health)
    if "deployer" in health:  # an engine older than this command does not say
        yield _deployer(health)
    yield from _messages(engine.get("accounting"), health)
    yield from _versions(engine.get("workflows")["workflows"], health["queues"])
    yield from _sources(engine.get("sources")["sources"])
    yield from _embedding(health)
    yield from _installations(engine.get("installations", check="true")["installations"])
    yield from _sessions(health["sessions_with_errors"])


def _notices(health: dict[str, Any]) -> Iterator[Finding]:
    """What the engine's processes say of themselves, and what models cost."""
    for notice in health.get("notices", []):
        yield Finding("bad" if notice["level"] == "bad" else "note", f"{notice['text'].rstrip('.')}.")
    spent = health.get("spent_today")
    if spent and spent["requests"]:
        yield Finding("good", f"Models have cost today: {cost(spent)}.")


def _temporal(health: dict[str, Any]) -> Iterator[Finding]:
    temporal = health["temporal"]
    if not temporal["is_reachable"]:
        yield Finding(
            "bad",
            f"The gateways cannot reach Temporal ({showing.one_line(temporal['error'], 200)}). Start the Temporal "
            "server, or set TEMPORAL_ADDRESS where the gateways run. Messages are kept, and delivered when it is back.",
        )
        return
    yield Finding("good", f"Temporal answers; sessions are in the namespace {temporal['namespace']}.")
    for queue in health["queues"]:
        yield _queue(queue)


def _queue(queue: dict[str, Any]) -> Finding:
    what, waiting = queue["what"], queue["waiting"]
    backlog = f"; {showing.counted(waiting, 'task')} waiting" if waiting else ""
    if not queue["workers"]:
        return Finding(
            "bad",
            f"Nobody works on {what} (task queue {queue['queue']}{backlog}). Start a worker: `runllm dev` starts one, "
            "and so does `python -m worker`.",
        )
    if queue["oldest_seconds"] > _OLD_SECONDS:
        return Finding(
            "bad",
            f"The workers do not keep up with {what}: the oldest of {showing.counted(waiting, 'task')} has waited for "
            f"{queue['oldest_seconds']:.0f} s. Start another `python -m worker`, or look into the worker's log.",
        )
    return Finding("good", f"There are workers for {what}{backlog}.")


def _deployer(health: dict[str, Any]) -> Finding:
    if health["deployer"]:
        return Finding("good", f"The worker {health['deployer']} deploys what is published.")
    return Finding(
        "bad",
        "No worker deploys what is published, or ends old versions. Start a worker: `runllm dev` starts one, and so "
        "does `python -m worker`; one that was just started needs up to 15 s.",
    )


def _messages(accounting: dict[str, Any], health: dict[str, Any]) -> Iterator[Finding]:
    late = health["late"]
    if late:
        sessions = sorted({row["session_id"] for row in late if row["session_id"]})
        named = ", ".join(map(str, sessions[:5])) + (" and more" if len(sessions) > 5 else "")
        yield Finding(
            "bad",
            f"{showing.counted(len(late), 'message')} came in more than 30 s ago and nobody has accounted for "
            f"{'it' if len(late) == 1 else 'them'}, in session {named or 'none'}. `runllm sessions show "
            f"{sessions[0] if sessions else 'ID'}` shows the log and the way to Temporal's Web UI.",
        )
    elif accounting["unaccounted"]:
        yield Finding("note", f"{showing.counted(accounting['unaccounted'], 'message')} on the way just now.")
    else:
        yield Finding("good", "Every message is accounted for.")


def _versions(workflows: list[dict[str, Any]], queues: list[dict[str, Any]]) -> Iterator[Finding]:
    builds = {queue["what"]: queue["builds"] for queue in queues if "builds" in queue}
    if not workflows:
        yield Finding("note", "Nothing is published yet. `runllm publish FILE` publishes a workflow.")
    for workflow in workflows:
        name, current = workflow["name"], workflow["current_build"]
        troubles = [*_troubles(workflow), *_unserved(workflow, builds.get(name))]
        yield from troubles
        if current and not any(finding.verdict == "bad" for finding in troubles):
            yield Finding("good", f"{name} is live as build {current}.")
        elif not current and not troubles:
            yield Finding("note", f"{name} is being deployed. `runllm watch {name}` shows how.")


def _troubles(workflow: dict[str, Any]) -> Iterator[Finding]:
    name = workflow["name"]
    for version in workflow["versions"]:
        build = version["build_id"]
        if version["status"] == "failed" and version["wanted"]:
            why = showing.one_line(version["error"] or "it does not say why", 300).rstrip(".")
            stays = "the version before it stays current" if workflow["current_build"] else "nothing answers"
            yield Finding(
                "bad", f"{name}, build {build}, was not deployed: {why}. Change the code and publish again; {stays}."
            )
        elif version["status"] == "draining":
            note = (version["note"] or "some sessions still run on it").rstrip(".")
            ending = f"`runllm sessions list --workflow {name}` shows them; publish a version that has their handlers."
            yield Finding("note", f"{name}, build {build}, has not drained: {note}. {ending}")


def _unserved(workflow: dict[str, Any], builds: list[str] | None) -> Iterator[Finding]:
    """Versions that should have a session host and have none. Temporal's word counts, where it has been asked."""
    if builds is None:
        return
    name = workflow["name"]
    for version in workflow["versions"]:
        build = version["build_id"]
        if version["status"] in ("current", "draining") and build not in builds:
            yield Finding(
                "bad",
                f"Nobody serves the conversations of {name}, build {build}: its session host does not run. A worker "
                f"keeps starting it; its log is logs/host-{name}-{build}.log in the worker's home.",
            )


def _sources(sources: list[dict[str, Any]]) -> Iterator[Finding]:
    failed = [source for source in sources if source["state"] == "failed"]
    for source in failed:
        why = showing.one_line(str(source["error"] or "it does not say why"), 300).rstrip(".")
        yield Finding(
            "bad",
            f"Source {source['id']}, {source['location']}, was not indexed: {why}. Once that is put right, "
            f"`runllm docs sync {source['id']}` indexes it again.",
        )
    for source in sources:
        if source.get("needs_a_look"):  # an engine older than this command does not say
            yield Finding("bad", f"Source {source['id']}, {source['location']}: {source['needs_a_look']}.")
        if source["problems"] and source["state"] != "failed":
            pages = showing.counted(source["problems"], "page")
            yield Finding(
                "note",
                f"Source {source['id']}, {source['location']}: {pages} could not be indexed, or not as they should be. "
                f"`runllm docs list {source['id']} --failed` says which, and why.",
            )
    if not sources:
        yield Finding("note", "No documentation is indexed, so there is nothing to answer from: `runllm docs add`.")
    elif not failed:
        passages = sum(source["passages"] for source in sources)
        if not passages:
            yield Finding("note", "The sources hold no text, so there is nothing to answer from: `runllm docs list`.")
            return
        yield Finding("good", f"Documentation is indexed: {showing.counted(passages, 'passage')}.")


def _embedding(health: dict[str, Any]) -> Iterator[Finding]:
    """How passages are found, where an activity worker has said it."""
    embedding = health.get("embedding")
    if not embedding:
        return
    if not embedding["name"]:
        yield Finding("note", f"Passages are found by their words alone: {embedding['note'].rstrip('.')}.")
        return
    lacking = max(embedding["passages"] - embedding["embedded"], 0)
    if lacking:
        yield Finding(
            "note",
            f"{showing.counted(lacking, 'passage')} of {embedding['passages']} are found by their words alone so far: "
            "an activity worker is making the vectors.",
        )
    else:
        yield Finding("good", f"Passages are found by their words and by their meaning ({embedding['name']}).")


def _installations(connected: list[dict[str, Any]]) -> Iterator[Finding]:
    for one in connected:
        what = f"{one['platform'].capitalize()} {one['name'] or one['external_id']}"
        troubles = [finding for finding in one["findings"] if finding["verdict"] != "good"]
        for finding in troubles:
            yield Finding(finding["verdict"], f"{what}: {finding['text']}")
        if not troubles:  # what is said of one that is sound is for those who connect it
            yield Finding("good", f"{what} is connected, and nothing is missing.")


def _sessions(failing: list[dict[str, Any]]) -> Iterator[Finding]:
    for session in failing[:5]:
        errors = showing.counted(session["errors"], "error")
        yield Finding(
            "bad",
            f"Session {session['id']} of {session['published_name']} has logged {errors} since yesterday, the last "
            f"one: {showing.one_line(session['last'], 200).rstrip('.')}. `runllm sessions show {session['id']}` has "
            "the whole log.",
        )
    if len(failing) > 5:
        yield Finding("bad", f"{len(failing) - 5} or more other sessions have errors too; the console lists them.")
    if not failing:
        yield Finding("good", "No session has logged an error in the last day.")
