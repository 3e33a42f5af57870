"""Discord in tests with the real engine: people write and click there, and what the engine posted is read as text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runllm.testing.platforms.discord import FORUM, TEXT, FakeDiscord, buttons_of, label_of
from runllm.testing.platforms.discord_shapes import Json
from runllm.testing.played import Call, Files, Place, Played, Said, with_files
from runllm.testing.serving import PATIENCE, Serving

GUILD_ID = "123456789012345678"
"""The server that tests talk in where they name none."""

_SAID = 0
"""The type of messages that somebody said; the others tell of threads, pins and the like."""

_CALLS: dict[Call, tuple[str, str]] = {
    "post": ("POST", r"/channels/\d+/messages$"),
    "open": ("POST", r"/threads$"),
    "edit": ("PATCH", r"/channels/\d+/messages/\d+$"),
    "delete": ("DELETE", r"/channels/\d+/messages/\d+$"),
    "upload": ("POST", r"/channels/\d+/messages$"),
}


class Discord(Played):
    """A Discord server with the engine's bot in it, and the people there.

    `RunningEngine.discord` makes it. It shows what happens from then on: earlier tests' threads are not counted.
    `Played` has the methods for what goes wrong there: `will_fail`, `will_refuse`, `will_lose_reply` and `away`.

    Args:
        serving: Where the platform is served.
        guild_id: The server, as the workflow's `DiscordListener` names it.

    Attributes:
        guild_id: The server.
        mention: What a message says to call the bot.
        token: What the engine's bot logs in with.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_it_answers_in_a_thread(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            discord = runllm_engine.discord()
            thread = discord.says("#help", f"{discord.mention} How do I sign in?", by="Ada")
            assert "Settings" in thread.read(1)[0]
        ```
    """

    def __init__(self, serving: Serving, guild_id: str = GUILD_ID) -> None:
        super().__init__(serving)
        self.guild_id = guild_id
        self._platform: FakeDiscord = serving.stand_in("discord", FakeDiscord.open)
        self.mention, self.token = self._platform.mention, self._platform.token
        self._finish(self._platform.invite(guild_id))
        self._before = self._do(self._known)

    @property
    def title(self) -> str:
        """What it is called below a failure."""
        return f"Discord, server {self.guild_id}"

    def channel(self, name: str, id: str = "", *, forum: bool = False) -> str:
        """A channel of the server, made on first sight.

        Args:
            name: Its name, like `#help`, or its id.
            id: Its id, where the workflow names the channel by it.
            forum: A new one is a forum.

        Returns:
            Its id.

        Example:
            ```python
            team = discord.channel("#team", id="234567890123456789")
            ```
        """
        return self._finish(self._channel(name, id, FORUM if forum else TEXT))

    def user(self, name: str, id: str = "") -> str:
        """Somebody who is in the server, made on first sight.

        Args:
            name: The name that Discord shows.
            id: Their id, where the workflow names them by it, as in `allowed_users`.

        Returns:
            The id.

        Example:
            ```python
            grace = discord.user("Grace", id="345678901234567890")
            ```
        """
        return self._do(lambda: self._user(name, id))

    def says(self, channel: str, text: str, *, by: str = "Ada", files: Files | None = None) -> "ThreadInDiscord":
        """Somebody writes in a channel.

        Args:
            channel: Name or id of the channel.
            text: What they write; with `mention` in it, it calls the bot.
            by: Who writes.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The thread that an answer to it will be in.

        Example:
            ```python
            thread = discord.says("#help", f"{discord.mention} How do I export?", by="Ada")
            thread = discord.says("#help", "What is this?", by="Ada", files={"log.txt": b"Error 17"})
            ```
        """
        where, who = self.channel(channel), self.user(by)
        return ThreadInDiscord(self, self._finish(self._platform.say(where, who, text, _listed(files))))

    def posts(
        self, forum: str, title: str, text: str, *, by: str = "Ada", files: Files | None = None
    ) -> "ThreadInDiscord":
        """Somebody begins a post in a forum.

        Args:
            forum: Name or id of the forum; a new one is made.
            title: The post's title.
            text: Its first message.
            by: Who writes.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The post, which is a thread.

        Example:
            ```python
            post = discord.posts("#questions", "Export", f"{discord.mention} It stops at 99 %.", by="Ada")
            ```
        """
        where, who = self.channel(forum, forum=True), self.user(by)
        return ThreadInDiscord(self, self._finish(self._platform.start_post(where, who, title, text, _listed(files))))

    def thread(self, channel: str, number: int = 1, seconds: float = PATIENCE) -> "ThreadInDiscord":
        """A thread that the engine began in a channel, like that of `agent.create_or_get_discord_thread`.

        Args:
            channel: Name or id of the channel.
            number: Which one, the first being 1.
            seconds: How long to wait for it.

        Raises:
            AssertionError: There is none after so many seconds.

        Example:
            ```python
            at_the_team = discord.thread("#team")
            ```
        """
        __tracebackhide__ = True
        where = self.channel(channel)

        def begun() -> str | None:
            bot, said = self._platform.bot["id"], self._platform.messages(where)
            others = {one["id"] for one in said if one["author"]["id"] != bot}  # a thread has its message's number
            own = [str(one["id"]) for one in self._threads(where) if one["owner_id"] == bot]
            new = [id for id in own if id not in others and id not in self._before]
            return new[number - 1] if len(new) >= number else None

        return ThreadInDiscord(self, self._until(begun, seconds, f"the engine began no thread {number} in {channel}"))

    def until_connected(self, seconds: float = PATIENCE) -> None:
        """Waits until the engine's bot listens.

        Raises:
            AssertionError: It does not after so many seconds.
        """
        __tracebackhide__ = True
        self._until(lambda: self._platform.gateway.is_connected or None, seconds, "the bot did not come to Discord")

    def transcript(self) -> str:
        """What was said in the server, a line each."""
        return "\n".join(self._do(lambda: list(self._lines())))

    # What threads use

    def _plan(self, call: Call, times: int, **how: Any) -> None:
        method, path = _CALLS[call]
        self._platform.next(method, path, times=times, **how)

    def _refusal(self) -> dict[str, Any]:
        return {"status": 403}

    def _known(self) -> set[str]:
        """The messages and threads that are there."""
        threads = {str(one["id"]) for one in self._platform.threads()}
        channels = self._platform.channels(self.guild_id)
        return threads | {str(one["id"]) for where in channels for one in self._platform.messages(where["id"])}

    async def _channel(self, name: str, id: str, kind: int) -> str:
        shown = name.removeprefix("#")
        for one in reversed(self._platform.channels(self.guild_id)):  # the newest, see the one of Slack
            if one["id"] == id or (not id and (one["id"] == name or one["name"] == shown)):
                return str(one["id"])
        new = id or (name if name.isdecimal() else "")
        return await self._platform.new_channel(self.guild_id, shown, kind, new)

    def _user(self, name: str, id: str) -> str:
        for known, shown in reversed(self._platform.people().items()):
            if known == id or (not id and name in (known, shown)):
                return known
        return self._platform.user(name, id=id)

    def _threads(self, channel: str) -> list[Json]:
        return [one for one in self._platform.threads() if one["parent_id"] == channel]

    def _lines(self) -> Iterator[str]:
        for where in self._platform.channels(self.guild_id):
            new = [one for one in self._platform.messages(where["id"]) if one["id"] not in self._before]
            threads = {one["id"]: one for one in self._threads(where["id"]) if one["id"] not in self._before}
            if new or threads:
                yield f"#{where['name']}"
            for one in new:
                yield self._line(one)
                if one["id"] in threads:
                    yield from self._thread(threads.pop(one["id"])["id"])
            for thread in threads.values():
                yield f"thread {thread['name']!r}"
                yield from self._thread(thread["id"])
        yield from self._unmet()

    def _thread(self, id: str) -> Iterator[str]:
        people = self._platform.people()
        yield from (f"  {self._line(one)}" for one in self._platform.messages(id) if one["type"] == _SAID)
        yield from (
            f"  to {people[who]} alone: {text}" for who, where, text in self._platform.whispers() if where == id
        )

    def _line(self, message: Json) -> str:
        said = self._said(message)
        words = said.text.replace("\n", "\n    ")
        line = " ".join([f"{said.author}: {words}", *(_shown(one) for one in buttons_of(message))])
        return with_files(line, list(said.files), is_edited=said.is_edited)

    def _said(self, message: Json) -> Said:
        files = {one["filename"]: self._platform.file(one) for one in message["attachments"]}
        is_edited = message["edited_timestamp"] is not None
        return Said(message["author"]["global_name"], message["content"], is_edited, files)


@dataclass(frozen=True)
class ThreadInDiscord(Place[Said]):
    """A thread in a channel of Discord, or a post in a forum.

    It has the methods of `Place`, too: `until_shown` and `until_gone`.

    Attributes:
        discord: The server.
        id: The thread's number: that of the message that it was made from.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_a_click_decides(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            discord = runllm_engine.discord()
            thread = discord.says("#help", f"{discord.mention} Can I pay with seashells?")
            thread.read(2)
            assert thread.click("person", by="Ada") is None
            assert "on the way" in thread.read(3)[2]
        ```
    """

    discord: Discord
    id: str

    @property
    def first(self) -> "MessageInDiscord":
        """The message that the thread was made from, or that a post begins with, to edit or delete it."""
        return MessageInDiscord(self, self.id)

    def says(self, text: str, *, by: str = "Ada", files: Files | None = None) -> "MessageInDiscord":
        """Somebody writes in the thread, once the engine has made it.

        Args:
            text: What they write.
            by: Who writes.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The message, to edit or delete it.

        Raises:
            AssertionError: There is no such thread.

        Example:
            ```python
            thread.says("With an invoice, please.", by="Ada")
            thread.says("Like this one.", by="Ada", files={"invoice.pdf": b"%PDF-1.7"})
            ```
        """
        __tracebackhide__ = True
        platform, who = self.discord._platform, self.discord.user(by)
        missing = "the engine made no thread from that message"
        self.discord._until(lambda: platform.thread(self.id), PATIENCE, missing)
        return MessageInDiscord(self, self.discord._finish(platform.say(self.id, who, text, _listed(files))))

    def read(self, count: int, seconds: float = PATIENCE) -> list[str]:
        """What the engine has posted in the thread, in order, once there are `count` messages.

        Args:
            count: How many to wait for.
            seconds: How long to wait.

        Returns:
            All that the engine posted there, as text without the buttons: more than `count` where there is more.

        Raises:
            AssertionError: There are fewer after so many seconds.

        Example:
            ```python
            assert "Settings" in thread.read(1)[0]
            ```
        """
        __tracebackhide__ = True
        platform = self.discord._platform
        return self.discord._serving.read(self.discord, lambda: platform.texts(self.id), count, seconds)

    @property
    def messages(self) -> list[Said]:
        """All messages as they are shown now, with their files: the one the thread was made from, and those in it.

        A message that was deleted is not among them.
        """
        return self.discord._do(self._all)

    def buttons(self) -> list[str]:
        """What the buttons say that can be clicked in the thread now, those of the newest message last.

        Example:
            ```python
            assert thread.buttons() == ["Resolved", "I need a person"]
            ```
        """
        return self.discord._do(lambda: [label_of(button) for _, button in self._clickable()])

    def click(self, button: str, *, by: str = "Ada", seconds: float = PATIENCE) -> str | None:
        """Somebody clicks a button, once it is there, and sees what comes of it within Discord's three seconds.

        Args:
            button: What it says, or the id that the handler gave it.
            by: Who clicks.
            seconds: How long to wait for the button.

        Returns:
            What only they are told, as where the choice is not theirs; None where the message changes for everybody.

        Raises:
            AssertionError: There is no such button, or nothing comes of the click.

        Example:
            ```python
            assert thread.click("person", by="Grace") is None
            ```
        """
        __tracebackhide__ = True
        discord, platform, who = self.discord, self.discord._platform, self.discord.user(by)
        message, found = discord._until(lambda: self._with(button), seconds, f"no button {button!r} came")
        before, told = discord._do(lambda: (json.dumps(message), len(self._told(who))))
        reply = discord._finish(platform.click_raw(who, json.loads(before), found["custom_id"]))
        if reply.kind != "later":
            return reply.text if reply.kind == "whisper" else None

        def came() -> tuple[str | None] | None:
            whispers = self._told(who)[told:]
            return (whispers[0],) if whispers else (None,) if json.dumps(message) != before else None

        return discord._until(came, seconds, f"nothing came of the click on {button!r}")[0]

    def react(self, emoji: str, *, by: str = "Ada", to: str = "") -> None:
        """Somebody puts an emoji on a message.

        Args:
            emoji: The character, or the name of one of the server's own.
            by: Who does.
            to: A part of what the message says, of the newest one that says it; the first message where it is empty.

        Raises:
            AssertionError: No message says that, or the first one was deleted.

        Example:
            ```python
            thread.react("👀", by="Grace")
            thread.react("🎫", by="Grace", to="in Settings")
            ```
        """
        discord, who = self.discord, self.discord.user(by)
        one = discord._do(lambda: self._saying(to))
        discord._finish(discord._platform.react(one["channel_id"], one["id"], who, emoji))

    def _on(self) -> Discord:
        return self.discord

    def _all(self) -> list[Said]:
        return [self.discord._said(one) for one in self._said()]

    def _said(self) -> list[Json]:
        """The messages, the one that the thread was made from first: it is in the channel."""
        platform = self.discord._platform
        inside = [one for one in platform.messages(self.id) if one["type"] == _SAID]
        first = platform.message(self.id)
        return inside if first is None or first in inside else [first, *inside]

    def _saying(self, text: str) -> Json:
        """The newest message that says so; the first one for no text."""
        said = self._said()
        found = (
            [one for one in said if text in one["content"]] if text else [one for one in said if one["id"] == self.id]
        )
        if not found:
            missing = f"no message says {text!r}; there is {self._texts()}" if text else "the first message was deleted"
            raise AssertionError(missing)
        return found[-1]

    def _told(self, who: str) -> list[str]:
        return [text for one, where, text in self.discord._platform.whispers() if (one, where) == (who, self.id)]

    def _clickable(self) -> list[tuple[Json, Json]]:
        """The messages of the thread with buttons, each with one of these."""
        every = self.discord._platform.messages(self.id)
        return [(one, button) for one in every for button in buttons_of(one) if not button.get("disabled")]

    def _with(self, button: str) -> tuple[Json, Json] | None:
        """The newest button that says that, or has that id, and its message."""
        for message, one in reversed(self._clickable()):
            if button in (label_of(one), _given(one["custom_id"])):
                return message, one
        return None


@dataclass(frozen=True)
class MessageInDiscord:
    """A message that somebody wrote in Discord.

    Attributes:
        thread: Where it is, or what was made from it.
        id: Its number.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_a_deletion_reaches_the_team(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            discord = runllm_engine.discord()
            thread = discord.says("#help", f"{discord.mention} Can I pay with seashells?")
            said = thread.says("My key is 12345", by="Ada")
            team = discord.thread("#team")
            team.until_shown("12345")
            said.delete()
            team.until_gone("12345")
        ```
    """

    thread: ThreadInDiscord
    id: str

    def edit(self, text: str) -> None:
        """Who wrote it changes what it says.

        Args:
            text: What it says from now on.

        Raises:
            AssertionError: It was deleted, or the engine wrote it.

        Example:
            ```python
            thread.says("rdeo the test").edit("redo the test")
            ```
        """
        discord = self.thread.discord
        where = discord._do(self._place)
        discord._finish(discord._platform.edit(where, self.id, text))

    def delete(self) -> None:
        """Who wrote it deletes it. A thread that was made from it stays.

        Raises:
            AssertionError: It was deleted before, or the engine wrote it.

        Example:
            ```python
            thread.says("Sorry, wrong thread").delete()
            ```
        """
        discord = self.thread.discord
        where = discord._do(self._place)
        discord._finish(discord._platform.delete(where, self.id))

    def _place(self) -> str:
        found = self.thread.discord._platform.message(self.id)
        if found is None:
            raise AssertionError("the message was deleted before")
        if found["author"]["id"] == self.thread.discord._platform.bot["id"]:
            raise AssertionError("the engine wrote that message: people can neither edit nor delete it")
        return str(found["channel_id"])


def _listed(files: Files | None) -> list[tuple[str, bytes]]:
    return list((files or {}).items())


def _given(custom_id: str) -> str:
    """The id that a handler gave a button, after the session's and the question's."""
    return custom_id.split(".", 2)[-1]


def _shown(button: Json) -> str:
    return f"({label_of(button)})" if button.get("disabled") else f"[{label_of(button)}]"
