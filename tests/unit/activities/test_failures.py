import asyncio
from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from runllm.errors import BY_NAME, ModelError, NotConnected, RateLimited, Rejected, Unavailable, UsageError
from runllm.operations import MessageRef
from worker.activities.failures import application_error
from worker.activities.interceptor import ActivityManners


@pytest.mark.parametrize("error", [NotConnected("c"), Rejected("r"), UsageError("u")])
def test_what_would_fail_again_is_not_tried_again(error: Exception) -> None:
    assert application_error(error).non_retryable


@pytest.mark.parametrize("error", [RateLimited("s"), Unavailable("u"), ModelError("m"), ValueError("ours")])
def test_everything_else_is_tried_again(error: Exception) -> None:
    assert not application_error(error).non_retryable


def test_a_platform_says_itself_when_to_come_back() -> None:
    assert application_error(RateLimited("slow", retry_after=12.5)).next_retry_delay == timedelta(seconds=12.5)
    assert application_error(Unavailable("down")).next_retry_delay is None


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_session_can_make_each_of_our_errors_itself_again(name: str) -> None:
    error = BY_NAME[name]("the text")
    crossed = application_error(error)
    assert (crossed.type, crossed.message) == (name, "the text")


def test_an_error_that_quotes_what_people_wrote_is_told_without_it() -> None:
    failed = IntegrityError("INSERT INTO messages VALUES (?)", {"text": "my secret"}, Exception("constraint"))
    with pytest.raises(ValidationError) as invalid:
        MessageRef.model_validate({"chat_id": "my secret"})
    for error in (failed, invalid.value):
        assert "secret" not in application_error(error).message
        assert application_error(error).type == type(error).__name__
    assert "secret" not in str(failed), "nor where it is logged again"


class _Activity(ActivityInboundInterceptor):
    """The end of the chain: the activity itself."""

    def __init__(self) -> None:
        """Not called with a next one, as there is none."""

    async def execute_activity(self, input: ExecuteActivityInput) -> object:
        return await input.fn(*input.args)


async def _run(environment: ActivityEnvironment, fn: object) -> object:
    chain = ActivityManners().intercept_activity(_Activity())
    given = ExecuteActivityInput(fn=fn, args=[], executor=None, headers={})  # type: ignore[arg-type]
    return await environment.run(chain.execute_activity, given)


async def test_errors_leave_an_activity_with_their_posture_and_without_words_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuses() -> None:
        raise Rejected("the text 'my secret' is refused")

    with pytest.raises(ApplicationError) as raised:
        await _run(ActivityEnvironment(), refuses)
    assert (raised.value.type, raised.value.non_retryable) == ("Rejected", True)
    assert "Rejected" in caplog.text
    assert "secret" not in caplog.text


async def test_an_activity_heartbeats_while_it_works() -> None:
    environment = ActivityEnvironment()
    environment.info = environment.info.__class__(
        **{**environment.info.__dict__, "heartbeat_timeout": timedelta(milliseconds=30)}
    )
    beats = asyncio.Event()
    environment.on_heartbeat = lambda *_: beats.set()

    async def works_until_it_beats() -> bool:
        assert activity.in_activity()
        return await beats.wait()

    assert await asyncio.wait_for(_run(environment, works_until_it_beats), 5) is True
