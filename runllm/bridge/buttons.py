"""Buttons that a handler can wait for."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class ButtonClicked(BaseModel):
    """The click that ended a wait.

    Attributes:
        id: The `id` that the button was given in the blocks.
        user: Who clicked, in the platform's terms; None where the platform does not say.
        at: When the click arrived, in UTC.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    user: str | None = None
    at: datetime | None = None
