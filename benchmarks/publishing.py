"""From `publish` to live: a changed file, published again and again to a running engine.

python -m benchmarks.publishing [TIMES]
"""

import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from benchmarks.figures import median, table
from runllm.cli.new_project import WORKFLOW
from runllm.testing.engine import RunningEngine as Engine
from runllm.testing.engine import running


def one(engine: Engine, script: Path) -> tuple[float, float]:
    """Seconds from the start of the command until new conversations run the version, and until the command ends."""
    began = time.time()
    subprocess.run(
        [str(Path(sys.executable).parent / "runllm"), "publish", str(script), "--name", "bench"],
        check=True, capture_output=True, env={**engine.environment, "RUNLLM_API_KEY": engine.api_key,
                                              "RUNLLM_SERVER": engine.url},
    )  # fmt: skip
    ended = time.time()
    steps = engine.api("/api/v1/workflows/bench/deployment")["steps"]
    live = next(datetime.fromisoformat(one["at"]) for one in steps if one["step"] == "current")
    return live.timestamp() - began, ended - began


def measure(times: int) -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as directory, running(Path(directory) / "home", "--no-example") as engine:
        engine.wait_until_ready()
        script = Path(directory) / "bench.py"
        taken = []
        for number in range(times + 1):
            script.write_text(f"{WORKFLOW}\nNUMBER = {number}\n")
            taken.append(one(engine, script))
    rows = []
    for name, seconds in zip(
        ("until it is live, s", "until the command ends, s"), zip(*taken, strict=True), strict=True
    ):
        first, *others = seconds
        rows.append([name, f"{first:.1f}", f"{median(others):.1f}", f"{max(others):.1f}"])
    return table(["", "the first", f"median of {times} more", "slowest"], rows)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
