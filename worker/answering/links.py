"""Addresses in answers: only those that the knowledge base or the installation vouches for.

A document, a page or a message may try to make a model write an address that carries a conversation away, or a picture
that a browser loads by itself. Whatever the model was talked into, such an address does not leave here: a link becomes
its text, a picture its description, and a bare address a word. Answers are checked piece by piece while they are
streamed, so that nothing is shown that the finished answer would not have.
"""

import html
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from worker.answering.protocol import Passage

REMOVED = "(link removed)"

_LONGEST = 2000
"""Characters that are held back for the end of a link. What is longer is no link."""

_SCHEME = r"(?:h\\?t\\?t\\?p\\?s?|f\\?t\\?p|w\\?s\\?s?)\\?:\\?/\\?/"
_BARE = re.compile(rf"(?:{_SCHEME}|(?<![\w.@/-])w\\?w\\?w\\?\.|(?<![\w.:/\\])//(?=\w))[^\s<>\"'`|]*", re.IGNORECASE)
_STARTS = ("http://", "https://", "ftp://", "ws://", "wss://", "www.")
_INTERESTING = re.compile(r"[\[!hfw/]", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#x?[0-9a-fA-F]{1,7}|colon|sol|period|lpar|rpar|lsqb|rsqb|lbrack|rbrack|excl|num);")
_HALF_ENTITY = re.compile(r"&[#\w]{0,9}\Z")
_TRAILING = ".,;:!?*_~\\"


class Allowed:
    """The addresses that an answer may name: those in its passages, and all below the configured sites."""

    def __init__(self, sites: Sequence[str] = ()) -> None:
        self._sites = [_place(site) for site in sites if site]
        self._exactly: set[str] = set()

    def add(self, passages: Iterable[Passage]) -> None:
        """Vouches for what these passages say, and for where they are."""
        for passage in passages:
            texts = (passage.url or "", passage.text)
            self._exactly |= {_bare(_clean(found)) for text in texts for found in _BARE.findall(text)}

    def __contains__(self, address: object) -> bool:
        clean = _clean(str(address))
        parts = _place(clean)
        return bool(parts[0]) and (_bare(clean) in self._exactly or any(_is_below(parts, site) for site in self._sites))


class LinkGuard:
    """Lets text through, piece by piece, without addresses that are not allowed.

    However the text is cut into pieces, what comes out is the same.
    """

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._raw = ""
        """What may be the beginning of a character in disguise."""
        self._held = ""
        self._before = ""
        """The character before `_held`."""

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        raw = self._raw + piece
        half = _HALF_ENTITY.search(raw)
        cut = half.start() if half else len(raw)
        self._held += _decoded(raw[:cut])
        self._raw = raw[cut:]
        return self._released(is_over=False)

    def end(self) -> str:
        """What is left."""
        self._held += self._raw
        self._raw = ""
        return self._released(is_over=True)

    def _released(self, *, is_over: bool) -> str:
        shown: list[str] = []
        while self._held:
            start = _INTERESTING.search(self._held)
            plain = start.start() if start else len(self._held)
            shown.append(self._held[:plain])
            self._drop(plain)
            taken = self._taken(is_over) if self._held else None
            if taken is None:
                break
            text, length = taken
            shown.append(text)
            self._drop(length)
        return "".join(shown)

    def _drop(self, length: int) -> None:
        self._before = self._held[length - 1 : length] or self._before
        self._held = self._held[length:]

    def _taken(self, is_over: bool) -> tuple[str, int] | None:
        """What the beginning of the held text becomes, and how much of it that is; None to wait for more."""
        held = self._held
        if held.startswith("[") or held.startswith("!["):
            return self._link(is_over)
        if not is_over and _may_begin(held):
            return None
        match = _BARE.match(self._before + held, len(self._before))
        if match is None:
            return held[0], 1
        found = match.group()
        if len(found) == len(held) and not is_over and len(held) < _LONGEST:
            return None
        found = re.split(r"[\]\[]", found)[0] or found
        found = found.rstrip(_TRAILING) or found
        while found.endswith(")") and found.count(")") > found.count("("):
            found = found[:-1].rstrip(_TRAILING)
        return (found if found in self._allowed else REMOVED), len(found)

    def _link(self, is_over: bool) -> tuple[str, int] | None:
        """A Markdown link or picture; anything else that begins with a bracket is only that bracket."""
        held = self._held
        mark = held.index("[") + 1
        close = _closing(held, mark - 1, "[", "]")
        if close is None:
            return (held[:mark], mark) if is_over or _is_too_far(held) else None
        if close + 1 == len(held) and not is_over:
            return None
        if held[close + 1 : close + 2] != "(":
            return held[:mark], mark
        end = _closing(held, close + 1, "(", ")")
        if end is None and not is_over and not _is_too_far(held):
            return None
        text = self._within(held[mark:close])
        if end is None:  # an address without its end is no link, and is looked at by itself
            return f"{text} (", close + 2
        if _is_allowed(_address(held[close + 2 : end]), self._allowed):
            return f"{held[:mark]}{text}]{held[close + 1 : end + 1]}", end + 1
        return text, end + 1

    def _within(self, text: str) -> str:
        """What a link's text may say: a picture in it, or another address, is looked at by itself."""
        return guarded(text, self._allowed)


def guarded(text: str, allowed: Allowed) -> str:
    """All of a text at once."""
    guard = LinkGuard(allowed)
    return guard.feed(text) + guard.end()


def _may_begin(held: str) -> bool:
    """Whether this may be the beginning of an address or a picture, of which too little is there to know."""
    if held in ("!", "/", "//", "/\\"):
        return True
    plain = held.replace("\\", "").lower()
    return any(start.startswith(plain) and start != plain for start in _STARTS)


def _is_too_far(held: str) -> bool:
    """Nothing that has not been closed by now is a link."""
    return "\n\n" in held or len(held) > _LONGEST


def _closing(text: str, at: int, opens: str, closes: str) -> int | None:
    """Where the bracket at `at` is closed; None where it is not, or not before an empty line."""
    depth, n = 0, at
    while n < min(len(text), at + _LONGEST):
        character = text[n]
        if character == "\\":
            n += 1
        elif character == opens:
            depth += 1
        elif character == closes:
            depth -= 1
            if not depth:
                return n
        elif text.startswith("\n\n", n):
            return None
        n += 1
    return None


def _address(inside: str) -> str:
    """The address in the parentheses of a link, without its title."""
    stripped = inside.strip()
    if stripped.startswith("<"):
        return stripped[1:].partition(">")[0]
    return stripped.split(maxsplit=1)[0] if stripped else ""


def _is_allowed(address: str, allowed: Allowed) -> bool:
    """An anchor leads nowhere else; whatever names a scheme or a host has to be vouched for."""
    clean = _clean(address.strip("<>"))
    return clean in allowed or clean.startswith("#")


def _decoded(text: str) -> str:
    """Without characters in disguise: what Markdown would read as an address has to look like one here."""

    def character(match: re.Match[str]) -> str:
        plain = html.unescape(match.group())
        return match.group() if plain == "&" else plain  # which could make another one of what follows

    return _ENTITY.sub(character, text)


def _clean(address: str) -> str:
    """An address as it would be asked for."""
    return re.sub(r"[\x00-\x20\u200b-\u200f\u2060\ufeff\\]", "", html.unescape(address)).rstrip(_TRAILING)


def _bare(address: str) -> str:
    """Without the fragment, which is not sent, and with what does not matter made the same."""
    without = address.partition("#")[0]
    if without.lower().startswith("www."):
        without = f"https://{without}"
    scheme, _, rest = without.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip(").,;").rstrip("/")


def _place(address: str) -> tuple[str, str, str]:
    """Scheme, host with port, path; empty ones where it is no address of the web."""
    whole = f"https://{address}" if address.lower().startswith("www.") else address
    try:
        parts = urlsplit(whole)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            return "", "", ""
        return parts.scheme, parts.netloc.lower(), parts.path or "/"
    except ValueError:
        return "", "", ""


def _is_below(parts: tuple[str, str, str], site: tuple[str, str, str]) -> bool:
    scheme, host, path = parts
    below = site[2] if site[2].endswith("/") else f"{site[2]}/"
    return (scheme, host) == site[:2] and ".." not in path and f"{path}/".startswith(below)
