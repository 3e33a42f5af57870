"""A stand-in for Anthropic's Messages API: as strict as the service, with its streams, and able to misbehave.

What it refuses, it refuses with the service's own errors (https://docs.claude.com/en/api/errors); what it streams are
the service's own events (https://docs.claude.com/en/docs/build-with-claude/streaming). Its replies follow the schema
that the request asks for; a test says what they hold with `says`, or lets the stand-in answer from what it was given.

`python -m tests.fakes.anthropic` serves it as a process of its own.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import re
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

KEY = "test-key"
MODELS = ("claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-4-6")

_FIELDS = {
    "model", "messages", "cache_control", "container", "inference_geo", "max_tokens", "metadata", "output_config",
    "service_tier", "stop_sequences", "stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k",
    "top_p",
}  # fmt: skip
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}


@dataclass(frozen=True)
class Reply:
    """What to say: an object in the form asked for, text as it is, or tools to call."""

    object: dict[str, Any] | None = None
    text: str | None = None
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    stop_reason: str | None = None


@dataclass(frozen=True)
class Trouble:
    """How one request goes wrong.

    Attributes:
        error: An error type of the service.
        after: How many pieces are streamed before; None for an error instead of a stream.
        retry_after: What the header says.
        cut: The connection is closed after `after` pieces, without a word.
        malformed: After `after` pieces comes an event that is not JSON.
        pause: Seconds before the first piece; nothing else goes wrong.
    """

    error: str = ""
    after: int | None = None
    retry_after: str | None = None
    cut: bool = False
    malformed: str = ""
    pause: float = 0.0


class Refused(Exception):
    """The service does not take the request."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


