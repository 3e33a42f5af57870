"""Shortcodes of emoji. Discord sends a character where people write a name, and there are several names for many."""

from functools import cache

import emoji

_TONES = {chr(code) for code in range(0x1F3FB, 0x1F400)}
_AS_PICTURE = "\ufe0f"


def names_of(character: str) -> list[str]:
    """All shortcodes of an emoji without colons, the best known one first. A server's own emoji is its name."""
    plain = "".join(one for one in character if one not in _TONES)
    for spelling in (plain, plain.removesuffix(_AS_PICTURE), plain + _AS_PICTURE):
        data = emoji.EMOJI_DATA.get(spelling)
        if data is not None:
            names = [*data.get("alias", ()), data["en"]]
            return list(dict.fromkeys(name.strip(":").lower() for name in names))
    return [character]


@cache
def all_names() -> frozenset[str]:
    """Every shortcode that `names_of` may return for a character."""
    return frozenset(name for character in emoji.EMOJI_DATA for name in names_of(character))
