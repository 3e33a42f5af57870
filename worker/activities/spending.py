"""What models cost: accounted for around every activity, and kept below the caps."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from gateways.wire import Call
from store import notices, sessions, spending
from store.engine import Store
from store.models import Session
from worker.answering.completion import Spent
from worker.answering.ladder import circumstances, under
from worker.answering.metering import metered
from worker.answering.model_settings import Caps, Price
from worker.answering.prices import microdollars

log = logging.getLogger(__name__)

ASKS_A_MODEL = ("answers.", "tagging.categorize", "tagging.tag", "learning.")
"""Activities that may ask a model, by the beginning of their names."""

CAP_NOTICE = "model.cap"
PRICE_NOTICE = "model.price"


class Accounts:
    """The account of an installation's models."""

    def __init__(self, store: Store, caps: Caps = Caps(), prices: Mapping[str, Price] | None = None) -> None:  # noqa: B008
        self._store, self._caps, self._prices = store, caps, prices or {}

    async def over_cap(self, session_id: int) -> str:
        """Which cap is reached, in words; empty where none is."""
        if not self._caps.any:
            return ""
        async with self._store.read() as db:
            session = await sessions.get(db, session_id)
            reached = "" if session is None else await self._reached(db, session)
        return reached

    async def add(self, session_id: int, key: str, purpose: str, bill: Sequence[Spent]) -> None:
        """Writes down what was spent; the same `key` again adds nothing."""
        unpriced: list[str] = []
        async with self._store.begin() as db:
            session = await sessions.get(db, session_id)
            if session is None:
                return
            for number, spent in enumerate(bill):
                cost = microdollars(spent, self._prices)
                unpriced += [spent.model] if cost is None else []
                await spending.add(
                    db,
                    key=f"{key}:{number}",
                    session=session,
                    purpose=purpose,
                    microdollars=cost,
                    **spent.model_dump(),
                )
            if unpriced:
                text = (
                    f"Nobody knows what the model {unpriced[0]} costs, so it is counted in tokens only. "
                    "Set RUNLLM_MODEL_PRICES to have it counted in dollars"
                )
                await notices.put(db, PRICE_NOTICE, "note", text)

    async def tell(self, session_id: int, key: str, reached: str) -> None:
        """Says that a cap is reached: on the session, and where people look after the engine."""
        text = f"{reached}: answers are quotes from the documentation until then"
        async with self._store.begin() as db:
            line = {"level": "warning", "text": text}
            await sessions.add_log(db, session_id, f"{key}:cap", [line])
            if "this session" not in reached:
                await notices.put(db, CAP_NOTICE, "bad", text, until=spending.end_of_day())

    async def _reached(self, db: AsyncSession, session: Session) -> str:
        caps, today, name = self._caps, spending.today(), session.published_name
        if caps.session_usd is not None or caps.session_tokens is not None:
            spent = await spending.of_session(db, session.id)
            if _is_over(spent.usd, caps.session_usd):
                return _sentence("this session", f"RUNLLM_CAP_SESSION_USD, ${caps.session_usd:g}")
            if _is_over(spent.tokens, caps.session_tokens):
                return _sentence("this session", f"RUNLLM_CAP_SESSION_TOKENS, {caps.session_tokens}")
        if caps.workflow_day_usd is not None or caps.workflow_day_tokens is not None:
            spent = await spending.of_day(db, today, name)
            if _is_over(spent.usd, caps.workflow_day_usd):
                return _sentence(f"{name} on {today}", f"RUNLLM_CAP_WORKFLOW_DAY_USD, ${caps.workflow_day_usd:g}")
            if _is_over(spent.tokens, caps.workflow_day_tokens):
                return _sentence(f"{name} on {today}", f"RUNLLM_CAP_WORKFLOW_DAY_TOKENS, {caps.workflow_day_tokens}")
        if caps.day_usd is not None or caps.day_tokens is not None:
            spent = await spending.of_day(db, today)
            if _is_over(spent.usd, caps.day_usd):
                return _sentence(f"all workflows on {today}", f"RUNLLM_CAP_DAY_USD, ${caps.day_usd:g}")
            if _is_over(spent.tokens, caps.day_tokens):
                return _sentence(f"all workflows on {today}", f"RUNLLM_CAP_DAY_TOKENS, {caps.day_tokens}")
        return ""


def _is_over(spent: float, cap: float | None) -> bool:
    return cap is not None and spent >= cap


def _sentence(what: str, cap: str) -> str:
    return f"The models have cost what is set aside for {what} ({cap})"


class Accounting(Interceptor):
    """Around activities that ask a model: what they spend is written down, also when they fail."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Accounting(next, self._accounts)


class _Accounting(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, accounts: Accounts) -> None:
        super().__init__(next)
        self._accounts = accounts

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        call = input.args[0] if input.args else None
        if not isinstance(call, Call) or not info.activity_type.startswith(ASKS_A_MODEL):
            return await super().execute_activity(input)
        reached = await self._accounts.over_cap(call.session_id)
        if reached:
            log.warning("Session %d: %s", call.session_id, reached)
            await self._accounts.tell(call.session_id, call.key, reached)
        try:
            with metered() as bill, under(circumstances().within(reached)):
                return await super().execute_activity(input)
        finally:
            if bill:
                await self._accounts.add(call.session_id, f"{call.key}:{info.attempt}", info.activity_type, bill)
