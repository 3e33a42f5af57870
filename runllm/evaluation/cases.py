"""The file of an evaluation: one case a line, as JSON."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from runllm.bridge.messages import AnswerCategory, Source
from runllm.errors import UsageError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Strict):
    """One message of a past conversation."""

    author: Literal["user", "assistant"]
    text: str


class Expected(_Strict):
    """What a good answer to the last message is like. What is not said is not judged.

    Attributes:
        category: How the answer is categorised.
        sources: Documents, any of which the answer should rest on: an address, a path or a title, or the end of one.
        says: Words that all have to be in what is sent, in any case.
        never_says: Words that must not be.
        tags: Tags that all have to be on the conversation at the end.
    """

    category: AnswerCategory | None = None
    sources: list[str] = []
    says: list[str] = []
    never_says: list[str] = []
    tags: list[str] = []


class Case(_Strict):
    """A question, or a conversation that ends with one.

    Attributes:
        id: Names the case in reports; its line in the file where it has none.
        question: The question; short for a conversation of one message.
        conversation: The messages before and including the question, oldest first.
        clicks: Buttons that are clicked, in order; where a handler waits for more, nobody clicks.
        expect: What a good answer is like.
        was: What was answered at the time, for a look beside.
        rated: What people thought of that.
    """

    id: str = ""
    question: str = ""
    conversation: list[Message] = []
    clicks: list[str] = []
    expect: Expected = Expected()
    was: str = ""
    rated: Literal["helpful", "unhelpful", ""] = ""

    @model_validator(mode="after")
    def _has_a_question(self) -> "Case":
        if bool(self.question.strip()) == bool(self.conversation):
            raise ValueError("a case has either a question or a conversation")
        if self.conversation and self.conversation[-1].author != "user":
            raise ValueError("a conversation ends with what the user asks")
        return self

    @property
    def said(self) -> list[Message]:
        """The conversation, whichever way it is written."""
        return self.conversation or [Message(author="user", text=self.question)]

    @property
    def asked(self) -> str:
        """The question."""
        return self.said[-1].text


def read_cases(file: Path) -> list[Case]:
    """The cases of a file.

    Raises:
        UsageError: It cannot be read, has none, or a line is no case; the text names the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read ({error.strerror}). Name a file with one case a line, like "
            '{"question": "How do I rotate a key?", "expect": {"category": "answered", "sources": ["keys.md"]}}; '
            "`runllm eval FILE --from-sessions` makes one from conversations"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text. Save it as UTF-8, one JSON object a line") from None
    cases = [_case(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not cases:
        raise UsageError(f"{file} has no cases. Write one a line, as JSON")
    ids = [case.id for case in cases]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice:
        raise UsageError(f"{file} has two cases with the id {twice[0]!r}. Give each its own")
    return cases


def write_cases(file: Path, cases: list[Case]) -> None:
    """Writes a file of cases. What a case does not say is left out."""
    lines = [json.dumps(_short(case), ensure_ascii=False) for case in cases]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def case_of(recorded: dict[str, Any]) -> Case:
    """An answer that was given, as the engine's API tells it. One that people found helpful is what to expect."""
    rated = {True: "helpful", False: "unhelpful", None: ""}[recorded["is_helpful"]]
    sources = [Source.model_validate(source) for source in recorded["sources"]]
    expect = Expected()
    if rated == "helpful":
        places = list(dict.fromkeys(source.url or source.title for source in sources))
        expect = Expected(category=recorded["category"], sources=places)
    said = recorded["said"]
    one = len(said) == 1
    return Case.model_validate(
        {
            "id": f"session-{recorded['session_id']}-{len(said)}",
            "question": said[0]["text"] if one else "",
            "conversation": [] if one else said,
            "expect": expect,
            "was": recorded["answer"],
            "rated": rated,
        }
    )


def _case(file: Path, number: int, line: str) -> Case:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{file}, line {number}, is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise UsageError(f"{file}, line {number}, is no JSON object: a case is one, with a question")
    try:
        return Case.model_validate({"id": f"line {number}", **fields})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = Expected if first["loc"][0] == "expect" else Case
            what = f"there is no such field; there are {', '.join(known.model_fields)}"
        raise UsageError(f"{file}, line {number}: {where + ': ' if where else ''}{what}") from None


def _short(case: Case) -> dict[str, Any]:
    fields: dict[str, Any] = case.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in fields.items() if value}
