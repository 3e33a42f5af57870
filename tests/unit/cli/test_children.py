"""Children are kept running, are stopped in time, and do not outlive their parent."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runllm.cli import logs
from runllm.cli.children import HOPELESS, TETHER, Child, Command, NotReady, describe_exit
from runllm.cli.spawning import spawn


def command(tmp_path: Path, code: str, *, says_ready: bool = True, first_line: str = "") -> Command:
    """A child that runs a few lines of Python."""
    return Command(
        name="the child",
        arguments=(sys.executable, "-S", "-c", code),
        log=tmp_path / "logs" / "child.log",
        environment={"PATH": os.environ["PATH"]},
        first_line=first_line,
        says_ready=says_ready,
    )


READY = "print('ready', flush=True)"
UNTIL_STDIN_ENDS = f"import sys\n{READY}\nsys.stdin.read()"


@pytest.fixture
async def started() -> AsyncIterator[Callable[[Command], Child]]:
    """Starts children, and stops them after the test."""
    children: list[Child] = []

    def start(command: Command) -> Child:
        child = Child(command, said.append)
        children.append(child)
        child.start()
        return child

    said.clear()
    yield start
    for child in children:
        await child.stop(0.0)


said: list[str] = []

Start = Callable[[Command], Child]


async def test_a_child_says_when_it_is_ready_and_the_rest_goes_to_its_log(started: Start, tmp_path: Path) -> None:
    code = "import sys\nprint('before'); print('ready', flush=True); print('after', flush=True); sys.stdin.read()"
    child = started(command(tmp_path, code))

    await child.wait_ready(10)
    await eventually(lambda: "after" in child.tail())

    assert child.is_ready
    assert child.tail() == "before\nafter"


async def test_the_first_line_reaches_the_child(started: Start, tmp_path: Path) -> None:
    code = f"import sys\nprint(sys.stdin.readline().upper(), file=sys.stderr, flush=True)\n{READY}\nsys.stdin.read()"
    child = started(command(tmp_path, code, first_line="which version"))

    await child.wait_ready(10)

    assert "WHICH VERSION" in child.tail()


async def test_a_child_that_is_killed_is_started_again(started: Start, tmp_path: Path) -> None:
    child = started(command(tmp_path, UNTIL_STDIN_ENDS))
    await child.wait_ready(10)

    child.kill()
    await eventually(lambda: child.starts == 2)
    await child.wait_ready(10)

    assert said == ["the child ended (killed by SIGKILL); starting it again in 0.2 s"]


async def test_a_child_that_keeps_ending_is_given_up_on_with_its_last_words(started: Start, tmp_path: Path) -> None:
    child = started(command(tmp_path, f"import sys\nprint('no such table', file=sys.stderr)\nsys.exit({HOPELESS})"))

    with pytest.raises(NotReady, match=r"the child keeps ending\. .*child\.log:\nno such table"):
        await child.wait_ready(10)


async def test_a_child_that_is_not_ready_in_time_is_given_up_on(started: Start, tmp_path: Path) -> None:
    child = started(command(tmp_path, "import sys; sys.stdin.read()"))

    with pytest.raises(NotReady, match="the child is not ready after 0 s"):
        await child.wait_ready(0.2)


async def test_a_child_stops_when_its_input_ends(tmp_path: Path) -> None:
    code = f"import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{READY}\nsys.stdin.read()"
    child = Child(command(tmp_path, code))
    child.start()
    await child.wait_ready(10)

    await child.stop(10)

    assert child.pid is None


async def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    code = f"import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{READY}\ntime.sleep(600)"
    child = Child(command(tmp_path, code))
    child.start()
    await child.wait_ready(10)
    pid = child.pid or 0

    began = time.monotonic()
    await child.stop(0.3)

    assert time.monotonic() - began < 5
    assert not is_running(pid)


async def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """The child ignores its input: the kernel ends it."""
    python, sleeping = (sys.executable, "-S", "-c"), "import time; time.sleep(600)"
    code = (
        "import os, subprocess, time\n"
        f"tied = {(sys.executable, '-I', '-S', TETHER)!r} + (str(os.getpid()),) + {(*python, sleeping)!r}\n"
        "print(subprocess.Popen(tied).pid, flush=True)\ntime.sleep(600)"
    )
    said = bytearray()
    parent = await spawn((*python, code), {}, errors=sys.stderr.buffer, take=said.extend)
    await eventually(lambda: said.endswith(b"\n"))
    pid = int(said)
    became = "\0".join((*python, sleeping, "")).encode()
    await eventually(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == became)

    os.kill(parent.pid, signal.SIGKILL)
    assert await parent.ended == -signal.SIGKILL

    await eventually(lambda: not is_running(pid))
    parent.close()


def test_who_starts_after_its_parent_has_ended_ends_at_once() -> None:
    """Its parent ended while it was being made, so another process has taken it over."""
    gone = subprocess.Popen((sys.executable, "-S", "-c", ""))
    gone.wait()
    program = (sys.executable, "-S", "-c", "print('still here')")
    left = subprocess.run(
        (sys.executable, "-I", "-S", TETHER, str(gone.pid), *program), capture_output=True, check=True, timeout=60
    )
    assert left.stdout == b""


async def test_a_process_that_was_left_behind_does_not_hide_the_end_of_a_child(started: Start, tmp_path: Path) -> None:
    code = f"import os, sys, time\nif os.fork() == 0: time.sleep(600)\n{READY}\nsys.stdin.read()"
    child = started(command(tmp_path, code))
    await child.wait_ready(10)

    os.kill(child.pid or 0, signal.SIGKILL)

    await eventually(lambda: child.starts == 2)


def test_exits_are_described_in_words() -> None:
    assert describe_exit(3) == "exit status 3"
    assert describe_exit(-signal.SIGKILL) == "killed by SIGKILL"
    assert describe_exit(-250) == "killed by signal 250"


def test_a_log_that_grows_too_large_starts_anew_under_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with logs.open_log(path) as log:
        log.write(b"old\n" * 100)
        logs.cap(path, 300)
        log.write(b"new\n")

    assert path.read_text() == "new\n"
    assert (tmp_path / "a.log.1").read_text() == "old\n" * 100


def test_the_tail_of_a_log_has_whole_lines_of_the_last_start(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("first start\n" + "".join(f"line {i}\n" for i in range(100)))

    assert logs.tail(path, since=12, characters=15) == "line 99"
    assert logs.tail(path, since=logs.size(path)) == ""
    assert logs.tail(path, since=10**6, characters=10**6).startswith("first start")
    assert logs.tail(tmp_path / "none.log") == ""


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
