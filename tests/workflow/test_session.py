"""The semantics of a session, each on a real Temporal server."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from gateways.wire import Call, Envelope, OwnUp, workflow_id
from runllm import operations as ops
from runllm.bridge.messages import UserChatMessage
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, SurfaceType, ZendeskTicket, ZendeskTicketConfig
from runllm.bridge.triggers import AllMessages, Happening, Mention
from tests.workflow.desk import Talk, eventually, open_desk, published
from worker.session.hosting import STALL_SECONDS, prepare, session_worker
from worker.session.watchdog import LIMIT_SECONDS

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(90)]


async def status(talk: Talk) -> WorkflowExecutionStatus | None:
    return (await talk.handle.describe()).status


async def history_of(talk: Talk) -> str:
    return (await talk.handle.fetch_history()).to_json()


# Events and triggers


@pytest.mark.parametrize("handler", ["answers", "answers_async"])
async def test_without_listen_the_entrypoint_handles_every_message(client: Client, handler: str) -> None:
    async with open_desk(client, published("front", handler)) as desk:
        talk = desk.session()
        await talk.say("one")
        await desk.until_posted("answer to one")
        await talk.say("two")
        await desk.until_posted("answer to one", "answer to two")
        assert {outcome for outcome, _ in (await talk.outcomes()).values()} == {"handled"}
        assert desk.lines == []


async def test_the_same_event_five_times_is_one_turn(client: Client) -> None:
    async with open_desk(client, published("front", "answers")) as desk:
        talk = desk.session()
        for _ in range(5):
            await talk.say("one", event_id="the same")
        await talk.say("two")
        await desk.until_posted("answer to one", "answer to two")


async def test_messages_that_come_while_a_handler_runs_wait_their_turn_in_order(client: Client) -> None:
    async with open_desk(client, published("front", "answers")) as desk:
        talk = desk.session()
        for i in range(12):
            await talk.say(str(i))
        await desk.until_posted(*(f"answer to {i}" for i in range(12)))


async def test_an_event_that_matches_no_trigger_is_ignored_with_a_reason(client: Client) -> None:
    async with open_desk(client, published("front", "answers")) as desk:
        talk = desk.session()
        await talk.say("one", listens_to=[Mention()])
        await talk.say("nobody is mentioned")
        await talk.say("elsewhere", surface=ChatWidget(config=ChatWidgetConfig(convo_identifier="elsewhere")))
        await talk.send(kind="button", wait_id=99, button_id="yes")
        await talk.send(kind="edit", surface=talk.surface)
        await desk.until_posted("answer to one")
        outcomes = await _settled(talk, 5)
        assert [outcomes[key][0] for key in sorted(outcomes)] == ["handled", "ignored", "ignored", "ignored", "handled"]
        assert [outcomes[key][1] for key in sorted(outcomes)][1:4] == [
            "it matches no trigger of the surface",
            "handler answers does not listen on this surface",
            "no handler waits for this button any more",
        ]


async def _settled(talk: Talk, count: int) -> dict[int, tuple[str, str]]:
    async def complete() -> bool:
        return len(await talk.outcomes()) >= count

    await eventually(complete)
    return await talk.outcomes()


# Parked handlers


async def test_a_parked_handler_does_not_hold_the_conversation(client: Client) -> None:
    async with open_desk(client, published("front", "parks")) as desk:
        talk = desk.session()
        await talk.say("ask")
        await desk.until_posted("helpful?")
        await talk.say("meanwhile")
        await desk.until_posted("helpful?", "you said meanwhile")
        await desk.until(lambda: any(report.phase == "waiting_for_button" for report in desk.reports))
        await talk.click("yes", desk.waits[0])
        await desk.until_posted("helpful?", "you said meanwhile", "clicked yes")
        await talk.click("no", desk.waits[0])
        await talk.say("after")
        await desk.until_posted("helpful?", "you said meanwhile", "clicked yes", "you said after")
        assert desk.reports[-1].phase == "listening"


async def test_several_handlers_can_be_parked_and_each_gets_its_own_click(client: Client) -> None:
    async with open_desk(client, published("front", "parks")) as desk:
        talk = desk.session()
        for _ in range(3):
            await talk.say("ask")
        await desk.until(lambda: len(desk.waits) == 3)
        for wait, button in zip(reversed(desk.waits), ("no", "yes", "no"), strict=True):
            await talk.click(button, wait)
        await desk.until_posted(*["helpful?"] * 3, "clicked no", "clicked yes", "clicked no")


async def test_a_click_that_beats_the_answer_of_the_platform_is_not_lost(client: Client) -> None:
    async with open_desk(client, published("front", "parks")) as desk:
        talk = desk.session()
        await talk.say("prepare")
        await desk.until_posted("you said prepare")
        clicked = asyncio.get_running_loop()
        clicks: list[Any] = []

        def click_first(call: Call[ops.PostMessage]) -> None:
            if call.operation.wait and not clicks:
                clicks.append(clicked.create_task(talk.click("yes", call.operation.wait.wait_id)))

        desk.before_post = click_first
        await talk.say("ask")
        await desk.until_posted("you said prepare", "helpful?", "clicked yes")


async def test_a_wait_whose_time_is_up_gives_none_and_the_late_click_is_ignored(client: Client) -> None:
    async with open_desk(client, published("front", "parks")) as desk:
        talk = desk.session()
        await talk.say("ask briefly")
        await desk.until_posted("quickly?", "clicked None")
        await desk.until(lambda: any(report.stop_waits == desk.waits for report in desk.reports))
        await talk.click("yes", desk.waits[0])
        outcomes = await _settled(talk, 2)
        assert ("ignored", "no handler waits for this button any more") in outcomes.values()


# Transitions


async def test_listen_moves_on_and_no_except_clause_catches_it(client: Client) -> None:
    async with open_desk(client, published("front", "moves", "second", "third")) as desk:
        talk = desk.session()
        await talk.say("a")
        await talk.say("b")
        await talk.say("c")
        await desk.until_posted("first", "second: b", "tags: ['urgent']", "third: c ['urgent']")
        await talk.handle.result()
        assert await status(talk) == WorkflowExecutionStatus.COMPLETED
        assert desk.reports[-1].phase == "closed"
        assert {o.outcome for o in desk.outcomes} == {"handled"}


async def test_the_last_transition_wins(client: Client) -> None:
    async with open_desk(client, published("front", "parks_then_moves", "second", "third")) as desk:
        talk = desk.session()
        await talk.say("ask")
        await desk.until_posted("helpful?")
        await talk.say("any")  # the entrypoint is still current: it moves to `second`
        await talk.click("yes", desk.waits[0])  # and the parked one, later, to `third`
        await talk.say("who is it")
        await desk.until_posted("helpful?", "third: who is it []")


async def test_terminate_cancels_parked_handlers_and_their_buttons(client: Client) -> None:
    async with open_desk(client, published("front", "parks_then_moves", "second", "third")) as desk:
        talk = desk.session()
        await talk.say("ask")
        await desk.until_posted("helpful?")
        await talk.say("end")
        await talk.handle.result()
        assert desk.posts == [("parks_then_moves", "helpful?")]
        assert desk.waits[0] in [wait for report in desk.reports for wait in report.stop_waits]


async def test_cancelling_the_workflow_closes_the_session_and_its_buttons(client: Client) -> None:
    async with open_desk(client, published("front", "parks")) as desk:
        talk = desk.session()
        await talk.say("ask")
        await desk.until(lambda: any(report.phase == "waiting_for_button" for report in desk.reports))
        await talk.handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await talk.handle.result()
        assert await status(talk) == WorkflowExecutionStatus.CANCELED
        assert desk.reports[-1].phase == "closed"
        assert desk.reports[-1].stop_waits == desk.waits
        assert desk.lines == [("error", "the session was cancelled in Temporal")]


async def test_a_listen_that_cannot_bind_is_the_customers_error(client: Client) -> None:
    async with open_desk(client, published("front", "binds_wrongly", "wants_slack")) as desk:
        talk = desk.session()
        await talk.say("a")
        await desk.until(lambda: bool(desk.lines))
        level, text = desk.lines[0]
        assert level == "error"
        assert "wants_slack" in text
        assert "thread" in text
        assert "front.py:" in text


async def test_mirrors_relay_every_message_to_the_other_surface(client: Client) -> None:
    async with open_desk(client, published("front", "mirrors")) as desk:
        talk = desk.session()
        other = ChatWidget(config=ChatWidgetConfig(convo_identifier=f"other-{talk.session_id}"))
        await talk.say("a")
        await desk.until(lambda: any(report.phase == "mirroring" for report in desk.reports))
        await talk.say("from here")
        await talk.say("from there", surface=other)
        await desk.until(lambda: len(desk.relays) == 2)
        assert [[s.config.convo_identifier for s in relay.to] for relay in desk.relays] == [  # type: ignore[union-attr]
            [other.config.convo_identifier],
            [talk.surface.config.convo_identifier],  # type: ignore[union-attr]
        ]
        outcomes = await _settled(talk, 3)
        assert [kind for kind, _ in outcomes.values()].count("mirrored") == 2
        assert desk.posts == []


# Mistakes in customer code


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("divide", ["ZeroDivisionError", "front.py:", "`breaks`"]),
        ("time", ["agent.now()", "front.py:"]),
        ("now", ["agent.now()"]),
        ("sleep", ["agent.sleep("]),
        ("random", ["agent.step("]),
        ("open", ["agent.step("]),
        ("urlopen", ["agent.step("]),
        ("httpx", ["agent.step("]),
        ("spin", ["1 s", "loop"]),
        ("slack", ["NotConnected", "Slack is not connected"]),
    ],
)
async def test_a_mistake_is_recorded_and_the_session_goes_on(client: Client, mistake: str, words: list[str]) -> None:
    async with open_desk(client, published("front", "breaks")) as desk:
        talk = desk.session()
        await talk.say(mistake)
        await talk.say("next")
        await desk.until_posted("fine: next")
        await desk.until(lambda: bool(desk.lines))
        assert len(desk.lines) == 1
        for word in words:
            assert word in desk.lines[0][1]
        outcomes = await _settled(talk, 2)
        assert {outcome for outcome, _ in outcomes.values()} == {"handled"}


async def test_a_task_may_take_longer_than_the_watchdog_needs_on_a_busy_machine(client: Client) -> None:
    """Read from the worker: how long a loop takes to use up its second is the machine's affair."""
    desk = published("front", "breaks")
    prepare(desk)
    worker = session_worker(client, desk, versioned=False)
    assert worker._workflow_worker is not None
    assert worker._workflow_worker._deadlock_timeout_seconds == STALL_SECONDS
    assert 4 * LIMIT_SECONDS < STALL_SECONDS < 10


