"""A model without a model: it quotes what the documentation says, and knows when that is nothing.

It needs no key and no network. All it knows of a language are the words that question and passages share.
"""

import asyncio
import re
from collections.abc import Sequence

from runllm.bridge.messages import AnswerCategory
from worker.answering.blocks import sentences
from worker.answering.choosing import Chooser, choices_of
from worker.answering.confidence import category_of
from worker.answering.embedding import Embedder
from worker.answering.protocol import (
    BoundRetriever,
    Emit,
    Found,
    ModelAnswer,
    Passage,
    Question,
    Statement,
    Talk,
    ToolsWanted,
    Turn,
    nobody,
)
from worker.answering.quotes import quote, shortened
from worker.answering.words import STOPWORDS, stems, terms, words

NO_KNOWLEDGE = (
    "I have no documentation to answer from yet. Somebody who runs this engine can add some: `runllm docs add FOLDER`."
)
SMALL_TALK = "Hello! Ask me something about the documentation, and I look it up."
OFF_TOPIC = (
    "This does not seem to be about anything in the documentation that I know. "
    "If it is, please ask again and name the feature or the error message."
)
NOT_FOUND = "I looked in the documentation and found nothing that answers this."
UNSURE = "I am not sure that this is what you are after, but it is the closest that I found:"

_SUMMARY_LENGTH = 600
# By words alone, and by words and meaning.
_CATEGORY_FROM = {False: 0.12, True: 0.24}
_TAG_FROM = {False: 0.18, True: 0.34}
_SENTENCES_FOR_TAGS = 20
_PIECE = 24
_PAUSE = 0.015
_NEAREST = 2
_SHORTEST_FACT = 4
_SECOND_SOURCE = 0.85

_ASKS = re.compile(
    r"\?\s*$|^(?:how|what|why|when|where|who|which|can|could|would|should|do|does|did|is|are|will)\b", re.IGNORECASE
)
# What tells the agent how to behave is no fact about the product.
_INSTRUCTS = re.compile(
    r"\b(?:you (?:must|should|shall|will|are|need)|ignore|disregard|(?:always|never) (?:say|answer|reply)"
    r"|from now on|pretend|act as|system prompt|instructions?)\b",
    re.IGNORECASE,
)
_CHATTER = re.compile(r"\b(?:thanks|thank you|hello|hi|cheers|sorry|please|i think|maybe|not sure)\b", re.IGNORECASE)


class ExtractiveModel:
    """Quotes the best sentences of the best passages."""

    name = "extractive"
    longest = 0

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._chooser = Chooser(embedder)

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """The best passage's best sentences, with where to read on; or what it did not find."""
        answer = _answer(question, found)
        if emit is not nobody:
            for start in range(0, len(answer.text), _PIECE):
                await emit(answer.text[start : start + _PIECE])
                await asyncio.sleep(_PAUSE)
        return answer

    async def chat(self, talk: Talk, retriever: BoundRetriever, emit: Emit) -> ModelAnswer | ToolsWanted:
        """One search; a second one with the last messages' words where the first found too little."""
        question = talk.question
        found = await retriever.find(question)
        if category_of(found) is not AnswerCategory.ANSWERED and question.history:
            before = [turn.text for turn in question.history if turn.author == "user"][-1:]
            wider = await retriever.find(question.model_copy(update={"text": " ".join([*before, question.text])}))
            found = max(found, wider, key=lambda one: one.top_score)
        return await self.answer(question, found, emit)

    async def summarize(self, history: Sequence[Turn], before: str = "") -> str:
        """What was asked first, what was said about it that matters most, and how it stands."""
        said = [(turn, one) for turn in history for one in sentences(" ".join(turn.text.split()))]
        asked = next((one for turn, one in said if turn.author == "user"), None)
        if asked is None:
            return "Nobody has asked anything in this conversation yet."
        weights = _weights(history)
        others = [pair for pair in said if pair[1] != asked]
        best = sorted(others, key=lambda pair: -_density(pair[1], weights))[:3]
        lines = [f"{_who(turn)}: {one}" for turn, one in others if (turn, one) in best]
        text = "\n".join([f"Asked: {asked}", *lines])
        return shortened(text, _SUMMARY_LENGTH)

    async def categorize(
        self, history: Sequence[Turn], categories: dict[str, str], default: str, guidelines: str | None
    ) -> str:
        """The category that fits what people said best; the default where none fits enough."""
        scores = await self._fit(history, categories)
        best = max(scores, key=lambda name: scores[name], default=default)
        enough = _CATEGORY_FROM[self._chooser.knows_meaning]
        return best if scores.get(best, 0.0) >= enough else default

    async def tag(self, history: Sequence[Turn], options: dict[str, str], guidelines: str | None) -> list[str]:
        """Those that fit what people said well enough."""
        enough = _TAG_FROM[self._chooser.knows_meaning]
        said = [one for turn in history if turn.author == "user" for one in sentences(" ".join(turn.text.split()))]
        fits = [await self._fit(history, options)]
        # A conversation may be about several things, each in a sentence of its own.
        fits += [await self._chooser.fit(one, choices_of(options)) for one in said[-_SENTENCES_FOR_TAGS:]]
        return [name for name in options if max(fit[name] for fit in fits) >= enough]

    async def _fit(self, history: Sequence[Turn], options: dict[str, str]) -> dict[str, float]:
        """How well each option fits what people said; what they said last counts as much as all of it."""
        said = [turn.text for turn in history if turn.author == "user" and turn.text.strip()]
        choices = choices_of(options)
        if len(said) < 2:
            return await self._chooser.fit("\n".join(said), choices)
        together = await self._chooser.fit("\n".join(said), choices)
        last = await self._chooser.fit(said[-1], choices)
        return {name: (together[name] + last[name]) / 2 for name in together}

    async def learn(self, history: Sequence[Turn]) -> list[Statement]:
        """Statements of people other than the asker: no questions, no instructions, no chatter."""
        stated: dict[str, Statement] = {}
        for number, turn in enumerate(history):
            if turn.author == "user" and not turn.is_asker:
                for one in filter(_is_fact, sentences(" ".join(turn.text.split()))):
                    stated.setdefault(one, Statement(text=one, turn=number, quote=one))
        return list(stated.values())


