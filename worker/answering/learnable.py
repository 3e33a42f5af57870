"""What may be learned from a statement: facts about the product, never how the agent is to behave.

The model that finds the statements reads what strangers write, so nothing that it says of them is believed: each is
held against the message that it names, by rules that no message can talk out of it (refused_statements.txt). They
rather leave out a fact than let an instruction in: what is left out can still be documented by a person.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from urllib.parse import urlsplit

from worker.answering.protocol import Statement, Turn
from worker.answering.words import STOPWORDS, stems, words

LONGEST = 600

BEHAVIOUR = "tells the agent what to do"
HIJACK = "is in a message that tries to instruct the agent"
UNSTATED = "is not what that message says"
HIDDEN = "has characters that nobody can see"
LINK = "has a link that could carry something away"
MARKUP = "has markup that means something to models"
SECRET = "has a password or key in it"
UNSURE = "is a question or a guess"
SHAPELESS = "is too short or too long to be a fact"

_OTHERS_WORDS = 0.6
_OWN_WORDS = 0.3
_FEWEST_TERMS = 2
_UNSEEN = ("Cf", "Cc", "Co", "Cs")


def _patterns() -> dict[str, re.Pattern[str]]:
    """The expressions of each section of the file, as one."""
    lists: dict[str, str] = {}
    sections: dict[str, list[str]] = {}
    section = ""
    for line in files("worker.answering").joinpath("refused_statements.txt").read_text("utf-8").splitlines():
        if line.startswith("[") and line.endswith("]") and line[1:-1].isalpha():
            section = line[1:-1]
        elif section == "lists" and " = " in line:
            name, _, expression = line.partition(" = ")
            lists[name] = expression
        elif line and not line.startswith("#"):
            sections.setdefault(section, []).append(_filled(line, lists))
    return {name: re.compile("|".join(lines), re.IGNORECASE | re.MULTILINE) for name, lines in sections.items()}


def _filled(expression: str, lists: Mapping[str, str]) -> str:
    for name, alternatives in lists.items():
        expression = expression.replace(f"{{{name}}}", alternatives)
    return expression


_REFUSED = _patterns()
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+|\bwww\.\S+|\b(?:javascript|data|vbscript):\S+", re.IGNORECASE)
_ENCODED = re.compile(
    r"[A-Za-z0-9+/=_-]{48,}|(?:\\x[0-9a-f]{2}){4,}|(?:%[0-9a-f]{2}){4,}|&#x?[0-9a-f]+;", re.IGNORECASE
)
_SPELLED_OUT = re.compile(r"\b(?:\w[ ._*-]){5,}\w\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"'})


def refusal(statement: Statement, history: Sequence[Turn]) -> str | None:
    """Why a statement is not learned; None where it may be."""
    turn = history[statement.turn] if 0 <= statement.turn < len(history) else None
    if turn is None or turn.author != "user" or turn.is_asker:
        return UNSTATED
    if _is_hidden(statement.text) or _is_hidden(statement.quote):
        return HIDDEN
    text, said = plain(statement.text), plain(turn.text)
    if _REFUSED["markup"].search(text) or _REFUSED["markup"].search(said):
        return MARKUP
    if (
        _REFUSED["hijack"].search(said)
        or _REFUSED["hijack"].search(_closed_up(said))
        or _REFUSED["hijack"].search(text)
    ):
        return HIJACK
    if _REFUSED["behaviour"].search(text) or _REFUSED["behaviour"].search(plain(statement.quote)):
        return BEHAVIOUR
    if len(_terms(text)) < _FEWEST_TERMS or len(text) > LONGEST:
        return SHAPELESS
    if _REFUSED["unsure"].search(text):
        return UNSURE
    if _REFUSED["secret"].search(text):
        return SECRET
    if _carries_away(text):
        return LINK
    return None if _is_stated(statement, text, said, history) else UNSTATED


def hosts_in(text: str) -> set[str]:
    """The hosts that links in a text lead to."""
    found = (urlsplit(one if "://" in one else f"https://{one}").hostname for one in _addresses(plain(text)))
    return {host.removeprefix("www.") for host in found if host}


def leads_elsewhere(text: str, known: Collection[str]) -> bool:
    """Whether a text has links to hosts that the knowledge base does not have: then a person decides."""
    return not hosts_in(text) <= {one.removeprefix("www.") for one in known}


def plain(text: str) -> str:
    """A text as it reads: one kind of each letter, quotation mark and space, without what cannot be seen."""
    folded = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    seen = "".join(one for one in folded if one in "\n\t" or unicodedata.category(one) not in _UNSEEN)
    return "\n".join(" ".join(line.split()) for line in seen.split("\n")).strip()


def _is_hidden(text: str) -> bool:
    """Whether a text has characters that are not seen, or letters that are taken for others."""
    if any(unicodedata.category(one) in _UNSEEN and one not in "\n\t\r" for one in text):
        return True
    return any(len(_scripts(word)) > 1 for word in re.findall(r"[^\W\d_]+", text))


def _scripts(word: str) -> set[str]:
    """The alphabets of a word, of those whose letters look alike."""
    names = (unicodedata.name(letter, "").partition(" ")[0] for letter in word)
    return {name for name in names if name in ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")}


def _closed_up(text: str) -> str:
    """A text in which words that are s p e l l e d out are words again."""
    return _SPELLED_OUT.sub(lambda found: re.sub(r"[ ._*-]", "", found[0]), text)


def _carries_away(text: str) -> bool:
    """Whether a link could take what is said somewhere: by a query, a name, a strange scheme or a bare number."""
    if _ENCODED.search(_ADDRESS.sub(" ", text)):
        return True
    for address in _addresses(text):
        if re.match(r"(?:javascript|data|vbscript):", address, re.IGNORECASE):
            return True
        parts = urlsplit(address if "://" in address else f"https://{address}")
        host = parts.hostname or ""
        is_number = bool(re.fullmatch(r"[\d.:a-f]*:[\d.:a-f]*|[\d.]+|0x[0-9a-f]+", host))
        if parts.scheme not in ("http", "https") or parts.query or "@" in parts.netloc or is_number:
            return True
        if re.search(r"[{}$<>\[\]]", address) or _ENCODED.search(address) or host.startswith("xn--"):
            return True
    return False


def _addresses(text: str) -> list[str]:
    return [one.rstrip(".,;:!?)\"'`>") for one in _ADDRESS.findall(text)]


def _is_stated(statement: Statement, text: str, said: str, history: Sequence[Turn]) -> bool:
    """Whether the message says so: its own words, what was talked about before it, and no numbers but theirs."""
    if statement.quote and _squeezed(plain(statement.quote)) not in _squeezed(said):
        return False
    before = " ".join(plain(turn.text) for turn in history[: statement.turn])
    own, context = _terms(said), _terms(said) | _terms(before)
    claimed = _terms(text)
    numbers = set(_NUMBER.findall(text))
    if not numbers <= set(_NUMBER.findall(f"{said} {before}")) or not _addressed(text) <= _addressed(said):
        return False
    return len(claimed & context) >= _OTHERS_WORDS * len(claimed) and len(claimed & own) >= max(
        1, _OWN_WORDS * len(claimed)
    )


def _addressed(text: str) -> set[str]:
    return {one.lower() for one in _addresses(text)}


def _terms(text: str) -> set[str]:
    """The stems of what a text talks about; in scripts without spaces between words, its pairs of characters."""
    said = set(stems(" ".join(word for word in words(text) if word not in STOPWORDS)))
    return said | {text[at : at + 2] for at in range(len(text) - 1) if ord(text[at]) > 0x2E7F}


def _squeezed(text: str) -> str:
    return " ".join(text.lower().split())
