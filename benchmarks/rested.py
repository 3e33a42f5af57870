"""What a rest costs: the vector of one question, made just after another one and after nothing was done for a while.

python -m benchmarks.rested [TIMES]
"""

import sys
import time
from collections.abc import Callable

from benchmarks.figures import median, percentile, table
from worker.answering.embedding_minilm import MiniLM

RESTS = (0.0, 0.02, 0.1, 0.3, 1.0)
QUESTION = "How do I reset my password?"


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def count() -> int:
    """Work of the processor alone."""
    return sum(range(30_000))


def measure(times: int) -> str:
    """The table."""
    model = MiniLM()
    works = {"a question's vector": lambda: model.embed_now([QUESTION]), "a sum of 30,000 numbers": count}
    rows = []
    for name, work in works.items():
        work()
        for rest in RESTS:
            taken = []
            for _ in range(times):
                time.sleep(rest)
                taken.append(milliseconds(work))
            rows.append([name, f"{rest * 1000:.0f}", f"{median(taken):.1f}", f"{percentile(taken, 0.95):.1f}"])
    return table(["in ms", "after a rest of", f"median of {times}", "95 %"], rows)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
