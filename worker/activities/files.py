"""Files that came in on one platform, for another one: their content where it can be had, a line where it cannot."""

import logging
from typing import Any

from gateways.adapter import File
from gateways.files import LARGEST
from runllm.bridge.surfaces import ChatSurface, SurfaceType
from runllm.errors import RateLimited, SurfaceError, Unavailable
from store.models import Message
from worker.activities.context import Context

log = logging.getLogger(__name__)

MOST = 10
"""Files of one message: what every platform takes."""

_PATIENT_ATTEMPTS = 3
_PLATFORMS = {
    "slack": SurfaceType.SLACK_THREAD,
    "zendesk": SurfaceType.ZENDESK_TICKET,
    "discord": SurfaceType.DISCORD_THREAD,
}
_OURS = (SurfaceType.CHAT_WIDGET, SurfaceType.ADMIN_CONSOLE)


async def files_of(context: Context, row: Message, to: ChatSurface, attempt: int) -> tuple[list[File], list[str]]:
    """The files of a message for `to`, and a line for each that cannot be shown there.

    Our own surfaces show the names of files by themselves, and get neither.

    Raises:
        Unavailable, RateLimited: The origin cannot answer now. After some attempts it is a line, too: the words of a
            message do not wait for its files for ever.
    """
    files: list[File] = []
    lines: list[str] = []
    for number, attachment in enumerate(row.attachments if to.type not in _OURS else []):
        if number >= MOST:
            lines.append(_line(attachment, f"only {MOST} files of a message are copied"))
            continue
        try:
            files.append(await _read(context, attachment))
        except (Unavailable, RateLimited) as error:
            if attempt <= _PATIENT_ATTEMPTS:
                raise
            lines.append(_line(attachment, "its platform does not give it out", error))
        except SurfaceError as error:
            lines.append(_line(attachment, "its platform does not give it out", error))
        except _TooLargeError:
            lines.append(_line(attachment, f"files of more than {LARGEST // 1024 // 1024} MB are not copied"))
    return files, lines


class _TooLargeError(Exception):
    """The file has more bytes than are passed on."""


async def _read(context: Context, attachment: dict[str, Any]) -> File:
    kind = _PLATFORMS.get(str(attachment.get("platform")))
    adapter = context.adapters.get(kind) if kind is not None else None
    if adapter is None:
        raise SurfaceError("nobody knows where it came from")
    if int(attachment.get("size") or 0) > LARGEST:
        raise _TooLargeError
    data = await adapter.read_file(attachment)
    if len(data) > LARGEST:
        raise _TooLargeError
    mimetype = str(attachment.get("mimetype") or "application/octet-stream")
    return File(name=str(attachment.get("name") or "file"), mimetype=mimetype, data=data)


def _line(attachment: dict[str, Any], why: str, error: SurfaceError | None = None) -> str:
    """What stands in the place of a file. The platform's own words stay in the log: they are not for customers."""
    if error is not None:
        log.warning("a file was not copied: %s", type(error).__name__)
    name, size, url = attachment.get("name") or "A file", attachment.get("size"), attachment.get("url")
    what = f"[{name}]({url})" if url else str(name)
    return f"📎 {what}{f' ({_size(int(size))})' if size else ''} stayed where it was: {why}."


def _size(count: int) -> str:
    for unit, size in (("MB", 1024 * 1024), ("kB", 1024)):
        if count >= size:
            return f"{count / size:.0f} {unit}"
    return f"{count} bytes"
