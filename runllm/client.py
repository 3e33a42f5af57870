"""The client: publish a workflow, watch it being deployed, take it back."""

import inspect
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, List  # noqa: UP035 - the documented form of the signatures
from urllib.parse import urlsplit

from pydantic import ValidationError

from runllm.api_errors import AwayError, not_an_engine, problem, standstill, unreachable
from runllm.bundle import collect
from runllm.decorators import EntrypointWrapper, TaskWrapper
from runllm.errors import PublishError, UsageError
from runllm.progress import Deployment, Progress

if TYPE_CHECKING:
    import httpx

DEFAULT_SERVER = "http://127.0.0.1:8080"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_POLL_SECONDS = 0.25
_OUTAGE_SECONDS = 20.0  # a server that is restarted in the middle of a deployment is back by then
_LEAVING_SECONDS = 1.0  # a version is live; the one it replaces may take its time to go, and nobody waits for that
_STANDSTILL_SECONDS = 300.0  # no step takes so long without saying anything: nobody is at work


class Client:
    """Publishes workflows on an engine, and follows their deployment.

    Where `RUNLLM_LOADING` is set, as it is where the engine loads published code, all methods return at once: a script
    may publish itself at the end, without a guard.

    Args:
        api_key: The key of the engine's API; the environment's `RUNLLM_API_KEY` where it is None.
        server_address: Where the engine is; the environment's `RUNLLM_SERVER` where it is None, and
            `http://127.0.0.1:8080` where that is not set either.

    Attributes:
        server_address: Where the engine is.
        api_key: The key of the engine's API.

    Raises:
        UsageError: There is no key, or the address is none.

    Example:
        ```python
        client = Client()
        client.publish("help_desk", answer_questions, [follow_up])
        client.watch("help_desk")
        ```
    """

    def __init__(self, api_key: str | None = None, server_address: str | None = None) -> None:
        self._is_loading = os.environ.get("RUNLLM_LOADING", "") not in ("", "0")
        key = os.environ.get("RUNLLM_API_KEY") if api_key is None else api_key
        self.api_key = (key or "").strip()
        address = os.environ.get("RUNLLM_SERVER") if server_address is None else server_address
        self.server_address = (address or DEFAULT_SERVER).strip().rstrip("/")
        if not self._is_loading:
            _check_key(self.api_key)
            _check_address(self.server_address)

    def publish(
        self,
        name: str,
        entrypoint: EntrypointWrapper,
        tasks: List[TaskWrapper] | None = None,  # noqa: UP006
    ) -> None:
        """Uploads a workflow: the modules of its handlers, and the local modules that these import.

        The engine deploys it from then on; `watch` shows how. The same code again changes nothing.

        Args:
            name: What the workflow is published as: a letter, and up to 63 letters, digits, `-` and `_`. Publishing
                under the same name again replaces it.
            entrypoint: The function that new conversations start with.
            tasks: All functions that conversations can move on to.

        Raises:
            UsageError: The name does not fit, or a handler is not decorated.
            PublishError: The workflow cannot be published as it is; the text says what to change.
            ServerError: The engine could not be reached, or does not know the key.

        Example:
            ```python
            Client().publish("help_desk", answer_questions, tasks=[follow_up])
            ```
        """
        if self._is_loading:
            return
        _check_name(name)
        bundle = collect(_entrypoint(entrypoint), _tasks(tasks), name)
        with self._connect() as http:
            answer = self._call(http, "POST", "/api/v1/workflows", name, bundle.model_dump_json())
        build_id = answer.get("build_id")
        if not isinstance(build_id, str):
            raise not_an_engine(self.server_address)
        if answer.get("unchanged"):
            print(f"{name} is unchanged: build {build_id} has this code already")
        else:
            files = "1 file" if len(bundle.files) == 1 else f"{len(bundle.files)} files"
            print(f"{name} is published as build {build_id}, {files}: client.watch({name!r}) follows its deployment")

    def watch(self, name: str) -> None:
        """Prints each step of a deployment while it happens, and returns when it is over.

        Args:
            name: What the workflow was published as.

        Raises:
            PublishError: The deployment failed; the text says at which step, and why.
            ServerError: The engine could not be reached, does not know the key or the name, or does not get on with
                the deployment.

        Example:
            ```python
            client.publish("help_desk", answer_questions)
            client.watch("help_desk")
            ```
        """
        if self._is_loading:
            return
        _check_name(name)
        progress = Progress(sys.stdout)
        try:
            with self._connect() as http:
                deployment = self._followed(http, name, progress)
        finally:
            progress.close()
        if deployment.note:
            progress.line(deployment.note)
        elif not deployment.finished:
            progress.line(
                f"{name}, build {deployment.build_id}, is live; conversations of an older build still end there"
            )
        if deployment.status == "failed":
            raise PublishError(f"{name}, build {deployment.build_id}, was not deployed. {deployment.failure}")

    def rollback(self, name: str, build_id: str | None = None) -> None:
        """Makes an earlier version current again. `watch` shows how it is deployed.

        Args:
            name: What the workflow was published as.
            build_id: The version to go back to; the one that was current before this one where it is None.

        Raises:
            ServerError: There is no such version, or the engine could not be reached.

        Example:
            ```python
            client.rollback("help_desk")
            ```
        """
        if self._is_loading:
            return
        _check_name(name)
        body = json.dumps({} if build_id is None else {"build_id": build_id})
        with self._connect() as http:
            answer = self._call(http, "POST", f"/api/v1/workflows/{name}/rollback", name, body)
        print(f"{name} goes back to build {answer.get('build_id')}: client.watch({name!r}) follows its deployment")

    def _followed(self, http: "httpx.Client", name: str, progress: Progress) -> Deployment:
        """Shows a deployment until it is over; or live, while what it replaces takes its time."""
        deployment = self._deployment(http, name)
        progress.show(deployment)
        moved, live = time.monotonic(), None
        while not deployment.finished:
            if deployment.status == "current":
                live = live or time.monotonic()
                if time.monotonic() - live > _LEAVING_SECONDS:
                    break
            time.sleep(_POLL_SECONDS)
            before, deployment = deployment, self._deployment(http, name, patience=_OUTAGE_SECONDS)
            progress.show(deployment)
            if deployment != before:
                moved = time.monotonic()
            elif time.monotonic() - moved > _STANDSTILL_SECONDS and deployment.status != "current":
                raise standstill(name, deployment.steps[-1].step if deployment.steps else "uploaded")
        return deployment

    def _deployment(self, http: "httpx.Client", name: str, patience: float = 0.0) -> Deployment:
        """How far a deployment is. A server that is away for a moment, as in a restart, is asked again."""
        gives_up = time.monotonic() + patience
        while True:
            try:
                answer = self._call(http, "GET", f"/api/v1/workflows/{name}/deployment", name)
                return Deployment.model_validate(answer)
            except AwayError:
                if time.monotonic() >= gives_up:
                    raise
                time.sleep(_POLL_SECONDS)
            except ValidationError:
                raise not_an_engine(self.server_address) from None

    def _connect(self) -> "httpx.Client":
        import httpx  # here, because handlers import this module too, and only publishing needs a network

        return httpx.Client(
            base_url=self.server_address,
            headers={"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"},
            timeout=httpx.Timeout(30.0, connect=5.0),
            trust_env=urlsplit(self.server_address).hostname not in _LOOPBACK,  # no proxy leads to this machine
        )

    def _call(
        self, http: "httpx.Client", method: str, path: str, name: str, content: str | None = None
    ) -> dict[str, Any]:
        import httpx

        try:
            response = http.request(method, path, content=content)
        except httpx.TransportError as error:
            raise unreachable(self.server_address, str(error) or type(error).__name__) from None
        if not response.is_success:
            raise problem(self.server_address, response.status_code, response.content, name)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise not_an_engine(self.server_address)
        return answer


