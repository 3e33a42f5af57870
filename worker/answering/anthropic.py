"""Models of Anthropic, over their Messages API: https://docs.claude.com/en/api/messages.

The official client, with its own retries off: Temporal owns retries. What the service streams is read event by event
(https://docs.claude.com/en/docs/build-with-claude/streaming), so that tokens count that a cut stream has cost.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anthropic
import httpx2
from anthropic.types import RawMessageStreamEvent

from runllm.operations import ToolCall, ToolSpec
from worker.answering.completion import ModelBusy, ModelRefused, Reply, Request, Said, Spent, Take
from worker.answering.connections import KEPT_OPEN
from worker.answering.deadlines import Limits, within
from worker.answering.metering import note
from worker.answering.streaming import read

_CACHED = {"type": "ephemeral"}

_STOPS: Mapping[str, str] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}

_FOR_GOOD = {
    "authentication_error": "does not accept the API key. Set RUNLLM_MODEL_KEY to a valid one",
    "permission_error": "does not let this API key use the model {model}. Set RUNLLM_MODEL_NAME, or use another key",
    "not_found_error": "has no model {model}. Set RUNLLM_MODEL_NAME to one that it has",
    "billing_error": "refuses for want of payment. Look at the account's billing",
    "invalid_request_error": "refused the request ({detail})",
    "request_too_large": "refused the request: it is too large",
}
"""Error types after which the same request fails the same way: https://docs.claude.com/en/api/errors."""

_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
}


class AnthropicProvider:
    """One model of Anthropic's, or of whoever speaks its protocol at `base_url`."""

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None, limits: Limits = Limits()) -> None:  # noqa: B008
        self.name = model
        self._limits = limits
        timeout = httpx2.Timeout(limits.total, connect=10.0)
        http = anthropic.DefaultAsyncHttpxClient(timeout=timeout, limits=KEPT_OPEN)
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key, base_url=base_url, max_retries=0, timeout=timeout, http_client=http
        )

    async def complete(self, request: Request, take: Take) -> Reply:
        """Streams a reply."""
        reading = _Reading(self.name)
        try:
            async with within(self._limits, self.name) as clock:
                stream = await self._client.messages.create(**_written(request, self.name), stream=True)
                async with stream:
                    await read(stream, reading, take, clock)
        except anthropic.APIStatusError as error:
            raise _as_ours(error, self.name) from error
        except (anthropic.APIError, httpx2.HTTPError) as error:
            raise ModelBusy(f"The model service cannot be reached, or hung up ({type(error).__name__})") from error
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
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._counts: dict[str, int] = {}
        self._stop: str | None = None
        self._is_over = False
        self.has_begun = False
        self.says_something = False

    def add(self, event: RawMessageStreamEvent) -> str:
        """Takes one event in, and returns the text that it brought. Kinds that are new to us say nothing."""
        match event.type:
            case "message_start":
                self.has_begun = True
                self._model = event.message.model or self._model
                self._count(event.message.usage)
            case "content_block_start" if event.content_block.type == "tool_use":
                self.says_something = True
                self._calls[event.index] = (event.content_block.id, event.content_block.name, [])
            case "content_block_delta" if event.delta.type == "text_delta":
                self.says_something = True
                self._text.append(event.delta.text)
                return event.delta.text
            case "content_block_delta" if event.delta.type == "input_json_delta":
                self._calls[event.index][2].append(event.delta.partial_json)
            case "message_delta":
                self._stop = event.delta.stop_reason
                self._count(event.usage)
            case "message_stop":
                self._is_over = True
            case _:
                pass
        return ""

    def _count(self, usage: Any) -> None:
        """Later counts are totals, and take the place of earlier ones."""
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            value = getattr(usage, name, None)
            if value is not None:
                self._counts[name] = int(value)

    def spent(self) -> Spent:
        """What it has cost so far. The service counts cached input apart."""
        return Spent(
            model=self._model,
            input_tokens=self._counts.get("input_tokens", 0),
            output_tokens=self._counts.get("output_tokens", 0),
            cache_read_tokens=self._counts.get("cache_read_input_tokens", 0),
            cache_write_tokens=self._counts.get("cache_creation_input_tokens", 0),
        )

    def reply(self) -> Reply:
        """The whole of it.

        Raises:
            ModelBusy: It is not whole.
        """
        if not self._is_over:
            raise ModelBusy(f"The reply of the model {self._model} was cut off")
        stop = _STOPS.get(self._stop or "", "end")
        try:
            calls = [_call(*parts) for _, parts in sorted(self._calls.items())] if stop == "tools" else []
        except ValueError:
            raise ModelBusy(f"The model {self._model} called a tool with arguments that are not JSON") from None
        return Reply(text="".join(self._text), calls=calls, stop=cast("Any", stop), spent=self.spent())


def _call(id: str, name: str, pieces: Sequence[str]) -> ToolCall:
    arguments = json.loads("".join(pieces) or "{}")
    if not isinstance(arguments, dict):
        raise ValueError("not an object")
    return ToolCall(id=id, name=name, arguments=arguments)


def _written(request: Request, model: str) -> dict[str, Any]:
    """The request in the service's words. What stays the same from request to request comes first, and is cached."""
    written: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "system": [{"type": "text", "text": request.system, "cache_control": _CACHED}],
        "messages": [_message(said) for said in request.messages],
        "output_config": {"format": {"type": "json_schema", "schema": request.schema_}},
    }
    if request.tools:
        written["tools"] = [_tool(tool) for tool in request.tools]
        written["tool_choice"] = {"type": "none" if request.must_answer else "auto"}
    return written


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}


def _message(said: Said) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": output.call_id, "content": output.text, "is_error": output.is_error}
        for output in said.outputs
    ]
    if said.text.strip():  # the service refuses empty text
        blocks.append({"type": "text", "text": said.text})
    blocks += [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in said.calls]
    if said.is_stable and blocks:
        blocks[-1] = {**blocks[-1], "cache_control": _CACHED}
    return {"role": said.role, "content": blocks}


def _as_ours(error: anthropic.APIStatusError, model: str) -> ModelBusy | ModelRefused:
    """By the error's own type, because an error in the middle of a stream comes with the status 200."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    inner = inner if isinstance(inner, dict) else {}
    kind = str(inner.get("type") or _TYPE_OF_STATUS.get(error.status_code, "api_error"))
    if kind in _FOR_GOOD:
        detail = _first_line(inner.get("message"))
        return ModelRefused(f"The model service {_FOR_GOOD[kind].format(model=model, detail=detail)}")
    return ModelBusy(f"The model service cannot answer now ({kind})", _retry_after(error.response.headers))


def _first_line(text: object) -> str:
    """What it says, without what it quotes: that could be somebody's words."""
    return re.sub(r"(['\"`]).*?(\1|$)", "…", " ".join(str(text or "it does not say why").split()))[:200]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None
