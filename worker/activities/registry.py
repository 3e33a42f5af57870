"""All activities that sessions call."""

from collections.abc import Callable
from typing import Any

from worker.activities.answers import AnswerActivities
from worker.activities.chats import ChatActivities
from worker.activities.context import Context
from worker.activities.copies import CopyActivities
from worker.activities.handover import HandOverActivities
from worker.activities.learning import LearningActivities
from worker.activities.session import SessionActivities
from worker.activities.surfaces import SurfaceActivities
from worker.activities.tagging import TaggingActivities


def activities(context: Context) -> list[Callable[..., Any]]:
    """The activities for `ACTIVITY_QUEUE`, each named after the operation that it performs."""
    answers, tagging, surfaces = AnswerActivities(context), TaggingActivities(context), SurfaceActivities(context)
    chats, copies, session = ChatActivities(context), CopyActivities(context), SessionActivities(context)
    handover = HandOverActivities(context)
    return [
        answers.answer,
        answers.stream_answer,
        answers.summarize,
        chats.chat,
        chats.chat_turn,
        chats.chat_tool,
        tagging.categorize,
        tagging.tag,
        tagging.apply_tag,
        LearningActivities(context).learn,
        surfaces.post_message,
        surfaces.create_slack_thread,
        surfaces.create_discord_thread,
        surfaces.create_zendesk_ticket,
        surfaces.update_zendesk_ticket,
        copies.sync_conversation,
        copies.relay,
        handover.tell,
        handover.own_up,
        session.report,
        session.may_upgrade,
    ]
