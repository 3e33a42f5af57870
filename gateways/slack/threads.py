"""What Slack is asked about threads: what was said before the agent came, and where in it a message stands.

Some apps may ask once a minute only, for fifteen messages. So this is asked once for a thread, and never for one that
the record knows already.

https://docs.slack.dev/reference/methods/conversations.replies
"""

from collections.abc import AsyncIterator
from typing import Any

from gateways.slack.inbound import Reacted
from gateways.slack.web_api import in_our_words
from gateways.slack.workspaces import Connected, Workspaces
from runllm.operations import Frozen

_PAGE = 200
_PAGES = 5


class Place(Frozen):
    """Where a message is: its thread, all that was said there up to it, and whether anything came after."""

    thread_ts: str
    said: list[dict[str, Any]]
    is_last: bool


class Threads:
    """Reads threads of connected workspaces."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def before(self, connected: Connected, channel: str, thread_ts: str, ts: str) -> list[dict[str, Any]]:
        """What was said in a thread before the message `ts`, oldest first; of a very long thread the beginning."""
        found = [said async for said in self._replies(connected, channel, thread_ts, latest=ts)]
        return [said for said in found if str(said.get("ts", "")) < ts]

    async def place(self, connected: Connected, reacted: Reacted, *, with_replies: bool) -> Place | None:
        """Where the message is that somebody reacted to; None where Slack has no such message.

        Without `with_replies` a reply's thread is not read: nobody listens to reactions to replies.
        """
        first = [said async for said in self._replies(connected, reacted.channel, reacted.ts, pages=1)]
        message = next((said for said in first if said.get("ts") == reacted.ts), None)
        if message is None:
            return None
        thread_ts = str(message.get("thread_ts") or reacted.ts)
        if thread_ts == reacted.ts:
            is_last = not message.get("reply_count") and all(said.get("ts") == reacted.ts for said in first)
            return Place(thread_ts=thread_ts, said=[message], is_last=is_last)
        if not with_replies:
            return Place(thread_ts=thread_ts, said=[message], is_last=False)
        thread = [said async for said in self._replies(connected, reacted.channel, thread_ts)]
        until = [said for said in thread if str(said.get("ts", "")) <= reacted.ts]
        return Place(thread_ts=thread_ts, said=until or [message], is_last=len(until) == len(thread))

    async def _replies(
        self, connected: Connected, channel: str, ts: str, *, latest: str = "", pages: int = _PAGES
    ) -> AsyncIterator[dict[str, Any]]:
        fresh = await self._workspaces.fresh(connected)
        client, cursor = self._workspaces.client(fresh), ""
        for _ in range(pages):
            with in_our_words(connected.workspace.team_id):
                answer = await client.conversations_replies(
                    channel=channel, ts=ts, limit=_PAGE, latest=latest or None, cursor=cursor or None
                )
            for said in answer.get("messages") or []:
                yield said
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return