def _check_key(key: str) -> None:
    if not key:
        raise UsageError(
            "There is no API key. Set RUNLLM_API_KEY, or write Client(api_key=...); `runllm dev` writes its key to "
            ".runllm/api_key"
        )
    if not (key.isascii() and key.isprintable()):
        raise UsageError(
            "The API key has characters that no key has. Copy it again: RUNLLM_API_KEY or Client(api_key=...)"
        )


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise UsageError(
            f"{address!r} is no server address. Write RUNLLM_SERVER or Client(server_address=...) like {DEFAULT_SERVER}"
        )


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"A workflow cannot be published as {name!r}: take a letter, and then up to 63 letters, digits, - or _, "
            'like "help_desk"'
        )


def _entrypoint(value: object) -> EntrypointWrapper:
    if not isinstance(value, EntrypointWrapper):
        raise UsageError(
            f"entrypoint takes a function marked with @entrypoint(listeners=[...]), and not {_shown(value)}"
        )
    return value


def _tasks(values: object) -> list[TaskWrapper]:
    if values is None:
        return []
    if not isinstance(values, list | tuple):
        raise UsageError(f"tasks takes a list of functions marked with @task(), and not {_shown(values)}")
    for value in values:
        if not isinstance(value, TaskWrapper):
            raise UsageError(f"tasks takes functions marked with @task(), and not {_shown(value)}")
    return list(values)


def _shown(value: object) -> str:
    if isinstance(value, EntrypointWrapper | TaskWrapper):
        return f"the {'entrypoint' if isinstance(value, EntrypointWrapper) else 'task'} {value.name}"
    return f"the function {value.__name__}" if inspect.isfunction(value) else repr(value)
