"""Takes the figures of `docs/benchmarks.md` and writes them there. Each part is a program of its own.

python -m benchmarks [PART ...]
"""

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.figures import machine

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_SERVER_SAYS = re.compile(r"^(?:Temporal (?:CLI|Server|Persistence|Metrics|UI)|time=).*\n", re.MULTILINE)
"""What a dev server prints on the same stream when it starts."""

PARTS = {
    "turn": "benchmarks.turn",
    "dev-servers": "benchmarks.dev_servers",
    "webhooks": "benchmarks.webhooks",
    "memory": "benchmarks.memory",
    "replay": "benchmarks.replaying",
    "publish": "benchmarks.publishing",
    "growth": "benchmarks.growth",
    "first-token": "benchmarks.first_token",
    "rested": "benchmarks.rested",
}


def main(parts: list[str]) -> int:
    """Runs the parts that are named, or all; the figures of a part that fails stay as they were."""
    unknown = set(parts) - set(PARTS)
    if unknown:
        print(f"There is no part {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = []
    for part in parts or PARTS:
        print(f"{part} …", file=sys.stderr, flush=True)
        ran = subprocess.run([sys.executable, "-m", PARTS[part]], stdout=subprocess.PIPE, text=True)
        if ran.returncode:
            failed.append(part)
            continue
        figures = _SERVER_SAYS.sub("", ran.stdout).strip()
        print(figures, "\n", flush=True)
        write(part, f"{figures}\n\nTaken {date.today().isoformat()} on {machine()}.")
    for part in failed:
        print(f"{part} failed: its figures stay as they were", file=sys.stderr)
    return bool(failed)


def write(part: str, figures: str) -> None:
    """Puts the figures between the marks of their part."""
    text = PAGE.read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)", re.DOTALL)
    if not marks.search(text):
        raise SystemExit(f"{PAGE} has no marks <!-- {part} --> and <!-- /{part} --> to write between")
    PAGE.write_text(marks.sub(lambda found: f"{found[1]}{figures}\n{found[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
