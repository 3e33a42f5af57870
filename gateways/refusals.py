"""How a gateway says no: one sentence that names the thing and says what to do next."""

import json
import logging
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class RefusedError(Exception):
    """The request cannot be served, and this is what the client is told."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {} if retry_after is None else {"Retry-After": str(max(1, round(retry_after)))}


def as_refusal(error: Exception, request: web.Request) -> RefusedError:
    """What to tell the client of an exception. Ours are logged: the client learns only that there was one."""
    match error:
        case RefusedError():
            return error
        case web.HTTPNotFound():
            return RefusedError(404, "not_found", f"There is nothing at {request.path}. Check the address.")
        case web.HTTPMethodNotAllowed():
            wanted = " or ".join(sorted(error.allowed_methods))
            return RefusedError(405, "method_not_allowed", f"{request.path} takes {wanted}, not {request.method}.")
        case web.HTTPException():
            return RefusedError(error.status, _CODES.get(error.status, "refused"), error.reason)
        case _:
            log.error("%s %s failed", request.method, request.path, exc_info=error)
            message = "The gateway could not answer this request; its log says why. Try again."
            return RefusedError(500, "internal", message)


def as_json(refusal: RefusedError) -> web.Response:
    """A refusal as APIs give it."""
    body = {"error": {"message": refusal.message, "code": refusal.code}}
    return web.json_response(body, status=refusal.status, headers=refusal.headers)


async def read_json(request: web.Request, limit: int) -> dict[str, Any]:
    """The JSON object in the body, of at most `limit` bytes. A larger body is not read.

    Raises:
        RefusedError: It is too large, or no JSON object.
    """
    size = request.content_length or 0
    data = bytearray()
    while size <= limit and (chunk := await request.content.readany()):
        data += chunk
        size = max(size, len(data))
    if size > limit:
        raise RefusedError(413, "too_large", f"The body is larger than {limit:,} bytes, the most {request.path} takes.")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise RefusedError(400, "not_json", "The body is not JSON. Send a JSON object.") from None
    if not isinstance(fields, dict):
        raise RefusedError(400, "not_json", "The body is not a JSON object. Send an object, like {}.")
    return fields


def checked(model: type[M], fields: dict[str, Any], *, what: str = "body", code: str = "invalid_field") -> M:
    """`fields` as a model.

    Raises:
        RefusedError: They do not fit; the text names the first field that does not.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise RefusedError(422, code, f"The {what} does not fit: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with the name of its field, and how many more there are."""
    problem, *more = error.errors(include_url=False)
    where = ".".join(str(part) for part in problem["loc"]) or "it"
    said = problem["msg"].removeprefix("Value error, ")
    rest = f" ({len(more)} more fields do not fit either.)" if more else ""
    return f"{where}: {said}.{rest}"
