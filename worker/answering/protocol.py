"""The seam between answering and everything else: what a model is asked, what it is given, what it says.

A model sees a question and passages, and knows nothing of sessions, surfaces or the store.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from runllm.bridge.messages import AnswerCategory, Source
from runllm.operations import Frozen, ToolCall, ToolSpec
from worker.answering.evidence import ANSWER_NUMBERS, RELEVANCE_NUMBERS, Evidence

MOST_PASSAGES = 8
"""That are found for a question."""

Emit = Callable[[str], Awaitable[None]]
"""Takes the next piece of an answer's text while it is being made. Pieces may be lost; the answer is the record."""


async def nobody(text: str) -> None:
    """An `Emit` for answers that nobody watches being made."""


class Turn(Frozen):
    """One message of a conversation as a model sees it."""

    author: Literal["user", "assistant"]
    text: str
    author_name: str | None = None
    is_asker: bool = True
    """The person who started the conversation wrote it. `learn` takes facts from the others only."""
    chat_id: int = 0
    """Its number in the record; later messages have higher ones."""


class Question(Frozen):
    """What to answer: the last message, and the conversation before it, oldest first."""

    text: str
    history: Sequence[Turn] = ()
    page: dict[str, str] = {}
    """What the widget's page said of itself. Untrusted."""
    audience: Literal["public", "internal"] = "public"
    """Who reads the answer. Passages of internal sources are found for colleagues only."""
    summary: str = ""
    """What the first `summarised` messages of a long history come to."""
    summarised: int = 0


class Passage(Frozen):
    """A piece of a document, as retrieval found it."""

    id: int
    document_id: int
    title: str
    heading_path: str
    url: str | None
    text: str
    score: float = 0.0

    def source(self, quote: str = "") -> Source:
        """The passage as a source of an answer."""
        return Source(title=" › ".join(x for x in (self.title, self.heading_path) if x), url=self.url, quote=quote)


class Fitted(Frozen):
    """Weights of `Evidence`: for whether a question is about the knowledge base, and for whether that answers it.

    Attributes:
        direction: Where, among all that questions can be about, those are that people labelled as about the subject,
            seen from those about something else; none where nobody labelled any.
    """

    relevance: Sequence[float]
    answer: Sequence[float]
    direction: Sequence[float] = ()

    @property
    def fits(self) -> bool:
        """Whether it weighs what is looked at today; an older version looked at less."""
        return len(self.relevance) == RELEVANCE_NUMBERS + 1 and len(self.answer) == ANSWER_NUMBERS + 1


class Found(Frozen):
    """What retrieval found for a question, best first.

    Attributes:
        coverage: How much of what the question asks for the best passage has, 0 to 1, rare words counting more.
        top_score: What the best passage's score has from the question itself, as a multiple of what its words weigh.
        weights: The question's words, as stems, with how rare each is in the knowledge base.
        searched: How many passages the knowledge base has. In a large one some passage has any words by chance.
        evidence: What speaks for and against there being an answer; None where passages are found by words alone.
        fitted: How this knowledge base weighs it, where it was calibrated.
    """

    passages: Sequence[Passage] = ()
    coverage: float = 0.0
    top_score: float = 0.0
    weights: dict[str, float] = {}
    searched: int = 0
    evidence: Evidence | None = None
    fitted: Fitted | None = None


class Statement(Frozen):
    """A fact that somebody stated in a conversation.

    Attributes:
        text: The fact, in a sentence that makes sense without the conversation.
        turn: Which message of the history states it, counted from 0.
        quote: The words of that message that say so, as they stand there.
    """

    text: str
    turn: int
    quote: str = ""


class ModelAnswer(Frozen):
    """What a model says: the text, how good it is, and what it rests on."""

    text: str
    category: AnswerCategory
    sources: list[Source] = []
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class ToolGave(Frozen):
    """What a tool gave for one call, with the passages that it found."""

    call_id: str
    text: str
    is_error: bool = False
    passages: Sequence[Passage] = ()


class Round(Frozen):
    """The tools that a model wanted in one turn of a chat, and what they gave."""

    text: str = ""
    calls: Sequence[ToolCall] = ()
    outputs: Sequence[ToolGave] = ()


class Talk(Frozen):
    """A chat as far as it has got: what was asked, and the rounds so far.

    Attributes:
        tools: The customer's own tools.
        must_answer: There were rounds enough.
    """

    question: Question
    tools: Sequence[ToolSpec] = ()
    rounds: Sequence[Round] = ()
    must_answer: bool = False


class ToolsWanted(Frozen):
    """What a model says that wants to use tools before it answers."""

    calls: Sequence[ToolCall]
    text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Retriever(Protocol):
    """Finds passages of an agent's knowledge base."""

    async def find(self, agent_id: int, question: Question, limit: int = MOST_PASSAGES) -> Found:
        """The best passages for `question`."""
        ...

    async def expect_more(self, question: Question) -> None:
        """Gets ready for the question that may come after this one in the same conversation."""
        ...


class Model(Protocol):
    """A model of answers. Implementations are rows of `MODELS`."""

    name: str
    longest: int = 0
    """How many characters of a conversation it takes in: what is longer is summarised first. 0 is any number."""

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """Answers from what was found, and says so where that is not enough.

        Raises:
            ModelError: It could not produce an answer at all.
        """
        ...

    async def chat(self, talk: Talk, retriever: "BoundRetriever", emit: Emit) -> ModelAnswer | ToolsWanted:
        """One turn of a chat: it answers, or says which tools it wants to use before it does.

        It may search by itself instead, with `retriever`.
        """
        ...

    async def summarize(self, history: Sequence[Turn], before: str = "") -> str:
        """The conversation in a few sentences that fit the description of a ticket.

        `before` is a summary of what was said before `history`; the result covers both.
        """
        ...

    async def categorize(
        self, history: Sequence[Turn], categories: dict[str, str], default: str, guidelines: str | None
    ) -> str:
        """One of `categories`, or `default`."""
        ...

    async def tag(self, history: Sequence[Turn], options: dict[str, str], guidelines: str | None) -> list[str]:
        """Those of `options` that fit."""
        ...

    async def learn(self, history: Sequence[Turn]) -> list[Statement]:
        """Facts stated by people other than the asker. What it says of them is checked: it may be led astray."""
        ...


class BoundRetriever(Protocol):
    """A retriever for one agent, as `Model.chat` gets it."""

    async def find(self, question: Question, limit: int = MOST_PASSAGES) -> Found:
        """The best passages for `question`."""
        ...


@dataclass(frozen=True)
class RetrieverOf:
    """The knowledge base of one agent."""

    agent_id: int
    retriever: Retriever

    async def find(self, question: Question, limit: int = MOST_PASSAGES) -> Found:
        """The best passages for `question`."""
        return await self.retriever.find(self.agent_id, question, limit)
