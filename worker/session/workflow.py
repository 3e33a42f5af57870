"""The session: one workflow, one conversation. It takes events one at a time and runs the current handler for each.

The life of a session is `run`; all that it knows is `SessionState`; customer code runs in a `HandlerRun`.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

from gateways.wire import (
    EVENT_SIGNAL,
    AskUpgrade,
    Envelope,
    LogLine,
    Outcome,
    OwnUp,
    Report,
    UpgradeAdvice,
    read_envelope,
)
from runllm.agent import Agent
from runllm.bridge.core import Conversation, Event
from runllm.bridge.messages import recorded
from runllm.bridge.surfaces import ChatSurface, SurfaceType, surface_key
from runllm.bridge.triggers import AllMessages, Trigger, default_trigger, first_that_fires
from runllm.errors import HandlerLeft, RunLLMError, UsageError
from runllm.parameters import bind
from runllm.tools import ToolWrapper
from worker.session import details
from worker.session.breaker import Breaker
from worker.session.customer_errors import describe
from worker.session.handlers import run_handler
from worker.session.mirror import ON_RECORD, Mirror
from worker.session.performer import perform
from worker.session.published import Handler, handlers_of, served, tools_of
from worker.session.reporting import Reporter
from worker.session.run import HandlerRun
from worker.session.state import Listened, SessionState
from worker.session.watchdog import HandlerSpun

_OWNS_UP = "owns-up"


@workflow.defn(dynamic=True)
class Session:
    """A conversation's durable execution."""

    @workflow.init
    def __init__(self, args: Sequence[RawValue]) -> None:
        self.state = workflow.payload_converter().from_payload(args[0].payload, SessionState)
        self._published = served(self.state.published_name)
        self._handlers = handlers_of(self.state.published_name)
        self._parked: list[HandlerRun] = []
        self.state.build_id = self.state.build_id or self._published.build_id
        self._reporter = Reporter(self.state)
        self._mirroring = Mirror(self.state, self._reporter, lambda relay, effect: self.perform(relay, effect=effect))
        self._breaker = Breaker(self.state, self._reporter)
        self._shown = details.Shown()

    @workflow.signal(dynamic=True)
    def event(self, name: str, args: Sequence[RawValue]) -> None:
        """Takes an event in; the loop handles it.

        Dynamic, so that any name with any arguments arrives here: the SDK would fail the task, for ever, on a signal
        whose arguments do not fit a method's parameters.
        """
        if name != EVENT_SIGNAL or len(args) != 1:
            self._reporter.error(
                f"signal {name!r} with {len(args)} arguments: sessions take {EVENT_SIGNAL!r} with an envelope"
            )
        for argument in args[:1] if name == EVENT_SIGNAL else []:
            self._take_in(argument.payload.data)

    @workflow.query
    def outcomes(self) -> list[Outcome]:
        """What became of events that the record may not know of yet."""
        return self.state.outcomes

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        """Lives until the customer's code terminates it, and further while it mirrors surfaces."""
        self.state.build_id = self._published.build_id
        self._mirroring.follow()
        self._show()
        try:
            while self.state.phase != "closed":
                await self._until_there_is_work()
                await self._move_on_if_due()
                await self._work()
                await self._report()
        except asyncio.CancelledError:  # somebody cancelled the workflow, or this process lets go of it
            self._reporter.error("the session was cancelled in Temporal")
            self.terminate([])
            await self._close()
            raise
        await self._close()

    # The loop

    async def _until_there_is_work(self) -> None:
        deadline = self.state.deadline
        patience = None if deadline is None else max(deadline - workflow.now(), timedelta())
        try:
            await workflow.wait_condition(self._has_work, timeout=patience, timeout_summary="silence")
        except TimeoutError:
            return

    def _has_work(self) -> bool:
        return (
            bool(self.state.inbox)
            or self._reporter.has_lines
            or any(run.waiting_for and run.waiting_for.is_over for run in self._parked)
            or self._is_due_to_move()
        )

    async def _work(self) -> None:
        over = next((run for run in self._parked if run.waiting_for and run.waiting_for.is_over), None)
        if over is not None:
            await self._resume(over)
        elif self.state.inbox:
            await self._handle(self.state.inbox.pop(0))
        elif self.state.deadline is not None and workflow.now() >= self.state.deadline:
            await self._break_silence()

    async def _handle(self, envelope: Envelope) -> None:
        self._breaker.look_at(envelope)
        match envelope.kind:
            case "status" if self.state.phase == "mirroring":
                self._reporter.account(envelope, "ignored", "it is on record; changes of status are not mirrored")
            case "message" | "reaction" | "edit" | "delete" if self.state.phase == "mirroring":
                await self._mirror(envelope)
            case "message" | "reaction" | "status":
                await self._message(envelope)
            case "button":
                await self._click(envelope)
            case "control":
                self._control(envelope)
            case "edit" | "delete":
                await self._change_copies(envelope)
            case "feedback":
                self._reporter.account(envelope, "handled")
            case "unknown":
                self._reporter.account(envelope, "ignored", "this version does not know that kind of event")

    # Kinds of events

    async def _message(self, envelope: Envelope) -> None:
        surface = envelope.surface
        if surface is None or envelope.happening is None:
            self._reporter.account(envelope, "ignored", "the event does not say where it happened")
            return
        if not self.state.on:  # the first event: the origin surface is listened to from the start
            first = envelope.trigger or default_trigger(surface)
            self.state.on = [Listened(surface=surface, triggers=envelope.listens_to or [first])]
            self.state.known = [surface_key(surface)]
        listened = self.state.listened(surface_key(surface))
        if listened is None:
            self._reporter.account(
                envelope, "ignored", f"handler {self._handler_name()} does not listen on this surface"
            )
            return
        trigger = envelope.trigger or first_that_fires(listened.triggers, envelope.happening)
        if trigger is None:
            why = "a program wrote it" if envelope.happening.is_from_bot else "it matches no trigger of the surface"
            self._reporter.account(envelope, "ignored", why)
            return
        if not self._breaker.lets_pass(envelope):
            return
        conversation = self._conversation(envelope, surface)
        # Taken in for good: a handler that parks may take weeks, and the message is not waiting for it.
        self._reporter.account(envelope, "handled")
        is_asked = envelope.kind == "message" and not envelope.happening.is_from_bot
        await self._run(self._handler_name(), Event(conversation=conversation, trigger=trigger), is_asked)

    async def _break_silence(self) -> None:
        self.state.deadline = None
        listened = self.state.on[0]
        trigger = listened.triggers[0] if listened.triggers else AllMessages()
        conversation = Conversation(session_id=self.state.session_id, surface=listened.surface, tags=self.state.tags)
        handler, self.state.on_timeout = self.state.on_timeout, ""
        await self._run(handler, Event(conversation=conversation, trigger=trigger, timed_out=True))

    async def _click(self, envelope: Envelope) -> None:
        run = next((r for r in self._parked if r.waiting_for and r.waiting_for.wait_id == envelope.wait_id), None)
        if run is None or run.waiting_for is None:
            self._reporter.account(envelope, "ignored", "no handler waits for this button any more")
            return
        run.waiting_for.click = envelope
        # The gateway has shown at once who chose what, unless it was killed: the report shows it in any case.
        self._reporter.end_wait(envelope.wait_id)
        self._reporter.account(envelope, "handled")
        await self._resume(run)

    async def _mirror(self, envelope: Envelope) -> None:
        source = envelope.surface
        chat_id = envelope.message.chat_id if envelope.message else None
        targets = [s for s in self.state.mirror if source is None or surface_key(s) != surface_key(source)]
        if source is None or chat_id is None or envelope.kind == "reaction":
            self._reporter.account(envelope, "ignored", "reactions are not mirrored" if source else "nothing to mirror")
        elif len(targets) == len(self.state.mirror):
            self._reporter.account(envelope, "ignored", "the session ended on this surface")
        elif self._breaker.lets_pass(envelope):
            await self._mirroring.repeat(envelope, source, chat_id, targets)

    async def _change_copies(self, envelope: Envelope) -> None:
        """What changed on one surface changes wherever `sync_conversation` has copied it."""
        source, chat_id = envelope.surface, envelope.message.chat_id if envelope.message else None
        targets = [s for s in self.state.copied if source is not None and surface_key(s) != surface_key(source)]
        if source is None or chat_id is None or not targets:
            self._reporter.account(envelope, "handled", ON_RECORD)
        elif self._breaker.lets_pass(envelope):
            await self._mirroring.repeat(envelope, source, chat_id, targets)

    def _control(self, envelope: Envelope) -> None:
        match envelope.action:
            case "tags":
                self.state.tags = envelope.tags
            case "close":
                self.terminate([])
            case _:
                pass  # `upgrade` only wakes the session: moving on is checked before every event
        self._reporter.account(envelope, "handled")

    # Turns

    async def _run(self, name: str, event: Event, is_asked: bool = False) -> None:
        self.state.turns += 1
        run = HandlerRun(self, name)
        restart_silence, current = self.state.deadline is not None, self.state.handler
        with workflow.create_event_group(f"turn-{self.state.turns}", label=f"Turn {self.state.turns}: {name}").scope():
            run.job = asyncio.create_task(self._execute(run, event, is_asked))
            await self._until_turn_is_free(run)
        if restart_silence and self.state.handler == current and self.state.deadline is not None:
            self.state.deadline = workflow.now() + self.state.silence

    async def _resume(self, run: HandlerRun) -> None:
        if run.waiting_for and run.waiting_for.is_over:
            self._reporter.end_wait(run.waiting_for.wait_id)
        self._parked.remove(run)
        run.give_turn()
        await self._until_turn_is_free(run)

    async def _until_turn_is_free(self, run: HandlerRun) -> None:
        self._show()
        await workflow.wait_condition(lambda: run.phase != "running")
        if run.failure is not None:
            raise run.failure
        if run.phase == "parked":
            self._parked.append(run)

    async def _execute(self, run: HandlerRun, event: Event, is_asked: bool) -> None:
        try:
            error = await self._attempt(run, event)
            if error is not None:
                self._reporter.error(describe(error, run.handler, self._published.directory), run.handler)
                if is_asked:
                    await self._own_up(run.handler, event.conversation)
        finally:
            run.phase = "done"

    async def _attempt(self, run: HandlerRun, event: Event) -> BaseException | None:
        """Runs a handler; the error of the customer's code that it ends with, if it ends with one."""
        try:
            wrapper = self._handler(run.handler)
            arguments = bind(wrapper.function, self.state.surfaces)
            agent = Agent(run, event)
            await run_handler(lambda: wrapper.function(agent, event, **arguments), print_line=run.print_line)
        except (HandlerLeft, asyncio.CancelledError):
            pass
        except (
            RestrictedWorkflowAccessError,
            HandlerSpun,
        ) as error:  # the customer's, though the first is a kind of ours
            return error
        except workflow.NondeterminismError as error:
            run.failure = error
        except Exception as error:
            return error
        return None

    async def _own_up(self, handler: str, conversation: Conversation) -> None:
        """Tells whoever wrote that their message was not dealt with as it should have been."""
        message, surface = conversation.new_message, conversation.surface
        # Sessions that lived through this before anybody was told replay what they did then.
        if not workflow.patched(_OWNS_UP):
            return
        is_staff = message is not None and (message.is_internal or message.is_from_staff)
        is_internal = is_staff and surface.type is SurfaceType.ZENDESK_TICKET
        try:
            await self.perform(OwnUp(to=surface, is_internal=is_internal), handler)
        except RunLLMError as error:
            self._reporter.error(f"nobody could be told of it on {surface.type}: {error}", handler)
        except asyncio.CancelledError:
            pass

    # What handlers ask of the session: see SessionServices

    async def perform(self, operation: Any, handler: str = "", effect: int | None = None) -> Any:
        """Performs an operation as an activity."""
        result = await perform(self.state, operation, handler, effect)
        details.learn(self.state, operation, result)
        return result

    def next_effect(self) -> int:
        """A number no other effect of this session has."""
        return self.state.next_effect()

    def tools(self) -> list[ToolWrapper]:
        """All tools of the published workflow."""
        return tools_of(self.state.published_name)

    def listen(
        self,
        on: Sequence[ChatSurface],
        handler: str,
        triggers: Sequence[Trigger] | None,
        timeout: timedelta | None,
        on_timeout: str,
    ) -> None:
        """Makes another handler the current one: the last call wins."""
        for name in filter(None, (handler, on_timeout)):
            bind(self._handler(name).function, on)
        chosen = triggers if triggers is not None else [default_trigger(surface) for surface in on]
        self.state.on = [Listened(surface=s, triggers=[t]) for s, t in zip(on, chosen, strict=True)]
        self.state.handler = handler
        self.state.silence = timeout or timedelta()
        self.state.deadline = None if timeout is None else workflow.now() + timeout
        self.state.on_timeout = on_timeout

    def terminate(self, keep_in_sync: Sequence[ChatSurface]) -> None:
        """Cancels parked handlers, and goes on as a mirror or not at all."""
        self.state.deadline = None
        self.state.mirror = list(keep_in_sync)
        self.state.phase = "mirroring" if keep_in_sync else "closed"
        for run in self._parked:
            if run.waiting_for is not None:
                self._reporter.end_wait(run.waiting_for.wait_id)
            if run.job is not None:
                run.job.cancel()
        self._parked = []

    def log(self, line: LogLine) -> None:
        """Adds to the session's log; it is recorded at the end of the turn."""
        self._reporter.log(line)

    # The record and the Web UI

    async def _report(self) -> None:
        if self.state.phase not in ("mirroring", "closed"):
            self.state.phase = "waiting_for_button" if self._parked else "listening"
        self._show()
        report = self._reporter.due(self._handler_name())
        if report is not None:
            await self._try(report)

    async def _try(self, report: Report) -> bool:
        try:
            await self.perform(report)
        except RunLLMError as error:  # a report on a report that fails would never end
            workflow.logger.error("session %d: a report failed: %s", self.state.session_id, error)
            return False
        return True

    async def _close(self) -> None:
        await self._mirroring.give_up()
        while True:
            while self.state.inbox:
                self._reporter.account(self.state.inbox.pop(0), "ignored", "the session is closed")
            report = self._reporter.last(self._handler_name())
            if report is None or not await self._try(report):
                return

    def _show(self) -> None:
        self._shown.update(self.state, self._handler_name(), self._parked, self._published)

    # Small things

    def _take_in(self, data: bytes) -> None:
        envelope, problem = read_envelope(data)
        if problem:
            self._reporter.error(f"a signal was not understood in full: {problem}")
        if self.state.is_new(envelope.event_id):
            self.state.inbox.append(envelope)

    def _handler_name(self) -> str:
        return self.state.handler or self._published.entrypoint.name

    def _handler(self, name: str) -> Handler:
        try:
            return self._handlers[name]
        except KeyError:
            raise UsageError(
                f"handler {name!r} is not part of this version: pass it to Client.publish(tasks=[...])"
            ) from None

    def _conversation(self, envelope: Envelope, surface: ChatSurface) -> Conversation:
        message = recorded(envelope.message) if envelope.message else None
        tags = list(self.state.tags)
        return Conversation(session_id=self.state.session_id, new_message=message, surface=surface, tags=tags)

    # Moving on to a new run, and to a new version

    def _is_due_to_move(self) -> bool:
        info = workflow.info()
        return not self._parked and (
            info.is_continue_as_new_suggested() or info.is_target_worker_deployment_version_changed()
        )

    async def _move_on_if_due(self) -> None:
        """Continues as new while no handler is running or parked, before the next event, which travels in the inbox."""
        if not self._is_due_to_move() or self.state.phase == "closed":
            return
        await self._mirroring.rest()
        await self._report()
        behaviour = workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE
        if workflow.info().is_target_worker_deployment_version_changed() and not await self._new_version_fits():
            # Without AUTO_UPGRADE this run stays on its version, and is not told of that newer one again.
            workflow.continue_as_new(args=[self.state])
        workflow.continue_as_new(args=[self.state], initial_versioning_behavior=behaviour)

    async def _new_version_fits(self) -> bool:
        if self.state.phase == "mirroring":
            return True
        needed = [name for name in (self.state.handler, self.state.on_timeout) if name]
        advice: UpgradeAdvice = await self.perform(
            AskUpgrade(published_name=self.state.published_name, handlers=needed)
        )
        return advice.yes


# The sandbox imports a workflow class by its module's name, anew for each run: this module brings the customer's along.
Session.__module__ = "worker.sandboxed"
