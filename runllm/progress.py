"""How `Client.watch` shows the steps of a deployment: a line that changes on a terminal, plain lines elsewhere."""

from typing import TextIO

from pydantic import BaseModel

_MARKS = {"running": "…", "done": "✓", "failed": "✗", "skipped": "–"}
_CLEAR_LINE = "\r\x1b[2K"


class Step(BaseModel):
    """One step of a deployment, as the API tells it: a newer engine may have states that this client does not know."""

    step: str
    state: str
    detail: str = ""


class Deployment(BaseModel):
    """How far the newest wanted version of a published workflow has got, as the API tells it."""

    name: str
    build_id: str
    status: str
    error: str | None = None
    note: str | None = None
    steps: list[Step] = []
    finished: bool = False

    @property
    def failure(self) -> str:
        """What went wrong, in the server's words."""
        failed = [f"{step.step}: {step.detail}" if step.detail else step.step for step in self.steps if _failed(step)]
        words = [failed[-1]] if failed else []
        if self.error and not any(self.error in text for text in words):
            words.append(self.error)
        return ". ".join(word.rstrip(".") for word in words) or "the server does not say why"


def _failed(step: Step) -> bool:
    return step.state == "failed"


class Progress:
    """Prints what is new in each look at a deployment."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._shown: dict[str, Step] = {}
        self._build_id = ""
        self._has_open_line = False

    def show(self, deployment: Deployment) -> None:
        """Prints the steps that changed since the last look."""
        if deployment.build_id != self._build_id:
            self._build_id = deployment.build_id
            self._shown = {}
            self.line(f"{deployment.name}, build {deployment.build_id}")
        for step in deployment.steps:
            if self._shown.get(step.step) == step:
                continue
            self._shown[step.step] = step
            text = f"  {_MARKS.get(step.state, step.state)} {step.step}" + (f": {step.detail}" if step.detail else "")
            if step.state == "running" and self._is_terminal:
                self._rewrite(text)
            else:
                self.line(text)

    def line(self, text: str) -> None:
        """Prints a line that stays."""
        self._rewrite(f"{text}\n", is_open=False)

    def close(self) -> None:
        """Leaves the terminal's cursor at the beginning of a line."""
        if self._has_open_line:
            self._out.write("\n")
            self._out.flush()
            self._has_open_line = False

    def _rewrite(self, text: str, *, is_open: bool = True) -> None:
        if self._has_open_line:
            text = _CLEAR_LINE + text
        self._out.write(_printable(text, self._out))
        self._out.flush()
        self._has_open_line = is_open


def _printable(text: str, out: TextIO) -> str:
    """The text without what the terminal's encoding lacks: a log in ASCII must not end a deployment."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
