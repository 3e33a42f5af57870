"""What the command line asks of the control API: new messages, the index, keys, health."""

from typing import Any

import pytest

from store import agents, knowledge
from store.knowledge import NewPassage
from tests.unit.gateways.conftest import Gateway


class Caller:
    """Calls the API with a key."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self._gateway = gateway
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, status: int = 200, **how: Any) -> dict[str, Any]:
        url = f"{self._gateway.url}/api/v1/{path}"
        async with self._gateway.http.request(method, url, headers=self._headers, **how) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == status, answer
            return answer


async def caller(gateway: Gateway, agent: str = "default") -> Caller:
    async with gateway.store.begin() as db:
        return Caller(gateway, await agents.create_key(db, (await agents.ensure_agent(db, agent)).id, "laptop"))


@pytest.mark.parametrize("path", ["messages", "search?question=x", "keys", "health"])
async def test_all_of_it_needs_a_key(gateway: Gateway, path: str) -> None:
    assert (await Caller(gateway, "wrong").call("GET", path, 401))["error"]["code"] == "unknown_key"


async def test_new_messages_are_told_once_and_to_their_agent_only(gateway: Gateway) -> None:
    api, stranger = await caller(gateway), await caller(gateway, "another")
    begin = await api.call("GET", "messages")
    assert begin["messages"] == []
    visitor = await gateway.open()
    await visitor.say("hello")
    answer = await api.call("GET", f"messages?after={begin['last']}")
    (message,) = answer["messages"]
    assert (message["text"], message["author"], message["published_name"]) == ("hello", "user", "support")
    assert (await api.call("GET", f"messages?after={answer['last']}"))["messages"] == []
    assert (await stranger.call("GET", f"messages?after={begin['last']}"))["messages"] == []
    number = message["session_id"]
    assert len((await api.call("GET", f"messages?after=0&session={number}"))["messages"]) == 1
    assert (await api.call("GET", f"messages?after=0&session={number + 1}"))["messages"] == []


@pytest.mark.parametrize(
    ("path", "field"),
    [("messages?after=x", "after"), ("messages?after=-1", "after"), ("messages?session=x", "session"),
     ("search?question=", "question"), ("search?question=x&limit=0", "limit")],
)  # fmt: skip
async def test_a_query_that_does_not_fit_is_named(gateway: Gateway, path: str, field: str) -> None:
    refused = await (await caller(gateway)).call("GET", path, 422)
    assert refused["error"]["message"].startswith(f"{field}: ")


async def test_the_index_is_searched_with_the_words_of_a_question(gateway: Gateway) -> None:
    api, stranger = await caller(gateway), await caller(gateway, "another")
    async with gateway.store.begin() as db:
        source = await knowledge.add_source(db, 1, "folder", "/pages", None)
        passages = [
            NewPassage(heading_path="Refunds", anchor="refunds", text="A refund takes five days."),
            NewPassage(heading_path="Seats", anchor="seats", text="Each seat is billed by the month."),
        ]
        await knowledge.put_document(db, source, "billing.md", None, "Billing", "hash", passages)
    found = (await api.call("GET", "search", params={"question": 'How long does a "refund" take?'}))["passages"]
    assert found[0]["heading"] == "Refunds"
    assert found[0]["path"] == "billing.md"
    assert found[0]["url"] is None
    assert found[0]["score"] >= found[-1]["score"]
    assert (await stranger.call("GET", "search?question=refund"))["passages"] == []


async def test_a_key_is_read_once_and_belongs_to_its_agent(gateway: Gateway) -> None:
    api, stranger = await caller(gateway), await caller(gateway, "another")
    made = await api.call("POST", "keys", 201, json={"name": " ci "})
    assert made["name"] == "ci"
    assert "key" not in (await api.call("GET", "keys"))["keys"][-1]
    await stranger.call("DELETE", f"keys/{made['id']}", 404)
    await Caller(gateway, made["key"]).call("GET", "keys")
    await api.call("DELETE", f"keys/{made['id']}")
    await Caller(gateway, made["key"]).call("GET", "keys", 401)


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": " "}, {"name": "x", "agent_id": 2}, {"name": "x" * 201}])
async def test_a_key_that_does_not_fit_is_refused(gateway: Gateway, body: dict[str, Any]) -> None:
    refused = await (await caller(gateway)).call("POST", "keys", 422, json=body)
    assert refused["error"]["code"] == "invalid_field"
