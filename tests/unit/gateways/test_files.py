"""Files of other platforms on our own surfaces: given to who may see the message, and nothing in them is run."""

import asyncio
from typing import Any

import pytest

from gateways import server
from gateways.files import LARGEST
from runllm.errors import NotConnected, RateLimited, Rejected, Unavailable
from store import messages, sessions
from tests.unit.gateways.conftest import Gateway, Visitor, make_current, settings, store, temporal
from tests.unit.gateways.test_console import Browser, browser
from tests.unit.gateways.test_widget import transcript

__all__ = ["browser", "make_current", "settings", "store", "temporal"]

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
HTML = b"<html><script>alert(document.domain)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


class Platform:
    """A platform that gives out files; `files` by their reference."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Exception] = {}
        self.asked: list[dict[str, Any]] = []

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        self.asked.append(attachment)
        found = self.files[attachment["ref"]]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    made = Platform()
    monkeypatch.setitem(server.READERS, "slack", lambda outlets: made)
    return made


@pytest.fixture
async def gateway(platform: Platform, gateway: Gateway) -> Gateway:
    return gateway


def file(name: str, mimetype: str, ref: str = "f", size: int = 10, **more: Any) -> dict[str, Any]:
    return {"name": name, "mimetype": mimetype, "size": size, "platform": "slack", "ref": ref, **more}


async def copied(visitor: Visitor, *files: dict[str, Any], **more: Any) -> int:
    """Somebody wrote on Slack, and the mirror has copied it to the widget."""
    async with visitor.gateway.store.begin() as db:
        session = await sessions.bound_session(db, visitor.key)
        assert session is not None
        message = await messages.add(
            db, session_id=session.id, author="user", text="see", author_name="Grace", attachments=files, **more
        )
        await messages.post(
            db,
            session_id=session.id,
            chat_id=message.id,
            surface_key=visitor.key,
            remote_id=f"copy-{message.id}",
            effect_key=f"1:{message.id}",
        )
    return message.id


async def fetched(visitor: Visitor, path: str, status: int = 200) -> tuple[bytes, dict[str, str]]:
    url = f"{visitor.gateway.url}/widget/v1/files/{path}"
    async with visitor.gateway.http.get(url, headers=visitor.headers) as response:
        data = await response.read()
        assert response.status == status, data
        return data, dict(response.headers)


@pytest.fixture
async def visitor(gateway: Gateway) -> Visitor:
    made = await gateway.open()
    await made.say("Hello")
    return made


@pytest.mark.parametrize(
    ("name", "mimetype", "data", "how", "kind"),
    [
        ("a.png", "image/png", PNG, "inline", "image/png"),
        ("a.jpg", "image/jpeg", b"\xff\xd8\xff\xe0", "inline", "image/jpeg"),
        ("a.gif", "IMAGE/GIF; x=y", b"GIF89a.", "inline", "image/gif"),
        ("a.webp", "image/webp", b"RIFF1234WEBPVP8", "inline", "image/webp"),
        ("a.webp", "image/webp", b"RIFF1234WAVE", "attachment", "application/octet-stream"),
        ("page.html", "text/html", HTML, "attachment", "application/octet-stream"),
        ("a.svg", "image/svg+xml", SVG, "attachment", "application/octet-stream"),
        ("a.png", "image/png", HTML, "attachment", "application/octet-stream"),
        ("a.xml", "application/xhtml+xml", HTML, "attachment", "application/octet-stream"),
        ("a.pdf", "application/pdf", b"%PDF-1.7", "attachment", "application/octet-stream"),
        ("a.js", "text/javascript", b"alert(1)", "attachment", "application/octet-stream"),
        ("a.txt", "", b"plain", "attachment", "application/octet-stream"),
    ],
)
async def test_only_pictures_that_are_what_they_say_are_shown_and_nothing_can_run(
    platform: Platform, visitor: Visitor, name: str, mimetype: str, data: bytes, how: str, kind: str
) -> None:
    platform.files["f"] = data
    chat_id = await copied(visitor, file(name, mimetype))
    body, headers = await fetched(visitor, f"{chat_id}/0")
    assert body == data
    assert headers["Content-Type"] == kind
    assert headers["Content-Disposition"].startswith(f"{how}; ")
    assert name in headers["Content-Disposition"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].endswith("sandbox")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "no-store" in headers["Cache-Control"]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ('x"\r\nSet-Cookie: a=b\r\n.txt', "x%22Set-Cookie%3A%20a%3Db.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\Ünïcode €.txt", "%C3%9Cn%C3%AFcode%20%E2%82%AC.txt"),
        ("..", "file"),
        ("a" * 500, "a" * 200),
    ],
)
async def test_a_name_is_a_name_and_nothing_else(platform: Platform, visitor: Visitor, name: str, sent: str) -> None:
    platform.files["f"] = b"x"
    chat_id = await copied(visitor, file(name, "text/plain"))
    _, headers = await fetched(visitor, f"{chat_id}/0")
    assert headers["Content-Disposition"] == f"attachment; filename=\"file\"; filename*=UTF-8''{sent}"
    assert "Set-Cookie" not in headers


async def test_who_does_not_see_the_message_does_not_get_its_files(
    platform: Platform, gateway: Gateway, visitor: Visitor
) -> None:
    platform.files["f"] = PNG
    chat_id = await copied(visitor, file("a.png", "image/png"))
    stranger = await gateway.open(user="somebody")
    await stranger.say("Hello")
    await fetched(stranger, f"{chat_id}/0", 404)
    await fetched(visitor, f"{chat_id}/1", 404)
    await fetched(visitor, f"{chat_id + 7}/0", 404)
    async with gateway.http.get(f"{gateway.url}/widget/v1/files/{chat_id}/0") as response:
        assert response.status == 403
    headers = {"Origin": visitor.origin, "Authorization": "Bearer nonsense"}
    async with gateway.http.get(f"{gateway.url}/widget/v1/files/{chat_id}/0", headers=headers) as response:
        assert response.status == 401
    await fetched(visitor, f"{chat_id}/0")
    async with gateway.store.begin() as db:
        await messages.delete(db, chat_id)
    await fetched(visitor, f"{chat_id}/0", 404)
    assert len(platform.asked) == 1, "nobody else made the engine fetch anything"


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (Rejected("Slack refused: file F1 in #secret-plans was deleted"), 404, "not given out any more"),
        (NotConnected("Slack workspace T1 is not connected"), 404, "not given out any more"),
        (Unavailable("Slack cannot answer"), 503, "Try again"),
        (RateLimited("Slack wants fewer calls", 7.0), 503, "Try again"),
        (b"x" * (LARGEST + 1), 413, "larger than 8 MB"),
    ],
)
async def test_a_file_that_cannot_be_had_is_said_without_the_platforms_words(
    platform: Platform, visitor: Visitor, found: Any, status: int, said: str
) -> None:
    platform.files["f"] = found
    chat_id = await copied(visitor, file("plan.png", "image/png"))
    body, headers = await fetched(visitor, f"{chat_id}/0", status)
    assert said in body.decode()
    assert "plan.png" in body.decode()
    assert "Slack" not in body.decode()
    assert (headers.get("Retry-After") == "7") == isinstance(found, RateLimited)


async def test_a_file_that_is_too_large_is_not_even_asked_for(platform: Platform, visitor: Visitor) -> None:
    chat_id = await copied(visitor, file("film.mp4", "video/mp4", size=LARGEST + 1), file("x", "", platform="carrier"))
    await fetched(visitor, f"{chat_id}/0", 413)
    await fetched(visitor, f"{chat_id}/1", 404)
    assert platform.asked == []
    [_, shown] = await transcript(visitor)
    assert [one["is_here"] for one in shown["attachments"]] == [False, True]


async def test_few_files_are_fetched_at_once_and_not_more_than_so_many_a_minute(
    platform: Platform, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, most = 0, 0

    async def slow(attachment: dict[str, Any]) -> bytes:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0)
        now -= 1
        return b"x"

    monkeypatch.setattr(visitor.gateway.services.files, "_read", {"slack": slow})
    chat_id = await copied(visitor, file("a.txt", "text/plain"))
    url = f"{visitor.gateway.url}/widget/v1/files/{chat_id}/0"

    async def status() -> int:
        async with visitor.gateway.http.get(url, headers=visitor.headers) as response:
            return response.status

    found = await asyncio.gather(*(status() for _ in range(70)))
    assert (found.count(200), found.count(429)) == (60, 10)
    assert most <= 4


async def test_what_a_browser_is_told_of_files(platform: Platform, visitor: Visitor) -> None:
    await copied(visitor, file("a.png", "image/png"), file("b.svg", "image/svg+xml"), {"name": "c"})
    [_, shown] = await transcript(visitor)
    assert shown["attachments"] == [
        {"name": "a.png", "size": 10, "is_here": True, "is_picture": True},
        {"name": "b.svg", "size": 10, "is_here": True, "is_picture": False},
        {"name": "c", "size": 0, "is_here": False, "is_picture": False},
    ]
    assert shown["files"] == ["a.png", "b.svg", "c"]


async def test_the_console_gives_files_of_its_agents_sessions_to_who_is_signed_in(
    platform: Platform, visitor: Visitor, browser: Browser
) -> None:
    platform.files |= {"f": PNG, "g": HTML}
    chat_id = await copied(visitor, file("a.png", "image/png"), file("<b>.html", "text/html", "g"), is_internal=True)
    async with visitor.gateway.store.read() as db:
        session = await sessions.bound_session(db, visitor.key)
    assert session is not None
    path = f"/agent/1/sessions/{session.id}/files/{chat_id}"
    await browser.get(f"{path}/0", 303)  # to the page where one signs in
    await browser.sign_in()
    shown = await browser.get(f"/agent/1/sessions/{session.id}")
    assert f'<img src="{path}/0" alt="a.png"' in shown
    assert f'<a href="{path}/1" download>&lt;b&gt;.html</a>' in shown
    assert (await browser.get(f"{path}/1")).encode() == HTML
    assert browser.headers is not None
    assert browser.headers["Content-Disposition"].startswith("attachment")
    await browser.get(f"{path}/2", 404)
    await browser.get(f"/agent/1/sessions/{session.id + 1}/files/{chat_id}/0", 404)
    await browser.get(f"/agent/2/sessions/{session.id}/files/{chat_id}/0", 404)
