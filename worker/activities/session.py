"""What a session tells the record of itself, and what it asks of the deployments."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from gateways.adapter import Content
from gateways.wire import AskUpgrade, Call, Manifest, Report, UpgradeAdvice
from runllm.bridge.surfaces import ChatSurface, surface_key
from runllm.errors import SurfaceError, Unavailable
from runllm.operations import PostMessage
from store import buttons, messages, published, sessions
from store.models import ButtonWaitRow, EffectRow, Posting
from worker.activities.contents import content_to_post
from worker.activities.context import Context
from worker.activities.failures import FOR_GOOD
from worker.activities.ledger import account, part_key

log = logging.getLogger(__name__)

REPORT = "session.report"
MAY_UPGRADE = "deployments.may_upgrade"

TIME_IS_UP = "Time is up: nobody chose in time."
NO_LONGER_ASKED = "No longer asked: the conversation moved on."


@dataclass(frozen=True)
class _Ended:
    """A wait that is over, what was posted with it, and how that looks."""

    wait: ButtonWaitRow
    posting: Posting
    posted: PostMessage
    content: Content
    by: str | None

    @property
    def note(self) -> str:
        """What takes the place of the buttons."""
        match self.wait.state:
            case "clicked":
                return chosen(self.content, self.wait.clicked_button or "", self.by)
            case "expired":
                return TIME_IS_UP
            case _:
                return NO_LONGER_ASKED


class SessionActivities:
    """The session's own calls. All of them may be repeated without harm."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=REPORT)
    async def report(self, call: Call[Report]) -> None:
        """Stores log lines, phase, surfaces and ended waits, then takes those buttons off the surfaces: also of a click
        that won, which the gateway has shown at once unless it was killed."""
        report, session_id = call.operation, call.session_id
        state: buttons.EndOfWait = "cancelled" if report.phase in ("closed", "mirroring") else "expired"
        async with self._context.store.begin() as db:
            await account(db, call)
            await sessions.add_log(db, session_id, call.key, [line.model_dump() for line in report.lines])
            for surface in report.bound:
                await self._bind(db, call, surface)
            await sessions.update(
                db, session_id, phase=report.phase, handler=report.current_handler, build_id=report.build_id
            )
            if report.stop_waits:
                await buttons.end(db, session_id, report.stop_waits, state)
        if report.stop_waits:
            await self._settle(session_id, report.stop_waits)

    @activity.defn(name=MAY_UPGRADE)
    async def may_upgrade(self, call: Call[AskUpgrade]) -> UpgradeAdvice:
        """Whether the current version has all handlers that the session needs."""
        ask = call.operation
        async with self._context.store.begin() as db:
            await account(db, call)
            versions = await published.versions_of(db, ask.published_name)
            if any(version.status == "loaded" and version.wanted for version in versions):
                # Temporal may route to it already, while the record still names the one before: ask again in a moment.
                raise Unavailable(f"a version of {ask.published_name} is about to become current")
            successors = await published.successors(db, ask.published_name)
        if not successors:
            return UpgradeAdvice(yes=False, reason=f"{ask.published_name} has no current version")
        for version in successors:
            has = Manifest.model_validate(version.manifest).handler_names() if version.manifest else []
            if missing := sorted(set(ask.handlers) - set(has)):
                reason = f"version {version.build_id} has no handler {', '.join(missing)}"
                return UpgradeAdvice(yes=False, build_id=version.build_id, reason=reason)
        return UpgradeAdvice(yes=True, build_id=successors[-1].build_id)

    async def _bind(self, db: AsyncSession, call: Call[Report], surface: ChatSurface) -> None:
        """Ties a surface to the session. What belongs to another one stays there, and the session's log says so."""
        binding = await sessions.bind(db, call.session_id, surface)
        if binding.session_id != call.session_id:
            key = surface_key(surface)
            text = f"{key} belongs to session {binding.session_id}: messages there do not come here"
            line_key = part_key(call.key, 0, key)
            await sessions.add_log(db, call.session_id, line_key, [{"level": "warning", "text": text}])

    async def _settle(self, session_id: int, wait_ids: Sequence[int]) -> None:
        """Shows on the surfaces what became of the buttons. Done again by a retry, it changes nothing."""
        later: SurfaceError | None = None
        for one in await self._ended(session_id, wait_ids):
            to, note = one.posted.to, one.note
            try:
                await self._context.adapter(to).settle_buttons(to, one.posting.remote_id, one.content, note)
            except FOR_GOOD as error:
                wait_id, kind = one.wait.wait_id, type(error).__name__
                log.warning("Session %d: buttons of wait %d stay: %s", session_id, wait_id, kind)
            except SurfaceError as error:
                later = error
        if later is not None:
            raise later

    async def _ended(self, session_id: int, wait_ids: Sequence[int]) -> list[_Ended]:
        """The waits that are over, each with what was posted, and where."""
        found: list[_Ended] = []
        async with self._context.store.read() as db:
            for wait_id in wait_ids:
                wait = await buttons.get(db, session_id, wait_id)
                if wait is None or wait.chat_id is None or wait.state == "open":
                    continue
                message = await messages.get(db, wait.chat_id)
                for posting in await messages.postings_of(db, wait.chat_id):
                    effect = await db.get(EffectRow, posting.effect_key) if posting.effect_key else None
                    posted = _posted_with(effect, wait_id)
                    if message is not None and posted is not None:
                        by = await _who_clicked(db, wait)
                        found.append(_Ended(wait, posting, posted, content_to_post(message, posted), by))
        return found


async def _who_clicked(db: AsyncSession, wait: ButtonWaitRow) -> str | None:
    """What people call the one who clicked: as they are called where they wrote, or as the click said."""
    if wait.clicked_by is None:
        return None
    return await messages.name_of(db, wait.session_id, wait.clicked_by) or wait.clicked_by_name


def chosen(content: Content, button_id: str, by: str | None) -> str:
    """Who chose what, with the words of the button."""
    groups = [block.get("buttons") or [] for block in content.blocks if block.get("type") == "buttons"]
    texts = {str(button.get("id")): str(button.get("text") or "") for buttons in groups for button in buttons}
    return f"Chosen: {texts.get(button_id) or button_id}" + (f", by {by}" if by else "")


def _posted_with(effect: EffectRow | None, wait_id: int) -> PostMessage | None:
    """The operation that posted a message with the buttons of that wait."""
    if effect is None or effect.operation != PostMessage.name or not effect.result:
        return None
    posted = PostMessage.model_validate(effect.result)
    return posted if posted.wait is not None and posted.wait.wait_id == wait_id else None
