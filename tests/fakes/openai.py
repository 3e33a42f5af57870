"""A stand-in for OpenAI's chat completions: strict about what it is sent, and able to misbehave."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.anthropic import Reply, Trouble

KEY = "test-key"
MODELS = ("gpt-small", "gpt-large")

_FIELDS = {
    "model",
    "messages",
    "max_completion_tokens",
    "response_format",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
}


@dataclass
class OpenAI:
    """The stand-in. `requests` is what it was asked."""

    says: Callable[[dict[str, Any]], Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    troubles: deque[Trouble] = field(default_factory=deque)
    piece: int = 12
    url: str = ""

    def app(self) -> web.Application:
        """The service."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._completions)
        return app

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        trouble = self.troubles.popleft() if self.troubles else Trouble()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "Incorrect API key provided")
        body = await request.json()
        if body.get("model") not in MODELS:
            return _error(404, f"The model `{body.get('model')}` does not exist")
        if (problem := _problem(body)) is not None:
            return _error(400, problem)
        self.requests.append(body)
        if trouble.error and trouble.after is None:
            return _error(int(trouble.error), "Something", trouble.retry_after)
        return await self._stream(request, body, self.says(body), trouble)

    async def _stream(
        self, request: web.Request, body: dict[str, Any], reply: Reply, trouble: Trouble
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, delta in enumerate(self._deltas(reply)):
            await asyncio.sleep(trouble.pause if number == 1 else 0)
            if trouble.after == number:
                if trouble.cut:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                await response.write(f"data: {trouble.malformed}\n\n".encode())
            await response.write(_chunk(body, [{"index": 0, "delta": delta, "finish_reason": None}]))
        reason = reply.stop_reason or ("tool_calls" if reply.calls else "stop")
        await response.write(_chunk(body, [{"index": 0, "delta": {}, "finish_reason": reason}]))
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 60},
        }
        await response.write(_chunk(body, [], usage))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _deltas(self, reply: Reply) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        text = json.dumps(reply.object) if reply.object is not None else reply.text or ""
        deltas += [{"content": text[n : n + self.piece]} for n in range(0, len(text), self.piece)]
        for index, (name, arguments) in enumerate(reply.calls):
            function = {"name": name, "arguments": ""}
            deltas.append(
                {"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": function}]}
            )
            said = json.dumps(arguments)
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": said[n : n + 5]}}]}
                for n in range(0, len(said), 5)
            ]
        return deltas


def _problem(body: dict[str, Any]) -> str | None:
    """What the service would refuse."""
    if extra := sorted(set(body) - _FIELDS):
        return f"Unrecognized request argument supplied: {extra[0]}"
    if "tool_choice" in body and not body.get("tools"):
        return "'tool_choice' is only allowed when 'tools' are specified."
    due: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in due:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            due.remove(message["tool_call_id"])
        elif due:
            return "An assistant message with 'tool_calls' must be followed by tool messages"
        due = due or [call["id"] for call in message.get("tool_calls", [])]
    return "tool messages are missing" if due else None


def _chunk(body: dict[str, Any], choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body["model"],
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _error(status: int, message: str, retry_after: str | None = None) -> web.Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    return web.json_response(body, status=status, headers={"retry-after": retry_after} if retry_after else {})


@asynccontextmanager
async def serving(service: OpenAI) -> AsyncIterator[OpenAI]:
    """Serves a stand-in on this machine, at its `url`."""
    runner = web.AppRunner(service.app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield service
    finally:
        await runner.cleanup()
