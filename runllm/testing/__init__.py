"""Rehearse a conversation in memory: your own handlers, a scripted model, platforms that remember.

A rehearsal is as strict as the engine about what a handler may ask for. It knows nothing of sandboxes, restarts and
replays: for these there is the engine itself, which the fixture `runllm_engine` starts once for a test run.

Example:
    ```python
    with Rehearsal(answer_questions) as talk:
        talk.will_answer("Use `--force`.", category=AnswerCategory.LOW_CONFIDENCE)
        talk.say("How do I delete it?")
        assert talk.texts() == ["Use `--force`."]
    ```
"""

from typing import TYPE_CHECKING, Any

from runllm.testing.backstage import NotScripted, Sent, Ticket
from runllm.testing.rehearsal import Rehearsal

if TYPE_CHECKING:
    from runllm.testing.discord import Discord, MessageInDiscord, ThreadInDiscord
    from runllm.testing.engine import RunningEngine, replays
    from runllm.testing.played import Place, Played, Said
    from runllm.testing.slack import MessageInSlack, Slack, ThreadInSlack
    from runllm.testing.visitor import Visitor
    from runllm.testing.zendesk import Comment, CommentInZendesk, TicketInZendesk, Zendesk

__all__ = [
    "Comment",
    "CommentInZendesk",
    "Discord",
    "MessageInDiscord",
    "MessageInSlack",
    "NotScripted",
    "Place",
    "Played",
    "Rehearsal",
    "RunningEngine",
    "Said",
    "Sent",
    "Slack",
    "ThreadInDiscord",
    "ThreadInSlack",
    "Ticket",
    "TicketInZendesk",
    "Visitor",
    "Zendesk",
    "replays",
]

_OF_THE_ENGINE = {
    "Comment": "zendesk",
    "CommentInZendesk": "zendesk",
    "Discord": "discord",
    "MessageInDiscord": "discord",
    "MessageInSlack": "slack",
    "Place": "played",
    "Played": "played",
    "RunningEngine": "engine",
    "Said": "played",
    "Slack": "slack",
    "ThreadInDiscord": "discord",
    "ThreadInSlack": "slack",
    "TicketInZendesk": "zendesk",
    "Visitor": "visitor",
    "Zendesk": "zendesk",
    "replays": "engine",
}


def __getattr__(name: str) -> Any:
    """What talks to a real engine is loaded when it is asked for: a rehearsal needs no HTTP client and no server."""
    if name not in _OF_THE_ENGINE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_OF_THE_ENGINE[name]}"), name)
