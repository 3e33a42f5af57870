"""What crosses processes: names of queues and workflows, the signal's envelope, calls of activities.

The session imports this file inside Temporal's sandbox, so it knows pydantic and `runllm.bridge`, and nothing else.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runllm.bridge.listeners import AnyListener
from runllm.bridge.messages import AnswerCategory, Source, UserChatMessage
from runllm.bridge.surfaces import AnySurface
from runllm.bridge.triggers import AnyTrigger, Happening
from runllm.bundle import Bundle
from runllm.operations import Frozen, ToolCall

ENGINE_ABI = "2"
"""Changes whenever session code changes in a way that old histories would notice: it is part of every build id."""

ACTIVITY_QUEUE = "runllm-activities"
"""Where activity workers take the operations of all sessions."""

KNOWLEDGE_QUEUE = "runllm-knowledge"
"""Where documents are indexed."""

EVENT_SIGNAL = "event"
"""The one signal that a session takes; its argument is an `Envelope`."""

INDEX_WORKFLOW = "IndexSource"
"""Workflow type that indexes one knowledge source, on `KNOWLEDGE_QUEUE`, id `index-{source_id}`."""

SCHEDULED_INDEX_WORKFLOW = "IndexOnSchedule"
"""Workflow type that a schedule starts: it runs the one above, unless that is running already."""


def index_workflow_id(source_id: int) -> str:
    """The id of the Temporal workflow that indexes a source."""
    return f"index-{source_id}"


SCHEDULES = "runllm-index-"
"""What the ids of our schedules begin with; the number of a source follows."""


O = TypeVar("O")  # noqa: E741 - an operation


def workflow_id(session_id: int) -> str:
    """The id of the Temporal workflow that runs a session."""
    return f"session-{session_id}"


def workflow_queue(published_name: str) -> str:
    """The task queue of a published workflow. All its versions poll it."""
    return f"workflow-{published_name}"


class SearchAttribute:
    """Names of the search attributes of a session. None holds personal data."""

    WORKFLOW = "RunllmWorkflow"  # Keyword: the published name
    STATE = "RunllmState"  # Keyword: a SessionPhase
    HANDLER = "RunllmHandler"  # Keyword: the current handler
    TITLE = "RunllmTitle"  # Keyword: "customer_support #12 on chat_widget"
    SURFACES = "RunllmSurfaces"  # KeywordList: kinds of bound surfaces
    TAGS = "RunllmTags"  # KeywordList: tags on the conversation


SessionPhase = Literal["listening", "handling", "waiting_for_button", "mirroring", "closed"]

EventKind = Literal["message", "reaction", "edit", "delete", "button", "feedback", "status", "control", "unknown"]


class Envelope(BaseModel):
    """The argument of the one signal. Every field has a default, so that newer senders do not break older sessions.

    Attributes:
        kind: What happened. Kinds that this code does not know become `unknown`.
        event_id: Names the event: a session forgets the second one with the same id.
        inbox_id: The inbox row that accounts for it; 0 where there is none.
        surface: Where it happened.
        message: The message, for kinds that have one.
        happening: What triggers look at.
        trigger: The listener's trigger that started the session; None on surfaces that are bound already.
        listens_to: All triggers that the listener has there; the session keeps them for its origin surface.
        wait_id, button_id, user: The click, for `button`.
        at: When the event was taken in, in UTC.
        action: What to do, for `control`: `upgrade`, `tags`, `close`.
        tags: All tags on the conversation, for the action `tags`.
    """

    model_config = ConfigDict(frozen=True)

    kind: EventKind = "unknown"
    event_id: str = ""
    inbox_id: int = 0
    surface: AnySurface | None = None
    message: UserChatMessage | None = None
    happening: Happening | None = None
    trigger: AnyTrigger | None = None
    listens_to: list[AnyTrigger] = []
    wait_id: int = 0
    button_id: str = ""
    user: str | None = None
    at: datetime | None = None
    action: str = ""
    tags: list[str] = []


def read_envelope(data: bytes) -> tuple[Envelope, str]:
    """The envelope in a signal, and what was wrong with it.

    A signal that cannot be decoded is dropped by Temporal's SDK with a line in a log that nobody reads, so this cannot
    fail: fields that do not fit are left out, and the second value names them.
    """
    try:
        fields = json.loads(data)
    except ValueError:
        return Envelope(), "the signal's argument is not JSON"
    if not isinstance(fields, dict):
        return Envelope(), f"the signal's argument is {type(fields).__name__}, not an object"
    unknown = sorted(set(fields) - set(Envelope.model_fields))
    problem = f"unknown fields: {', '.join(unknown)}" if unknown else ""
    try:
        return Envelope.model_validate(fields), problem
    except ValidationError as error:
        broken = sorted({str(detail["loc"][0]) for detail in error.errors()})
        kept = {name: value for name, value in fields.items() if name not in broken}
        problems = [f"fields that do not fit: {', '.join(broken)}", *filter(None, [problem])]
        return Envelope.model_validate(kept), "; ".join(problems)


class SessionStart(BaseModel):
    """What a session is started with. The state carried from run to run adds to it."""

    session_id: int
    published_name: str
    agent_id: int = 1
    started_by: str = ""


OutcomeKind = Literal["handled", "mirrored", "ignored"]


class Outcome(Frozen):
    """What became of an inbox row; `reason` says why it was ignored."""

    inbox_id: int
    outcome: OutcomeKind
    reason: str = ""


class Call(BaseModel, Generic[O]):
    """The argument of every activity that a session calls.

    Attributes:
        session_id: Whose operation it is.
        key: The effect's key, `{session_id}:{effect_no}`: the same on every retry, replay and continue-as-new.
        handler: Name of the handler that asked.
        operation: What it asked for.
        outcomes: What became of earlier events; they travel with the next call, which spares an activity.
    """

    model_config = ConfigDict(frozen=True)

    session_id: int
    key: str
    handler: str = ""
    operation: O
    outcomes: list[Outcome] = []


CALIBRATE = "calibration.calibrate"
EVALUATE = "evaluation.ask"
"""Activity that asks the model as a conversation would, and writes nothing down. No session calls it."""


class Said(Frozen):
    """One message of a conversation that is evaluated."""

    author: Literal["user", "assistant"]
    text: str


class LabelledQuestion(Frozen):
    """A question with what a person says of it: the documentation answers it or not, or it is about something else.

    `history` is what the same person asked before, the oldest first.
    """

    question: str = Field(min_length=1, max_length=20_000)
    label: Literal["answered", "unanswered", "irrelevant"]
    history: list[str] = Field(default=[], max_length=50)


class Calibrate(Frozen):
    """Fit how sure answers have to be to one knowledge base: the activity `calibration.calibrate`.

    Attributes:
        agent_id: Whose knowledge base.
        keeps: Whether what is better than before is to count from now on.
    """

    agent_id: int
    questions: list[LabelledQuestion]
    keeps: bool = True


class ToldRight(Frozen):
    """How many questions of each label are told right, and the mean of the three."""

    labels: int
    recall: dict[str, float]
    balanced: float


class Calibrated(Frozen):
    """How well labels were told before, and after on questions that were not fitted to.

    Attributes:
        fitted: What was fitted.
        embedder: Whose vectors it is about.
        kept: It counts from now on.
    """

    before: ToldRight
    after: ToldRight
    fitted: dict[str, Any]
    embedder: str
    kept: bool = False


class Evaluate(Frozen):
    """What to ask: the activity `evaluation.ask`.

    Attributes:
        agent_id: Whose knowledge base.
        what: Which of an agent's questions to a model.
        said: The conversation, oldest first; its last message is the question.
        options: The categories or tags to choose from, with their descriptions.
        examples: Messages that belong to some of them.
        default, guidelines: As in `Agent.categorize` and `Agent.tag`.
    """

    agent_id: int
    what: Literal["answer", "chat", "categorize", "tag", "summarize"]
    said: list[Said]
    options: dict[str, str] = {}
    examples: dict[str, list[str]] = {}
    default: str = ""
    guidelines: str | None = None


class Evaluated(Frozen):
    """What the model said, and what that took.

    Attributes:
        text: The answer or the summary.
        category, sources: Of an answer.
        chosen: The category, or the tags.
        model: Who answered.
        input_tokens, output_tokens: What the answer took.
        cost: In US dollars; 0 where the model costs nothing, or nobody knows.
        seconds: How long it took.
    """

    text: str = ""
    category: AnswerCategory | None = None
    sources: list[Source] = []
    chosen: list[str] = []
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


class LogLine(Frozen):
    """One line of a session's log: what a handler printed, or an error in it."""

    level: Literal["print", "warning", "error"]
    text: str
    handler: str = ""


