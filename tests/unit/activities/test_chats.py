"""Chats turn by turn: what was paid for, or given, is never asked for again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from gateways.wire import Call, ContinueChat, ToolOutput, ToolsDue, UseTool
from runllm.bridge.messages import AnswerCategory, AssistantChatMessage
from runllm.errors import ModelError, UsageError
from runllm.operations import Chat, MessageRef, ToolCall, ToolSpec
from store import documents, sessions
from store.models import Document, KnowledgeSource, PassageRow
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import CountingModel
from worker.activities.chats import MOST_TURNS, ChatActivities
from worker.activities.context import Context
from worker.answering.completion import ModelRefused
from worker.answering.ladder import Circumstances, under
from worker.answering.protocol import (
    BoundRetriever,
    Emit,
    Found,
    ModelAnswer,
    Passage,
    Question,
    Talk,
    ToolsWanted,
)

ORDER = ToolSpec(name="order", description="An order.", parameters={"type": "object"})


@dataclass
class Reasoner(CountingModel):
    """Wants the tools of `wants`, a list a turn, and then answers."""

    wants: Sequence[Sequence[ToolCall]] = ()
    talks: list[Talk] = field(default_factory=list)

    async def chat(self, talk: Talk, retriever: BoundRetriever, emit: Emit) -> ModelAnswer | ToolsWanted:
        self.talks.append(talk)
        self.paid.append(f"turn {len(talk.rounds)}")
        await self.before()
        if len(talk.rounds) < len(self.wants) and not talk.must_answer:
            return ToolsWanted(calls=self.wants[len(talk.rounds)])
        return ModelAnswer(text="Done.", category=AnswerCategory.ANSWERED, model="reasoner")


@dataclass
class Shelf:
    """A retriever that finds one passage."""

    asked: list[str] = field(default_factory=list)

    async def expect_more(self, question: Question) -> None:
        """Nothing is faster for it."""

    async def find(self, agent_id: int, question: Question, limit: int = 8) -> Found:
        self.asked.append(question.text)
        passage = Passage(id=1, document_id=1, title="T", heading_path="", url="https://d.example/t", text="It works.")
        return Found(passages=[passage], searched=1)


@dataclass
class Desk:
    """A chat, driven as a session drives it."""

    case: Case
    model: Reasoner
    shelf: Shelf
    activities: ChatActivities
    begin: Call[Chat]

    async def turn(self, number: int, *outputs: ToolOutput) -> AssistantChatMessage | ToolsDue:
        if number == 0:
            return await self.activities.chat(self.begin)
        operation = ContinueChat(chat=self.begin.key, turn=number, outputs=list(outputs))
        return await self.activities.chat_turn(self.case.call(operation))

    async def use(self, turn: int, call_id: str) -> None:
        await self.activities.chat_tool(self.case.call(UseTool(chat=self.begin.key, turn=turn, call_id=call_id)))


@pytest.fixture
async def desk(case: Case) -> Desk:
    model, shelf = Reasoner(), Shelf()
    context = Context(
        store=case.store,
        adapters={},
        openers={},
        hub=case.hub,
        model=model,
        retriever=shelf,
        handover="A person will look.",
    )
    question = await case.said("Where is A-1?")
    begin = case.call(Chat(question=MessageRef(chat_id=question.id), tools=[ORDER]))
    return Desk(case, model, shelf, ChatActivities(context), begin)


def search(id: str, query: str = "orders") -> ToolCall:
    return ToolCall(id=id, name="search", arguments={"query": query})


async def test_a_model_that_answers_at_once_needs_one_turn(desk: Desk) -> None:
    said = await desk.turn(0)
    assert isinstance(said, AssistantChatMessage)
    assert said.text == "Done."
    assert await desk.turn(0) == said
    assert desk.model.paid == ["turn 0"]
    assert (await desk.case.effect(desk.begin.key)).state == "done"


async def test_tools_are_used_between_turns_and_their_results_reach_the_model(desk: Desk) -> None:
    desk.model.wants = [[search("s1"), ToolCall(id="o1", name="order", arguments={"id": "A-1"})]]
    due = await desk.turn(0)
    assert due == ToolsDue(
        chat=desk.begin.key,
        turn=0,
        calls=[ToolCall(id="s1", name="search"), ToolCall(id="o1", name="order", arguments={"id": "A-1"})],
    ), "what the record has is not in the history"
    await desk.use(0, "s1")
    said = await desk.turn(1, ToolOutput(call_id="o1", text="shipped"))
    assert isinstance(said, AssistantChatMessage)
    (round_,) = desk.model.talks[-1].rounds
    assert [(gave.call_id, gave.text, len(gave.passages)) for gave in round_.outputs] == [
        ("s1", "", 1),
        ("o1", "shipped", 0),
    ]
    assert desk.model.talks[-1].tools == [ORDER]


async def test_nothing_that_finished_is_done_again_whatever_is_repeated(desk: Desk) -> None:
    desk.model.wants = [[search("s1")], [search("s2", "more")]]
    first = await desk.turn(0)
    assert await desk.turn(0) == first
    for _ in range(2):
        await desk.use(0, "s1")
    second = await desk.turn(1)
    assert await desk.turn(1) == second
    assert await desk.turn(0) == first, "even when the chat has gone on"
    await desk.use(1, "s2")
    for _ in range(2):
        await desk.turn(2)
    assert desk.model.paid == ["turn 0", "turn 1", "turn 2"]
    assert desk.shelf.asked == ["orders", "more"]


async def test_a_turn_that_fails_is_paid_again_and_the_turns_before_are_not(desk: Desk) -> None:
    desk.model.wants = [[search("s1")]]
    await desk.turn(0)
    await desk.use(0, "s1")

    async def fails_once() -> None:
        if desk.model.paid.count("turn 1") == 1:
            raise ModelError("cut off")

    desk.model.before = fails_once
    with pytest.raises(ModelError):
        await desk.turn(1)
    await desk.turn(1)
    assert desk.model.paid == ["turn 0", "turn 1", "turn 1"]


async def test_a_tool_that_is_none_and_arguments_that_do_not_fit_are_told_to_the_model(desk: Desk) -> None:
    calls = [
        ToolCall(id="a", name="delete_everything"),
        ToolCall(id="b", name="search", arguments={"q": "x"}),
        ToolCall(id="c", name="open_document", arguments={"document": 99}),
    ]
    desk.model.wants = [calls]
    await desk.turn(0)
    for call in calls:
        await desk.use(0, call.id)
    await desk.turn(1)
    (round_,) = desk.model.talks[-1].rounds
    assert [(gave.is_error, gave.text) for gave in round_.outputs] == [
        (True, "There is no tool 'delete_everything'."),
        (True, "search does not take these arguments."),
        (True, "No search of this chat found that document."),
    ]


async def test_a_document_that_was_found_can_be_opened(desk: Desk) -> None:
    async with desk.case.store.begin() as db:
        db.add(KnowledgeSource(id=1, agent_id=1, kind="folder", location="/docs"))
        await db.flush()
        db.add(Document(id=1, agent_id=1, source_id=1, path="t.md", title="T", content_hash="x"))
        await db.flush()
        for n in range(3):
            db.add(PassageRow(agent_id=1, document_id=1, position=n, title="T", anchor=f"p{n}", text=f"Part {n}."))
    async with desk.case.store.read() as db:
        assert await documents.passages_of(db, 2, 1) == [], "not another agent's"
    desk.model.wants = [[search("s1")], [ToolCall(id="d1", name="open_document", arguments={"document": 1})]]
    await desk.turn(0)
    await desk.use(0, "s1")
    await desk.turn(1)
    await desk.use(1, "d1")
    await desk.turn(2)
    (gave,) = desk.model.talks[-1].rounds[1].outputs
    assert [(passage.text, passage.url) for passage in gave.passages] == [
        ("Part 0.", "https://d.example/t#p0"),
        ("Part 1.", "https://d.example/t#p1"),
        ("Part 2.", "https://d.example/t#p2"),
    ]


async def test_a_chat_of_another_session_is_nobodys_business(desk: Desk) -> None:
    await desk.turn(0)
    widget = desk.case.widget.model_copy(deep=True)
    widget.config.convo_identifier = "c2"
    async with desk.case.store.begin() as db:
        other = await sessions.create(db, agent_id=1, published_name="support", surface=widget)
    call = Call[ContinueChat](
        session_id=other.id, key=f"{other.id}:1", operation=ContinueChat(chat=desk.begin.key, turn=1)
    )
    with pytest.raises(UsageError, match="has no chat"):
        await desk.activities.chat_turn(call)


async def test_a_chat_that_never_ends_has_to_answer(desk: Desk) -> None:
    desk.model.wants = [[search(f"s{n}")] for n in range(MOST_TURNS + 5)]
    said = await desk.turn(0)
    turns = 0
    while isinstance(said, ToolsDue):
        await desk.use(turns, f"s{turns}")
        turns += 1
        said = await desk.turn(turns)
    assert turns == MOST_TURNS


@pytest.mark.parametrize("error", [ModelRefused("it does not accept the key"), ModelError("it is down")])
async def test_when_nobody_will_try_again_the_customer_is_told_so_and_the_session_says_why(
    desk: Desk, error: ModelError
) -> None:
    async def fails() -> None:
        raise error

    desk.model.before = fails
    if not isinstance(error, ModelRefused):
        with pytest.raises(ModelError):
            await desk.turn(0)
    with under(Circumstances(attempt=5, is_last=True)):
        said = await desk.turn(0)
    assert isinstance(said, AssistantChatMessage)
    assert (said.text, said.category) == ("A person will look.", AnswerCategory.UNANSWERED)
    async with desk.case.store.read() as db:
        (line,) = await sessions.log_of(db, desk.case.session_id)
    assert line.level == "error"
    assert str(error) in line.text
