"""`runllm keys` against a real control API."""

from tests.unit.cli.terminal import Terminal, fits, terminal
from tests.unit.gateways.conftest import empty_record, gateway, settings, store, temporal

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
    assert "revoked now" in " ".join((await terminal.run("keys", "list")).stdout.split())


async def test_ones_own_key_and_one_that_is_not_there_cannot_be_revoked(terminal: Terminal) -> None:
    (mine,) = (await terminal.json("keys", "list"))["keys"]
    assert "is the one that you call with" in await terminal.refused("keys", "revoke", str(mine["id"]))
    said = await terminal.refused("keys", "revoke", "99")
    assert said.endswith("There is no key 99. `runllm keys list` shows those there are.")


async def test_a_key_needs_a_name(terminal: Terminal) -> None:
    assert "name:" in await terminal.refused("keys", "create", " ")
