"""Answers clicks, after they are in the record: the message shows who chose what, everybody else learns why not."""

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateways.adapter import Inbound
from gateways.platforms import SlackSettings
from gateways.routing import Accepted
from gateways.slack.rendering import escaped, settled
from gateways.slack.web_api import in_our_words
from gateways.slack.workspaces import Connected, Workspaces
from runllm.bridge.surfaces import SlackThread
from runllm.errors import SurfaceError, Unavailable
from store import buttons
from store.engine import Store
from store.models import ButtonWaitRow

log = logging.getLogger(__name__)

_THANKS = "Thank you: your answer is recorded."
_NOT_RECORDED = "Thank you. The conversation that this belongs to is no longer in the record, so nothing was recorded."
_NOT_USED = "Nobody waits for this button: it belongs to no open question."


class Clicks:
    """Says in Slack what became of clicks. What fails here is only told less: the record has the click."""

    def __init__(self, store: Store, workspaces: Workspaces, settings: SlackSettings) -> None:
        self._store = store
        self._workspaces = workspaces
        self._settings = settings
        self._jobs: set[asyncio.Task[None]] = set()

    def soon(self, connected: Connected, body: dict[str, Any], click: Inbound, accepted: Accepted) -> None:
        """Answers after this returns: Slack itself must not wait."""
        job = asyncio.create_task(self._answer(connected, body, click, accepted), name="answer a click")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def idle(self) -> None:
        """Waits until all clicks are answered."""
        while self._jobs:
            await asyncio.wait(self._jobs)

    async def close(self, patience: float = 2.0) -> None:
        """Gives the answers under way a moment."""
        if self._jobs:
            _, late = await asyncio.wait(self._jobs, timeout=patience)
            for job in late:
                job.cancel()

    async def _answer(self, connected: Connected, body: dict[str, Any], click: Inbound, accepted: Accepted) -> None:
        try:
            fresh = await self._workspaces.fresh(connected)
            if click.kind == "feedback":
                if not accepted.repeated:
                    await self._tell(fresh, click, _NOT_RECORDED if accepted.ignored else _THANKS)
                return
            wait = await self._wait(click, accepted)
            if accepted.click != "won":
                await self._tell(fresh, click, _explanation(accepted, click, wait))
            if wait is not None and wait.state == "clicked":
                await self._settle(fresh, body, click, _chosen(body, wait))
        except SurfaceError as error:
            log.warning("a click in Slack workspace %s is recorded, and not answered: %s", connected.external_id, error)
        except Exception:
            log.exception("a click in Slack workspace %s is recorded, and not answered", connected.external_id)

    async def _wait(self, click: Inbound, accepted: Accepted) -> ButtonWaitRow | None:
        if accepted.session_id is None:
            return None
        async with self._store.read() as db:
            return await buttons.get(db, accepted.session_id, click.wait_id)

    async def _settle(self, connected: Connected, body: dict[str, Any], click: Inbound, note: str) -> None:
        """Puts who chose what in the place of the buttons. The session does the same, in case this does not happen."""
        message = body.get("message")
        if not isinstance(message, dict) or not message.get("blocks"):
            await self._replace(body, note)
            return
        with in_our_words(connected.workspace.team_id):
            await self._workspaces.client(connected).chat_update(
                channel=_channel(click),
                ts=click.remote_id,
                text=str(message.get("text") or note),
                blocks=settled(message["blocks"], note),
            )

    async def _replace(self, body: dict[str, Any], note: str) -> None:
        """Messages for one person can be changed through the address that comes with the click, and in no other way.

        https://docs.slack.dev/interactivity/handling-user-interaction#updating_message_response
        """
        address = str(body.get("response_url") or "")
        host, own = urlsplit(address).hostname or "", urlsplit(self._settings.api_url).hostname
        if host != own and not host.endswith(".slack.com"):
            return
        change = {"replace_original": True, "text": note}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
                http.post(address, json=change) as answer,
            ):
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the message could not be replaced: {type(error).__name__}") from None

    async def _tell(self, connected: Connected, click: Inbound, text: str) -> None:
        """Says something to the one who clicked, and to nobody else."""
        assert isinstance(click.surface, SlackThread)
        with in_our_words(connected.workspace.team_id):
            await self._workspaces.client(connected).chat_postEphemeral(
                channel=_channel(click), user=_user(click), thread_ts=click.surface.config.thread_ts, text=text
            )


def _channel(click: Inbound) -> str:
    assert isinstance(click.surface, SlackThread)
    return click.surface.config.channel


def _user(click: Inbound) -> str:
    return (click.user or "").rpartition(":")[2]


def _explanation(accepted: Accepted, click: Inbound, wait: ButtonWaitRow | None) -> str:
    match accepted.click:
        case "already" if wait is not None and wait.clicked_by == click.user:
            return "Your choice is taken already: the first click counts."
        case "already":
            return "Somebody was faster: the first click counts. The message shows who chose what."
        case "not_allowed":
            named = wait.allowed_users if wait is not None and wait.allowed_users else []
            people = ", ".join(f"<@{escaped(str(user).rpartition(':')[2])}>" for user in named)
            return f"This choice is not yours to make. It is up to {people}." if people else "Nobody may choose here."
        case "ended":
            if wait is not None and wait.state == "expired":
                return "Time is up: nobody chose in time. Write into the thread to go on."
            return "This is no longer asked: the conversation moved on. Write into the thread to go on."
        case _:
            return _NOT_USED


def _chosen(body: dict[str, Any], wait: ButtonWaitRow) -> str:
    """Who chose what, with the words of the button."""
    label = _label(body, wait) or str(wait.clicked_button)
    return f":white_check_mark: *{escaped(label)}* · <@{escaped((wait.clicked_by or '').rpartition(':')[2])}>"


def _label(body: dict[str, Any], wait: ButtonWaitRow) -> str:
    message = body.get("message")
    blocks = message.get("blocks") if isinstance(message, dict) else None
    elements = [e for b in blocks or () if isinstance(b, dict) for e in b.get("elements") or () if isinstance(e, dict)]
    elements += [action for action in body.get("actions") or () if isinstance(action, dict)]
    for element in elements:
        text = element.get("text")
        if element.get("value") == f"{wait.wait_id}:{wait.clicked_button}" and isinstance(text, dict):
            return str(text.get("text") or "")
    return ""
