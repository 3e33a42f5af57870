"""Tells a worker what people write before it is on record, so that it can begin to look for an answer.

Nothing that counts comes of it. A message is told of twice: as it comes, with what is remembered of its conversation,
so that passages can be looked up; and while it is written down, when its session is known. What is refused, or belongs
elsewhere after all, was looked up for nothing.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateways.adapter import Inbound
from gateways.hub import News, Said, Writing
from gateways.matching import Route, marked, match_routes
from runllm.bridge.surfaces import surface_key
from store.models import Session

_REMEMBERED = 1000
"""So many messages are remembered as told of, and so many conversations."""


class _Conversation(NamedTuple):
    """Whose it is. One that has not begun has no session."""

    session_id: int
    agent_id: int
    workflow: str


class Hints:
    """What is told of messages on our own surfaces: elsewhere nobody sees an answer while it is made."""

    def __init__(
        self, say: Callable[[News], None] = lambda news: None, listeners: Callable[[], Sequence[Route]] = tuple
    ) -> None:
        """
        Args:
            say: Tells a worker. Must return at once.
            listeners: What listened when somebody looked last.
        """
        self._say = say
        self._listeners = listeners
        self._told: deque[str] = deque(maxlen=_REMEMBERED)
        self._conversations: OrderedDict[str, _Conversation] = OrderedDict()

    def writes(self, inbound: Inbound, session: Session | None) -> None:
        """Tells that somebody writes, of whose message nothing is known but where it will be said."""
        if session is not None:
            self._remember(inbound, session)
        conversation = self._conversation(inbound)
        if conversation is not None:
            self._say(Writing(agent_id=conversation.agent_id))

    def comes(self, inbound: Inbound) -> None:
        """Tells of a message that nothing has been read for yet, where it is clear enough whose it is."""
        if not _is_told(inbound) or inbound.dedupe_key in self._told:
            return
        conversation = self._conversation(inbound)
        if conversation is not None:
            self._tell(inbound, conversation, None)

    def is_written(self, session: Session, inbound: Inbound) -> None:
        """Tells of a message that is about to be on record: once, also where it is sent or written down again.

        A session that waits for a click, or takes no more messages, asks nothing.
        """
        is_asked = session.phase in ("listening", "handling")
        if not _is_told(inbound) or not is_asked or inbound.dedupe_key in self._told:
            return
        self._told.append(inbound.dedupe_key)
        self._tell(inbound, self._remember(inbound, session), session.last_seq)

    def _tell(self, inbound: Inbound, conversation: _Conversation, shown: int | None) -> None:
        self._say(
            Said(
                event_id=inbound.event_id,
                session_id=conversation.session_id,
                agent_id=conversation.agent_id,
                workflow=conversation.workflow,
                text=inbound.text,
                surface=inbound.surface,
                shown=shown,
            )
        )

    def _conversation(self, inbound: Inbound) -> _Conversation | None:
        """Whose it seems to be: the one that was there last, or one that begins."""
        known = self._conversations.get(surface_key(inbound.surface))
        if known is not None:
            return known
        match = match_routes(self._listeners(), marked(inbound))
        return _Conversation(0, match.agent_id, match.published_name) if match is not None else None

    def _remember(self, inbound: Inbound, session: Session) -> _Conversation:
        key = surface_key(inbound.surface)
        self._conversations[key] = known = _Conversation(session.id, session.agent_id, session.published_name)
        self._conversations.move_to_end(key)
        while len(self._conversations) > _REMEMBERED:
            self._conversations.popitem(last=False)
        return known


def _is_told(inbound: Inbound) -> bool:
    return inbound.kind == "message" and inbound.is_ours and not inbound.is_internal
