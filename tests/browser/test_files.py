"""Files that came in elsewhere, in a real browser: pictures are shown under any policy, everything else is saved."""

import asyncio
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Download, Page, expect

from runllm.errors import Rejected
from store import messages, sessions
from tests.browser.conftest import House
from tests.browser.test_console import enter, office
from tests.browser.test_widget import ask

__all__ = ["office"]

pytestmark = pytest.mark.browser

HTML = b"<script>document.title = 'taken over'</script>"


def png(width: int, height: int) -> bytes:
    """A picture with a gradient."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + b"".join(bytes((x * 255 // width, y * 255 // height, 160)) for x in range(width)) for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


FILES: dict[str, bytes | Exception] = {
    "picture": png(900, 500), "log": b"line 1\nline 2\n", "page": HTML, "broken": b"\x89PNG\r\n\x1a\nnot really",
    "gone": Rejected("it was removed"),
}  # fmt: skip


def described(name: str, mimetype: str, ref: str) -> dict[str, Any]:
    found = FILES[ref]
    size = len(found) if isinstance(found, bytes) else 2048
    return {"name": name, "mimetype": mimetype, "size": size, "platform": "slack", "ref": ref}


ATTACHMENTS = [
    described("screen.png", "image/png", "picture"),
    described("server.log", "text/plain", "log"),
    described("page.html", "text/html", "page"),
    described("broken.png", "image/png", "broken"),
    described("gone.txt", "text/plain", "gone"),
]


async def copied(house: House, session_id: int, key: str) -> int:
    """A colleague sent files on Slack, and the mirror has copied the message."""

    async def read_file(attachment: dict[str, Any]) -> bytes:
        found = FILES[attachment["ref"]]
        if isinstance(found, Exception):
            raise found
        return found

    house.services.files._read = {"slack": read_file}
    async with house.store.begin() as db:
        message = await messages.add(
            db, session_id=session_id, author="user", text="Does it look like this on your side?",
            author_id="T1:U2", author_name="Grace Hopper", attachments=ATTACHMENTS, is_from_staff=True,
        )  # fmt: skip
        await messages.post(
            db, session_id=session_id, chat_id=message.id, surface_key="slack:T1:C1:1.0", remote_id=f"{message.id}.0"
        )
        await messages.post(
            db, session_id=session_id, chat_id=message.id, surface_key=key, remote_id=f"copy-{message.id}",
            effect_key=f"1:{message.id}",
        )  # fmt: skip
    house.services.hub.poke(key)
    return message.id


async def read(saved: Download) -> bytes:
    return await asyncio.to_thread(Path(await saved.path()).read_bytes)


async def test_a_picture_is_drawn_and_the_rest_is_saved_on_a_strangers_page(
    page: Page, house: House, pictures: Path
) -> None:
    await page.goto(house.customer_url)
    await page.get_by_role("button", name="Chat with Acme").click()
    await ask(page, "It looks broken")
    async with house.store.read() as db:
        session = await sessions.get(db, 1)
    assert session is not None
    await copied(house, 1, session.origin_key)
    picture = page.get_by_role("img", name="screen.png")
    await expect(picture).to_be_visible()
    box = await picture.bounding_box()
    assert box is not None
    assert 300 <= box["width"] <= 320, box
    drawn = await picture.evaluate("canvas => [...canvas.getContext('2d').getImageData(20, 20, 1, 1).data]")
    assert drawn[2:] == [160, 255], "its own pixels"
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="server.log (14 bytes)").click()
    saved = await saving.value
    assert saved.suggested_filename == "server.log"
    assert await read(saved) == FILES["log"]
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="page.html").click()
    assert await read(await saving.value) == HTML
    assert await page.title() == "Acme", "nothing of it ran"
    await expect(page.get_by_role("button", name="broken.png")).to_be_visible()
    await page.get_by_role("button", name="gone.txt").click()
    await expect(page.locator(".notice")).to_contain_text("gone.txt is not given out any more")
    await page.screenshot(path=pictures / "files.png")


async def test_the_console_shows_files_in_a_transcript_and_in_its_own_chat(
    page: Page, office: House, pictures: Path
) -> None:
    async with office.store.read() as db:
        session = await sessions.get(db, 2)
    assert session is not None
    await copied(office, 2, session.origin_key)
    await enter(page, office)
    await page.goto(f"{office.url}/agent/1/sessions/2")
    picture = page.get_by_role("img", name="screen.png")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.naturalWidth") == 900
    async with page.expect_download() as saving:
        await page.get_by_role("link", name="page.html").click()
    assert (await saving.value).suggested_filename == "page.html"
    await page.screenshot(path=pictures / "transcript.png", full_page=True)
    await page.goto(f"{office.url}/agent/1/chat")
    await ask(page, "Hello")
    async with office.store.read() as db:
        talk = await sessions.get(db, 4)
    assert talk is not None
    await copied(office, 4, talk.origin_key)
    await expect(page.get_by_role("img", name="screen.png")).to_be_visible()
    await page.screenshot(path=pictures / "console-chat.png")
