"""A model of answers that asks a language model: whichever provider it is behind.

What it is told is in `prompts`; what it must not be told is taken out by `redaction`; and what it says is checked here:
passages that it cites must have been found, addresses must be vouched for, choices must be among those offered.
"""

import logging
from collections.abc import Sequence
from typing import Any

from runllm.bridge.messages import AnswerCategory
from runllm.errors import ModelError
from runllm.operations import Frozen, ToolCall, ToolSpec
from worker.answering import prompts
from worker.answering.completion import ModelBusy, Provider, Reply, Request, Said
from worker.answering.links import Allowed, LinkGuard
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
)
from worker.answering.quotes import quote
from worker.answering.redaction import NoRedaction, Redaction, Restoring
from worker.answering.spoken import SpokenField, read_object

log = logging.getLogger(__name__)

_MOST_CALLS = 8
_CUT_OFF = "…"


class Manner(Frozen):
    """How a language model is used.

    Attributes:
        max_tokens: Of one reply.
        longest: Characters of a conversation that are sent as they are; what is longer is summarised.
        redacts: Personal data is taken out of what is sent.
        regions: Countries whose telephone numbers are known without their country's code.
        sites: Addresses below these may be in answers, whatever was found.
    """

    max_tokens: int = 2000
    longest: int = 16_000
    redacts: bool = True
    regions: tuple[str, ...] = ("US",)
    sites: tuple[str, ...] = ()


class LanguageModel:
    """Answers, and decides, by asking a provider."""

    def __init__(self, provider: Provider, manner: Manner = Manner()) -> None:  # noqa: B008
        self._provider, self._manner = provider, manner
        self.name = provider.name
        self.longest = manner.longest

    async def answer(self, question: Question, found: Found, emit: Emit) -> ModelAnswer:
        """One request, from what was found."""
        redaction = self._redaction(question.history)
        messages = [
            *prompts.history(question, redaction),
            prompts.asked(question, found.passages, redaction),
        ]
        speaking = _Speaking(found.passages, redaction, self._manner.sites, emit)
        request = Request(
            system=prompts.ANSWER,
            messages=messages,
            schema_=dict(prompts.ANSWER_SCHEMA),
            max_tokens=self._manner.max_tokens,
        )
        reply = await self._provider.complete(request, speaking.take)
        return await speaking.answer(reply, found.weights)

    async def chat(self, talk: Talk, retriever: BoundRetriever, emit: Emit) -> ModelAnswer | ToolsWanted:
        """One request; its reply wants tools, or answers from what they have found by now."""
        redaction = self._redaction(talk.question.history)
        found = [passage for one in talk.rounds for gave in one.outputs for passage in gave.passages]
        tools = [*prompts.OWN_TOOLS, *talk.tools]
        messages = [
            *prompts.history(talk.question, redaction),
            prompts.asked(talk.question, None, redaction),
            *prompts.rounds(talk, redaction),
        ]
        speaking = _Speaking(found, redaction, self._manner.sites, emit)
        request = Request(
            system=prompts.CHAT,
            messages=messages,
            schema_=dict(prompts.ANSWER_SCHEMA),
            tools=tools,
            must_answer=talk.must_answer,
            max_tokens=self._manner.max_tokens,
        )
        reply = await self._provider.complete(request, speaking.take)
        if reply.calls and not talk.must_answer:
            return _wanted(reply, redaction, tools)
        return await speaking.answer(reply, {})

    async def summarize(self, history: Sequence[Turn], before: str = "") -> str:
        """One request, with the newest messages as they are."""
        redaction = self._redaction(history)
        more = {"summary_of_earlier_messages": redaction.hide(before)} if before else {}
        asked = prompts.conversation(history, redaction, **more)
        said = await self._decided(prompts.SUMMARY, asked, prompts.SUMMARY_SCHEMA)
        return redaction.restore(str(said.get("summary", ""))).strip()

    async def categorize(
        self, history: Sequence[Turn], categories: dict[str, str], default: str, guidelines: str | None
    ) -> str:
        """A field of the reply; anything that is none of the categories is the default."""
        redaction = self._redaction(history)
        names = list(dict.fromkeys([*categories, default]))
        offered = {"categories": prompts.choices(categories), "default": default, "guidelines": guidelines}
        asked = prompts.conversation(history, redaction, **offered)
        said = await self._decided(prompts.CATEGORY, asked, prompts.category_schema(names))
        chosen = said.get("category")
        return chosen if isinstance(chosen, str) and chosen in names else default

    async def tag(self, history: Sequence[Turn], options: dict[str, str], guidelines: str | None) -> list[str]:
        """A field of the reply, without what is none of the options."""
        redaction = self._redaction(history)
        asked = prompts.conversation(history, redaction, tags=prompts.choices(options), guidelines=guidelines)
        said = await self._decided(prompts.TAGS, asked, prompts.tags_schema(list(options)))
        chosen = said.get("tags")
        return [name for name in options if isinstance(chosen, list) and name in chosen]

    async def learn(self, history: Sequence[Turn]) -> list[Statement]:
        """Fields of the reply: only what the named message really says, and only of people other than the asker."""
        if not any(turn.author == "user" and not turn.is_asker for turn in history):
            return []
        redaction = self._redaction(history)
        said = await self._decided(prompts.LEARN, prompts.conversation(history, redaction), prompts.LEARN_SCHEMA)
        found = said.get("statements")
        read = [_statement(one, history, redaction) for one in found] if isinstance(found, list) else []
        return [statement for statement in read if statement is not None]

    async def close(self) -> None:
        """Closes its connections."""
        await self._provider.close()

    async def _decided(self, system: str, asked: Said, schema: dict[str, Any]) -> dict[str, object]:
        request = Request(system=system, messages=[asked], schema_=schema, max_tokens=self._manner.max_tokens)

        async def unseen(text: str) -> None:
            """Nobody watches a decision."""

        reply = await self._provider.complete(request, unseen)
        said = read_object(reply.text)
        if said is None:
            raise ModelBusy(f"The model {self.name} did not reply in the form that was asked for ({reply.stop})")
        return said

    def _redaction(self, history: Sequence[Turn]) -> Redaction:
        """With the placeholders of the conversation so far, numbered from its beginning."""
        redaction = Redaction(self._manner.regions) if self._manner.redacts else NoRedaction()
        for turn in history:
            redaction.hide(turn.text)
        return redaction