class Report(Frozen):
    """What a session says of itself outside of operations: its log, outcomes, its phase.

    The activity `session.report` takes it as the operation of a `Call`.
    """

    lines: list[LogLine] = []
    phase: SessionPhase | None = None
    current_handler: str | None = None
    build_id: str | None = None
    stop_waits: list[int] = []
    bound: list[AnySurface] = []


class Relay(Frozen):
    """One inbound event of a mirrored surface to repeat on the others: activity `surfaces.relay`.

    Attributes:
        insists: Try again until the surface takes it. Otherwise the result says which surfaces did not, and the session
            has those follow, in order, while it goes on with the others.
    """

    kind: EventKind
    chat_id: int
    from_surface: AnySurface
    to: list[AnySurface]
    insists: bool = False


class Relayed(Frozen):
    """What became of a relay. The keys are those of surfaces, the texts hold no words of the conversation.

    Attributes:
        shown: Surfaces that show it now.
        later: Surfaces that could not take it now, and why.
        refused: Surfaces that will never take it, and why.
        kept_back: Surfaces that must not show it: customers are there, and it is the support team's.
    """

    shown: list[str] = []
    later: dict[str, str] = {}
    refused: dict[str, str] = {}
    kept_back: list[str] = []


class Copied(Frozen):
    """A conversation was copied to a surface: what changes in it later is to change there. Histories from before this
    was so hold nothing instead.
    """


