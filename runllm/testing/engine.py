"""The real engine in tests: `runllm dev` with ports, a home and a record of its own, as a child of the test run.

It needs the engine to be installed (`pip install "runllm-engine[engine]"`); a rehearsal does not.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from runllm.testing.serving import Platform, Serving
from runllm.testing.visitor import Visitor

if TYPE_CHECKING:  # they need a server library, which only tests that talk through them load
    from runllm.testing.discord import Discord
    from runllm.testing.slack import Slack
    from runllm.testing.zendesk import Zendesk

START_SECONDS = 90.0
"""How long the engine may take to start, and a workflow to go live."""


def free_port() -> int:
    """A port that nobody listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Several ports that nobody listens on now, each another one."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in taken]


@dataclass
class RunningEngine:
    """A running `runllm dev`. The fixture `runllm_engine` makes one for the whole test run.

    Attributes:
        home: Where it keeps everything; its logs are in `home / "logs"`.
        port: Where the gateways listen.
        temporal_address: Where its Temporal server is.
        platforms: What plays Slack, Zendesk and Discord for it.
    """

    process: "subprocess.Popen[bytes]"
    home: Path
    port: int
    output: Path
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    platforms: Serving = field(default_factory=Serving, repr=False)
    _connected: set[tuple[Platform, str]] = field(default_factory=set, repr=False)

    @property
    def url(self) -> str:
        """Where the gateways are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def temporal_address(self) -> str:
        """Where the Temporal server is."""
        return f"127.0.0.1:{self.environment['RUNLLM_TEMPORAL_PORT']}"

    @property
    def api_key(self) -> str:
        """The key that it made."""
        return (self.home / "api_key").read_text().strip()

    def api(self, path: str) -> Any:
        """What the control API says, like `api("/api/v1/sessions")`."""
        answer = httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def visitor(self, origin: str = "http://localhost") -> Visitor:
        """A new visitor with a chat widget on a page of `origin`."""
        visitor = Visitor(self.url, origin)
        self.platforms.used.append(visitor)
        return visitor

    def slack(self, team_id: str = "T0123456789") -> "Slack":
        """A Slack workspace, played on this machine, and connected with `runllm connect slack`.

        Args:
            team_id: The workspace that the workflow's `SlackListener` names.

        Returns:
            The workspace, as it goes on from now.

        Raises:
            AssertionError: It cannot be connected; the text says why.

        Example:
            ```python
            from runllm.testing import RunningEngine


            def test_a_question_in_slack(runllm_engine: RunningEngine) -> None:
                thread = runllm_engine.slack("T0123456789").says("#support", "How do I export?", by="Ada")
                assert "Settings" in thread.read(1)[0]
            ```
        """
        from runllm.testing.slack import Slack

        slack = Slack(self.platforms, team_id, deliver_to=self.url)
        self._connect("slack", team_id, RUNLLM_SLACK_BOT_TOKEN=slack.token)
        return slack

    def zendesk(self, subdomain: str = "acme") -> "Zendesk":
        """A Zendesk account, played on this machine, and connected with `runllm connect zendesk`.

        Args:
            subdomain: The account that the workflow's `ZendeskListener` names.

        Returns:
            The account, as it goes on from now.

        Raises:
            AssertionError: It cannot be connected; the text says why.

        Example:
            ```python
            from runllm.testing import RunningEngine


            def test_a_ticket(runllm_engine: RunningEngine) -> None:
                ticket = runllm_engine.zendesk("acme").opens("My export stops", by="Ada")
                assert "Settings" in ticket.read(1)[0]
            ```
        """
        from runllm.testing.zendesk import Zendesk

        zendesk = Zendesk(self.platforms, subdomain)
        given = {"ZENDESK_SUBDOMAIN": subdomain, "ZENDESK_EMAIL": zendesk.email, "ZENDESK_API_TOKEN": zendesk.api_token}
        self._connect("zendesk", subdomain, **given)
        return zendesk

    def discord(self, guild_id: str = "123456789012345678") -> "Discord":
        """A Discord server, played on this machine, and connected with `runllm connect discord`.

        Args:
            guild_id: The server that the workflow's `DiscordListener` names.

        Returns:
            The server, as it goes on from now, with the bot listening.

        Raises:
            AssertionError: It cannot be connected; the text says why.

        Example:
            ```python
            from runllm.testing import RunningEngine


            def test_a_question_on_discord(runllm_engine: RunningEngine) -> None:
                discord = runllm_engine.discord("123456789012345678")
                thread = discord.says("#help", f"{discord.mention} How do I export?", by="Ada")
                assert "Settings" in thread.read(1)[0]
            ```
        """
        from runllm.testing.discord import Discord

        discord = Discord(self.platforms, guild_id)
        self._connect("discord", guild_id, "--guild", guild_id, RUNLLM_DISCORD_TOKEN=discord.token)
        discord.until_connected()
        return discord

    def _connect(self, platform: Platform, name: str, *arguments: str, **credentials: str) -> None:
        if (platform, name) not in self._connected:
            self.run("connect", platform, *arguments, **credentials)
            self._connected.add((platform, name))

    def publish(self, file: str | Path, name: str | None = None) -> None:
        """Publishes the workflow in a file as `runllm publish` does, and waits until it is live.

        Raises:
            AssertionError: It cannot be published; the text says why.
        """
        self.run("publish", str(file), *(("--name", name) if name else ()))

    def run(self, *arguments: str, **environment: str) -> str:
        """Runs the `runllm` command against this engine, and returns what it printed.

        Args:
            arguments: What follows `runllm` on the command line.
            environment: Further environment variables.

        Raises:
            AssertionError: It ended with something else than 0.
        """
        environ = {
            **self.environment,
            "RUNLLM_SERVER": self.url,
            "RUNLLM_API_KEY": self.api_key,
            "TEMPORAL_ADDRESS": self.temporal_address,
            **environment,
        }
        ran = subprocess.run(
            [str(Path(sys.executable).parent / "runllm"), *arguments],
            env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECONDS,
        )  # fmt: skip
        if ran.returncode:
            raise AssertionError(f"runllm {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def save_history(self, session_id: int, file: str | Path) -> Path:
        """Saves the history of a session, for `replays` in later test runs."""
        temporal = Path(sys.executable).parent / "temporal"
        ran = subprocess.run(
            [str(temporal), "workflow", "show", "--workflow-id", f"session-{session_id}", "--output", "json",
             "--address", self.temporal_address],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        if ran.returncode:
            raise AssertionError(f"the history of session {session_id} cannot be read: {ran.stderr.strip()}")
        Path(file).write_text(ran.stdout, encoding="utf-8")
        return Path(file)

    def wait(self, condition: Callable[[], Any], seconds: float = START_SECONDS, what: str = "") -> None:
        """Waits until `condition()` holds; an engine that is not there yet counts as "no"."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            try:
                if condition():
                    return
            except (httpx.HTTPError, OSError, KeyError, IndexError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"{what or 'it'} did not happen in {seconds:.0f} s:\n{self.printed()}")

    def check(self) -> None:
        """Returns where the engine runs.

        Raises:
            AssertionError: It has ended; the text has the end of what it printed.
        """
        if self.process.poll() is not None:
            raise AssertionError(f"runllm dev ended with {self.process.returncode}:\n{self.printed()}")

    def wait_until_ready(self) -> None:
        """Waits until workflows can be published."""
        self.wait(
            lambda: (self.home / "api_key").exists() and self.api("/api/v1/workflows") is not None, what="the start"
        )

    def errors(self, since: datetime) -> str:
        """What the logs of its conversations say went wrong since then, a line each; empty where nothing did."""
        lines: list[str] = []
        for session in self.api("/api/v1/sessions?limit=20")["sessions"]:
            if datetime.fromisoformat(session["active_at"]) < since:
                break  # the most recently active ones come first
            name = f"session {session['id']} of {session['published_name']}"
            log = self.api(f"/api/v1/sessions/{session['id']}")["log"]
            new = [one for one in log if one["level"] == "error" and datetime.fromisoformat(one["at"]) >= since]
            lines += [f"{name}, {one['handler']}: {one['text']}" for one in new]
        return "\n".join(lines)

    def printed(self) -> str:
        """The end of what it printed."""
        return self.output.read_text(errors="replace")[-4000:]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def running(home: Path, *arguments: str, **environment: str) -> Iterator[RunningEngine]:
    """`runllm dev` with further arguments and environment variables, until the block ends.

    Its record is in its home, and its platforms are played on this machine, whatever this process' own settings say.
    """
    home.mkdir(parents=True, exist_ok=True)
    names = ("RUNLLM_PORT", "RUNLLM_TEMPORAL_PORT", "RUNLLM_TEMPORAL_UI_PORT")
    own = {
        **dict(zip(names, map(str, free_ports(3)), strict=True)),
        "RUNLLM_HOME": str(home),
        "RUNLLM_DATABASE_URL": "",
    }
    platforms, port = Serving(), environment.get("RUNLLM_PORT", own["RUNLLM_PORT"])
    environ = {**os.environ, **own, **platforms.environment(f"http://127.0.0.1:{port}"), **environment}
    output = home / "dev.out"
    with output.open("ab") as out:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "runllm"), "dev", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
    engine = RunningEngine(process, home, int(environ["RUNLLM_PORT"]), output, environ, platforms)
    platforms.check = engine.check
    try:
        yield engine
    finally:
        try:
            engine.stop()
        finally:
            platforms.close()


def replays(file: str | Path, *histories: str | Path) -> None:
    """Asserts that saved histories take the same path in the code in front of you, as `runllm replay` does.

    Args:
        file: The Python file of the workflow.
        histories: Files that `RunningEngine.save_history` wrote.

    Raises:
        AssertionError: One of them takes another path; the text names the call and the line.

    Example:
        ```python
        from pathlib import Path

        from runllm.testing import replays


        def test_conversations_of_last_week_still_fit() -> None:
            replays("support.py", *Path("histories").glob("*.json"))
        ```
    """
    command = [str(Path(sys.executable).parent / "runllm"), "replay", str(file)]
    command += [word for history in histories for word in ("--history", str(history))]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if ran.returncode:
        raise AssertionError(f"{ran.stdout}{ran.stderr}")
