"""A server that plays the control API: it keeps what it is asked, and answers what a test queued."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runllm.bundle import Bundle


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    key: str
    body: bytes

    @property
    def bundle(self) -> Bundle:
        return Bundle.model_validate_json(self.body)


@dataclass
class Api:
    """Answers are given in order; the last one of a path is given again and again."""

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    _answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)

    def answer(self, path: str, *answers: Any, status: int = 200) -> None:
        """Queues answers for a path: dictionaries as JSON, bytes as they are."""
        bodies = [answer if isinstance(answer, bytes) else json.dumps(answer).encode() for answer in answers]
        self._answers.setdefault(path, []).extend((status, body) for body in bodies)

    def refuse(self, path: str, status: int, message: str = "") -> None:
        """Queues an error as the engine words it; without a message, one as a proxy words it."""
        body = json.dumps({"error": {"message": message, "code": "some_code"}}) if message else "<html>no</html>"
        self._answers.setdefault(path, []).append((status, body.encode()))

    def take(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        queued = self._answers.get(asked.path, [(404, b"")])
        return queued.pop(0) if len(queued) > 1 else queued[0]


@contextmanager
def running() -> Iterator[Api]:
    """An API on a port of its own."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, body = api.take(Asked(self.command, self.path, key, self.rfile.read(size)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    api.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
