"""What the results of an evaluation are worth: verdicts on each case, and figures over all."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Literal

from pydantic import BaseModel

from runllm.bridge.messages import AnswerCategory, Source
from runllm.evaluation.cases import Case
from runllm.evaluation.offline import Result

Criterion = Literal["category", "sources", "says", "tags", "runs"]
CRITERIA: tuple[Criterion, ...] = ("category", "sources", "says", "tags", "runs")


class Share(BaseModel):
    """How many of the cases that are judged by a criterion meet it."""

    met: int
    of: int

    @property
    def value(self) -> float:
        """From 0 to 1; 1 where no case is judged by it."""
        return self.met / self.of if self.of else 1.0


class Figures(BaseModel):
    """An evaluation in figures.

    Attributes:
        cases: How many there were.
        shares: By criterion.
        confusion: (expected category, actual one) -> how many.
        seconds_median, seconds_p95: Of the model, a case.
        cost, input_tokens, output_tokens: All cases together.
    """

    cases: int
    shares: dict[str, Share]
    confusion: dict[str, dict[str, int]]
    seconds_median: float
    seconds_p95: float
    cost: float
    input_tokens: int
    output_tokens: int


def verdicts(case: Case, result: Result) -> dict[Criterion, bool]:
    """For each criterion by which the case is judged: is it met?"""
    expect, found = case.expect, dict[Criterion, bool]()
    found["runs"] = not result.error
    if expect.category is not None:
        found["category"] = result.category == expect.category
    if expect.sources:
        found["sources"] = any(names(wanted, source) for wanted in expect.sources for source in result.sources)
    if expect.says or expect.never_says:
        text = "\n".join(result.sent or [result.answer]).casefold()
        says = all(words.casefold() in text for words in expect.says)
        found["says"] = says and not any(words.casefold() in text for words in expect.never_says)
    if expect.tags:
        found["tags"] = set(expect.tags) <= set(result.tags)
    return found


def shortfalls(case: Case, result: Result) -> list[str]:
    """What the case expects and the result lacks, a phrase for each criterion that is not met."""
    expect, missed = case.expect, [criterion for criterion, met in verdicts(case, result).items() if not met]
    text = "\n".join(result.sent or [result.answer]).casefold()
    lacks = [words for words in expect.says if words.casefold() not in text]
    has = [words for words in expect.never_says if words.casefold() in text]
    phrases: dict[Criterion, str] = {
        "runs": result.error,
        "category": f"{_category(result.category)} where {_category(expect.category)} is expected",
        "sources": f"rests on {_listed([source.title for source in result.sources])}, not on {_listed(expect.sources)}",
        "says": "; ".join(
            [f"does not say {words!r}" for words in lacks] + [f"says {words!r}, which it must not" for words in has]
        ),
        "tags": f"is not tagged {_listed([tag for tag in expect.tags if tag not in result.tags])}",
    }
    return [f"{criterion}: {phrases[criterion]}" for criterion in missed]


def _category(category: AnswerCategory | None) -> str:
    return category.value if category else "no answer"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"


def names(wanted: str, source: Source) -> bool:
    """Whether `wanted` names a source: its address, path or title, or the end of its address without the anchor."""
    url = (source.url or "").partition("#")[0].rstrip("/")
    wanted_url = wanted.partition("#")[0].rstrip("/")
    titles = [part.strip().casefold() for part in [source.title, *source.title.split(" › ")]]
    by_url = bool(url) and bool(wanted_url) and (url == wanted_url or url.endswith(f"/{wanted_url.lstrip('/')}"))
    return by_url or wanted.strip().casefold() in titles


def figures(cases: Sequence[Case], results: Sequence[Result]) -> Figures:
    """All cases together."""
    judged = [verdicts(case, result) for case, result in zip(cases, results, strict=True)]
    shares = {
        criterion: Share(
            met=sum(verdict.get(criterion, False) for verdict in judged),
            of=sum(criterion in verdict for verdict in judged),
        )
        for criterion in CRITERIA
    }
    confusion: dict[str, Counter[str]] = {}
    for case, result in zip(cases, results, strict=True):
        if case.expect.category is not None:
            actual = result.category.value if result.category else "none"
            confusion.setdefault(case.expect.category.value, Counter())[actual] += 1
    seconds = sorted(result.seconds for result in results)
    total: Callable[[str], float] = lambda name: sum(getattr(result, name) for result in results)  # noqa: E731
    return Figures(
        cases=len(cases),
        shares={name: share for name, share in shares.items() if share.of},
        confusion={expected: dict(counts) for expected, counts in confusion.items()},
        seconds_median=median(seconds) if seconds else 0.0,
        seconds_p95=seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))] if seconds else 0.0,
        cost=round(total("cost"), 6),
        input_tokens=int(total("input_tokens")),
        output_tokens=int(total("output_tokens")),
    )


def worse(cases: Sequence[Case], ours: Sequence[Result], theirs: Sequence[Result]) -> list[str]:
    """Ids of the cases in which ours fails a criterion that theirs meets."""
    found = []
    for case, mine, other in zip(cases, ours, theirs, strict=True):
        before, now = verdicts(case, other), verdicts(case, mine)
        if any(before.get(criterion) and not met for criterion, met in now.items()):
            found.append(case.id)
    return found
