"""What models cost: accounted for around every activity, and kept below the caps."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from gateways.wire import Call, Evaluate
from runllm.errors import UsageError
from store import notices, sessions, spending
from store.engine import Store
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
        """Which cap of a conversation is reached, in words; empty where none is."""
        if not self._caps.any:
            return ""
        async with self._store.read() as db:
            session = await sessions.get(db, session_id)
            if session is None:
                return ""
            return await self._over_session(db, session.id) or await self._over_day(db, session.published_name)

    async def over_cap_of_evaluations(self) -> str:
        """Which cap is reached for what no conversation asks; empty where none is."""
        if not self._caps.any:
            return ""
        async with self._store.read() as db:
            return await self._over_day(db, spending.EVALUATIONS)

    async def add(self, session_id: int, key: str, purpose: str, bill: Sequence[Spent]) -> None:
        """Writes down what a conversation has spent; the same `key` again adds nothing."""
        async with self._store.begin() as db:
            session = await sessions.get(db, session_id)
            if session is not None:
                for number, spent in enumerate(bill):
                    values = await self._priced(db, spent)
                    await spending.add(db, key=f"{key}:{number}", session=session, purpose=purpose, **values)

    async def add_evaluated(self, agent_id: int, key: str, purpose: str, bill: Sequence[Spent]) -> None:
        """Writes down what an evaluation has spent; the same `key` again adds nothing."""
        async with self._store.begin() as db:
            for number, spent in enumerate(bill):
                values = await self._priced(db, spent)
                await spending.add_evaluated(db, key=f"{key}:{number}", agent_id=agent_id, purpose=purpose, **values)

    async def tell(self, session_id: int, key: str, reached: str) -> None:
        """Says that a cap is reached: on the session, and where people look after the engine."""
        text = f"{reached}: answers are quotes from the documentation until then"
        async with self._store.begin() as db:
            line = {"level": "warning", "text": text}
            await sessions.add_log(db, session_id, f"{key}:cap", [line])
            if "this session" not in reached:
                await notices.put(db, CAP_NOTICE, "bad", text, until=spending.end_of_day())

    async def _priced(self, db: AsyncSession, spent: Spent) -> dict[str, Any]:
        """The columns of one request. A model whose price nobody knows is a matter for whoever runs the engine."""
        cost = microdollars(spent, self._prices)
        if cost is None:
            text = (
                f"Nobody knows what the model {spent.model} costs, so it is counted in tokens only. "
                "Set RUNLLM_MODEL_PRICES to have it counted in dollars"
            )
            await notices.put(db, PRICE_NOTICE, "note", text)
        return {"microdollars": cost, **spent.model_dump()}

    async def _over_session(self, db: AsyncSession, session_id: int) -> str:
        caps = self._caps
        if caps.session_usd is not None or caps.session_tokens is not None:
            spent = await spending.of_session(db, session_id)
            if _is_over(spent.usd, caps.session_usd):
                return _sentence("this session", f"RUNLLM_CAP_SESSION_USD, ${caps.session_usd:g}")
            if _is_over(spent.tokens, caps.session_tokens):
                return _sentence("this session", f"RUNLLM_CAP_SESSION_TOKENS, {caps.session_tokens}")
        return ""

    async def _over_day(self, db: AsyncSession, name: str) -> str:
        caps, today = self._caps, spending.today()
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
        if isinstance(call, Evaluate):
            return await self._evaluated(call, input)
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

    async def _evaluated(self, asked: Evaluate, input: ExecuteActivityInput) -> Any:
        """Nobody waits for an evaluation as a customer does: it stops at a cap, and does not judge another model."""
        reached = await self._accounts.over_cap_of_evaluations()
        if reached:
            raise UsageError(f"{reached}. Evaluate again tomorrow, or raise that cap")
        info = activity.info()
        try:
            with metered() as bill:
                return await super().execute_activity(input)
        finally:
            if bill:
                await self._accounts.add_evaluated(
                    asked.agent_id, f"{info.activity_id}:{info.attempt}", info.activity_type, bill
                )
