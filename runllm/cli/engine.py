"""The engine that a command talks to: its address, the key, and one method a kind of call."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import TextWrapper
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import httpx
import typer

from runllm.api_errors import not_an_engine, problem, unreachable
from runllm.client import DEFAULT_SERVER, Client
from runllm.errors import RunLLMError, ServerError, UsageError

FAILED, USAGE = 1, 2
"""Exit codes: it was tried and did not work; the command was called in a way that cannot work."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Server = Annotated[
    str, typer.Option("--server", envvar="RUNLLM_SERVER", help="Address of the engine.", show_default=True)
]
ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key", envvar="RUNLLM_API_KEY", show_default=False,
        help="Key of the engine's API; otherwise the one in .runllm/api_key is used.",
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True)
class Engine:
    """The control API of one engine.

    Attributes:
        server: Its address.
        key: The key that calls are made with.
    """

    server: str
    key: str

    @classmethod
    def of(cls, server: str, key: str, environ: Mapping[str, str] = os.environ) -> "Engine":
        """The engine that the options name; the key may be in a file of the engine's home.

        Raises:
            UsageError: There is no key, or the address is none.
        """
        if not key.strip():
            key = _key_in(Path(environ.get("RUNLLM_HOME") or ".runllm"))
        client = Client(key, server)  # checks both
        return cls(client.server_address, client.api_key)

    @property
    def client(self) -> Client:
        """The SDK's client of the same engine."""
        return Client(self.key, self.server)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """What is at a path of the API."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any], *, patience: float = 30.0) -> dict[str, Any]:
        """Creates something; what takes longer than `patience` seconds is given up."""
        return self._call("POST", path, patience=patience, json=dict(body))

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Changes something."""
        return self._call("PUT", path, json=dict(body))

    def delete(self, path: str) -> dict[str, Any]:
        """Removes something."""
        return self._call("DELETE", path)

    def is_alive(self) -> dict[str, Any]:
        """What the gateway says of itself; this needs no key."""
        return self._call("GET", "/healthz", whole=True)

    def _call(
        self, method: str, path: str, *, whole: bool = False, patience: float = 30.0, **more: Any
    ) -> dict[str, Any]:
        try:
            response = httpx.request(
                method,
                self.server + (path if whole else f"/api/v1/{path}"),
                headers={"Authorization": f"Bearer {self.key}"},
                timeout=httpx.Timeout(patience, connect=5.0),
                trust_env=urlsplit(self.server).hostname not in _LOOPBACK,
                **more,
            )
        except httpx.TransportError as error:
            raise unreachable(self.server, str(error) or type(error).__name__) from None
        if not response.is_success:
            raise problem(self.server, response.status_code, response.content, path)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise not_an_engine(self.server)
        return answer


def _key_in(home: Path) -> str:
    file = home / "api_key"
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UsageError(
            f"There is no API key. Set RUNLLM_API_KEY, pass --api-key, or go where `runllm dev` was started: it writes "
            f"its key to {file}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The API key in {file} cannot be read ({error}). Set RUNLLM_API_KEY") from None


@contextmanager
def in_words() -> Iterator[None]:
    """Ends the command with one sentence and an exit code where an error was to be expected."""
    try:
        yield
    except UsageError as error:
        end(str(error), USAGE)
    except RunLLMError as error:
        end(str(error), FAILED)


def end(text: str, code: int) -> NoReturn:
    """Ends the command with a sentence on standard error."""
    say(text)
    raise typer.Exit(code) from None


def say(text: str) -> None:
    """Says on standard error what is wrong; on a terminal, lines end between words."""
    said = f"runllm: {text.rstrip('.')}."
    if sys.stderr.isatty():
        said = "\n".join(_lines(said, shutil.get_terminal_size().columns))
    typer.echo(said, err=True)


def _lines(text: str, width: int) -> list[str]:
    """Whole words on each line; an address or a path longer than a line stays in one piece, to be copied."""
    wrapped = TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return [line for paragraph in text.splitlines() for line in wrapped.wrap(paragraph) or [""]]


def known(look: Callable[[], dict[str, Any]], advice: str) -> dict[str, Any]:
    """What `look` finds; where it is not there, the advice of this command takes the place of the API's."""
    try:
        return look()
    except ServerError as error:
        first, _, rest = str(error).partition(". GET /api/v1/")
        raise ServerError(f"{first}. {advice}") from None if rest else error


__all__ = ["DEFAULT_SERVER", "ApiKey", "AsJson", "Engine", "Server", "end", "in_words", "known", "say"]
