"""Which published workflow an event belongs to: pure rules over listeners."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from gateways.adapter import Inbound
from runllm.bridge.listeners import (
    AdminConsoleListener,
    DiscordListener,
    Listener,
    SlackListener,
    WidgetListener,
    ZendeskListener,
    as_list,
)
from runllm.bridge.surfaces import AdminConsole, ChatWidget, DiscordThread, SlackThread, ZendeskTicket
from runllm.bridge.triggers import AllMessages, AnyTrigger, Happening, Trigger, first_that_fires
from runllm.operations import Frozen

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Route(Frozen):
    """A published workflow and the listeners of its current version."""

    published_name: str
    agent_id: int
    listeners: list[Listener]


class Match(Frozen):
    """The workflow an event starts, the trigger that fired, and all triggers that its listener has there."""

    published_name: str
    agent_id: int
    trigger: AnyTrigger
    listens_to: list[AnyTrigger]


def match_routes(routes: Sequence[Route], inbound: Inbound) -> Match | None:
    """The workflow that `inbound` starts; None where nobody listens or no trigger fires.

    Of two that serve a page, the one that names it more closely is meant: `www.example.com` before `*.example.com`.
    """
    if inbound.happening is None:
        return None
    found: list[tuple[int, Match]] = []
    for route in routes:
        for listener in route.listeners:
            triggers = triggers_for(listener, inbound)
            trigger = first_that_fires(triggers, inbound.happening)
            if trigger is not None:
                match = Match(
                    published_name=route.published_name,
                    agent_id=route.agent_id,
                    trigger=trigger,
                    listens_to=list(triggers),
                )
                found.append((_closeness(listener, inbound), match))
    return max(found, key=lambda rank_and_match: rank_and_match[0])[1] if found else None


def marked(inbound: Inbound) -> Inbound:
    """The event, with what triggers are to know of its author."""
    if not inbound.is_from_bot:
        return inbound
    happening = inbound.happening or Happening(surface=inbound.surface.type, is_message=False)
    return inbound.model_copy(update={"happening": happening.model_copy(update={"is_from_bot": True})})


def _closeness(listener: Listener, inbound: Inbound) -> int:
    return closeness(listener.domain, inbound.origin) if isinstance(listener, WidgetListener) else 1


def triggers_for(listener: Listener, inbound: Inbound) -> list[Trigger]:
    """What `listener` waits for at the place of `inbound`; nothing where it does not listen there."""
    match listener, inbound.surface:
        case WidgetListener(domain=domain), ChatWidget():
            return [AllMessages()] if serves(domain, inbound.origin) else []
        case AdminConsoleListener(agent_id=agent_id), AdminConsole(config=config):
            return [AllMessages()] if agent_id == config.agent_id else []
        case SlackListener(team_id=team_id), SlackThread(config=config) if team_id == config.team_id:
            return _of_channel(listener, config.channel)
        case DiscordListener(guild_id=guild_id), DiscordThread(config=config) if guild_id == config.guild_id:
            return _of_channel(listener, config.channel_id)
        case ZendeskListener(subdomain=subdomain), ZendeskTicket() as ticket if subdomain == ticket.subdomain:
            return as_list(listener.default_trigger) if _may_start(listener, inbound) else []
        case _:
            return []


def is_listened(routes: Sequence[Route], inbound: Inbound) -> bool:
    """Whether some published workflow listens at the place of `inbound`, whatever it waits for."""
    message = inbound.model_copy(update={"kind": "message"})
    return any(triggers_for(listener, message) for route in routes for listener in route.listeners)


def _of_channel(listener: SlackListener | DiscordListener, channel_id: str) -> list[Trigger]:
    """The channel's own triggers, the default ones without; all channels count where none are named."""
    if not listener.channels:
        return as_list(listener.default_trigger)
    for channel in listener.channels:
        if channel.channel_id == channel_id:
            return as_list(channel.trigger if channel.trigger is not None else listener.default_trigger)
    return []


def _may_start(listener: ZendeskListener, inbound: Inbound) -> bool:
    """A customer's public comment, on a ticket with one of the listener's tags where it names any."""
    is_customers = inbound.kind == "message" and not inbound.is_internal and not inbound.is_from_staff
    wanted = {tag.lower() for tag in listener.tags or []}
    return is_customers and (not wanted or not wanted.isdisjoint(inbound.place_tags))


def serves(domain: str, origin: str | None) -> bool:
    """Whether a page with this `Origin` belongs to a listener's domain."""
    return closeness(domain, origin) > 0


def closeness(domain: str, origin: str | None) -> int:
    """How closely a listener's domain names the page with this `Origin`; 0 where it does not.

    `example.com` is that host and its `www.`; `*.example.com` its subdomains, not itself; `example.com:8443` that port
    only. Pages come over https, except on the machine itself: `localhost` is any loopback address, on any port.
    """
    page, wanted = _parse_origin(origin), _parse_domain(domain)
    if page is None or wanted is None:
        return 0
    scheme, host, port = page
    pattern, wanted_port = wanted
    if pattern in _LOOPBACK:
        return 1000 if host in _LOOPBACK and wanted_port in (None, port) else 0
    if scheme != "https" or port != (wanted_port or 443):
        return 0
    if pattern.startswith("*."):
        return len(pattern) if host.endswith(pattern[1:]) else 0
    return {pattern: 1000, f"www.{pattern}": 999}.get(host, 0)


def serves_any(routes: Sequence[Route], origin: str | None) -> bool:
    """Whether some published workflow listens to widgets of this page."""
    listeners = (listener for route in routes for listener in route.listeners)
    return any(isinstance(x, WidgetListener) and serves(x.domain, origin) for x in listeners)


def _parse_origin(origin: str | None) -> tuple[str, str, int] | None:
    """Scheme, host and port of an `Origin` header; None for `null` and everything that is not exactly an origin."""
    try:
        parts = urlsplit(origin or "")
        host, port = _host(parts.hostname), parts.port
    except ValueError:
        return None
    if host is None or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        return None
    if parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def _parse_domain(domain: str) -> tuple[str, int | None] | None:
    """Host pattern and port of a listener's domain, which may carry a scheme."""
    wildcard = domain.startswith("*.")
    text = domain.removeprefix("*.")
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = _host(parts.hostname), parts.port
    except ValueError:
        return None
    return None if host is None else (f"*.{host}" if wildcard else host, port)


def _host(host: str | None) -> str | None:
    """A host as browsers write it: lower case, no dot at the end, IDNA."""
    if not host:
        return None
    host = host.lower().removesuffix(".")
    return host if host.isascii() else host.encode("idna").decode()
