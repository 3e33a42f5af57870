"""How a command ends that cannot do what it was asked to."""

UNUSABLE = 2
"""Exit code: something around us has to be changed first."""

FAILED = 1
"""Exit code: it was tried, and did not work."""


class RefusalError(Exception):
    """A command cannot go on; the text says why, and what to do next."""

    def __init__(self, text: str, code: int = UNUSABLE) -> None:
        super().__init__(text)
        self.code = code
