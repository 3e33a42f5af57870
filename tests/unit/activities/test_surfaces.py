import pytest

from gateways.adapter import Effect, Requester
from gateways.wire import Outcome
from runllm.bridge.messages import AnswerCategory, MessageType
from runllm.bridge.surfaces import ChatSurface, ZendeskTicket, ZendeskTicketConfig, surface_key
from runllm.errors import NotConnected, RateLimited, Rejected, Unavailable, UsageError
from runllm.operations import (
    ButtonWait,
    CreateDiscordThread,
    CreateSlackThread,
    CreateZendeskTicket,
    MessageRef,
    PostMessage,
    UpdateZendeskTicket,
)
from store import buttons, inbox, messages, sessions, tags
from tests.unit.activities.conftest import Case
from tests.unit.activities.doubles import Killed, once
from worker.activities.context import Context
from worker.activities.surfaces import SurfaceActivities

YES_OR_NO = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}, {"id": "no", "text": "No"}]}]


@pytest.fixture
def surfaces(case: Case) -> SurfaceActivities:
    return SurfaceActivities(case.context)


def text_to(to: ChatSurface, text: str = "Hello") -> PostMessage:
    return PostMessage(to=to, message=MessageRef(text=text))


async def test_plain_text_becomes_a_message_of_the_agent(case: Case, surfaces: SurfaceActivities) -> None:
    call = case.call(text_to(case.slack))
    posted = await surfaces.post_message(call)
    assert case.platform.texts == ["Hello"]
    async with case.store.read() as db:
        row = await messages.by_key(db, call.key)
        assert row is not None
        (posting,) = await messages.postings_of(db, row.id)
    assert row.author == MessageType.ASSISTANT
    assert (posting.remote_id, posting.surface_key) == (posted.remote_id, surface_key(case.slack))
    assert (await case.effect(call.key)).state == "done"
    assert await case.transcript() == ["Hello"]


async def test_a_recorded_answer_keeps_its_category_and_sources(case: Case, surfaces: SurfaceActivities) -> None:
    async with case.store.begin() as db:
        row = await messages.add(
            db,
            session_id=case.session_id,
            author=MessageType.ASSISTANT,
            text="Because.",
            category=AnswerCategory.LOW_CONFIDENCE,
            sources=[{"title": "Why", "url": None, "quote": "Because."}],
        )
    await surfaces.post_message(case.call(PostMessage(to=case.slack, message=MessageRef(chat_id=row.id))))
    (_, content), *_ = case.platform.shown.values()
    assert (content.text, content.category) == ("Because.", AnswerCategory.LOW_CONFIDENCE)
    assert content.sources[0].title == "Why"


async def test_a_text_changed_before_anybody_saw_it_is_changed_everywhere(
    case: Case, surfaces: SurfaceActivities
) -> None:
    async with case.store.begin() as db:
        row = await messages.add(db, session_id=case.session_id, author=MessageType.ASSISTANT, text="Raw")
    changed = MessageRef(chat_id=row.id, text="Raw, with a footer")
    await surfaces.post_message(case.call(PostMessage(to=case.slack, message=changed)))
    await surfaces.post_message(case.call(PostMessage(to=case.widget, message=changed)))
    assert case.platform.texts == ["Raw, with a footer"] * 2
    assert await case.transcript() == ["Raw, with a footer"]


async def test_a_text_changed_after_somebody_saw_it_is_another_message(case: Case, surfaces: SurfaceActivities) -> None:
    async with case.store.begin() as db:
        row = await messages.add(db, session_id=case.session_id, author=MessageType.ASSISTANT, text="First")
    await surfaces.post_message(case.call(PostMessage(to=case.widget, message=MessageRef(chat_id=row.id))))
    await surfaces.post_message(
        case.call(PostMessage(to=case.slack, message=MessageRef(chat_id=row.id, text="Second")))
    )
    assert await case.transcript() == ["First", "Second"]


async def test_a_persons_words_are_never_changed(case: Case, surfaces: SurfaceActivities) -> None:
    row = await case.said("my password is hunter2", name="Ann")
    await surfaces.post_message(case.call(PostMessage(to=case.slack, message=MessageRef(chat_id=row.id, text="[…]"))))
    (_, content), *_ = case.platform.shown.values()
    assert (content.text, content.author, content.author_name) == ("[…]", MessageType.USER, "Ann")
    assert (await case.message(row.id)).text == "my password is hunter2"


async def test_a_message_of_another_session_is_refused(case: Case, surfaces: SurfaceActivities) -> None:
    with pytest.raises(UsageError, match="no message 999"):
        await surfaces.post_message(case.call(PostMessage(to=case.slack, message=MessageRef(chat_id=999))))
    assert case.platform.calls == []


