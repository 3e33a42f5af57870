import pytest

from runllm.bridge.listeners import (
    AdminConsoleListener,
    DiscordChannel,
    DiscordListener,
    Listener,
    SlackChannel,
    SlackListener,
    WidgetListener,
    ZendeskListener,
)
from runllm.bridge.triggers import AllMessages, Emoji, Mention
from store.listening import first_overlap, overlap, place_of

TICKET, BUG = Emoji(shortcode="ticket"), Emoji(shortcode="bug")


def _widget(domain: str) -> WidgetListener:
    return WidgetListener(domain=domain)


def _slack(
    *channels: SlackChannel, team: str = "T1", default: AllMessages | Mention | Emoji | None = None
) -> SlackListener:
    return SlackListener(team_id=team, channels=list(channels), default_trigger=default or Mention())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (AdminConsoleListener(agent_id=1), AdminConsoleListener(agent_id=1)),
        (_widget("example.com"), _widget("Example.COM")),
        (_widget("*.example.com"), _widget("docs.example.com")),
        (_widget("*.example.com"), _widget("*.docs.example.com")),
        (_slack(), _slack()),
        (_slack(), _slack(SlackChannel(channel_id="C1"))),
        (_slack(SlackChannel(channel_id="C1")), _slack(SlackChannel(channel_id="C2"), SlackChannel(channel_id="C1"))),
        (_slack(default=AllMessages()), _slack(default=Mention())),
        (_slack(default=TICKET), _slack(SlackChannel(channel_id="C1", trigger=[Mention(), TICKET]))),
        (
            DiscordListener(guild_id="G1"),
            DiscordListener(guild_id="G1", channels=[DiscordChannel(channel_id="1", trigger=AllMessages())]),
        ),
        (ZendeskListener(subdomain="acme"), ZendeskListener(subdomain="acme.zendesk.com")),
        (ZendeskListener(subdomain="acme"), ZendeskListener(subdomain="acme", tags=["a"])),
        (ZendeskListener(subdomain="acme", tags=["a", "B"]), ZendeskListener(subdomain="acme", tags=["b"])),
    ],
)
def test_two_listeners_that_an_event_can_match_overlap(one: Listener, other: Listener) -> None:
    assert overlap(one, other)
    assert overlap(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (AdminConsoleListener(agent_id=1), AdminConsoleListener(agent_id=2)),
        (AdminConsoleListener(agent_id=1), _widget("example.com")),
        (_widget("example.com"), _widget("example.org")),
        (_widget("*.example.com"), _widget("example.com")),
        (_widget("*.example.com"), _widget("badexample.com")),
        (_slack(team="T1"), _slack(team="T2")),
        (_slack(SlackChannel(channel_id="C1")), _slack(SlackChannel(channel_id="C2"))),
        (_slack(default=TICKET), _slack(default=BUG)),
        (_slack(default=TICKET), _slack(default=AllMessages())),
        (
            _slack(SlackChannel(channel_id="C1", trigger=TICKET), default=Mention()),
            _slack(SlackChannel(channel_id="C1", trigger=BUG), default=Mention()),
        ),
        (DiscordListener(guild_id="G1"), DiscordListener(guild_id="G2")),
        (ZendeskListener(subdomain="acme"), ZendeskListener(subdomain="beta")),
        (ZendeskListener(subdomain="acme", tags=["a"]), ZendeskListener(subdomain="acme", tags=["b"])),
    ],
)
def test_two_listeners_that_no_event_can_match_do_not(one: Listener, other: Listener) -> None:
    assert not overlap(one, other)
    assert not overlap(other, one)


def test_the_listener_that_overlaps_is_ours() -> None:
    ours = [_widget("a.example.com"), _widget("b.example.com")]
    assert first_overlap(ours, [_widget("c.example.com"), _widget("*.example.com")]) == ours[0]
    assert first_overlap(ours, [_widget("b.example.com")]) == ours[1]
    assert first_overlap(ours, []) is None


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        (_widget("example.com"), "the widget of example.com"),
        (_slack(SlackChannel(channel_id="C1"), SlackChannel(channel_id="C2")), "the Slack workspace T1 (in C1, C2)"),
        (DiscordListener(guild_id="7"), "the Discord server 7"),
        (AdminConsoleListener(agent_id=3), "the admin console of agent 3"),
        (ZendeskListener(subdomain="acme", tags=["vip", "beta"]), "the Zendesk tickets of acme (vip, beta)"),
    ],
)
def test_a_place_is_told_in_words(listener: Listener, words: str) -> None:
    assert place_of(listener) == words
