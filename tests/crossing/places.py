"""The five surfaces from a person's side: begin a conversation, say more, see what is there, click."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.crossing.world import Guest, World
from tests.workflow.town import until

CUSTOMER = "ada@customer.example"


class Place(Protocol):
    """One conversation on one surface."""

    key: str

    async def begin(self, text: str) -> None:
        """Says the first thing."""
        ...

    async def say(self, text: str) -> None:
        """Says something more."""
        ...

    async def texts(self) -> list[str]:
        """What everybody sees, oldest first."""
        ...

    async def click(self, label: str) -> None:
        """Clicks a button, once it is there."""
        ...


async def answered(place: Place, words: str, seconds: float = 60) -> str:
    """Waits for a message that contains the words, and returns it."""
    seen = await until(place.texts, lambda found: any(words in text for text in found), seconds)
    return next(text for text in seen if words in text)


@dataclass
class OnSlack:
    world: World
    key: str = ""
    thread: str = ""

    async def begin(self, text: str) -> None:
        self.thread = await self.world.slack.say("C1", "U1", text)
        self.key = f"slack:T1:C1:{self.thread}"

    async def say(self, text: str) -> None:
        await self.world.slack.say("C1", "U1", text, self.thread)

    async def texts(self) -> list[str]:
        return [self.world.slack.words(one) for one in self.world.slack.messages("C1", self.thread)]

    async def click(self, label: str) -> None:
        slack = self.world.slack

        def asking() -> list[dict[str, Any]]:
            return [one for one in slack.messages("C1", self.thread) if label in slack.buttons(one)]

        found = await until(asking, bool)
        await slack.click("C1", found[-1]["ts"], "U1", label)


@dataclass
class OnDiscord:
    world: World
    key: str = ""
    thread: str = ""

    async def begin(self, text: str) -> None:
        discord = self.world.discord
        self.thread = await discord.say(self.world.channel, self.world.ada, text)
        self.key = f"discord:{self.world.guild}:{self.thread}"

    async def say(self, text: str) -> None:
        await until(lambda: self.world.discord.thread(self.thread), lambda found: found is not None)
        await self.world.discord.say(self.thread, self.world.ada, text)

    async def texts(self) -> list[str]:
        known = self.world.discord.thread(self.thread) is not None
        return self.world.discord.texts(self.thread) if known else []

    async def click(self, label: str) -> None:
        discord = self.world.discord

        def buttons() -> list[str]:
            known = discord.thread(self.thread) is not None
            return [name for name, is_open in discord.buttons(self.thread)] if known else []

        await until(buttons, lambda found: label in found)
        await discord.click(self.world.ada, self.thread, label)


@dataclass
class OnZendesk:
    world: World
    key: str = ""
    number: int = 0

    async def begin(self, text: str) -> None:
        self.number = self.world.acme.open(CUSTOMER, text, text)
        self.key = f"zendesk:acme:{self.number}"

    async def say(self, text: str) -> None:
        self.world.acme.say(self.number, CUSTOMER, text)

    async def texts(self) -> list[str]:
        return self.world.acme.texts(self.number)

    async def click(self, label: str) -> None:
        raise AssertionError("tickets have no buttons")


@dataclass
class AtHome:
    """A widget or the console."""

    world: World
    kind: str
    key: str = ""
    guest: Guest | None = field(default=None)

    async def begin(self, text: str) -> None:
        self.guest = await (self.world.visitor() if self.kind == "widget" else self.world.colleague())
        self.key = self.guest.key
        await self.guest.say(text)

    async def say(self, text: str) -> None:
        assert self.guest is not None
        await self.guest.say(text)

    async def texts(self) -> list[str]:
        assert self.guest is not None
        return await self.guest.texts()

    async def click(self, label: str) -> None:
        assert self.guest is not None
        await self.guest.click(label.lower())


def place(world: World, kind: str) -> Place:
    """A new conversation on a kind of surface."""
    match kind:
        case "slack":
            return OnSlack(world)
        case "discord":
            return OnDiscord(world)
        case "zendesk":
            return OnZendesk(world)
        case _:
            return AtHome(world, kind)
