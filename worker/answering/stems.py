"""The stem of an English word, by M. F. Porter's rules of 1980: the same that the store's full-text index uses."""

import re
from collections.abc import Callable
from functools import lru_cache

# A word is [C](VC){m}[V]. A y is a vowel where the letter before it is a consonant.
_CONSONANT = "[^aeiou]"
_VOWEL = "[aeiouy]"
_CONSONANTS = f"{_CONSONANT}[^aeiouy]*"
_VOWELS = f"{_VOWEL}[aeiou]*"

_MEASURE_ABOVE_0 = re.compile(f"^({_CONSONANTS})?{_VOWELS}{_CONSONANTS}")
_MEASURE_IS_1 = re.compile(f"^({_CONSONANTS})?{_VOWELS}{_CONSONANTS}({_VOWELS})?$")
_MEASURE_ABOVE_1 = re.compile(f"^({_CONSONANTS})?{_VOWELS}{_CONSONANTS}{_VOWELS}{_CONSONANTS}")
_HAS_VOWEL = re.compile(f"^({_CONSONANTS})?{_VOWEL}")
_ENDS_DOUBLED = re.compile(r"([^aeiouylsz])\1$")
_ENDS_CVC = re.compile(f"^{_CONSONANTS}{_VOWEL}[^aeiouwxy]$")

_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "logi": "log",
}  # fmt: skip
_STEP_3 = {
    "icate": "ic", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": "",
    "ative": "",  # codespell:ignore ative
}  # fmt: skip
_STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ent", "sion", "tion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
    "ment",  # codespell:ignore ment
)  # fmt: skip


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The stem of a lower-case word; words with other letters than a to z stay as they are."""
    if len(word) < 3 or not (word.isascii() and word.isalpha()):
        return word
    shielded = word[0] == "y"  # a y at the start is a consonant
    word = f"Y{word[1:]}" if shielded else word
    for step in _STEPS:
        word = step(word)
    return word.lower() if shielded else word


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 1 else word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _MEASURE_ABOVE_0.match(word[:-3]) else word
    for ending in ("ed", "ing"):
        rest = word.removesuffix(ending)
        if rest != word and _HAS_VOWEL.match(rest):
            if rest.endswith(("at", "bl", "iz")) or _ENDS_CVC.match(rest):
                return f"{rest}e"
            return rest[:-1] if _ENDS_DOUBLED.search(rest) else rest
    return word


def _final_y(word: str) -> str:
    return f"{word[:-1]}i" if word.endswith("y") and _HAS_VOWEL.match(word[:-1]) else word


def _replaced(word: str, endings: dict[str, str]) -> str:
    for ending in sorted(endings, key=len, reverse=True):
        if word.endswith(ending):
            rest = word[: -len(ending)]
            return rest + endings[ending] if _MEASURE_ABOVE_0.match(rest) else word
    return word


def _dropped(word: str) -> str:
    for ending in sorted(_STEP_4, key=len, reverse=True):
        if word.endswith(ending):
            keep = 1 if ending in ("sion", "tion") else 0
            rest = word[: len(word) - len(ending) + keep]
            return rest if _MEASURE_ABOVE_1.match(rest) else word
    return word


def _final_e(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        if _MEASURE_ABOVE_1.match(rest) or (_MEASURE_IS_1.match(rest) and not _ENDS_CVC.match(rest)):
            word = rest
    return word[:-1] if word.endswith("ll") and _MEASURE_ABOVE_1.match(word) else word


_STEPS: tuple[Callable[[str], str], ...] = (
    _plural,
    _past,
    _final_y,
    lambda word: _replaced(word, _STEP_2),
    lambda word: _replaced(word, _STEP_3),
    _dropped,
    _final_e,
)
