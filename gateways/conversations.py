"""The protocol between our chat element and a gateway: the widget and the console both speak it.

POST   …/messages   {id, text, context?}             the id is the client's: sent again, it is the same message
POST   …/clicks     {wait_id, button_id}             the first click wins; every click gets a sentence
POST   …/feedback   {chat_id, helpful, comment?}     may be changed
GET    …/messages                                    somebody writes: what will answer gets ready; nothing is kept
GET    …/files/{chat_id}/{number}                    a file of a message that is shown here
GET    …/stream                                      events `message`, `delta`, `stage`, `ready`; resumable
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateways.adapter import Inbound
from gateways.refusals import RefusedError, checked, read_json
from gateways.routing import CLOSED, EXPLANATIONS, NO_LISTENER
from gateways.services import Services, services
from gateways.streams import Stream, resume_after
from runllm.bridge.surfaces import ChatSurface, ChatWidget, surface_key
from runllm.bridge.triggers import Happening
from store import feedback, messages, sessions

BODY_LIMIT = 64 * 1024
"""Bytes of a body beside the message's text."""

_NOTES = {
    CLOSED: "This conversation has ended. Your message is on record; start a new conversation to get an answer.",
    NO_LISTENER: "Nobody answers here: no published workflow listens to this place. Publish one that does.",
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


def _cut(length: int) -> BeforeValidator:
    return BeforeValidator(lambda value: value[:length] if isinstance(value, str) else None)


class Page(_Body):
    """What a page says of itself. Untrusted; what is too long is cut, what is no text is dropped."""

    url: Annotated[str | None, _cut(2000)] = None
    page_title: Annotated[str | None, _cut(300)] = None
    page_content: Annotated[str | None, _cut(4000)] = None


class NewMessage(_Body):
    """What a person wrote, under an id that the client made."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    text: str
    context: Page | None = None


class NewClick(_Body):
    """A click on a button."""

    wait_id: int = Field(ge=1, lt=2**31)
    button_id: str = Field(min_length=1, max_length=500)


class NewFeedback(_Body):
    """What a person thinks of a message."""

    chat_id: int = Field(ge=1, lt=2**31)
    helpful: bool
    comment: str = Field(default="", max_length=4000)


@dataclass(frozen=True)
class Seat:
    """Who sits at our end of a conversation: which surface it is, and who is there."""

    surface: ChatSurface
    user: str | None
    name: str | None = None
    origin: str | None = None

    def surface_on(self, page: Page | None) -> ChatSurface:
        """The surface, with what the page says of itself now."""
        context = page.model_dump(exclude_none=True) if page is not None else {}
        if not context or not isinstance(self.surface, ChatWidget):
            return self.surface
        return ChatWidget(config=self.surface.config.model_copy(update={"context": context}))


SeatOf = Callable[[web.Request], Awaitable[Seat]]
"""Who sends a request. Raises `RefusedError` for strangers."""


def conversation_routes(prefix: str, seat_of: SeatOf) -> list[web.RouteDef]:
    """The protocol's routes under `prefix`."""

    async def post_message(request: web.Request) -> web.Response:
        seat = await seat_of(request)  # strangers are turned away before their body is read
        deps = services(request)
        most = deps.settings.limits.message_chars
        said = checked(NewMessage, await read_json(request, BODY_LIMIT + 4 * most), what="message")
        return await _take_message(deps, seat, said, most)

    async def get_ready(request: web.Request) -> web.Response:
        # At the address of the messages: a page of another site has then asked, before it sends one, whether it may.
        await services(request).routing.expect(_message(await seat_of(request)))
        return web.Response(status=204, headers={"Cache-Control": "no-store"})

    async def post_click(request: web.Request) -> web.Response:
        seat = await seat_of(request)
        return await _take_click(services(request), seat, checked(NewClick, await read_json(request, BODY_LIMIT)))

    async def post_feedback(request: web.Request) -> web.Response:
        seat = await seat_of(request)
        return await _take_feedback(services(request), seat, checked(NewFeedback, await read_json(request, BODY_LIMIT)))

    async def get_file(request: web.Request) -> web.Response:
        seat = await seat_of(request)
        chat_id, number = int(request.match_info["chat"]), int(request.match_info["number"])
        return await _give_file(services(request), seat, chat_id, number)

    async def get_stream(request: web.Request) -> web.StreamResponse:
        seat = await seat_of(request)
        deps = services(request)
        after = resume_after(request)
        with deps.streams.seat(deps.address(request)):
            stream = Stream(deps.store, deps.hub, surface_key(seat.surface), seat.user, after)
            return await stream.serve(request)

    return [
        web.post(f"{prefix}/messages", post_message),
        web.get(f"{prefix}/messages", get_ready),
        web.post(f"{prefix}/clicks", post_click),
        web.post(f"{prefix}/feedback", post_feedback),
        web.get(prefix + r"/files/{chat:[0-9]{1,9}}/{number:[0-9]{1,2}}", get_file),
        web.get(f"{prefix}/stream", get_stream),
    ]


async def _take_message(deps: Services, seat: Seat, said: NewMessage, most: int) -> web.Response:
    if not said.text.strip():
        raise RefusedError(422, "empty", "The message is empty. Write something first.")
    if len(said.text) > most:
        sizes = f"The message has {len(said.text):,} characters; at most {most:,} are taken."
        raise RefusedError(413, "too_large", f"{sizes} Send it in parts.")
    deps.messages.spend(surface_key(seat.surface))
    accepted = await deps.routing.take_in(_message(seat, said))
    if accepted.chat_id is None:
        raise RefusedError(409, "no_listener", _NOTES.get(accepted.ignored, accepted.ignored))
    return web.json_response(
        {"id": said.id, "chat_id": accepted.chat_id, "note": _NOTES.get(accepted.ignored, accepted.ignored) or None}
    )


def _message(seat: Seat, said: NewMessage | None = None) -> Inbound:
    """What somebody says; without it, what somebody may say in a moment."""
    said = said or NewMessage(id="next", text="")
    return Inbound(
        kind="message",
        dedupe_key=f"{surface_key(seat.surface)}:{said.id}",
        surface=seat.surface_on(said.context),
        happening=Happening(surface=seat.surface.type),
        remote_id=said.id,
        text=said.text,
        user=seat.user,
        author_name=seat.name,
        origin=seat.origin,
    )


async def _take_click(deps: Services, seat: Seat, click: NewClick) -> web.Response:
    key = surface_key(seat.surface)
    what = hashlib.sha256(f"{click.button_id}\n{seat.user}".encode(errors="replace")).hexdigest()[:16]
    deps.messages.spend(key)
    accepted = await deps.routing.take_in(
        Inbound(
            kind="button",
            dedupe_key=f"{key}:click:{click.wait_id}:{what}",
            surface=seat.surface,
            user=seat.user,
            origin=seat.origin,
            wait_id=click.wait_id,
            button_id=click.button_id,
        )
    )
    result = accepted.click or "unknown"
    return web.json_response({"result": result, "message": EXPLANATIONS[result]})


async def _take_feedback(deps: Services, seat: Seat, opinion: NewFeedback) -> web.Response:
    key = surface_key(seat.surface)
    deps.messages.spend(key)
    async with deps.store.begin() as db:
        session = await sessions.bound_session(db, key)
        postings = await messages.postings_of(db, opinion.chat_id)
        here = [posting for posting in postings if posting.surface_key == key]
        if session is None or not here:
            raise RefusedError(404, "not_found", f"There is no message {opinion.chat_id} in this conversation.")
        await feedback.record(
            db,
            session_id=session.id,
            chat_id=opinion.chat_id,
            is_helpful=opinion.helpful,
            author_id=seat.user or "",
            comment=opinion.comment,
        )
        for posting in here:
            await messages.touch(db, posting)
    deps.hub.poke(key)
    return web.json_response({"message": "Thank you for telling us."})


async def _give_file(deps: Services, seat: Seat, chat_id: int, number: int) -> web.Response:
    """A file of a message, as long as the message is shown in this conversation."""
    key = surface_key(seat.surface)
    async with deps.store.read() as db:
        message = await messages.get(db, chat_id)
        here = [one for one in await messages.postings_of(db, chat_id) if one.surface_key == key]
    is_shown = message is not None and message.deleted_at is None and any(not one.extras.get("hidden") for one in here)
    if message is None or not is_shown:
        raise RefusedError(404, "not_found", f"There is no message {chat_id} in this conversation.")
    return await deps.files.answer(message.attachments, number, key)
