"""Whether two listeners claim the same events, so that nobody could say which workflow is to answer."""

from collections.abc import Sequence

from runllm.bridge.listeners import (
    AdminConsoleListener,
    DiscordChannel,
    DiscordListener,
    Listener,
    SlackChannel,
    SlackListener,
    WidgetListener,
    ZendeskListener,
    as_list,
)
from runllm.bridge.triggers import Emoji, Trigger

_EVERYWHERE = None


def first_overlap(ours: Sequence[Listener], theirs: Sequence[Listener]) -> Listener | None:
    """The first of `ours` that claims events which one of `theirs` claims too."""
    return next((one for one in ours if any(overlap(one, other) for other in theirs)), None)


def overlap(one: Listener, other: Listener) -> bool:
    """Whether an event can match both."""
    match one, other:
        case WidgetListener(domain=a), WidgetListener(domain=b):
            return _same_site(a.lower(), b.lower())
        case AdminConsoleListener(agent_id=a_id), AdminConsoleListener(agent_id=b_id):
            return a_id == b_id
        case SlackListener(team_id=a), SlackListener(team_id=b):
            return a == b and _share_a_channel(_claims(one), _claims(other))
        case DiscordListener(guild_id=a), DiscordListener(guild_id=b):
            return a == b and _share_a_channel(_claims(one), _claims(other))
        case ZendeskListener(subdomain=a), ZendeskListener(subdomain=b):
            return a == b and _share_a_ticket(one.tags or [], other.tags or [])
    return False


def place_of(listener: Listener) -> str:
    """Where somebody listens, in words."""
    match listener:
        case WidgetListener():
            return f"the widget of {listener.domain}"
        case SlackListener():
            return f"the Slack workspace {listener.team_id}{_in_channels(listener)}"
        case DiscordListener():
            return f"the Discord server {listener.guild_id}{_in_channels(listener)}"
        case AdminConsoleListener():
            return f"the admin console of agent {listener.agent_id}"
        case ZendeskListener():
            return f"the Zendesk tickets of {listener.subdomain}" + (
                f" ({', '.join(listener.tags)})" if listener.tags else ""
            )


def _in_channels(listener: SlackListener | DiscordListener) -> str:
    channels: Sequence[SlackChannel | DiscordChannel] = listener.channels or []
    return f" (in {', '.join(channel.channel_id for channel in channels)})" if channels else ""


def _same_site(a: str, b: str) -> bool:
    if a.startswith("*.") and b.startswith("*."):
        return a == b or a.endswith(b[1:]) or b.endswith(a[1:])
    if a.startswith("*."):
        return b.endswith(a[1:])
    return a == b or (b.startswith("*.") and a.endswith(b[1:]))


def _share_a_ticket(some: Sequence[str], others: Sequence[str]) -> bool:
    """A listener without tags takes every ticket. One ticket may carry tags of two: the first one published has it."""
    return not some or not others or not {tag.lower() for tag in some}.isdisjoint(tag.lower() for tag in others)


_Claims = dict[str | None, list[Trigger]]


def _claims(listener: SlackListener | DiscordListener) -> _Claims:
    """Triggers by channel; those of `_EVERYWHERE` hold in every channel."""
    default = as_list(listener.default_trigger)
    channels: Sequence[SlackChannel | DiscordChannel] = listener.channels or []
    if not channels:
        return {_EVERYWHERE: default}
    return {channel.channel_id: as_list(channel.trigger) or default for channel in channels}


def _share_a_channel(a: _Claims, b: _Claims) -> bool:
    return any(
        (here is _EVERYWHERE or there is _EVERYWHERE or here == there) and _can_both_fire(triggers, others)
        for here, triggers in a.items()
        for there, others in b.items()
    )


def _can_both_fire(some: Sequence[Trigger], others: Sequence[Trigger]) -> bool:
    """Two emoji are two events; a message can be a mention and any message at once."""
    return any(
        one.shortcode == other.shortcode
        if isinstance(one, Emoji) and isinstance(other, Emoji)
        else not isinstance(one, Emoji) and not isinstance(other, Emoji)
        for one in some
        for other in others
    )
