"""The words of a text as retrieval and the extractive model count them."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from worker.answering.stems import stem

_WORD = re.compile(r"[^\W_]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

# Words that say nothing of what a question is about. Few: "not", "without" and "before" do say something.
STOPWORDS = frozenset((
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did",
    "do", "does", "doing", "for", "from", "get", "got", "had", "has", "have", "having", "he", "hello", "help",
    "her", "hey", "hi", "him", "his", "how", "i", "if", "im", "in", "into", "is", "isn", "it", "its", "just", "let",
    "like", "ll", "lot", "many", "may", "me", "might", "much", "must", "my", "need", "of", "ok", "okay", "on",
    "one", "or", "our", "please", "re", "s", "shall", "she", "should", "so", "some", "t", "than", "thank", "thanks",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "try", "trying", "up",
    "us", "use", "using", "ve", "very", "want", "was", "way", "we", "were", "what", "when", "where", "whether",
    "which", "while", "who", "why", "will", "with", "would", "you", "your",
))  # fmt: skip


def plain(text: str) -> str:
    """`text` in lower case and without accents: what the store's full-text index sees."""
    if not text.isascii():
        text = _NOT_ASCII.sub(_without_accents, unicodedata.normalize("NFKD", text))
    return text.lower()


def words(text: str) -> list[str]:
    """The words of `plain(text)`, in order."""
    return _WORD.findall(plain(text))


def _without_accents(letters: re.Match[str]) -> str:
    return "".join(letter for letter in letters.group() if not unicodedata.combining(letter))


def stems(text: str) -> list[str]:
    """The stems of all words of `text`."""
    return [stem(word) for word in words(text)]


def terms(text: str) -> list[str]:
    """What `text` asks for: its words without stopwords, each once. Numbers and single letters stay."""
    return list(dict.fromkeys(word for word in words(text) if word not in STOPWORDS))


def idf(frequency: int, total: int) -> float:
    """How much a word says that `frequency` of `total` passages have."""
    return math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))


class Weighted:
    """Texts as vectors of tf-idf over their own words: for a handful of descriptions, not for a knowledge base."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        counted = {name: Counter(_telling(text)) for name, text in texts.items()}
        frequency = Counter(word for counts in counted.values() for word in counts)
        self._idf = {word: idf(count, len(counted)) for word, count in frequency.items()}
        self._vectors = {name: _normed(self._weighed(counts)) for name, counts in counted.items()}

    def similarities(self, text: str) -> dict[str, float]:
        """The cosine of `text` with each of the texts, counting only words that they have."""
        vector = _normed(self._weighed(Counter(_telling(text))))
        return {
            name: sum(weight * vector.get(word, 0.0) for word, weight in one.items())
            for name, one in self._vectors.items()
        }

    def _weighed(self, counts: Counter[str]) -> dict[str, float]:
        return {word: (1 + math.log(n)) * self._idf[word] for word, n in counts.items() if word in self._idf}


def _telling(text: str) -> list[str]:
    return [stem(word) for word in words(text) if word not in STOPWORDS]


def _normed(vector: Mapping[str, float]) -> dict[str, float]:
    norm = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
    return {word: weight / norm for word, weight in vector.items()}


def nearest_word(word: str, known: Mapping[str, int]) -> str | None:
    """The most frequent known word that differs from `word` by one letter: added, left out, changed or swapped."""
    at_hand = [(count, one) for one in _one_edit_away(word) if (count := known.get(one, 0))]
    return max(at_hand)[1] if at_hand else None


def _one_edit_away(word: str) -> Iterable[str]:
    letters: Sequence[str] = "abcdefghijklmnopqrstuvwxyz0123456789"
    parts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    yield from (left + right[1:] for left, right in parts if right)
    yield from (left + right[1] + right[0] + right[2:] for left, right in parts if len(right) > 1)
    yield from (left + letter + right[1:] for left, right in parts if right for letter in letters)
    yield from (left + letter + right for left, right in parts for letter in letters)
