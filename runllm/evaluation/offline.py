"""A conversation with a workflow that reaches nobody: the model is real, and what is sent is only kept."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from runllm import operations as ops
from runllm.agent import Agent
from runllm.bridge.buttons import ButtonClicked
from runllm.bridge.core import Event
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage, MessageType, Source
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import HandlerLeft, RunLLMError, UsageError
from runllm.evaluation.cases import Case
from runllm.parameters import bind
from runllm.testing.backstage import Backstage, NotScripted
from runllm.testing.rehearsal import Rehearsal
from runllm.testing.runtime import BUTTON_LIMIT, RehearsalRuntime, finish

Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Asks the engine's model: what the API's `evaluations/ask` takes, and what it gives."""


class Result(BaseModel):
    """What one version of a workflow did with one case.

    Attributes:
        id: The case.
        answer: The last answer that the model gave.
        category, sources: Of that answer.
        sent: All that was sent after the question, wherever it would have gone.
        tags: The tags on the conversation at the end.
        categories: What `categorize` chose, in order.
        waits_for: Buttons that nobody clicked.
        error: What the handler raised; empty where nothing.
        model: Who answered.
        input_tokens, output_tokens, cost, seconds: What the model took, all questions together.
        handler_seconds: How long the whole conversation took.
    """

    id: str
    answer: str = ""
    category: AnswerCategory | None = None
    sources: list[Source] = []
    sent: list[str] = []
    tags: list[str] = []
    categories: list[str] = []
    waits_for: list[str] = []
    error: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    handler_seconds: float = 0.0


def run_case(
    case: Case, handler: EntrypointWrapper, tasks: Sequence[TaskWrapper], ask: Ask, *, runs_steps: bool = False
) -> Result:
    """Runs a case through a workflow.

    Every message of the user reaches the workflow, as it did or would; what the assistant said at the time is not
    repeated: the workflow answers anew.
    """
    result = Result(id=case.id)
    talk = _Offline(handler, tasks, case, ask, result, runs_steps)
    began, before = time.perf_counter(), 0
    try:
        for message in case.said:
            if message.author == "user":
                before = len(talk.sent)
                talk.say(message.text)
        result.sent = [sent.text for sent in talk.sent[before:]]
    except NotScripted as error:
        result.error = str(error)
    except Exception as error:  # the workflow's: it is a result like any other
        result.error = f"{type(error).__name__}: {error}"
    result.tags = list(talk.tags)
    result.handler_seconds = round(time.perf_counter() - began, 4)
    return result


class _Offline(Rehearsal):
    """A rehearsal whose model is the engine's, and whose people click what the case says."""

    def __init__(
        self,
        handler: EntrypointWrapper,
        tasks: Sequence[TaskWrapper],
        case: Case,
        ask: Ask,
        result: Result,
        runs_steps: bool,
    ) -> None:
        super().__init__(handler, tasks)
        self._behind = _Live(ask, result)
        self._clicks = list(case.clicks)
        self._result, self._runs_steps = result, runs_steps

    def _run(self, name: str, event: Event) -> None:
        wrapper = self._stage.published(name)
        runtime = _Runtime(self._stage, self._behind, name)
        runtime.clicks, runtime.result, runtime.runs_steps = self._clicks, self._result, self._runs_steps
        arguments = bind(wrapper.function, [surface for surface, _ in self._stage.on])
        with suppress(HandlerLeft):
            finish(wrapper.function, Agent(runtime, event), event, **arguments)
        if self._behind.problem is not None:
            raise self._behind.problem


class _Runtime(RehearsalRuntime):
    """Clicks as the case says, and then not at all; steps only where that was allowed."""

    clicks: list[str]
    result: Result
    runs_steps: bool

    def _until_clicked(
        self, ids: list[str], timeout: timedelta | None, allowed_users: list[str] | None
    ) -> ButtonClicked | None:
        if self.clicks and self.clicks[0] in ids:
            user = allowed_users[0] if allowed_users else "user"
            return ButtonClicked(id=self.clicks.pop(0), user=user, at=self._stage.time)
        self.result.waits_for = ids
        self._stage.time += timeout or BUTTON_LIMIT
        if timeout is None:  # nobody clicks: in the engine the handler would stay parked
            raise HandlerLeft("nobody clicks")
        return None

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Runs the function where the command allows it: what it reaches is the world outside."""
        if not self.runs_steps:
            raise UsageError(
                f"The step {name!r} was not run: it is your code and may change things outside. "
                "With --run-steps an evaluation runs steps"
            )
        return super().step(name, function, *args, **kwargs)


class _Live(Backstage):
    """Platforms that only remember, and the engine's own model."""

    def __init__(self, ask: Ask, result: Result) -> None:
        super().__init__()
        self._ask, self._result = ask, result

    def _perform(self, operation: Any) -> Any:
        match operation:
            case ops.Summarize():
                return self._asked("summarize")["text"]
            case ops.Learn():
                return "Nothing is learned in an evaluation."
            case _:
                return super()._perform(operation)

    def _answer(self, operation: Any) -> AssistantChatMessage:
        said = self._asked("chat" if isinstance(operation, ops.Chat) else "answer", upto=operation.question.chat_id)
        result = self._result
        result.answer, result.category, result.model = said["text"], AnswerCategory(said["category"]), said["model"]
        result.sources = [Source.model_validate(source) for source in said["sources"]]
        answer = AssistantChatMessage(
            text=result.answer, chat_id=next(self._numbers), category=result.category, sources=result.sources
        )
        self.messages[answer.chat_id] = answer
        if isinstance(operation, ops.StreamAnswer):
            self.post(answer, operation.to)
        return answer

    def _categorize(self, operation: ops.Categorize) -> ops.Categorized:
        chosen = self._asked(
            "categorize",
            options=operation.categories,
            examples=operation.examples,
            default=operation.default,
            guidelines=operation.guidelines,
        )["chosen"][0]
        self._result.categories.append(chosen)
        self.script[ops.Categorize].append(chosen)
        return super()._categorize(operation)

    def _tag(self, operation: ops.Tag) -> ops.Tagged:
        options = {tag: text for tag, text in operation.options.items() if tag not in self.tags}
        chosen = (
            self._asked("tag", options=options, examples=operation.examples, guidelines=operation.guidelines)["chosen"]
            if options
            else []
        )
        self.script[ops.Tag].append(chosen)
        return super()._tag(operation)

    def _asked(self, what: str, *, upto: int | None = None, **more: Any) -> dict[str, Any]:
        shown = [chat_id for chat_id in self._all_shown() if upto is None or chat_id <= upto]
        said = [
            {"author": "user" if message.type is MessageType.USER else "assistant", "text": message.text}
            for message in (self.messages[chat_id] for chat_id in shown)
        ]
        if not said:
            raise RunLLMError("Nobody has said anything yet, so there is nothing to ask the model")
        answer = self._ask({"what": what, "said": said, **more})
        self._result.input_tokens += answer["input_tokens"]
        self._result.output_tokens += answer["output_tokens"]
        self._result.cost += answer["cost"]
        self._result.seconds = round(self._result.seconds + answer["seconds"], 4)
        return answer
