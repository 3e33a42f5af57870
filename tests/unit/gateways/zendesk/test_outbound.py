"""Comments, tickets, tags and status: what Zendesk holds afterwards."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateways.adapter import Effect, Requester
from gateways.zendesk.outbound import ZendeskAdapter
from runllm.bridge.messages import MessageType
from runllm.bridge.surfaces import surface_key
from runllm.errors import NotConnected, RateLimited, Rejected, Unavailable
from runllm.testing.platforms.zendesk import ZendeskAccount, ZendeskStandIn
from store import messages
from store.engine import Store
from tests.unit.gateways.zendesk.conftest import Outgoing, connect, says, surface

Act = Callable[[Effect], Awaitable[object]]


@pytest.fixture
def ticket(acme: ZendeskAccount) -> int:
    return acme.open("ada@example.com", "Printer", "It smokes.")


# Comments


async def test_a_comment_is_public_or_internal_and_says_so_every_time(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int, zendesk: ZendeskStandIn
) -> None:
    await outgoing.post(surface(ticket), says("for all"))
    await outgoing.post(surface(ticket), says("for us", is_internal=True))
    await outgoing.post(surface(ticket), says("for all again"))
    assert [comment["public"] for comment in acme.comments(ticket)[1:]] == [True, False, True]
    sent = [call.body["ticket"]["comment"] for call in zendesk.calls if call.method == "PUT"]
    assert [comment["public"] for comment in sent] == [True, False, True]


async def test_markdown_becomes_html_with_its_blank_lines_and_code(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    await outgoing.post(surface(ticket), says("**Try** this:\n\n```\nmake  clean\n\nmake\n```\n\n<b>no tag</b>"))
    html = acme.comments(ticket)[-1]["html_body"]
    assert "<strong>Try</strong> this:" in html
    assert "make  clean\n\nmake" in html
    assert "&lt;b&gt;no tag&lt;/b&gt;" in html


async def test_placeholders_in_a_text_are_shown_and_not_filled_in(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    await outgoing.post(surface(ticket), says("Write {{ticket.requester.email}} or `{{ ticket.id }}`."))
    assert acme.texts(ticket)[-1] == "Write {{ticket.requester.email}} or {{ ticket.id }}."


async def test_a_person_is_named_and_an_answer_lists_its_sources(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    await outgoing.post(surface(ticket), says("It works.", author=MessageType.USER, author_name="Ada *L*"))
    source = {"title": "Manual", "url": "https://docs.example.com/a_(b)"}
    await outgoing.post(surface(ticket), says("Do so.", sources=[source, source, {"title": "Notes"}]))
    by_ada, answer = acme.comments(ticket)[1:]
    assert "<strong>Ada *L*</strong>:" in by_ada["html_body"]
    assert answer["html_body"].count('href="https://docs.example.com/a_(b)"') == 1
    assert answer["plain_body"].split() == ["Do", "so.", "Sources:", "Manual", "Notes"]


@pytest.mark.parametrize(
    ("before", "after"), [("pending", "open"), ("hold", "open"), ("solved", "open"), ("new", "new")]
)
async def test_a_customers_words_open_a_ticket_that_waited_for_them(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int, before: str, after: str
) -> None:
    acme.set_status(ticket, "bob@acme.example", before)
    await outgoing.post(surface(ticket), says("still broken", author=MessageType.USER, author_name="Ada"))
    assert acme.tickets[ticket]["status"] == after


async def test_the_bots_words_and_internal_ones_leave_the_status(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    acme.set_status(ticket, "bob@acme.example", "solved")
    await outgoing.post(surface(ticket), says("by the way"))
    await outgoing.post(surface(ticket), says("x", author=MessageType.USER, is_internal=True))
    assert acme.tickets[ticket]["status"] == "solved"


async def test_a_text_too_long_for_one_comment_arrives_whole_in_several(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    words = " ".join(f"word{number}" for number in range(14_000))
    text = f"# Long\n\n{words}\n\n```python\n" + "\n".join(f"line_{n} = '<&>'" for n in range(3000)) + "\n```\n\nend"
    first = await outgoing.post(surface(ticket), says(text))
    comments = acme.comments(ticket)[1:]
    assert len(comments) > 2
    assert first == str(comments[0]["id"])
    assert all(len(comment["html_body"].encode()) < 65_535 for comment in comments)
    said = "\n".join(comment["plain_body"] for comment in comments)
    assert said.replace("\n", " ").count("word") == 14_000
    assert [f"line_{n} = '<&>'" in said for n in (0, 1, 1500, 2999)] == [True] * 4
    assert all("```" not in comment["plain_body"] for comment in comments)
    assert comments[-1]["plain_body"].endswith("end")


async def test_a_closed_ticket_says_so_and_what_to_do(acme: ZendeskAccount, outgoing: Outgoing, ticket: int) -> None:
    acme.set_status(ticket, "bob@acme.example", "closed")
    with pytest.raises(Rejected, match=rf"Ticket {ticket} of acme.zendesk.com is closed.*follow_up_of=ticket"):
        await outgoing.post(surface(ticket), says("late"))
    with pytest.raises(Rejected, match="is closed"):
        await outgoing.adapter.update_ticket(await outgoing.effect(), surface(ticket), ["x"], "open")


async def test_a_ticket_that_is_not_there_is_named(acme: ZendeskAccount, outgoing: Outgoing) -> None:
    with pytest.raises(Rejected, match=r"acme.zendesk.com has no such ticket"):
        await outgoing.post(surface(7), says("?"))


async def test_a_revoked_token_says_how_to_connect_again(acme: ZendeskAccount, outgoing: Outgoing, ticket: int) -> None:
    acme.api_token = "another"
    with pytest.raises(NotConnected, match=r"no longer accepts.*runllm connect zendesk"):
        await outgoing.post(surface(ticket), says("?"))


# Changes of comments


async def test_an_edit_is_a_further_comment_that_says_so(acme: ZendeskAccount, outgoing: Outgoing, ticket: int) -> None:
    to = surface(ticket)
    id = await outgoing.post(to, says("at ten", author=MessageType.USER, author_name="Ada"))
    edited = says("at two", author=MessageType.USER, author_name="Ada")
    await outgoing.adapter.edit(await outgoing.effect(to), to, id, edited)
    assert acme.texts(ticket)[1:] == ["Ada:\n\nat ten", "Ada (edited an earlier message):\n\nat two"]


async def test_a_delete_blackens_the_comment(acme: ZendeskAccount, outgoing: Outgoing, ticket: int) -> None:
    to = surface(ticket)
    id = await outgoing.post(to, says("my **secret** is [here](https://x.example/s) &amp; `there`"))
    await outgoing.adapter.delete(await outgoing.effect(to), to, id)
    comment = acme.comments(ticket)[-1]
    assert set(comment["plain_body"]) <= {"▇", " ", "\n"}
    assert "secret" not in comment["html_body"]


async def test_what_corrected_a_comment_goes_with_it(acme: ZendeskAccount, outgoing: Outgoing, ticket: int) -> None:
    to = surface(ticket)
    effect = await outgoing.effect(to)
    id = await outgoing.adapter.post(effect, to, says("at ten"))
    async with outgoing.store.begin() as db:
        row = await messages.add(db, session_id=outgoing.session_id, author="user", text="at ten")
        await messages.post(
            db, session_id=outgoing.session_id, chat_id=row.id, surface_key=surface_key(to), remote_id=id,
            effect_key=effect.key,
        )  # fmt: skip
    for text in ("at two", "at three"):
        await outgoing.adapter.edit(await outgoing.effect(to), to, id, says(text))
    await outgoing.adapter.delete(await outgoing.effect(to), to, id)
    assert len(acme.texts(ticket)) == 4
    assert not any("at t" in text for text in acme.texts(ticket)[1:])


async def test_where_the_bot_may_not_blacken_an_internal_note_asks_for_it(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    acme.may_redact = False
    to = surface(ticket)
    id = await outgoing.post(to, says("secret"))
    await outgoing.adapter.delete(await outgoing.effect(to), to, id)
    note = acme.comments(ticket)[-1]
    assert note["public"] is False
    assert f"as comment {id}" in note["plain_body"]


# Tickets


async def test_a_ticket_has_what_it_was_given(acme: ZendeskAccount, outgoing: Outgoing) -> None:
    ada = Requester(user="T1:U1", name="Ada")
    made = await outgoing.adapter.open_ticket(
        await outgoing.effect(), "acme.zendesk.com", "It\nsmokes {{dc.x}}", "Ada: it **smokes**", ["a", "b"], ada
    )
    ticket = acme.tickets[int(made.id)]
    assert (ticket["subject"], ticket["tags"]) == ("It smokes {{dc.x}}", ["a", "b"])
    assert acme.texts(int(made.id)) == ["Ada: it smokes"]
    requester = acme.users[ticket["requester_id"]]
    assert (requester["name"], requester["role"], requester["external_id"]) == ("Ada", "end-user", "runllm:T1:U1")
    assert acme.comments(int(made.id))[0]["author_id"] == acme.bot_id


async def test_one_person_is_one_requester_however_many_tickets(acme: ZendeskAccount, outgoing: Outgoing) -> None:
    ada = Requester(user="T1:U1", name="Ada")
    for title in ("one", "two"):
        await outgoing.adapter.open_ticket(await outgoing.effect(), None, title, "d", [], ada)
    assert len({ticket["requester_id"] for ticket in acme.tickets.values()}) == 1


async def test_where_the_bot_may_not_make_users_it_is_the_requester(acme: ZendeskAccount, outgoing: Outgoing) -> None:
    acme.may_make_users = False
    made = await outgoing.adapter.open_ticket(
        await outgoing.effect(), None, "t", "d", [], Requester(user="U1", name="Ada")
    )
    assert acme.tickets[int(made.id)]["requester_id"] == acme.bot_id


async def test_a_long_conversation_is_whole_on_the_ticket(acme: ZendeskAccount, outgoing: Outgoing) -> None:
    description = "\n\n".join(f"Ada: sentence number {n} of a long story" for n in range(5000))
    made = await outgoing.adapter.open_ticket(await outgoing.effect(), None, "t", description, [])
    said = "\n".join(acme.texts(int(made.id)))
    assert [f"sentence number {n} of" in said for n in (0, 2500, 4999)] == [True] * 3
    assert len(acme.texts(int(made.id))) > 3


async def test_a_closed_ticket_has_a_follow_up(acme: ZendeskAccount, outgoing: Outgoing, ticket: int) -> None:
    acme.set_status(ticket, "bob@acme.example", "closed")
    made = await outgoing.adapter.open_ticket(
        await outgoing.effect(), None, "again", "d", [], follow_up_of=surface(ticket)
    )
    assert acme.tickets[ticket]["followup_ids"] == [int(made.id)]


async def test_an_open_ticket_has_none_and_zendesks_reason_is_told(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    with pytest.raises(Rejected, match="Followup source: is not closed"):
        await outgoing.adapter.open_ticket(
            await outgoing.effect(), None, "again", "d", [], follow_up_of=surface(ticket)
        )


async def test_several_accounts_each_get_their_own(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, outgoing: Outgoing, store: Store
) -> None:
    beta = zendesk.account("beta")
    await connect(store, beta, email="", api_token=None, oauth_token=beta.oauth_token)
    with pytest.raises(NotConnected, match=r"Several.*acme.zendesk.com, beta.zendesk.com.*domain="):
        await outgoing.adapter.open_ticket(await outgoing.effect(), None, "t", "d", [])
    made = await outgoing.adapter.open_ticket(await outgoing.effect(), "beta", "t", "d", [])
    assert made.subdomain == "beta"
    assert (len(acme.tickets), len(beta.tickets)) == (0, 1)
    assert zendesk.calls[-1].headers["Authorization"] == "Bearer oauth-of-beta"


async def test_an_account_that_was_connected_again_uses_its_new_token(
    acme: ZendeskAccount, outgoing: Outgoing, store: Store, ticket: int
) -> None:
    await outgoing.post(surface(ticket), says("one"))
    acme.api_token = "fresh"
    await connect(store, acme)
    await outgoing.post(surface(ticket), says("two"))
    assert acme.texts(ticket)[1:] == ["one", "two"]


# Tags and status


async def test_on_hold_is_hold_and_tags_are_added_to_those_of_others(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int
) -> None:
    acme.tag(ticket, "bob@acme.example", "vip")
    await outgoing.adapter.update_ticket(await outgoing.effect(), surface(ticket), ["New Tag", "vip"], "on-hold")
    assert acme.tickets[ticket]["status"] == "hold"
    assert acme.tickets[ticket]["tags"] == ["new_tag", "vip"]


async def test_writers_at_the_same_time_lose_no_tag(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int, zendesk: ZendeskStandIn
) -> None:
    def meanwhile(number: int) -> Callable[[], None]:
        def tag() -> None:
            acme.skew += type(acme.skew)(seconds=1)
            acme.tag(ticket, "bob@acme.example", f"bobs-{number}")

        return tag

    for number in range(2):
        zendesk.next("PUT", f"/tickets/{ticket}/tags", meanwhile=meanwhile(number))
    effects = [await outgoing.effect() for _ in range(5)]
    adds = [
        outgoing.adapter.update_ticket(effect, surface(ticket), [f"ours-{number}"], "open")
        for number, effect in enumerate(effects)
    ]
    await asyncio.gather(*adds)
    assert acme.tickets[ticket]["tags"] == sorted([*(f"ours-{n}" for n in range(5)), "bobs-0", "bobs-1"])


async def test_a_comment_that_collides_is_written_to_the_newer_ticket(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int, zendesk: ZendeskStandIn
) -> None:
    def bob_comments() -> None:
        acme.skew += type(acme.skew)(seconds=1)
        acme.say(ticket, "bob@acme.example", "me first")

    zendesk.next("PUT", f"/tickets/{ticket}", meanwhile=bob_comments)
    await outgoing.post(surface(ticket), says("ours"))
    assert acme.texts(ticket)[1:] == ["me first", "ours"]


# Exactly once


def every_call(adapter: ZendeskAdapter, ticket: int) -> dict[str, tuple[str, str, Act]]:
    """Each outbound call: the request that makes its change, and how it is made."""
    to = surface(ticket)
    return {
        "post": ("PUT", f"/tickets/{ticket}.json", lambda e: adapter.post(e, to, says("ours"))),
        "edit": ("PUT", f"/tickets/{ticket}.json", lambda e: adapter.edit(e, to, "1", says("ours"))),
        "create": ("POST", "/tickets.json", lambda e: adapter.open_ticket(e, None, "ours", "ours", [])),
        "status": ("PUT", f"/tickets/{ticket}.json", lambda e: adapter.update_ticket(e, to, ["ours"], "pending")),
        "tags": ("PUT", f"/tickets/{ticket}/tags", lambda e: adapter.update_ticket(e, to, ["ours"], "pending")),
    }


def held(acme: ZendeskAccount, ticket: int) -> list[int]:
    """How often it holds our comment, our ticket, our status and our tag."""
    changes = [event for audits in acme.audits.values() for audit in audits for event in audit["events"]]
    return [
        sum("ours" in text for number in acme.tickets for text in acme.texts(number)),
        len(acme.tickets),
        sum(1 for event in changes if event.get("field_name") == "status"),
        sum(1 for event in changes if event.get("field_name") == "tags"),
    ]


EXPECTED = {
    "post": [1, 1, 0, 0],
    "edit": [1, 1, 0, 0],
    "create": [1, 2, 0, 0],
    "status": [0, 1, 1, 1],
    "tags": [0, 1, 1, 1],
}


@pytest.mark.parametrize("call", EXPECTED)
@pytest.mark.parametrize("trouble", ["lost reply", "lost reply twice", "429", "500", "503", "nothing"])
async def test_whatever_happens_zendesk_holds_it_once(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, outgoing: Outgoing, ticket: int, call: str, trouble: str
) -> None:
    method, path, act = every_call(outgoing.adapter, ticket)[call]
    match trouble:
        case "lost reply":
            zendesk.next(method, path, lose_reply=True)
        case "lost reply twice":
            zendesk.next(method, path, lose_reply=True)
            zendesk.next("GET", "", status=502)
        case "429" | "500" | "503":
            zendesk.next(method, path, status=int(trouble), retry_after=7)
    key = f"{outgoing.session_id}:900"
    failures: list[Exception] = []
    for _ in range(4):
        try:
            await act(await outgoing.effect(key=key))
            break
        except (Unavailable, RateLimited) as error:
            failures.append(error)
    assert held(acme, ticket) == EXPECTED[call]
    expected = {"lost reply": Unavailable, "429": RateLimited, "500": Unavailable, "503": Unavailable}
    if trouble in expected:
        assert [type(error) for error in failures] == [expected[trouble]]
    if trouble == "429":
        assert isinstance(failures[0], RateLimited)
        assert failures[0].retry_after == 7
    assert sum(1 for c in zendesk.calls if c.method == method and path in c.path) <= 2  # the client sends nothing again


async def test_a_ticket_is_found_after_zendesk_forgot_the_key(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, outgoing: Outgoing
) -> None:
    zendesk.next("POST", "/tickets.json", lose_reply=True)
    effect = await outgoing.effect()
    with pytest.raises(Unavailable):
        await outgoing.adapter.open_ticket(effect, None, "t", "d", [])
    acme.forget_keys()
    again = await outgoing.effect(key=effect.key)
    made = await outgoing.adapter.open_ticket(again, None, "t", "a conversation that went on meanwhile", [])
    assert list(acme.tickets) == [int(made.id)]


async def test_a_first_attempt_that_arrives_late_is_refused_as_outdated(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, outgoing: Outgoing, ticket: int
) -> None:
    to = surface(ticket)
    effect = await outgoing.effect(to)
    zendesk.next("PUT", f"/tickets/{ticket}", status=500)
    with pytest.raises(Unavailable):
        await outgoing.adapter.post(effect, to, says("ours"))
    late = zendesk.calls[-1].body
    acme.skew += type(acme.skew)(seconds=1)
    await outgoing.adapter.post(await outgoing.effect(to, effect.key), to, says("ours"))
    account = await outgoing.adapter._accounts.get("acme")
    with pytest.raises(Exception, match="Safe Update prevented"):
        await account.send("put", f"tickets/{ticket}.json", late)
    assert acme.texts(ticket)[1:] == ["ours"]


async def test_two_engines_on_one_account_do_not_take_each_others_effects_for_theirs(
    acme: ZendeskAccount, outgoing: Outgoing, store: Store
) -> None:
    effect = Effect(key="1:1", session_id=outgoing.session_id, earlier=True)
    first = await outgoing.adapter.open_ticket(effect, None, "t", "d", [])
    await connect(store, acme, mark="another-engine")
    second = await outgoing.adapter.open_ticket(effect, None, "t", "d", [])
    assert first != second


async def test_credentials_never_go_to_another_host(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, outgoing: Outgoing, ticket: int
) -> None:
    account = await outgoing.adapter._accounts.get("acme")
    with pytest.raises(Rejected, match="another host"):
        await account.get("https://evil.example/api/v2/tickets.json")


# Files


async def test_a_file_of_a_comment_is_read_without_credentials(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, outgoing: Outgoing, ticket: int
) -> None:
    acme.say(ticket, "ada@example.com", "look", files={"a b.txt": b"puff"})
    file = {"platform": "zendesk", "ref": f"acme:{acme.comments(ticket)[-1]['attachments'][0]['id']}"}
    assert await outgoing.adapter.read_file(file) == b"puff"
    assert zendesk.calls[-1].path.startswith("/acme/attachments/token/")
    assert "Authorization" not in zendesk.calls[-1].headers


async def test_a_file_that_is_too_large_or_gone_or_another_platforms_is_refused(
    acme: ZendeskAccount, outgoing: Outgoing, ticket: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateways.zendesk.account.LARGEST_FILE", 3)
    acme.say(ticket, "ada@example.com", "look", files={"a.txt": b"puff"})
    ref = f"acme:{acme.comments(ticket)[-1]['attachments'][0]['id']}"
    for file, why in [
        ({"platform": "zendesk", "ref": ref}, "larger than"),
        ({"platform": "zendesk", "ref": "acme:1"}, "no such"),
        ({"platform": "slack", "ref": "x"}, "did not come from Zendesk"),
        ({"platform": "zendesk"}, "did not come from Zendesk"),
    ]:
        with pytest.raises(Rejected, match=why):
            await outgoing.adapter.read_file(file)


async def test_files_go_along_with_the_last_part_once(
    acme: ZendeskAccount, zendesk: ZendeskStandIn, outgoing: Outgoing, ticket: int
) -> None:
    files = [{"name": "a b&c.txt", "mimetype": "text/plain", "data": b"puff"}, {"name": "x.png", "data": b"\x89PNG"}]
    effect = await outgoing.effect()
    content = says("long " * 20_000, files=files)
    zendesk.next("POST", "/uploads", status=503)
    with pytest.raises(Unavailable):
        await outgoing.adapter.post(effect, surface(ticket), content)
    await outgoing.adapter.post(await outgoing.effect(key=effect.key), surface(ticket), content)
    comments = acme.comments(ticket)[1:]
    assert len(comments) > 1
    assert [len(comment["attachments"]) for comment in comments] == [*[0] * (len(comments) - 1), 2]
    names = [file["file_name"] for file in comments[-1]["attachments"]]
    assert names == ["a b&c.txt", "x.png"]
    assert acme.files[comments[-1]["attachments"][1]["id"]][1] == b"\x89PNG"
