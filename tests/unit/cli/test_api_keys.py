"""`runllm keys` against a real control API."""

from pathlib import Path

import aiohttp

from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import SECRET, empty_record, gateway, settings, store, temporal

__all__ = ["empty_record", "gateway", "settings", "store", "temporal", "terminal"]  # fixtures are found by name


async def test_a_key_is_made_used_and_revoked(terminal: Terminal) -> None:
    made = await terminal.run("keys", "create", "ci")
    key = made.stdout.strip()
    assert key.startswith("rlm_")
    assert "cannot be read again" in made.stderr
    listed = await terminal.run("keys", "list", "--api-key", key)
    assert fits(listed)
    assert "ci" in listed.stdout
    assert "you call with it" in listed.stdout
    assert key not in listed.stdout
    number = next(row["id"] for row in (await terminal.json("keys", "list"))["keys"] if row["name"] == "ci")
    assert (await terminal.run("keys", "revoke", str(number))).stdout == f"Key {number}, ci, is revoked.\n"
    assert "does not know this API key" in await terminal.refused("keys", "list", "--api-key", key)
    assert "revoked" in (await terminal.run("keys", "list")).stdout


async def test_ones_own_key_and_one_that_is_not_there_cannot_be_revoked(terminal: Terminal) -> None:
    (mine,) = (await terminal.json("keys", "list"))["keys"]
    assert "is the one that you call with" in await terminal.refused("keys", "revoke", str(mine["id"]))
    said = await terminal.refused("keys", "revoke", "99")
    assert said.endswith("There is no key 99. `runllm keys list` shows those there are.")


async def test_a_key_needs_a_name(terminal: Terminal) -> None:
    assert "name:" in await terminal.refused("keys", "create", " ")


async def test_the_first_key_is_made_where_the_engine_runs(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environ |= {"RUNLLM_HOME": str(tmp_path), "RUNLLM_SERVER": "http://127.0.0.1:1"}  # nobody need serve
    key = (await terminal.run("keys", "create", "laptop", "--here")).stdout.strip()
    listed = await terminal.run("keys", "list", "--api-key", key, "--server", terminal.gateway.url)
    assert "valid; you call with it" in " ".join(listed.stdout.split())
    assert (await terminal.json("keys", "create", "ci", "--here"))["name"] == "ci"
    assert "needs a name" in await terminal.refused("keys", "create", " ", "--here", code=2)


async def test_a_link_opens_the_console(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environ |= {
        "RUNLLM_HOME": str(tmp_path),
        "RUNLLM_SECRET": SECRET,
        "RUNLLM_PUBLIC_URL": "http://desk.test/",
    }
    link = (await terminal.run("keys", "login")).stdout.strip()
    assert link.startswith("http://desk.test/console/login?token=")
    address = link.replace("http://desk.test", terminal.gateway.url)
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        browser.get(address) as page,
    ):
        assert page.status == 200
        assert page.url.path == "/agent/1/overview"


async def test_where_no_engine_runs_there_is_no_first_key_and_none_is_begun(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environ["RUNLLM_HOME"] = str(tmp_path / "elsewhere")
    for words in (("create", "x", "--here"), ("login",)):
        assert "No engine keeps its things in" in await terminal.refused("keys", *words, code=2)
    assert not (tmp_path / "elsewhere").exists()
