"""Fitting how sure answers have to be to a knowledge base, from questions that people labelled."""

from datetime import timedelta

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateways.api.auth import caller
from gateways.api.performing import performed
from gateways.refusals import checked, read_json
from gateways.services import services
from gateways.wire import CALIBRATE, Calibrate, Calibrated, LabelledQuestion

_BODY_LIMIT = 4 * 1024 * 1024
_PATIENCE = timedelta(seconds=280)


class Labels(BaseModel):
    """The labelled questions; `keeps` is false for who only wants to know what would change."""

    model_config = ConfigDict(extra="forbid")

    questions: list[LabelledQuestion] = Field(min_length=15, max_length=2000)
    keeps: bool = True


async def calibrate(request: web.Request) -> web.Response:
    """Looks the questions up, and fits. What is kept counts for the agent that the key belongs to."""
    who = await caller(request)
    given = checked(Labels, await read_json(request, _BODY_LIMIT), what="calibration")
    asked = Calibrate(agent_id=who.agent_id, questions=given.questions, keeps=given.keeps)
    summary = f"Calibrate with {len(asked.questions)} questions"
    found = await performed(
        services(request).temporal,
        CALIBRATE,
        asked,
        Calibrated,
        patience=_PATIENCE,
        summary=summary,
        what="calibration",
    )
    return web.json_response(found.model_dump(mode="json"))
