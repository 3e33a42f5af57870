"""Traffic between an adapter and a stand-in, judged by the platform's official specification.

    async with FakeSlack() as fake, judged("slack", fake.url) as url:
        ...  # point the adapter at `url`

With RUNLLM_SPECS set to the directory that has `specs/` and `tools/oas_proxy.py` (`make contract` does), `url` leads
through that proxy, and leaving the block fails on every request and every answer that the specification does not allow.
Without it, `url` is the stand-in's own and nothing is judged. Mark the tests that use it with `pytest.mark.contract`.

    client -> front relay -> oas_proxy.py -> back relay -> stand-in

The proxy reads a specification for a second or more, so it is started once a run and platform. The relays let its
upstream change from test to test, and let a stand-in hang up: the proxy alone would turn a lost reply into an answer,
and would send some requests a second time.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal
from urllib.parse import urlsplit

from runllm.testing.engine import free_port

Platform = Literal["slack", "zendesk", "discord", "anthropic"]

OPTIONS: dict[Platform, list[str]] = {
    "slack": ["slack_web_oas3_2026.json", "--strip-prefix", "/api"],
    "zendesk": ["zendesk_support_derived.json", "--strip-ext", ".json"],
    "discord": ["discord.json", "--strip-prefix", "/api/v10"],
    "anthropic": ["anthropic_messages.json"],
}
"""The specification of each platform, and how its paths differ from those that clients use."""

_LOST = b"HTTP/1.1 599 Reply Lost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_UNREADABLE = ["AssertionError", ""]
"""What the judge says of a body of several parts, as of a message with a file: it drops the boundary between them."""
_PATIENCE = 60.0


@dataclass
class Relay:
    """Passes bytes on to `port`, one exchange a connection, so that a change of `port` holds for the next request.

    A server that hangs up without a word is `_LOST` to the proxy behind `back`, and hung up again by `front`.
    """

    side: Literal["front", "back"]
    port: int = 0
    server: asyncio.Server | None = None
    jobs: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> int:
        """Listens on a port of its own, which is returned."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        job = asyncio.current_task()
        assert job is not None
        self.jobs.add(job)
        job.add_done_callback(self.jobs.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._exchange(reader, writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _http_message(reader)
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        except OSError:
            writer.write(_LOST if self.side == "back" else b"")
            return
        try:
            to_writer.write(_closing(request))
            try:
                answer = await to_reader.read()
            except ConnectionError:
                answer = b""
        finally:
            to_writer.close()
        if self.side == "back" and not answer:
            answer = _LOST
        if self.side == "front" and answer.startswith(b"HTTP/1.1 599"):
            answer = b""
        writer.write(answer)
        await writer.drain()


@dataclass
class Judge:
    """The proxy of one platform, with a relay on either side."""

    front: Relay
    back: Relay
    url: str
    log: Path
    proxy: asyncio.subprocess.Process

    def lines(self) -> list[dict[str, Any]]:
        """All exchanges so far."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


_JUDGES: dict[Platform, Judge] = {}


@asynccontextmanager
async def judged(platform: Platform, url: str, outside: Sequence[str] = ()) -> AsyncIterator[str]:
    """The address to use instead of the stand-in's `url`: through the proxy where there are specifications.

    Args:
        platform: Whose specification judges.
        url: Scheme, host and port of the stand-in.
        outside: Beginnings of paths that are not part of the specification, like OAuth's; they are not judged.

    Raises:
        AssertionError: On leaving, where an exchange did not fit.
    """
    specs = os.environ.get("RUNLLM_SPECS")
    if not specs:
        yield url
        return
    judge = await _judge(platform, Path(specs))
    judge.back.port = urlsplit(url).port or 80
    before = len(judge.lines())
    yield judge.url
    found = violations(judge.lines()[before:], outside)
    assert not found, "traffic that the specification does not allow:\n" + "\n".join(found)


def violations(lines: Sequence[dict[str, Any]], outside: Sequence[str] = ()) -> list[str]:
    """What does not fit, one sentence each.

    Specifications do not describe every failure: an answer with 401, 429 or 5xx that they do not know is not held
    against a stand-in that was told to fail, or whose token was taken back.
    """
    found: list[str] = []
    for line in lines:
        if line["path"].startswith(tuple(outside)) and outside:
            continue
        what = f"{line['method']} {line['path']} -> {line.get('status')}"
        if line["req"] and line["req"] != _UNREADABLE:
            found.append(f"{what}: the request: {line['req']}")
        status = line.get("status") or 0
        is_failure = status in (401, 429) or status >= 500
        if line["resp"] and not ((is_failure and _is_unknown_status(line["resp"])) or _is_stream(line["resp"])):
            found.append(f"{what}: the answer: {line['resp']}")
    return found


def _is_stream(problems: Sequence[str]) -> bool:
    """Specifications describe whole answers, and not the events that a stream is made of."""
    return any("text/event-stream" in problem for problem in problems)


def _is_unknown_status(problems: Sequence[str]) -> bool:
    return problems[0] in ("ResponseNotFound", "ResponseFinderError") or "ResponseNotFound" in " ".join(problems)


async def _judge(platform: Platform, root: Path) -> Judge:
    if platform in _JUDGES and _JUDGES[platform].proxy.returncode is None:
        return _JUDGES[platform]
    spec, *options = OPTIONS[platform]
    log = Path(mkdtemp(prefix="contract-")) / f"{platform}.jsonl"
    front, back = Relay("front"), Relay("back")
    port = free_port()
    upstream = f"http://127.0.0.1:{await back.start()}"
    command = [str(root / "tools" / "oas_proxy.py"), str(root / "specs" / spec), str(port), upstream, *options]
    proxy = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--log", str(log), stderr=asyncio.subprocess.PIPE
    )
    assert proxy.stderr is not None
    said = await asyncio.wait_for(proxy.stderr.readline(), _PATIENCE)
    assert said.startswith(b"oas_proxy on"), (said + await proxy.stderr.read()).decode()
    front.port = port
    judge = Judge(front, back, f"http://127.0.0.1:{await front.start()}", log, proxy)
    _JUDGES[platform] = judge
    return judge


async def close_judges() -> None:
    """Ends all proxies: once, at the end of the run."""
    for judge in _JUDGES.values():
        for relay in (judge.front, judge.back):
            if relay.server is not None:
                relay.server.close()
        if judge.proxy.returncode is None:
            judge.proxy.terminate()
        await judge.proxy.wait()
    _JUDGES.clear()


async def _http_message(reader: asyncio.StreamReader) -> bytes:
    """One request: its head, and a body of the length that the head says."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return head + await _chunks(reader)
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        body += size + await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        if int(size.split(b";")[0], 16) == 0:
            return body


def _closing(request: bytes) -> bytes:
    """The request, asking for one answer and the end of the connection."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"expect:"))]
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body
