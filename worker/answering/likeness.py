"""How two statements stand to each other: the same, nearly the same, or something else about the same thing."""

import re
from typing import Literal

from worker.answering.stems import stem
from worker.answering.words import STOPWORDS, words

Relation = Literal["same", "conflict", "similar"]

_SAME, _SIMILAR, _ABOUT_THE_SAME = 0.75, 0.6, 0.5
_FEWEST = 2

_NEGATIONS = frozenset(("not", "no", "never", "none", "without", "cannot", "nobody", "neither"))
_OPPOSITES = (
    ("enabled", "disabled"), ("on", "off"), ("before", "after"), ("minimum", "maximum"), ("least", "most"),
    ("allowed", "forbidden"), ("included", "excluded"), ("free", "paid"), ("required", "optional"),
    ("supported", "unsupported"), ("always", "never"), ("more", "less"), ("first", "last"), ("public", "private"),
    ("possible", "impossible"), ("available", "unavailable"), ("deprecated", "recommended"), ("open", "closed"),
    ("increase", "decrease"), ("upper", "lower"), ("true", "false"), ("yes", "no"), ("start", "stop"),
)  # fmt: skip
_UNITS = frozenset((
    "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks", "month", "months",
    "year", "years", "kb", "mb", "gb", "tb", "ms", "percent",
))  # fmt: skip
_VALUES = _UNITS | frozenset((
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "daily", "weekly",
    "monthly", "yearly", "hourly", "annually", "quarterly", "once", "twice", "one", "two", "three", "four", "five",
    "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "fifteen", "twenty", "thirty", "forty", "fifty",
    "sixty", "ninety", "hundred", "thousand",
))  # fmt: skip
_CONTRACTED = re.compile(r"n['’]t\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def relation(statement: str, other: str) -> Relation | None:
    """How `statement` stands to `other`; None where they are about different things."""
    mine, theirs = _topics(statement), _topics(other)
    if min(len(mine), len(theirs)) < _FEWEST:
        return None
    shared = len(mine & theirs)
    contained, alike = shared / min(len(mine), len(theirs)), shared / len(mine | theirs)
    if contained < _ABOUT_THE_SAME or shared < _FEWEST:
        return None
    if _is_contrary(statement, other) and alike >= _ABOUT_THE_SAME * 0.7:
        return "conflict"
    if alike >= _SAME and _values(statement) == _values(other):
        return "same"
    return "similar" if alike >= _SIMILAR or contained >= 0.8 else None


def _is_contrary(statement: str, other: str) -> bool:
    mine, theirs = _values(statement), _values(other)
    if mine and theirs and not (mine <= theirs or theirs <= mine):
        return True
    said, told = set(_words(statement)), set(_words(other))
    if bool(said & _NEGATIONS) != bool(told & _NEGATIONS):
        return True
    pairs = [*_OPPOSITES, *((right, left) for left, right in _OPPOSITES)]
    return any(left in said - told and right in told - said for left, right in pairs)


def _values(text: str) -> set[str]:
    """Numbers, and words that stand for values, such as months."""
    named = {stem(word) for word in words(text) if word in _VALUES - _UNITS - {"may", "second", "march"}}
    numbers = {one.rstrip(".,").replace(",", "") for one in _NUMBER.findall(text)}
    months = {one.lower() for one in re.findall(r"\b(?:May|March)\b", text)}
    units = {stem(word) for word in words(text) if word in _UNITS} if numbers or named else set()
    return named | numbers | months | units


def _topics(text: str) -> set[str]:
    """What a text is about: its words without values, negations and opposites."""
    sides = {side for pair in _OPPOSITES for side in pair}
    return {
        stem(word)
        for word in _words(text)
        if word not in STOPWORDS and word not in _NEGATIONS and word not in _VALUES and word not in sides
        and not word.isdigit()
    }  # fmt: skip


def _words(text: str) -> list[str]:
    return words(_CONTRACTED.sub(" not", text))
