"""What people see of a session in Temporal's Web UI: search attributes, and a page of details in Markdown.

Search attributes are never encrypted, so they hold no personal data: names of handlers, kinds of surfaces, tags.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from gateways.wire import Copied, SearchAttribute
from runllm.bridge.surfaces import (
    AdminConsole,
    ChatSurface,
    ChatWidget,
    DiscordThread,
    SlackThread,
    ZendeskTicket,
    surface_key,
)
from runllm.operations import Categorized, Tagged
from worker.session.published import Published
from worker.session.run import HandlerRun
from worker.session.state import SessionState

_WORKFLOW = SearchAttributeKey.for_keyword(SearchAttribute.WORKFLOW)
_STATE = SearchAttributeKey.for_keyword(SearchAttribute.STATE)
_HANDLER = SearchAttributeKey.for_keyword(SearchAttribute.HANDLER)
_TITLE = SearchAttributeKey.for_keyword(SearchAttribute.TITLE)
_SURFACES = SearchAttributeKey.for_keyword_list(SearchAttribute.SURFACES)
_TAGS = SearchAttributeKey.for_keyword_list(SearchAttribute.TAGS)


_APART = "apart-threads-are-not-bound"


def learn(state: SessionState, operation: Any, result: Any) -> None:
    """Takes from a result what the state keeps track of: tags, surfaces that the record has bound, and copies."""
    match result:
        case Tagged(tags=tags) | Categorized(tags=tags):
            state.tags = tags
        # Sessions from before took it for bound, and made no report where they listened to it: they replay that.
        case SlackThread() | DiscordThread() if not operation.reuse and workflow.patched(_APART):
            pass  # nobody has bound it: it is reported as soon as somebody listens to it, or keeps it in sync
        case SlackThread() | DiscordThread() | ZendeskTicket() if surface_key(result) not in state.known:
            state.known = [*state.known, surface_key(result)]
        case Copied() if all(surface_key(one) != surface_key(operation.to) for one in state.copied):
            state.copied = [*state.copied, operation.to]
        case _:
            pass


class Shown:
    """What the Web UI shows now. Each change of a search attribute is an event in history, so only changes are sent."""

    def __init__(self) -> None:
        self._attributes: dict[str, Any] = {
            pair.key.name: pair.value for pair in workflow.info().typed_search_attributes
        }
        self._details = ""

    def update(self, state: SessionState, handler: str, parked: Sequence[HandlerRun], published: Published) -> None:
        """Shows the state as it is now."""
        waits = any(run.phase == "parked" for run in parked)
        phase = "waiting_for_button" if waits and state.phase in ("listening", "waiting_for_button") else state.phase
        surfaces = sorted({str(s.type) for s in (state.mirror if phase == "mirroring" else state.surfaces)})
        self._upsert(
            [
                (_WORKFLOW, state.published_name),
                (_STATE, phase),
                (_HANDLER, handler),
                (_TITLE, f"{state.published_name} #{state.session_id}"),
                (_SURFACES, surfaces),
                (_TAGS, state.tags),
            ]
        )
        details = _markdown(state, phase, handler, parked, published)
        if details != self._details:
            self._details = details
            workflow.set_current_details(details)

    def _upsert(self, wanted: Sequence[tuple[SearchAttributeKey[Any], Any]]) -> None:
        changes: list[SearchAttributeUpdate[Any]] = []
        for key, value in wanted:
            if (self._attributes.get(key.name) or None) != (value or None):
                self._attributes[key.name] = value
                changes.append(key.value_set(value) if value else key.value_unset())
        if changes:
            workflow.upsert_search_attributes(changes)


def _markdown(state: SessionState, phase: str, handler: str, parked: Sequence[HandlerRun], published: Published) -> str:
    where = ", ".join(_name(surface) for surface in state.mirror or state.surfaces) or "nowhere yet"
    lines = [
        f"### {state.published_name}, session {state.session_id}",
        f"- **State**: {phase.replace('_', ' ')}",
        f"- **Handler**: `{handler}`",
        f"- **{'Mirrors' if phase == 'mirroring' else 'Listens on'}**: {where}",
        f"- **Tags**: {', '.join(state.tags) or 'none'}",
        f"- **Version**: `{published.build_id}`",
        f"- **Turns**: {state.turns}",
    ]
    if state.deadline is not None:
        lines.append(f"- **Silence**: `{state.on_timeout}` runs at {state.deadline:%Y-%m-%d %H:%M} UTC")
    for key, count in Counter(surface_key(late.relay.to[0]) for late in state.late).items():
        lines.append(f"- **Behind**: {key} waits for {count} messages")
    for run in parked:
        if run.waiting_for is not None:
            lines.append(f"- **Parked**: `{run.handler}` waits for a button (wait {run.waiting_for.wait_id})")
    return "\n".join(lines)


def _name(surface: ChatSurface) -> str:
    match surface:
        case ChatWidget():
            return "the chat widget"
        case AdminConsole(config=config):
            return f"the admin console of agent {config.agent_id}"
        case ZendeskTicket(config=config):
            return f"Zendesk ticket {config.id}"
        case SlackThread():
            return f"[a Slack thread]({surface.link()})"
        case DiscordThread(config=config):
            return f"Discord thread {config.thread_id}"
