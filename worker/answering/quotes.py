"""The part of a passage that answers a question, word for word."""

from collections.abc import Mapping, Sequence

from worker.answering.blocks import Piece, joined, pieces
from worker.answering.words import stems

QUOTE_LENGTH = 400
_CONTEXT = 0.35
_FIRST = 0.05


def quote(text: str, weights: Mapping[str, float], limit: int = QUOTE_LENGTH) -> str:
    """The best piece of a passage with what stands around it, whole pieces only, within `limit` characters.

    A best piece that is longer than that is cut at a word.
    """
    parts = pieces(text)
    if not parts:
        return ""
    worth = _worth(parts, weights)
    best = max(range(len(parts)), key=lambda n: (worth[n], -n))
    first = last = best
    while True:
        grown = [pair for pair in ((first - 1, last), (first, last + 1)) if _fits(parts, *pair, limit)]
        if not grown:
            break
        first, last = max(grown, key=lambda pair: _gain(worth, pair, first))
    return shortened(joined(list(parts[first : last + 1])), limit)


def shortened(text: str, limit: int) -> str:
    """`text` within `limit` characters, cut at a word; code that is cut is closed again."""
    if len(text) <= limit:
        return text
    if text.startswith("```"):
        lines = text.split("\n")
        while len(lines) > 2 and len("\n".join(lines)) + 6 > limit:
            lines.pop()
        return "\n".join([*lines, "…", "```"])
    return f"{text[: limit - 1].rsplit(None, 1)[0]}…"


def _worth(parts: Sequence[Piece], weights: Mapping[str, float]) -> list[float]:
    """What each piece has of the question. What introduces or follows a good one is worth something too."""
    total = sum(weights.values()) or 1.0
    own = [sum(weights.get(word, 0.0) for word in set(stems(part.text))) / total for part in parts]
    own[0] += _FIRST
    near = [max(own[n - 1] if n else 0.0, own[n + 1] if n + 1 < len(own) else 0.0) for n in range(len(own))]
    return [mine + _CONTEXT * beside for mine, beside in zip(own, near, strict=True)]


def _fits(parts: Sequence[Piece], first: int, last: int, limit: int) -> bool:
    return first >= 0 and last < len(parts) and len(joined(list(parts[first : last + 1]))) <= limit


def _gain(worth: Sequence[float], pair: tuple[int, int], first: int) -> float:
    """What the new piece is worth; of two equal ones the later, because explanations come after."""
    before = pair[0] < first
    return worth[pair[0]] - 1e-6 if before else worth[pair[1]]
