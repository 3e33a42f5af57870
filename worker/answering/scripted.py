"""A model that says what a script says: for tests and demonstrations, where answers have to be known beforehand.

What it says depends on the question and the conversation alone, so it says the same in a process that was restarted.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from runllm.bridge.messages import AnswerCategory, Source
from runllm.errors import ModelError, UsageError
from runllm.operations import Frozen, ToolCall
from worker.answering.protocol import (
    BoundRetriever,
    Emit,
    Found,
    ModelAnswer,
    Question,
    Statement,
    Talk,
    ToolsWanted,
    Turn,
)


class _Strict(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Line(_Strict):
    """One answer of a script, and how it is given.

    Attributes:
        match: A regular expression that the question has to contain, in any case.
        text: The answer; `{question}` stands for the question.
        piece: How many characters are streamed at once.
        pause: Seconds before each piece.
        fails: How often the same question fails before it is answered, in one process.
        fails_after: How many pieces are streamed before it fails.
        hangs: It never answers.
        uses: The tools that a chat uses before it answers, one a turn.
    """

    match: str = ""
    text: str
    category: AnswerCategory = AnswerCategory.ANSWERED
    sources: list[Source] = []
    piece: int = Field(default=16, ge=1)
    pause: float = Field(default=0.0, ge=0)
    fails: int = Field(default=0, ge=0)
    fails_after: int = Field(default=0, ge=0)
    hangs: bool = False
    uses: list[ToolCall] = []


class Choice(_Strict):
    """What to choose where a conversation contains `match`."""

    match: str = ""
    chosen: list[str]


class Script(_Strict):
    """All that a scripted model says.

    Attributes:
        turns: Answers to the first, second, third message of a conversation, whatever it says.
        answers: Answers by what the question contains; the first that matches. They are looked at before `turns`.
        otherwise: The answer where nothing else fits.
        categories, tags: Choices by what the conversation contains.
        facts: What it learns from any conversation; it says that the last message by somebody else than the asker
            states it.
        summary: Its summary of any conversation; `{count}` stands for the number of messages.
        calls: A file that gets a line for each call: tests count there what would have been paid.
    """

    turns: list[Line] = []
    answers: list[Line] = []
    otherwise: Line = Line(text="The script has no answer to: {question}", category=AnswerCategory.UNANSWERED)
    categories: list[Choice] = []
    tags: list[Choice] = []
    facts: list[str] = []
    summary: str = "A conversation of {count} messages."
    calls: str | None = None


class ScriptedModel:
    """Says what the script says."""

    name = "scripted"
    longest = 0

    def __init__(self, script: Script) -> None:
        self._script = script
        self._failed: Counter[str] = Counter()

    @classmethod
    def from_file(cls, path: Path) -> "ScriptedModel":
        """The model with the script in a JSON file.

        Raises:
            UsageError: There is no script, or it says something that scripts cannot say.
        """
        try:
            return cls(Script.model_validate_json(path.read_text()))
        except OSError as error:
            raise UsageError(f"The script {path} cannot be read ({error}). Set RUNLLM_SCRIPT to a JSON file") from error
        except ValidationError as error:
            where = ", ".join(".".join(map(str, problem["loc"])) or problem["msg"] for problem in error.errors())
            raise UsageError(f"The script {path} is not one: {where}. See worker/answering/scripted.py") from error

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """The line for the question, whatever was found."""
        return await self._say("answer", question, emit)

    async def chat(self, talk: Talk, retriever: BoundRetriever, emit: Emit) -> ModelAnswer | ToolsWanted:
        """The line for the question, after the tools that it uses, one a turn."""
        wanted = self._line(talk.question).uses[len(talk.rounds) :]
        if wanted and not talk.must_answer:
            self._note("chat", talk.question.text)
            number = len(talk.rounds)
            return ToolsWanted(calls=[wanted[0].model_copy(update={"id": f"call-{number}"})])
        return await self._say("chat", talk.question, emit)

    async def summarize(self, history: Sequence[Turn], before: str = "") -> str:
        """The script's summary."""
        self._note("summarize", "")
        return self._script.summary.replace("{count}", str(len(history)))

    async def categorize(
        self, history: Sequence[Turn], categories: dict[str, str], default: str, guidelines: str | None
    ) -> str:
        """The first choice that is one of `categories`."""
        self._note("categorize", "")
        return next((name for name in _chosen(self._script.categories, history) if name in categories), default)

    async def tag(self, history: Sequence[Turn], options: dict[str, str], guidelines: str | None) -> list[str]:
        """All choices that are among `options`."""
        self._note("tag", "")
        return [name for name in _chosen(self._script.tags, history) if name in options]

    async def learn(self, history: Sequence[Turn]) -> list[Statement]:
        """The script's facts."""
        self._note("learn", "")
        others = [number for number, turn in enumerate(history) if turn.author == "user" and not turn.is_asker]
        return [Statement(text=fact, turn=others[-1]) for fact in self._script.facts if others]

    async def _say(self, call: str, question: Question, emit: Emit) -> ModelAnswer:
        self._note(call, question.text)
        line = self._line(question)
        if line.hangs:
            await asyncio.Event().wait()
        fails = self._failed[question.text] < line.fails
        text = line.text.replace("{question}", question.text)
        pieces = [text[start : start + line.piece] for start in range(0, len(text), line.piece)]
        for piece in pieces[: line.fails_after] if fails else pieces:
            await asyncio.sleep(line.pause)
            await emit(piece)
        if fails:
            self._failed[question.text] += 1
            raise ModelError(f"The script fails this question {line.fails} times")
        return ModelAnswer(
            text=text,
            category=line.category,
            sources=line.sources,
            model=self.name,
            input_tokens=len(question.text.split()),
            output_tokens=len(text.split()),
        )

    def _line(self, question: Question) -> Line:
        for line in self._script.answers:
            if re.search(line.match, question.text, re.IGNORECASE):
                return line
        number = sum(turn.author == "user" for turn in question.history)
        return self._script.turns[number] if number < len(self._script.turns) else self._script.otherwise

    def _note(self, call: str, question: str) -> None:
        if self._script.calls is not None:
            with Path(self._script.calls).open("a") as file:
                file.write(json.dumps({"call": call, "question": question}) + "\n")


def _chosen(choices: Sequence[Choice], history: Sequence[Turn]) -> list[str]:
    said = "\n".join(turn.text for turn in history)
    fitting = (choice.chosen for choice in choices if re.search(choice.match, said, re.IGNORECASE))
    return list(dict.fromkeys(name for chosen in fitting for name in chosen))