async def test_a_model_that_is_down_is_an_error_the_handler_can_see(client: Client) -> None:
    async with open_desk(client, published("front", "answers")) as desk:
        talk = desk.session()
        await talk.say("model is down")
        await desk.until(lambda: bool(desk.lines))
        assert "ModelError: the model is down" in desk.lines[0][1]


@pytest.mark.parametrize("handler", ["answers", "streams"])
async def test_an_answer_whose_every_attempt_died_is_handed_over_to_a_person(client: Client, handler: str) -> None:
    async with open_desk(client, published("front", handler)) as desk:
        talk = desk.session()
        await talk.say("nobody survives this")
        await desk.until_posted("a person will look at it")
        await talk.say("one")
        await desk.until_posted("a person will look at it", "answer to one")
        assert desk.lines == [], "the handler went on as with any answer"


async def test_signals_that_make_no_sense_are_recorded_and_disturb_nothing(client: Client) -> None:
    async with open_desk(client, published("front", "answers")) as desk:
        talk = desk.session()
        await talk.say("one")
        await desk.until_posted("answer to one")
        await talk.handle.signal("event", {"kind": "from the future", "colour": "blue", "event_id": "x1"})
        await talk.handle.signal("event", "not an object")
        await talk.handle.signal("event")
        await talk.handle.signal("no_such_signal", 1)
        await talk.handle.signal("event", {"kind": "message", "surface": 7, "event_id": "x2"})
        await talk.say("two")
        await desk.until_posted("answer to one", "answer to two")
        await desk.until(lambda: len(desk.lines) >= 5)
        texts = " | ".join(text for _, text in desk.lines)
        for word in ("colour", "kind", "not an object", "no_such_signal", "surface"):
            assert word in texts