async def test_killed_after_the_platform_took_it_it_is_posted_once(case: Case, surfaces: SurfaceActivities) -> None:
    call = case.call(text_to(case.slack))
    case.platform.after = once(Killed())
    with pytest.raises(Killed):
        await surfaces.post_message(call)
    first = await surfaces.post_message(call)
    assert await surfaces.post_message(call) == first
    assert case.platform.texts == ["Hello"]
    assert await case.transcript() == ["Hello"]
    assert len(case.platform.calls) == 2, "the second attempt looks, the third one knows"


async def test_after_an_unknown_end_the_next_attempt_is_told_to_look(case: Case, surfaces: SurfaceActivities) -> None:
    seen: list[bool] = []

    async def note(effect: Effect, to: ChatSurface | None) -> None:
        seen.append(effect.earlier)
        if len(seen) == 1:
            raise Unavailable("no answer")

    case.platform.before = note
    call = case.call(text_to(case.slack))
    with pytest.raises(Unavailable):
        await surfaces.post_message(call)
    await surfaces.post_message(call)
    assert seen == [False, True]


@pytest.mark.parametrize("error", [RateLimited("slow down", 3), NotConnected("connect"), Rejected("no")])
async def test_after_a_clear_refusal_there_is_nothing_to_look_for(
    case: Case, surfaces: SurfaceActivities, error: Exception
) -> None:
    seen: list[bool] = []

    async def note(effect: Effect, to: ChatSurface | None) -> None:
        seen.append(effect.earlier)
        if len(seen) == 1:
            raise error

    case.platform.before = note
    call = case.call(text_to(case.slack))
    with pytest.raises(type(error)):
        await surfaces.post_message(call)
    assert (await case.effect(call.key)).state == "failed"
    await surfaces.post_message(call)
    assert seen == [False, False]
    assert (await case.effect(call.key)).state == "done"


async def test_the_wait_is_open_before_anybody_can_click(case: Case, surfaces: SurfaceActivities) -> None:
    async def click_at_once(effect: Effect, to: ChatSurface | None) -> None:
        async with case.store.begin() as db:
            assert await buttons.click(db, case.session_id, 7, "yes", "bob") == "not_allowed"
            assert await buttons.click(db, case.session_id, 7, "yes", "ann") == "won"

    case.platform.before = click_at_once
    wait = ButtonWait(wait_id=7, allowed_users=["ann"])
    operation = text_to(case.slack).model_copy(update={"blocks": YES_OR_NO, "wait": wait})
    await surfaces.post_message(case.call(operation))
    ((_, content),) = case.platform.shown.values()
    assert content.wait == wait
    assert content.blocks == YES_OR_NO


async def test_waiting_for_buttons_that_are_not_there_is_the_customers_mistake(
    case: Case, surfaces: SurfaceActivities
) -> None:
    operation = text_to(case.slack).model_copy(update={"wait": ButtonWait(wait_id=1)})
    with pytest.raises(UsageError, match="buttons"):
        await surfaces.post_message(case.call(operation))
    assert case.platform.calls == []


async def test_a_surface_without_an_adapter_says_how_to_connect_it(case: Case) -> None:
    context = case.context
    bare = Context(context.store, {}, context.openers, context.hub, context.model, context.retriever)
    with pytest.raises(NotConnected, match="Slack is not connected"):
        await SurfaceActivities(bare).post_message(case.call(text_to(case.slack)))


async def test_what_became_of_earlier_events_arrives_with_the_call(case: Case, surfaces: SurfaceActivities) -> None:
    async with case.store.begin() as db:
        row = await inbox.add(
            db,
            dedupe_key="d1",
            kind="message",
            session_id=case.session_id,
            chat_id=None,
            surface_key="widget:c1",
            envelope={},
        )
        assert row is not None
    await surfaces.post_message(case.call(text_to(case.slack), outcomes=[Outcome(inbox_id=row.id, outcome="handled")]))
    async with case.store.read() as db:
        assert await inbox.count_unaccounted(db) == 0


async def test_told_to_come_back_later_a_retry_still_looks_for_what_an_earlier_one_left(
    case: Case, surfaces: SurfaceActivities
) -> None:
    call = case.call(PostMessage(to=case.slack, message=MessageRef(text="once")))
    case.platform.after = once(Killed())
    with pytest.raises(Killed):
        await surfaces.post_message(call)
    case.platform.before = once(RateLimited("slow down", 3))
    with pytest.raises(RateLimited):
        await surfaces.post_message(call)
    await surfaces.post_message(call)  # the platform refuses a second one that does not look
    assert case.platform.texts == ["once"]


async def test_a_ticket_tells_the_conversation(case: Case, surfaces: SurfaceActivities) -> None:
    await case.said("My invoice\nis wrong", name="Ann")
    await case.said("Which one?", author=MessageType.ASSISTANT)
    ticket = await surfaces.create_zendesk_ticket(case.call(CreateZendeskTicket(tags=["billing"])))
    ((domain, title, description, applied),) = case.platform.opened.values()
    assert (domain, title, applied) == (None, "My invoice is wrong", ("billing",))
    assert description == "Conversation:\n\nAnn: My invoice\nis wrong\n\nAssistant: Which one?"
    async with case.store.read() as db:
        bound = await sessions.bound_session(db, surface_key(ticket))
    assert bound is not None
    assert bound.id == case.session_id


