"""Temporal's sandbox as customers meet it: only their own modules are inside, and a refusal says what to do instead."""

import dataclasses
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxMatcher, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

_NOW = "use agent.now(), which is the same on every replay"
_STEP = 'put it in a function and call agent.step("name", function), which remembers the result'

_TEACHING: dict[tuple[str, ...], dict[str, str]] = {
    ("time",): {
        **dict.fromkeys(("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "localtime"), _NOW),
        "sleep": "use agent.sleep(seconds), which survives a restart",
    },
    ("datetime", "datetime"): dict.fromkeys(("now", "utcnow", "today"), _NOW),
    ("datetime", "date"): {"today": "use agent.now().date(), which is the same on every replay"},
    ("random",): dict.fromkeys(
        ("random", "randint", "choice", "choices", "shuffle", "sample", "uniform", "randrange"), _STEP
    ),
    ("secrets",): dict.fromkeys(("token_hex", "token_urlsafe", "choice"), _STEP),
    ("uuid",): dict.fromkeys(("uuid1", "uuid4"), _STEP),
    ("urllib", "request"): {"urlopen": _STEP},
    ("subprocess",): dict.fromkeys(("run", "Popen", "check_output", "call"), _STEP),
    ("__builtins__",): {"open": _STEP, "input": "a handler has no terminal; ask the customer and listen for the reply"},
}


def runner(inside: Iterable[str]) -> SandboxedWorkflowRunner:
    """A runner that imports the modules in `inside` anew for each run, and all others once."""
    return SandboxedWorkflowRunner(restrictions=_restrictions(set(inside)))


def _restrictions(inside: set[str]) -> SandboxRestrictions:
    """Importing a library anew for each run costs megabytes and the deadlock budget: all of them pass through.

    Of ours only `worker.sandboxed` is imported anew: it imports the customer's modules.
    """
    loaded = {name.partition(".")[0] for name in sys.modules}
    outside = loaded | set(packages_distributions()) | {"greenlet", "runllm", "gateways"}
    outside -= {name.partition(".")[0] for name in inside} | {"sys", "__main__", "worker"}
    default = SandboxRestrictions.default
    return dataclasses.replace(
        default,
        passthrough_modules=default.passthrough_modules | outside | {"worker.session"},
        invalid_module_members=_teach(default.invalid_module_members),
        import_notification_policy=SandboxImportNotificationPolicy.SILENT,
    )


def _teach(matcher: SandboxMatcher) -> SandboxMatcher:
    for path, lessons in _TEACHING.items():
        for name, lesson in lessons.items():
            matcher = _with_lesson(matcher, path, name, lesson)
    return matcher


def _with_lesson(matcher: SandboxMatcher, path: tuple[str, ...], name: str, lesson: str) -> SandboxMatcher:
    if path:
        child = matcher.children.get(path[0]) or SandboxMatcher()
        children = {**matcher.children, path[0]: _with_lesson(child, path[1:], name, lesson)}
        # A child that matches as a whole ("use everything") is reached through its name first: narrow it.
        return dataclasses.replace(matcher, children=children, use=set(matcher.use) - {path[0]})
    message = f"{name}() is refused in a handler: {lesson}."
    leaf = SandboxMatcher(match_self=True, only_runtime=True, leaf_message=message)
    if name in ("open", "input"):  # builtins are looked up by name, and called there
        return dataclasses.replace(matcher, children={**matcher.children, name: leaf})
    called = SandboxMatcher(children={"__call__": leaf})
    return dataclasses.replace(matcher, children={**matcher.children, name: called}, use=set(matcher.use) - {name})