class AskUpgrade(Frozen):
    """May this session go to the current version? Activity `deployments.may_upgrade`."""

    published_name: str
    handlers: list[str]


class UpgradeAdvice(Frozen):
    """Whether the current version has all the handlers asked for, and why not."""

    yes: bool
    build_id: str = ""
    reason: str = ""


class ToolsDue(Frozen):
    """What a turn of a chat gives where the model wants tools before it answers.

    Attributes:
        chat: Names the chat: the key of its effect.
        turn: The turn that wants them, counted from 0.
        calls: The calls; those of the engine's own tools come without arguments, which the record has.
    """

    chat: str
    turn: int
    calls: list[ToolCall]


class UseTool(Frozen):
    """Use one of the engine's own tools: activity `answers.chat_tool`. The record has the call, and gets the result."""

    chat: str
    turn: int
    call_id: str


class ToolOutput(Frozen):
    """What a tool of the customer's gave on the session host."""

    call_id: str
    text: str
    is_error: bool = False


class ContinueChat(Frozen):
    """The next turn of a chat, with what the customer's tools gave: activity `answers.chat_turn`."""

    chat: str
    turn: int
    outputs: list[ToolOutput] = []


class HandOver(Frozen):
    """No attempt at an answer came to an end, so say that a person will look at it: activity `handover.tell`.

    Attributes:
        answer: The key of the answer's effect: where an attempt has written the answer down, that is what is told.
        to: Where the answer was to be shown; None where the handler sees to that.
    """

    answer: str
    to: AnySurface | None = None


class OwnUp(Frozen):
    """A handler failed on somebody's message, so tell them: activity `handover.own_up`.

    Attributes:
        to: Where they wrote.
        is_internal: They are of the support team: customers who look on are not to read it.
    """

    to: AnySurface
    is_internal: bool = False


class HandlerManifest(Frozen):
    """One handler of a version: its name, and the parameters beyond agent and event as (name, annotation)."""

    name: str
    module: str
    function: str
    is_entrypoint: bool = False
    parameters: list[tuple[str, str | None]] = []


class Manifest(Frozen):
    """What validation found in a bundle by importing it: stored with the version."""

    entrypoint: HandlerManifest
    tasks: list[HandlerManifest] = []
    listeners: list[AnyListener]
    warnings: list[str] = []

    def handler_names(self) -> list[str]:
        """Names of all handlers, the entrypoint's first."""
        return [self.entrypoint.name, *(task.name for task in self.tasks)]


def button_value(session_id: int, wait_id: int, button_id: str) -> str:
    """What a button carries: enough to find its wait. The customer's id comes last and may hold anything."""
    return f"{session_id}.{wait_id}.{button_id}"


def parse_button_value(value: str) -> tuple[int, int, str] | None:
    """The session, wait and button ids in a button's value; None where it is not one of ours."""
    session, _, rest = value.partition(".")
    wait, dot, button = rest.partition(".")
    return (int(session), int(wait), button) if session.isdecimal() and wait.isdecimal() and dot else None


def search_attributes_types() -> Mapping[str, str]:
    """Each search attribute with Temporal's name for its type: what to register before the first session."""
    a = SearchAttribute
    keywords: dict[str, str] = dict.fromkeys((a.WORKFLOW, a.STATE, a.HANDLER, a.TITLE), "Keyword")
    return {**keywords, **dict.fromkeys((a.SURFACES, a.TAGS), "KeywordList")}


def build_id_of(bundle: Bundle) -> str:
    """The name of this version: the same sources on the same engine have the same one."""
    content = json.dumps(bundle.model_dump(mode="json", include={"files", "entrypoint", "tasks"}), sort_keys=True)
    return hashlib.sha256(f"{ENGINE_ABI}\n{content}".encode()).hexdigest()[:12]