@dataclass
class Anthropic:
    """The stand-in. `requests` is what it was asked, `paid` how many replies it has finished."""

    says: Callable[[dict[str, Any]], Reply] | None = None
    key: str = KEY
    piece: int = 12
    pause: float = 0.0
    log: Path | None = None
    uses: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Tools to call, one a turn, before it answers."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    troubles: deque[Trouble] = field(default_factory=deque)
    paid: int = 0
    url: str = ""
    _cached: set[str] = field(default_factory=set)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def app(self) -> web.Application:
        """The service."""
        app = web.Application(client_max_size=32 * 2**20)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_route("*", "/{rest:.*}", self._nowhere)
        return app

    async def _nowhere(self, request: web.Request) -> web.Response:
        return self._error("not_found_error", "Not found")

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        trouble = self.troubles.popleft() if self.troubles else Trouble()
        try:
            self._admit(request)
            body = await request.json()
            self._check(body)
        except Refused as error:
            return self._error(error.kind, error.message)
        except ValueError:
            return self._error("invalid_request_error", "The request body is not valid JSON.")
        self.requests.append(body)
        if trouble.error and trouble.after is None:
            return self._error(trouble.error, "Overloaded" if "over" in trouble.error else "Something", trouble)
        reply = self._reply(body)
        message = self._message(body, reply)
        if not body.get("stream"):
            self._done(body)
            return web.json_response(message)
        return await self._stream(request, body, message, trouble)

    async def _stream(
        self, request: web.Request, body: dict[str, Any], message: dict[str, Any], trouble: Trouble
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        pieces = 0
        for name, event in events(message, self.piece):
            if name in ("content_block_delta",):
                await asyncio.sleep(self.pause if pieces else self.pause + trouble.pause)
                if trouble.after == pieces:
                    if trouble.error:
                        error = {"type": "error", "error": {"type": trouble.error, "message": "Overloaded"}}
                        await response.write(_sse("error", error))
                        return response
                    if trouble.cut:
                        assert request.transport is not None
                        request.transport.abort()
                        return response
                    await response.write(f"event: content_block_delta\ndata: {trouble.malformed}\n\n".encode())
                pieces += 1
            await response.write(_sse(name, event))
        self._done(body)
        await response.write_eof()
        return response

    def _done(self, body: dict[str, Any]) -> None:
        self.paid += 1
        if self.log is not None:
            rounds = sum(message["role"] == "assistant" for message in body["messages"])
            with self.log.open("a") as file:
                file.write(json.dumps({"turn": rounds, "messages": len(body["messages"])}) + "\n")

    # What it takes

    def _admit(self, request: web.Request) -> None:
        given = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given != self.key:
            raise Refused("authentication_error", "invalid x-api-key")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", request.headers.get("anthropic-version", "")):
            raise Refused("invalid_request_error", "anthropic-version: header is required")

    def _check(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise Refused("invalid_request_error", "Input should be an object")
        for name in ("model", "messages", "max_tokens"):
            if name not in body:
                raise Refused("invalid_request_error", f"{name}: Field required")
        if extra := sorted(set(body) - _FIELDS):
            raise Refused("invalid_request_error", f"{extra[0]}: Extra inputs are not permitted")
        if body["model"] not in MODELS:
            raise Refused("not_found_error", f"model: {body['model']}")
        if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
            raise Refused("invalid_request_error", "max_tokens: Input should be greater than or equal to 1")
        _check_tools(body)
        _check_messages(body["messages"])
        marks = len(re.findall(r'"cache_control": \{', json.dumps(body)))
        if marks > 4:
            raise Refused(
                "invalid_request_error", f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
            )

    # What it says

    def _reply(self, body: dict[str, Any]) -> Reply:
        if self.says is not None:
            return self.says(body)
        rounds = sum(any(block["type"] == "tool_use" for block in _blocks(message)) for message in body["messages"])
        if body.get("tools") and body.get("tool_choice", {}).get("type") != "none" and rounds < len(self.uses):
            return Reply(calls=(self.uses[rounds],))
        return Reply(object=fitting(body))

    def _message(self, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        text = reply.text if reply.object is None else json.dumps(reply.object, ensure_ascii=False)
        if text:
            content.append({"type": "text", "text": text, "citations": None})
        content += [
            {
                "type": "tool_use",
                "id": f"toolu_{next(self._numbers):024d}",
                "name": name,
                "input": arguments,
                "caller": {"type": "direct"},
            }
            for name, arguments in reply.calls
        ]
        return {
            "id": f"msg_{next(self._numbers):024d}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": reply.stop_reason or ("tool_use" if reply.calls else "end_turn"),
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": self._usage(body, json.dumps(content)),
        }

    def _usage(self, body: dict[str, Any], said: str) -> dict[str, Any]:
        """Counts as the service does: what is cached up to a mark is read once it was written."""
        parts: list[tuple[str, bool]] = [(json.dumps(tool), "cache_control" in tool) for tool in body.get("tools", [])]
        system = body.get("system", [])
        for block in [{"text": system}] if isinstance(system, str) else system:
            parts.append((json.dumps(block.get("text")), "cache_control" in block))
        for message in body["messages"]:
            for block in _blocks(message):
                without = {key: value for key, value in block.items() if key != "cache_control"}
                parts.append((message["role"] + json.dumps(without), "cache_control" in block))
        prefix, counted, read, written = "", 0, 0, 0
        for text, is_marked in parts:
            prefix, counted = prefix + text, counted + _tokens(text)
            if is_marked:
                name = hashlib.sha256((body["model"] + prefix).encode()).hexdigest()
                read, written = (counted, 0) if name in self._cached else (read, counted - read)
                self._cached.add(name)
        return {
            "input_tokens": counted - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": max(1, _tokens(said)),
            "inference_geo": None,
            "server_tool_use": None,
            "service_tier": "standard",
        }

    def _error(self, kind: str, message: str, trouble: Trouble | None = None) -> web.Response:
        headers = {"retry-after": trouble.retry_after} if trouble is not None and trouble.retry_after else {}
        return web.json_response(
            {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{next(self._numbers)}"},
            status=_STATUS[kind],
            headers=headers,
        )


def events(message: dict[str, Any], piece: int) -> list[tuple[str, dict[str, Any]]]:
    """A message as the events of a stream."""
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    said: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": start}), ("ping", {})]
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            empty, whole, kind, key = {**block, "text": ""}, block["text"], "text_delta", "text"
        else:
            empty, whole = {**block, "input": {}}, json.dumps(block["input"])
            kind, key = "input_json_delta", "partial_json"
        said.append(("content_block_start", {"index": index, "content_block": empty}))
        pieces = [whole[n : n + piece] for n in range(0, len(whole), piece)]
        if kind == "input_json_delta":
            pieces.insert(0, "")  # as the service does
        said += [("content_block_delta", {"index": index, "delta": {"type": kind, key: one}}) for one in pieces]
        said.append(("content_block_stop", {"index": index}))
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    said.append(("message_delta", {"delta": end, "usage": {"output_tokens": usage["output_tokens"]}}))
    said.append(("message_stop", {}))
    return [(name, {"type": name, **event}) for name, event in said]


def fitting(body: dict[str, Any]) -> dict[str, Any]:
    """An object that fits the schema of the request: the answer is the first passage, and rests on it."""
    schema = body.get("output_config", {}).get("format", {}).get("schema", {})
    passages = passages_in(body)
    fields: dict[str, Any] = {}
    for name, about in schema.get("properties", {}).items():
        if name == "text":
            fields[name] = passages[0]["text"] if passages else "The documentation does not say."
        elif name == "passages":
            fields[name] = [passages[0]["id"]] if passages else []
        elif name == "category" and "answered" in about.get("enum", []):
            fields[name] = "answered" if passages else "unanswered"
        elif "enum" in about:
            fields[name] = about["enum"][0]
        elif about.get("type") == "array":
            fields[name] = []
        else:
            fields[name] = "A summary."
    return fields


def data_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The JSON objects in a request's messages, and in what tools gave."""
    texts = [block.get("text") or block.get("content") for message in body["messages"] for block in _blocks(message)]
    read = []
    for text in texts:
        try:
            read.append(json.loads(text or ""))
        except ValueError:
            continue
    return [one for one in read if isinstance(one, dict)]


def passages_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    """All passages in a request."""
    return [passage for one in data_in(body) for passage in one.get("passages", [])]


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools", [])
    if "tool_choice" in body and not tools:
        raise Refused("invalid_request_error", "tool_choice may only be specified while providing tools.")
    names = [tool.get("name", "") for tool in tools]
    for name, tool in zip(names, tools, strict=True):
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name):
            raise Refused("invalid_request_error", f"tools: String should match pattern: {name!r}")
        if tool.get("input_schema", {}).get("type") != "object":
            raise Refused("invalid_request_error", "tools.0.custom.input_schema.type: Field required")
    if len(set(names)) != len(names):
        raise Refused("invalid_request_error", "tools: Tool names must be unique.")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("invalid_request_error", "messages: at least one message is required")
    if messages[0].get("role") != "user":
        raise Refused("invalid_request_error", 'messages: first message must use the "user" role')
    if messages[-1].get("role") != "user":
        raise Refused("invalid_request_error", "This model does not support assistant message prefill.")
    due: list[str] = []
    for number, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant") or set(message) != {"role", "content"}:
            raise Refused("invalid_request_error", f"messages.{number}: Input should be a message")
        blocks = _blocks(message)
        if not blocks:
            raise Refused("invalid_request_error", f"messages.{number}: content must be non-empty")
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                raise Refused("invalid_request_error", "messages: text content blocks must be non-empty")
        given = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(given) != sorted(due):
            raise Refused(
                "invalid_request_error", f"messages.{number}: `tool_use` ids were found without `tool_result` blocks"
            )
        due = [block["id"] for block in blocks if block["type"] == "tool_use"]


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _sse(name: str, event: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(event)}\n\n".encode()


@asynccontextmanager
async def serving(service: Anthropic, port: int = 0) -> AsyncIterator[Anthropic]:
    """Serves a stand-in on this machine, at its `url`."""
    runner = web.AppRunner(service.app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()


S = TypeVar("S", bound=Anthropic)


@contextmanager
def serving_beside(service: S) -> Iterator[S]:
    """The same on a thread of its own, for those who wait for it without a loop."""
    ready, loop, over = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with serving(service):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path)
    parser.add_argument("--uses", default="[]")
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--piece", type=int, default=12)
    given = parser.parse_args()
    service = Anthropic(log=given.log, uses=json.loads(given.uses), pause=given.pause, piece=given.piece)
    async with serving(service):
        print(service.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