async def test_a_ticket_is_for_who_asked_first_where_the_platform_names_them(
    case: Case, surfaces: SurfaceActivities
) -> None:
    await case.said("Hello", by="T1:U1", name="Ann")
    await case.said("Me too", by="T1:U2", name="Bob")
    before = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="1"))
    await surfaces.create_zendesk_ticket(case.call(CreateZendeskTicket(follow_up_of=before)))
    assert case.platform.requesters == [(Requester(user="T1:U1", name="Ann"), before)]


async def test_a_visitor_without_a_name_is_no_requester(case: Case, surfaces: SurfaceActivities) -> None:
    await case.said("Hello", by="0a1b", name=None)
    await surfaces.create_zendesk_ticket(case.call(CreateZendeskTicket()))
    assert case.platform.requesters == [(None, None)]


async def test_a_comment_for_the_team_is_marked_as_such(case: Case, surfaces: SurfaceActivities) -> None:
    ticket = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="1"))
    for is_internal in (True, False):
        ref = MessageRef(text=f"internal: {is_internal}")
        await surfaces.post_message(case.call(PostMessage(to=ticket, message=ref, is_internal=is_internal)))
    assert [content.is_internal for _, content in case.platform.shown.values()] == [True, False]


async def test_only_the_word_conversation_in_braces_is_replaced(case: Case, surfaces: SurfaceActivities) -> None:
    await case.said('{"a": {b}}', name="Ann")
    operation = CreateZendeskTicket(title="T", description="{} {0} {x!r} {conversation} }{", domain="beta")
    await surfaces.create_zendesk_ticket(case.call(operation))
    ((domain, title, description, _),) = case.platform.opened.values()
    assert (domain, title) == ("beta", "T")
    assert description == '{} {0} {x!r} Ann: {"a": {b}} }{'


async def test_killed_after_the_ticket_was_made_there_is_one_ticket(case: Case, surfaces: SurfaceActivities) -> None:
    call = case.call(CreateZendeskTicket(title="T"))
    case.platform.after = once(Killed())
    with pytest.raises(Killed):
        await surfaces.create_zendesk_ticket(call)
    first = await surfaces.create_zendesk_ticket(call)
    assert await surfaces.create_zendesk_ticket(call) == first
    assert len(case.platform.opened) == 1


async def test_a_status_that_tickets_do_not_have_is_refused(case: Case, surfaces: SurfaceActivities) -> None:
    ticket = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="1"))
    with pytest.raises(UsageError, match="on-hold"):
        await surfaces.update_zendesk_ticket(case.call(UpdateZendeskTicket(to=ticket, tags=[], status="done")))
    call = case.call(UpdateZendeskTicket(to=ticket, tags=["vip"], status="on-hold"))
    await surfaces.update_zendesk_ticket(call)
    await surfaces.update_zendesk_ticket(call)
    assert list(case.platform.opened.values()) == [("1", "on-hold", ("vip",))]


async def test_a_session_has_one_thread_in_a_channel_if_it_wants_to(case: Case, surfaces: SurfaceActivities) -> None:
    operation = CreateSlackThread(team_id="T1", channel_id="C9", reuse=True)
    first = await surfaces.create_slack_thread(case.call(operation))
    assert await surfaces.create_slack_thread(case.call(operation)) == first
    assert len(case.platform.opened) == 1
    other = await surfaces.create_slack_thread(case.call(CreateSlackThread(team_id="T1", channel_id="C8", reuse=True)))
    assert other != first


async def test_a_fresh_thread_is_not_part_of_the_conversation(case: Case, surfaces: SurfaceActivities) -> None:
    operation = CreateSlackThread(team_id="T1", channel_id="C9")
    first = await surfaces.create_slack_thread(case.call(operation))
    assert await surfaces.create_slack_thread(case.call(operation)) != first
    async with case.store.read() as db:
        assert await sessions.bound_session(db, surface_key(first)) is None


async def test_discord_threads_are_reused_in_the_same_way(case: Case, surfaces: SurfaceActivities) -> None:
    operation = CreateDiscordThread(guild_id="G1", channel_id="C1", reuse=True)
    first = await surfaces.create_discord_thread(case.call(operation))
    assert await surfaces.create_discord_thread(case.call(operation)) == first
    async with case.store.read() as db:
        bound = await sessions.bound_session(db, surface_key(first))
        assert await tags.of(db, case.session_id) == []
    assert bound is not None


async def test_a_retry_of_opening_a_thread_gets_the_same_one(case: Case, surfaces: SurfaceActivities) -> None:
    call = case.call(CreateSlackThread(team_id="T1", channel_id="C9"))
    case.platform.after = once(Killed())
    with pytest.raises(Killed):
        await surfaces.create_slack_thread(call)
    first = await surfaces.create_slack_thread(call)
    assert await surfaces.create_slack_thread(call) == first
    assert len(case.platform.opened) == 1