# What the agent offers beyond surfaces


async def test_print_is_logged_once_also_after_a_replay(client: Client) -> None:
    async with open_desk(client, published("front", "prints"), max_cached_workflows=0) as desk:
        talk = desk.session()
        await talk.say("a")
        await desk.until(lambda: len(desk.lines) == 2)
        assert desk.lines == [("print", "before 1"), ("print", "after")]


async def test_clocks_and_sleep_are_durable(client: Client) -> None:
    async with open_desk(client, published("front", "clocks"), max_cached_workflows=0) as desk:
        talk = desk.session()
        await talk.say("a")
        await desk.until_posted("True UTC")


async def test_a_step_runs_outside_the_sandbox_once_and_its_result_is_remembered(client: Client) -> None:
    async with open_desk(client, published("front", "steps"), max_cached_workflows=0) as desk:
        talk = desk.session()
        await talk.say("hello")
        await desk.until(lambda: len(desk.posts) == 3, 20)
        assert [text for _, text in desk.posts][:2] == [
            "[('file', True), ('text', 'hello'), ('time', True)]",
            "in a closure: True",
        ]
        assert desk.posts[2][1] == "ran 1 times"
        await talk.say("fail")
        await desk.until(lambda: bool(desk.lines))
        assert "StepError: step 'look up' failed 3 times: LookupError: no such customer" in desk.lines[0][1]


