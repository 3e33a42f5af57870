"""Files that came in on a platform, for people at our own surfaces.

A stranger chose what is in them. They are given out as bytes that a browser saves; only pictures of kinds that cannot
hold a program, and that are what they say, are shown. Nothing runs in our origin: answers are sandboxed, never sniffed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gateways.adapter import SurfaceAdapter
from gateways.outlets import Outlets
from gateways.rates import Rate
from gateways.refusals import RefusedError
from runllm.errors import RateLimited, SurfaceError, Unavailable

log = logging.getLogger(__name__)

LARGEST = 8 * 1024 * 1024
"""Bytes of a file: what every platform takes, and what a process can hold for many conversations at once."""

Readers = Mapping[str, Callable[[Outlets], SurfaceAdapter]]
"""Who reads the files of each platform, by its name."""

_AT_ONCE = 4
_A_MINUTE = 60
_PATIENCE = 30.0
_PICTURES: dict[str, Sequence[bytes]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""Kinds of pictures that browsers show and that hold no program, with what each begins with. SVG is none of them."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
_GONE = "{name} is not given out any more: it was removed where it was posted, or that place is no longer connected."
_NOT_NOW = "{name} cannot be fetched just now. Try again in a moment."


def described(attachment: Mapping[str, Any]) -> dict[str, Any]:
    """What a browser is told of a file. `is_here`: it can be asked for; `is_picture`: it can be shown."""
    size, mimetype = _size(attachment), _mimetype(attachment)
    is_here = attachment.get("platform") is not None and size <= LARGEST
    return {
        "name": _name(attachment),
        "size": size,
        "is_here": is_here,
        "is_picture": is_here and mimetype in _PICTURES,
    }


class Files:
    """Reads files where they were posted, a few at a time."""

    def __init__(self, outlets: Outlets, readers: Readers) -> None:
        self._read = {platform: make(outlets).read_file for platform, make in readers.items()}
        self._rate = Rate("files", _A_MINUTE)
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, attachments: Sequence[Mapping[str, Any]], number: int, who: str) -> web.Response:
        """One of the files of a message, for somebody who may see the message.

        Args:
            attachments: The message's files, as they are in the record.
            number: Which one, from 0.
            who: Whose files are counted together.

        Raises:
            RefusedError: There is no such file, it is too large, or its platform does not give it out.
        """
        if number >= len(attachments):
            raise RefusedError(404, "not_found", f"The message has no file number {number}.")
        attachment = attachments[number]
        self._rate.spend(who)
        data = await self._content(attachment)
        return web.Response(body=data, headers={**_HEADERS, **_kind(attachment, data)})

    async def _content(self, attachment: Mapping[str, Any]) -> bytes:
        name, read = _name(attachment), self._read.get(str(attachment.get("platform")))
        if read is None:
            raise RefusedError(404, "not_found", _GONE.format(name=name))
        if _size(attachment) > LARGEST:
            raise _too_large(name)
        try:
            async with asyncio.timeout(_PATIENCE), self._few:
                data = await read(dict(attachment))
        except (Unavailable, RateLimited, TimeoutError) as error:
            after = error.retry_after if isinstance(error, RateLimited) else 5.0
            raise RefusedError(503, "not_now", _NOT_NOW.format(name=name), retry_after=after) from None
        except SurfaceError as error:  # the platform's own words are for the operator, not for a visitor
            log.warning("a file of %s is not given out: %s", attachment.get("platform"), error)
            raise RefusedError(404, "gone", _GONE.format(name=name)) from None
        if len(data) > LARGEST:
            raise _too_large(name)
        return data


def _too_large(name: str) -> RefusedError:
    return RefusedError(413, "too_large", f"{name} is larger than {LARGEST // 1024 // 1024} MB and stays where it is.")


def _kind(attachment: Mapping[str, Any], data: bytes) -> dict[str, str]:
    """What kind of file it is, and whether it is shown or saved: what is not surely a picture is saved."""
    mimetype = _mimetype(attachment)
    is_picture = data.startswith(tuple(_PICTURES.get(mimetype, ()))) and (
        mimetype != "image/webp" or data[8:12] == b"WEBP"
    )
    how = "inline" if is_picture else "attachment"
    return {
        "Content-Type": mimetype if is_picture else "application/octet-stream",
        "Content-Disposition": f"{how}; filename=\"file\"; filename*=UTF-8''{quote(_name(attachment), safe='')}",
    }


def _name(attachment: Mapping[str, Any]) -> str:
    """Its name, without anything that a file system or a header could take for more than a name."""
    name = "".join(one for one in str(attachment.get("name") or "") if one.isprintable())
    return name.replace("\\", "/").rpartition("/")[2].strip(". ")[:200] or "file"


def _mimetype(attachment: Mapping[str, Any]) -> str:
    return str(attachment.get("mimetype") or "").partition(";")[0].strip().lower()


def _size(attachment: Mapping[str, Any]) -> int:
    size = attachment.get("size")
    return size if isinstance(size, int) and size > 0 else 0
