"""From `publish` to live: a changed file, published again and again to a running engine.

python -m benchmarks.publishing [TIMES]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import median, table
from runllm.cli.new_project import WORKFLOW
from runllm.testing.engine import RunningEngine as Engine
from runllm.testing.engine import running


def one(engine: Engine, script: Path) -> float:
    """Seconds from the start of the command until it says that the version is live."""
    began = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).parent / "runllm"), "publish", str(script), "--name", "bench"],
        check=True, capture_output=True, env={**engine.environment, "RUNLLM_API_KEY": engine.api_key,
                                              "RUNLLM_SERVER": engine.url},
    )  # fmt: skip
    return time.perf_counter() - began


def measure(times: int) -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as directory, running(Path(directory) / "home", "--no-example") as engine:
        engine.wait(lambda: (engine.home / "api_key").exists() and engine.api("/api/v1/workflows") is not None)
        script = Path(directory) / "bench.py"
        seconds = []
        for number in range(times + 1):
            script.write_text(f"{WORKFLOW}\nNUMBER = {number}\n")
            seconds.append(one(engine, script))
    first, *others = seconds
    row = ["publish to live, s", f"{first:.1f}", f"{median(others):.1f}", f"{max(others):.1f}"]
    return table(["", "the first", f"median of {times} more", "slowest"], [row])


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