# Handlers that fail


async def test_whoever_wrote_is_told_once_that_the_handler_failed_and_the_session_goes_on(client: Client) -> None:
    async with open_desk(client, published("front", "stumbles"), max_cached_workflows=0) as desk:
        talk = desk.session()
        await talk.say("fail")
        await desk.until(lambda: bool(desk.apologies))
        await talk.say("hello")
        await desk.until_posted("answer to hello")
        await talk.say("ask")
        await desk.until(lambda: len(desk.waits) == 1)
        await talk.click("yes", desk.waits[0])
        await desk.until(lambda: len(desk.apologies) == 2)
        await talk.say("bye")
        await desk.until(lambda: desk.posts[-1][1] == "answer to bye")
        assert desk.apologies == [("stumbles", OwnUp(to=talk.surface))] * 2
        assert "secret of the house" in desk.lines[0][1]
        assert "secret" not in str([call for call in desk.calls if isinstance(call.operation, OwnUp)])


async def test_programs_reactions_and_silence_are_not_told_that_a_handler_failed(client: Client) -> None:
    async with open_desk(client, published("front", "stumbles")) as desk:
        talk = desk.session()
        await talk.say("hello")
        here = SurfaceType(talk.surface.type)
        await talk.say("fail", happening=Happening(surface=here, is_from_bot=True), trigger=AllMessages(from_bots=True))
        await talk.send(kind="reaction", surface=talk.surface, happening=Happening(surface=here), trigger=AllMessages())
        await talk.say("wait")
        await desk.until(lambda: len(desk.lines) >= 3)
        await talk.say("bye")
        await desk.until(lambda: desk.posts[-1][1] == "answer to bye")
        assert len([line for line in desk.lines if "LookupError" in line[1]]) == 3
        assert desk.apologies == []


