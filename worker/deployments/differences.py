"""What Temporal's SDK says of a history that code does not fit, in fewer words."""

import re

_OTHER_CALL = re.compile(
    r"[Aa]ctivity type of scheduled event '(.+?)' does not match activity type of activity command '(.+?)'"
)


def first_difference(failure: BaseException) -> str:
    """Where a history and the code part."""
    text = str(failure)
    if match := _OTHER_CALL.search(text):
        return "`{}` was called where this version calls `{}`".format(*match.groups())
    return " ".join(text.split())[:200]
