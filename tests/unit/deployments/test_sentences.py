"""What publishers read about their versions."""

import pytest

from worker.deployments.differences import first_difference
from worker.deployments.environment import for_customer_code
from worker.deployments.sessions import Live, can_move, why_they_stay
from worker.deployments.verdicts import Replayed

NEW = ["answer", "triage"]


def live(handler: str, state: str = "listening") -> Live:
    return Live("session-1", "run", handler, state)


@pytest.mark.parametrize(
    ("session", "may"),
    [
        (live("answer"), True),
        (live("answer", "handling"), True),
        (live(""), True),  # nothing has happened in it yet
        (live("follow_up"), False),
        (live("answer", "waiting_for_button"), False),
        (live("follow_up", "mirroring"), True),  # no handler of it will run again
    ],
)
def test_a_session_can_move_where_its_handler_is_and_nothing_is_parked(session: Live, may: bool) -> None:
    assert can_move(session, NEW) is may


def test_nobody_stays_is_no_sentence() -> None:
    assert why_they_stay([live("answer"), live("triage")], "3f9c", NEW) == ""


def test_one_that_stays() -> None:
    assert why_they_stay([live("follow_up"), live("answer")], "3f9c", NEW) == (
        "1 session waits in `follow_up`, which this version does not have: it stays on 3f9c"
    )


def test_several_that_stay_for_several_reasons() -> None:
    waiting = [live("follow_up")] * 3 + [live("ask"), live("answer", "waiting_for_button")]
    assert why_they_stay(waiting, "3f9c", NEW) == (
        "1 session waits in `ask`, which this version does not have; 3 sessions wait in `follow_up`, which this "
        "version does not have; 1 session waits for a button: they stay on 3f9c"
    )


@pytest.mark.parametrize(
    ("replayed", "sentence"),
    [
        (Replayed(), "no conversations yet"),
        (Replayed(same=1), "1 recent conversation: it takes the same path"),
        (Replayed(same=12), "12 recent conversations: all take the same path"),
        (
            Replayed(same=11, other=1, first_difference="here"),
            "12 recent conversations: 11 the same, 1 takes another path (here)",
        ),
        (
            Replayed(same=2, other=2, first_difference="here", unread=3),
            "4 recent conversations: 2 the same, 2 take another path (here); no time for 3 more",
        ),
        (Replayed(unread=4), "no time to replay any of the recent conversations"),
    ],
)
def test_a_replay_is_told_in_one_sentence(replayed: Replayed, sentence: str) -> None:
    assert replayed.sentence() == sentence


def test_the_first_difference_names_both_calls() -> None:
    error = RuntimeError(
        "[TMPRL1100] Nondeterminism error: Activity type of scheduled event 'answers.answer' does not match activity "
        "type of activity command 'answers.chat'"
    )
    assert first_difference(error) == "`answers.answer` was called where this version calls `answers.chat`"


def test_customer_code_gets_what_it_needs_and_no_secret() -> None:
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "TEMPORAL_ADDRESS": "temporal:7233",
        "TEMPORAL_API_KEY": "for hosts only",
        "RUNLLM_SECRET": "s",
        "RUNLLM_DATABASE_URL": "postgresql://u:p@h/d",
        "ANTHROPIC_API_KEY": "k",
        "AWS_SECRET_ACCESS_KEY": "k",
    }
    assert for_customer_code(environ, temporal=False) == {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "RUNLLM_LOADING": "1",
        "RUNLLM_API_KEY": "not-available-on-session-hosts",
        "PYTHONUNBUFFERED": "1",
    }
    assert for_customer_code(environ, temporal=True)["TEMPORAL_API_KEY"] == "for hosts only"
