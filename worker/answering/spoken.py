"""The text inside a JSON object that is still being written.

A model's answer is an object, so that its category is a field and never has to be read out of prose. People want to
read while it is written: this finds the value of one field in the pieces as they come.
"""

import json
import re

_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"[0-9a-fA-F]{4}")


class SpokenField:
    """Feeds on pieces of a JSON object and gives the value of one text field, as far as it is certain."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._depth = 0
        self._in_string = self._is_key_next = False
        self._string = ""
        self._key = ""
        self._escape = ""
        self._high = ""

    def feed(self, piece: str) -> str:
        """What this piece adds to the field's value."""
        said: list[str] = []
        for character in piece:
            if self._in_string:
                self._inside(character, said)
            else:
                self._outside(character)
        return "".join(said)

    def _outside(self, character: str) -> None:
        match character:
            case '"':
                self._in_string, self._string = True, ""
            case "{" | "[":
                self._depth += 1
                self._is_key_next = character == "{"
            case "}" | "]":
                self._depth -= 1
            case ",":
                self._is_key_next = True
            case ":":
                self._key, self._is_key_next = self._string, False

    def _inside(self, character: str, said: list[str]) -> None:
        if self._escape:
            self._escaped(character, said)
        elif character == "\\":
            self._escape = "\\"
        elif character == '"':
            self._in_string = False
        else:
            self._add(character, said)

    def _escaped(self, character: str, said: list[str]) -> None:
        self._escape += character
        if self._escape[1] != "u":
            self._add(_ESCAPES.get(character, character), said)
        elif len(self._escape) < 6:
            return
        elif _HEX.fullmatch(self._escape[2:]):
            self._unit(int(self._escape[2:], 16), said)
        self._escape = ""

    def _unit(self, unit: int, said: list[str]) -> None:
        """Beyond the basic plane a character is written as two escapes."""
        if 0xD800 <= unit < 0xDC00:
            self._high = chr(unit)
        elif 0xDC00 <= unit < 0xE000:
            pair, self._high = self._high + chr(unit), ""
            if len(pair) == 2:
                self._add(pair.encode("utf-16", "surrogatepass").decode("utf-16"), said)
        else:
            self._add(chr(unit), said)

    def _add(self, text: str, said: list[str]) -> None:
        if self._is_key_next or self._depth != 1:
            self._string += text
        elif self._key == self._field:
            said.append(text)


def read_object(text: str) -> dict[str, object] | None:
    """The object that `text` is; None where it is none."""
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
