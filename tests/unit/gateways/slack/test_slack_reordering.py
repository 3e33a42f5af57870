"""Slack promises no order: an edit or a deletion may come before the message that it changes."""

import pytest

from gateways.routing import DELETED, OUTDATED
from gateways.settings import GatewaySettings
from runllm.testing.platforms.slack import FakeSlack
from store.engine import Store
from tests.unit.gateways.conftest import make_current
from tests.unit.gateways.doubles import FakeTemporal
from tests.unit.gateways.slack.conftest import EVERYTHING, SlackSettings, connect, serving

pytestmark = pytest.mark.contract


SAID, FIRST, SECOND = 0, 1, 2


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ([FIRST, SAID, SECOND], "Hello, all"),
        ([SECOND, SAID, FIRST], "Hello, all"),
        ([FIRST, SECOND, SAID], "Hello, all"),
        ([SECOND, FIRST, SAID], "Hello, all"),
        ([SAID, SECOND, FIRST], "Hello, all"),
        ([SECOND, SECOND, SAID, SAID, SECOND, FIRST, FIRST], "Hello, all"),
        ([FIRST, FIRST, SAID, FIRST, SAID], "Hello"),
    ],
)
async def test_in_whatever_order_they_come_the_last_edit_counts_once(
    settings: GatewaySettings,
    store: Store,
    temporal: FakeTemporal,
    slack: FakeSlack,
    slack_settings: SlackSettings,
    order: list[int],
    text: str,
) -> None:
    await make_current(store, EVERYTHING)
    await connect(store, slack_settings)
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        slack.held = []
        ts = await slack.say("C1", "U1", "Helo")
        await slack.edit("C1", ts, "Hello")
        await slack.edit("C1", ts, "Hello, all")
        held, half = slack.held, order[: len(order) // 2]
        await slack.release(*half)
        await place.quiet()
    async with serving(settings, store, temporal, slack, slack_settings) as place:  # a restart in between
        slack.held = held
        await slack.release(*order[len(half) :])
        await place.quiet()
        [message] = await place.messages()
        assert (message.text, message.edited_at is not None) == (text, True)
        said = [turn for turn in place.turns if turn.kind == "message"]
        assert len(said) == 1
        assert len(await place.rows()) == len(set(order))
        reasons = {row.reason for row in await place.rows() if row.outcome == "ignored"}
        assert reasons <= {OUTDATED}, "an edit is lost"


@pytest.mark.parametrize("order", [[2, 0], [2, 0, 2, 0], [1, 2, 0], [2, 1, 0, 1]])
async def test_a_message_that_was_deleted_before_it_came_is_not_answered_nor_kept(
    settings: GatewaySettings,
    store: Store,
    temporal: FakeTemporal,
    slack: FakeSlack,
    slack_settings: SlackSettings,
    order: list[int],
) -> None:
    await make_current(store, EVERYTHING)
    await connect(store, slack_settings)
    async with serving(settings, store, temporal, slack, slack_settings) as place:
        slack.held = []
        ts = await slack.say("C1", "U1", "my password is hunter2")
        await slack.edit("C1", ts, "my password is secret")
        await slack.delete("C1", ts)
        await slack.release(*order)
        await place.quiet()
        assert await place.messages() == []
        assert place.turns == []
        [row] = [row for row in await place.rows() if row.kind == "message"]
        assert (row.outcome, row.reason) == ("ignored", DELETED)
        assert "hunter2" not in str([vars(row) for row in await place.rows()])