class _Speaking:
    """An answer on its way: out of its JSON, with what was hidden put back, without addresses of unknown origin."""

    def __init__(self, found: Sequence[Passage], redaction: Redaction, sites: Sequence[str], emit: Emit) -> None:
        self._found = {passage.id: passage for passage in found}
        allowed = Allowed(sites)
        allowed.add(found)
        self._field, self._restoring, self._guard = SpokenField("text"), Restoring(redaction), LinkGuard(allowed)
        self._emit = emit
        self._shown: list[str] = []

    async def take(self, piece: str) -> None:
        """Shows what a piece of the reply adds to the answer."""
        await self._show(self._guard.feed(self._restoring.feed(self._field.feed(piece))))

    async def answer(self, reply: Reply, weights: dict[str, float]) -> ModelAnswer:
        """The whole answer, as it was shown."""
        await self._show(self._guard.feed(self._restoring.end()) + self._guard.end())
        said = read_object(reply.text)
        text = "".join(self._shown).strip()
        if reply.stop == "refused":
            raise ModelError("The model declined to answer this")
        if said is None and reply.stop == "length" and text:
            said, text = {"category": AnswerCategory.LOW_CONFIDENCE}, text + _CUT_OFF
        if said is None or not text:
            raise ModelBusy(f"The model {reply.spent.model} did not reply in the form that was asked for")
        cited = self._cited(said.get("passages"))
        spent = reply.spent
        return ModelAnswer(
            text=text,
            category=_category(said.get("category"), cited),
            sources=[passage.source(quote(passage.text, weights)) for passage in cited],
            model=spent.model,
            input_tokens=spent.input_tokens + spent.cache_read_tokens + spent.cache_write_tokens,
            output_tokens=spent.output_tokens,
        )

    async def _show(self, text: str) -> None:
        if text:
            self._shown.append(text)
            await self._emit(text)

    def _cited(self, ids: object) -> list[Passage]:
        """The passages named, without those that nobody found."""
        named = dict.fromkeys(one for one in ids if isinstance(one, int)) if isinstance(ids, list) else {}
        return [self._found[one] for one in named if one in self._found]


def _category(said: object, cited: Sequence[Passage]) -> AnswerCategory:
    """What the model thinks of its answer; what rests on nothing is not an answer, whatever it thinks."""
    try:
        category = AnswerCategory(str(said))
    except ValueError:
        return AnswerCategory.LOW_CONFIDENCE
    if category is AnswerCategory.ANSWERED and not cited:
        return AnswerCategory.LOW_CONFIDENCE
    return category


def _wanted(reply: Reply, redaction: Redaction, tools: Sequence[ToolSpec]) -> ToolsWanted:
    calls: list[ToolCall] = []
    for call in reply.calls[:_MOST_CALLS]:
        calls.append(call.model_copy(update={"arguments": redaction.restore_in(call.arguments)}))
    spent = reply.spent
    return ToolsWanted(
        text=redaction.restore(reply.text),
        calls=calls,
        input_tokens=spent.input_tokens + spent.cache_read_tokens + spent.cache_write_tokens,
        output_tokens=spent.output_tokens,
    )


def _statement(said: object, history: Sequence[Turn], redaction: Redaction) -> Statement | None:
    """A statement that stands in the message that it names, by a person other than the asker."""
    if not isinstance(said, dict):
        return None
    text, turn, words = said.get("text"), said.get("turn"), said.get("quote")
    if not (isinstance(text, str) and isinstance(turn, int) and isinstance(words, str)):
        return None
    if not (0 <= turn < len(history) and text.strip() and words.strip()):
        return None
    by = history[turn]
    restored = redaction.restore(words)
    if by.author != "user" or by.is_asker or _plain(restored) not in _plain(by.text):
        return None
    return Statement(text=redaction.restore(text).strip(), turn=turn, quote=restored.strip())


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
