"""Which workflow an event belongs to, as tables."""

import pytest

from gateways.adapter import Inbound
from gateways.matching import closeness, match_routes, serves
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
from runllm.bridge.surfaces import (
    AdminConsole,
    AdminConsoleConfig,
    ChatSurface,
    ChatWidget,
    ChatWidgetConfig,
    DiscordThread,
    DiscordThreadConfig,
    SlackThread,
    SlackThreadConfig,
    SurfaceType,
    ZendeskTicket,
    ZendeskTicketConfig,
)
from runllm.bridge.triggers import AllMessages, Emoji, Happening, Mention, TicketComment, TicketStatus
from tests.unit.gateways.conftest import route

REFUSED = [
    ("example.com", "https://example.com.evil.net"),
    ("example.com", "https://evil-example.com"),
    ("example.com", "http://example.com"),
    ("example.com", "https://user:pass@example.com"),
    ("example.com", "null"),
    ("example.com", ""),
    ("example.com", "https://ex\u0430mple.com"),  # a Cyrillic a
    ("example.com", "https://example.com:8443"),
    ("*.acme.io", "https://acme.io"),
    ("example.com", "https://docs.example.com"),
    ("example.com", "https://example.com/path"),
    ("example.com", "https://example.com?x"),
    ("example.com", "https://exaXmple.com"),
    ("*.acme.io", "https://evilacme.io"),
    ("example.com:8443", "https://example.com"),
    ("example.com", "file://example.com"),
    ("example.com", "https://[::bad"),
    ("example.com", "https://example.com:notaport"),
    ("", "https://example.com"),
    ("*.", "https://example.com"),
    ("localhost", "http://localhost.evil.net"),
    ("localhost:3000", "http://localhost:3001"),
]
SERVED = [
    ("example.com", "https://example.com"),
    ("example.com", "https://EXAMPLE.com"),
    ("example.com", "https://example.com."),
    ("Example.COM.", "https://example.com"),
    ("example.com", "https://www.example.com"),
    ("example.com", "https://example.com:443"),
    ("*.acme.io", "https://docs.acme.io"),
    ("*.acme.io", "https://a.b.acme.io"),
    ("example.com:8443", "https://example.com:8443"),
    ("https://example.com", "https://example.com"),
    ("bücher.example", "https://xn--bcher-kva.example"),
    ("localhost", "http://localhost:8080"),
    ("localhost", "http://127.0.0.1:8080"),
    ("127.0.0.1", "http://localhost"),
    ("localhost:3000", "http://localhost:3000"),
    ("localhost", "http://[::1]:8080"),
]


@pytest.mark.parametrize(("domain", "origin"), REFUSED)
def test_a_foreign_page_is_refused(domain: str, origin: str) -> None:
    assert not serves(domain, origin)


@pytest.mark.parametrize(("domain", "origin"), SERVED)
def test_a_page_of_the_domain_is_served(domain: str, origin: str) -> None:
    assert serves(domain, origin)


def test_no_origin_is_no_page() -> None:
    assert not serves("example.com", None)


def test_the_closer_name_wins() -> None:
    page = "https://www.example.com"
    assert closeness("www.example.com", page) > closeness("example.com", page) > closeness("*.example.com", page) > 0
    routes = [
        route("wild", WidgetListener(domain="*.example.com")),
        route("named", WidgetListener(domain="example.com")),
    ]
    match = match_routes(routes, said(widget(), origin=page))
    assert match is not None
    assert match.published_name == "named"


def widget() -> ChatWidget:
    return ChatWidget(config=ChatWidgetConfig(convo_identifier="c"))


def slack(channel: str = "C1", team: str = "T1") -> SlackThread:
    return SlackThread(config=SlackThreadConfig(bot_conn_token="x", team_id=team, channel=channel))


def discord(channel: str = "7", guild: str = "1") -> DiscordThread:
    return DiscordThread(config=DiscordThreadConfig(guild_id=guild, channel_id=channel, thread_id="9"))


def console(agent_id: int) -> AdminConsole:
    return AdminConsole(config=AdminConsoleConfig(agent_id=agent_id, convo_identifier="c"))


def said(
    surface: ChatSurface, *, mention: bool = False, origin: str | None = None, emoji: str | None = None
) -> Inbound:
    happening = Happening(surface=surface.type, is_message=emoji is None, is_mention=mention, emoji=emoji)
    kind = "message" if emoji is None else "reaction"
    return Inbound(kind=kind, dedupe_key="k", surface=surface, happening=happening, origin=origin)