async def test_on_a_ticket_the_team_alone_reads_that_its_reply_was_not_handled(client: Client) -> None:
    ticket = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="7"))
    async with open_desk(client, published("front", "stumbles")) as desk:
        talk = desk.session()
        said = {"surface": ticket, "happening": Happening(surface=SurfaceType.ZENDESK_TICKET), "kind": "message"}
        for number, staff in enumerate((True, False), 1):
            message = UserChatMessage(text="fail", chat_id=desk.record("fail"), is_from_staff=staff)
            await talk.send(message=message, **said)
            await desk.until(lambda number=number: len(desk.apologies) == number)
        assert [one.is_internal for _, one in desk.apologies] == [True, False]


async def test_where_the_surface_does_not_take_it_the_log_has_it_and_the_session_goes_on(client: Client) -> None:
    async with open_desk(client, published("front", "stumbles")) as desk:

        def refuse(call: Call[OwnUp]) -> None:
            raise ApplicationError("the channel is archived", type="Rejected", non_retryable=True)

        desk.before_own_up = refuse
        talk = desk.session()
        await talk.say("fail")
        await desk.until(lambda: len(desk.lines) == 2)
        assert desk.lines[1][1] == "nobody could be told of it on chat_widget: the channel is archived"
        await talk.say("hello")
        await desk.until_posted("answer to hello")


# The Web UI


async def test_the_session_reads_like_a_support_case(client: Client) -> None:
    async with open_desk(client, published("front", "parks")) as desk:
        talk = desk.session()
        await talk.say("ask")
        await desk.until(lambda: bool(desk.reports))
        description = await talk.handle.describe()
        assert description.workflow_type == desk.published.name
        attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
        assert attributes["RunllmWorkflow"] == desk.published.name
        assert attributes["RunllmState"] == "waiting_for_button"
        assert attributes["RunllmHandler"] == "parks"
        assert attributes["RunllmSurfaces"] == ["chat_widget"]
        query = f"RunllmState='waiting_for_button' AND RunllmWorkflow='{desk.published.name}'"

        async def is_listed() -> bool:
            return [w.id async for w in client.list_workflows(query)] == [workflow_id(talk.session_id)]

        await eventually(is_listed)
        metadata = await talk.handle.query("__temporal_workflow_metadata")
        assert "waits for a button" in str(metadata)
        history = await history_of(talk)
        assert "userMetadata" in history
        assert "turn-1" in history


# Size of history


async def test_a_text_enters_history_once(client: Client) -> None:
    import base64
    import json

    text = "why is the moon so very far away " * 30
    async with open_desk(client, published("front", "answers")) as desk:
        talk = desk.session()
        await talk.say(text)
        await desk.until_posted(f"answer to {text}")
        payloads = [base64.b64decode(data).decode() for data in _payloads(json.loads(await history_of(talk)))]
        assert sum(payload.count(text) for payload in payloads) == 2  # the question's and the answer's own


def _payloads(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["data"]] if isinstance(node.get("data"), str) else []
        return own + [x for value in node.values() for x in _payloads(value)]
    return [x for value in node for x in _payloads(value)] if isinstance(node, list) else []


# Surviving


async def test_an_envelope_of_a_newer_sender_is_still_understood() -> None:
    from gateways.wire import read_envelope

    envelope, problem = read_envelope(b'{"kind": "message", "event_id": "1", "new": 1}')
    assert (envelope.kind, envelope.event_id, problem) == ("message", "1", "unknown fields: new")
    assert read_envelope(Envelope(kind="message").model_dump_json().encode())[1] == ""
