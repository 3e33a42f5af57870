"""Models behind chat completions as OpenAI has them: https://platform.openai.com/docs/api-reference/chat.

The official client, with its own retries off: Temporal owns retries. Many servers speak this protocol; what is used of
it here is what they have in common: streams with their usage, tools, and a JSON schema for the reply.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk

from runllm.operations import ToolCall, ToolSpec
from worker.answering.completion import ModelBusy, ModelRefused, Reply, Request, Said, Spent, Take
from worker.answering.connections import KEPT_OPEN
from worker.answering.deadlines import Limits, within
from worker.answering.metering import note
from worker.answering.streaming import read

_STOPS: Mapping[str, str] = {
    "stop": "end",
    "tool_calls": "tools",
    "function_call": "tools",
    "length": "length",
    "content_filter": "refused",
}

_FOR_GOOD = {
    400: "refused the request ({detail})",
    401: "does not accept the API key. Set RUNLLM_MODEL_KEY to a valid one",
    403: "does not let this API key use the model {model}. Set RUNLLM_MODEL_NAME, or use another key",
    404: "has no model {model}. Set RUNLLM_MODEL_NAME to one that it has",
    413: "refused the request: it is too large",
    422: "refused the request ({detail})",
}
"""Statuses after which the same request fails the same way."""


class OpenAICompatibleProvider:
    """One model of OpenAI's, or of whoever speaks its protocol at `base_url`."""

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None, limits: Limits = Limits()) -> None:  # noqa: B008
        self.name = model
        self._limits = limits
        timeout = httpx2.Timeout(limits.total, connect=10.0)
        http = openai.DefaultAsyncHttpxClient(timeout=timeout, limits=KEPT_OPEN)
        self._client = openai.AsyncOpenAI(
            api_key=api_key, base_url=base_url, max_retries=0, timeout=timeout, http_client=http
        )

    async def complete(self, request: Request, take: Take) -> Reply:
        """Streams a reply."""
        reading = _Reading(self.name)
        try:
            async with within(self._limits, self.name) as clock:
                stream = await self._client.chat.completions.create(**_written(request, self.name))
                async with stream:
                    await read(stream, reading, take, clock)
        except openai.APIStatusError as error:
            raise _as_ours(error, self.name) from error
        except (openai.APIError, httpx2.HTTPError) as error:
            raise ModelBusy(f"The model service cannot be reached, or broke off ({type(error).__name__})") from error
        finally:
            if reading.has_begun:
                note(reading.spent())
        return reading.reply()

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.close()


class _Reading:
    """A reply as far as it has been streamed."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._stop: str | None = None
        self._spent: Spent | None = None
        self.has_begun = False
        self.says_something = False

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Takes one chunk in, and returns the text that it brought."""
        self.has_begun = True
        self._model = chunk.model or self._model
        if chunk.usage is not None:  # the last one, without a choice
            cached = getattr(chunk.usage.prompt_tokens_details, "cached_tokens", None) or 0
            self._spent = Spent(
                model=self._model,
                input_tokens=chunk.usage.prompt_tokens - cached,
                output_tokens=chunk.usage.completion_tokens,
                cache_read_tokens=cached,
            )
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self._stop = choice.finish_reason or self._stop
        for piece in choice.delta.tool_calls or ():
            self.says_something = True
            call = self._calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"] = piece.id or call["id"]
            if piece.function is not None:
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
        text = choice.delta.content or ""
        if text:
            self.says_something = True
            self._text.append(text)
        return text

    def spent(self) -> Spent:
        """What it has cost; servers say so at the end only."""
        return self._spent or Spent(model=self._model)

    def reply(self) -> Reply:
        """The whole of it.

        Raises:
            ModelBusy: It is not whole.
        """
        if self._stop is None:
            raise ModelBusy(f"The reply of the model {self._model} was cut off")
        stop = "tools" if self._calls else _STOPS.get(self._stop, "end")
        try:
            calls = [_call(number, parts) for number, parts in sorted(self._calls.items())]
        except ValueError:
            raise ModelBusy(f"The model {self._model} called a tool with arguments that are not JSON") from None
        return Reply(text="".join(self._text), calls=calls, stop=cast("Any", stop), spent=self.spent())


def _call(number: int, parts: Mapping[str, str]) -> ToolCall:
    arguments = json.loads(parts["arguments"] or "{}")
    if not isinstance(arguments, dict):
        raise ValueError("not an object")
    return ToolCall(id=parts["id"] or f"call-{number}", name=parts["name"], arguments=arguments)


def _written(request: Request, model: str) -> dict[str, Any]:
    """The request in the protocol's words."""
    system: list[dict[str, Any]] = [{"role": "system", "content": request.system}]
    said = [message for one in request.messages for message in _messages(one)]
    written: dict[str, Any] = {
        "model": model,
        "max_completion_tokens": request.max_tokens,
        "messages": [*system, *said],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": request.schema_},
        },
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        written["tools"] = [_tool(tool) for tool in request.tools]
        written["tool_choice"] = "none" if request.must_answer else "auto"
    return written


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _messages(said: Said) -> Sequence[dict[str, Any]]:
    """One message, or one for each result of a tool."""
    results = [{"role": "tool", "tool_call_id": output.call_id, "content": output.text} for output in said.outputs]
    if said.calls:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in said.calls
        ]
        return [*results, {"role": said.role, "content": said.text or None, "tool_calls": calls}]
    return [*results, *([{"role": said.role, "content": said.text}] if said.text.strip() else [])]


def _as_ours(error: openai.APIStatusError, model: str) -> ModelBusy | ModelRefused:
    if error.status_code in _FOR_GOOD:
        text = _FOR_GOOD[error.status_code].format(model=model, detail=_first_line(error.message))
        return ModelRefused(f"The model service {text}")
    return ModelBusy(f"The model service cannot answer now (status {error.status_code})", _retry_after(error))


def _first_line(text: str) -> str:
    """What it says, without what it quotes: that could be somebody's words."""
    return re.sub(r"(['\"`]).*?(\1|$)", "…", " ".join(text.split()))[:200]


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        return max(0.0, float(error.response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
