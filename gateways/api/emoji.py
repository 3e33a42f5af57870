"""An emoji that nobody can react with never wakes anybody: said when a workflow is published, where we can know."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from gateways.refusals import RefusedError
from gateways.services import Services
from runllm.bridge.emoji_names import did_you_mean
from runllm.bridge.listeners import DiscordListener, Listener, SlackListener, as_list
from runllm.bridge.triggers import Emoji, is_emoji
from runllm.errors import SurfaceError
from store.engine import StoreError

log = logging.getLogger(__name__)

_PATIENCE = 5.0


async def refuse_unknown_emoji(deps: Services, listeners: Sequence[Listener]) -> None:
    """Refuses listeners that wait for an emoji which their workspace or server does not have.

    Where the platform cannot be asked, the listeners pass: its own emoji have whatever names people gave them.
    """
    for listener in listeners:
        place = _place(listener)
        waited_for = list(dict.fromkeys(_shortcodes(listener)))
        if place is None or not waited_for:
            continue
        names = await _names(deps, *place)
        for shortcode in waited_for if names is not None else ():
            if not any(is_emoji(name, shortcode) for name in names or ()):
                raise RefusedError(422, "unknown_emoji", _sentence(shortcode, *place, names or frozenset()))


def _shortcodes(listener: Listener) -> Iterator[str]:
    """The emoji that a listener waits for, in all of its channels."""
    if isinstance(listener, SlackListener | DiscordListener):
        triggers = as_list(listener.default_trigger)
        for channel in listener.channels or ():
            triggers = [*triggers, *(as_list(channel.trigger) if channel.trigger is not None else ())]
        yield from (trigger.shortcode for trigger in triggers if isinstance(trigger, Emoji))


def _place(listener: Listener) -> tuple[str, str] | None:
    """The platform, and its name for the place."""
    match listener:
        case SlackListener(team_id=team_id):
            return "slack", team_id
        case DiscordListener(guild_id=guild_id):
            return "discord", guild_id
    return None


async def _names(deps: Services, platform: str, external_id: str) -> frozenset[str] | None:
    emoji = deps.setups[platform].emoji
    if emoji is None:
        return None
    try:
        async with asyncio.timeout(_PATIENCE):
            return await emoji(deps.outlets, external_id)
    except (SurfaceError, StoreError, TimeoutError) as error:
        log.warning("the emoji of %s %s are not known: %s", platform, external_id, str(error) or "no answer")
        return None


def _sentence(shortcode: str, platform: str, external_id: str, names: frozenset[str]) -> str:
    where = f"Slack workspace {external_id}" if platform == "slack" else f"Discord server {external_id}"
    return (
        f"A listener waits for the emoji {shortcode!r}, and {where} has none of that name, so nobody could ever react "
        f"with it.{did_you_mean(shortcode, names)} Change the shortcode, or add the emoji there first."
    )