def _answer(question: Question, found: Found) -> ModelAnswer:
    category = category_of(found)
    if category in (AnswerCategory.ANSWERED, AnswerCategory.LOW_CONFIDENCE):
        return _quoted(found, category)
    if not found.searched:
        text = NO_KNOWLEDGE
    elif not terms(question.text):
        text = SMALL_TALK
    elif category is AnswerCategory.IRRELEVANT:
        text = OFF_TOPIC
    else:
        text = "\n\n".join([NOT_FOUND, _what_to_try(found)])
    return ModelAnswer(text=text, category=category, model=ExtractiveModel.name)


def _quoted(found: Found, category: AnswerCategory) -> ModelAnswer:
    best = found.passages[0]
    sources = [best, *_also(found)]
    quotes = [quote(passage.text, found.weights) for passage in sources]
    opening = [UNSURE] if category is AnswerCategory.LOW_CONFIDENCE else []
    text = "\n\n".join([*opening, quotes[0], f"Read on: {_link(best)}"])
    return ModelAnswer(
        text=text,
        category=category,
        sources=[passage.source(said) for passage, said in zip(sources, quotes, strict=True)],
        model=ExtractiveModel.name,
    )


def _also(found: Found) -> list[Passage]:
    """The best passage of another document, where it is nearly as good."""
    best = found.passages[0]
    others = [one for one in found.passages[1:] if one.document_id != best.document_id]
    return [one for one in others[:1] if one.score >= _SECOND_SOURCE * best.score]


def _what_to_try(found: Found) -> str:
    nearest = list({passage.document_id: passage for passage in reversed(found.passages[:_NEAREST])}.values())
    pages = " or ".join(_link(passage) for passage in reversed(nearest))
    return f"Try other words, such as the name of a setting or an error message. The closest pages are {pages}."


def _link(passage: Passage) -> str:
    title = passage.source().title.replace("[", "(").replace("]", ")")
    return f"[{title}]({passage.url})" if passage.url else f"“{title}”"


def _weights(history: Sequence[Turn]) -> dict[str, float]:
    """How often each word is said: what people come back to is what it is about."""
    weights: dict[str, float] = {}
    for turn in history:
        for word in set(stems(" ".join(one for one in words(turn.text) if one not in STOPWORDS))):
            weights[word] = weights.get(word, 0.0) + 1.0
    return weights


def _density(sentence: str, weights: dict[str, float]) -> float:
    said = stems(sentence)
    return sum(weights.get(word, 0.0) for word in said) / (len(said) + 4)


def _who(turn: Turn) -> str:
    return turn.author_name or ("Assistant" if turn.author == "assistant" else "User")


def _is_fact(sentence: str) -> bool:
    telling = terms(sentence)
    return len(telling) >= _SHORTEST_FACT and not any(
        pattern.search(sentence) for pattern in (_ASKS, _INSTRUCTS, _CHATTER)
    )