def comment(*tags: str, subdomain: str = "acme", **what: bool) -> Inbound:
    ticket = ZendeskTicket(config=ZendeskTicketConfig(subdomain=subdomain, id="7"))
    happening = Happening(surface=SurfaceType.ZENDESK_TICKET)
    return Inbound(kind="message", dedupe_key="k", surface=ticket, happening=happening, place_tags=list(tags), **what)


C1_ALL = SlackListener(team_id="T1", channels=[SlackChannel(channel_id="C1", trigger=AllMessages())])
C1_DEFAULT = SlackListener(team_id="T1", channels=[SlackChannel(channel_id="C1")])
C1_BOTH = SlackListener(
    team_id="T1", channels=[SlackChannel(channel_id="C1", trigger=[Mention(), Emoji(shortcode="ticket")])]
)
EVERYWHERE = SlackListener(team_id="T1", default_trigger=AllMessages())
GUILD = DiscordListener(guild_id="1", channels=[DiscordChannel(channel_id="7")])


@pytest.mark.parametrize(
    ("listener", "inbound", "expected"),
    [
        (C1_ALL, said(slack()), AllMessages()),
        (C1_ALL, said(slack("C2")), None),
        (C1_ALL, said(slack(team="T2")), None),
        (C1_DEFAULT, said(slack()), None),
        (C1_DEFAULT, said(slack(), mention=True), Mention()),
        (C1_BOTH, said(slack(), emoji="ticket"), Emoji(shortcode="ticket")),
        (C1_BOTH, said(slack(), emoji="eyes"), None),
        (C1_BOTH, said(slack(), mention=True), Mention()),
        (EVERYWHERE, said(slack("C9")), AllMessages()),
        (GUILD, said(discord(), mention=True), Mention()),
        (GUILD, said(discord()), None),
        (GUILD, said(discord("8"), mention=True), None),
        (GUILD, said(discord(guild="2"), mention=True), None),
        (GUILD, said(slack(), mention=True), None),
        (AdminConsoleListener(agent_id=3), said(console(3)), AllMessages()),
        (AdminConsoleListener(agent_id=3), said(console(4)), None),
        (WidgetListener(domain="a.example"), said(widget(), origin="https://a.example"), AllMessages()),
        (WidgetListener(domain="a.example"), said(widget(), origin="https://b.example"), None),
        (WidgetListener(domain="a.example"), said(widget()), None),
        (WidgetListener(domain="a.example"), said(console(1), origin="https://a.example"), None),
    ],
)
def test_which_trigger_starts_the_workflow(listener: Listener, inbound: Inbound, expected: object) -> None:
    match = match_routes([route("support", listener)], inbound)
    assert (match.trigger if match else None) == expected


def test_all_triggers_of_the_place_travel_with_the_match() -> None:
    match = match_routes([route("support", C1_BOTH)], said(slack(), mention=True))
    assert match is not None
    assert match.listens_to == [Mention(), Emoji(shortcode="ticket")]


def test_a_click_starts_nothing() -> None:
    click = Inbound(kind="button", dedupe_key="k", surface=slack())
    assert match_routes([route("support", EVERYWHERE)], click) is None


@pytest.mark.parametrize(
    ("listener", "inbound", "is_meant"),
    [
        (ZendeskListener(subdomain="acme"), comment(), True),
        (ZendeskListener(subdomain="Acme.zendesk.com"), comment("vip"), True),
        (ZendeskListener(subdomain="acme"), comment(subdomain="beta"), False),
        (ZendeskListener(subdomain="acme"), comment(is_internal=True), False),
        (ZendeskListener(subdomain="acme"), comment(is_from_staff=True), False),
        (ZendeskListener(subdomain="acme", tags=["VIP", "beta"]), comment("vip"), True),
        (ZendeskListener(subdomain="acme", tags=["VIP", "beta"]), comment("other"), False),
        (ZendeskListener(subdomain="acme", tags=["VIP"]), comment(), False),
        (ZendeskListener(subdomain="acme", default_trigger=TicketStatus()), comment(), False),
        (SlackListener(team_id="acme"), comment(), False),
    ],
)
def test_which_comments_start_a_conversation(listener: Listener, inbound: Inbound, is_meant: bool) -> None:
    match = match_routes([route("desk", listener)], inbound)
    assert (match is not None) is is_meant
    if match is not None:
        assert match.trigger == TicketComment()
