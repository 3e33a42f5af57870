"""Slack in tests with the real engine: people write and click there, and what the engine posted is read as text."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runllm.testing.platforms.slack import Channel, FakeSlack, Json
from runllm.testing.played import Call, Files, Place, Played, Said, with_files
from runllm.testing.serving import PATIENCE, Serving

TEAM_ID = "T0123456789"
"""The workspace that tests talk in where they name none."""

_CALLS: dict[Call, str] = {
    "post": "chat.postMessage",
    "open": "chat.postMessage",
    "edit": "chat.update",
    "delete": "chat.delete",
    "upload": "files.completeUploadExternal",
}


class Slack(Played):
    """A Slack workspace where the engine's app is installed, and the people there.

    `RunningEngine.slack` makes it. It shows what happens from then on: earlier tests' threads are not counted.
    `Played` has the methods for what goes wrong there: `will_fail`, `will_refuse`, `will_lose_reply` and `away`.

    Args:
        serving: Where the platform is served.
        team_id: The workspace, as the workflow's `SlackListener` names it.
        deliver_to: Where the platform sends its events.

    Attributes:
        team_id: The workspace.
        mention: What a message says to call the bot.
        token: What opens the workspace for the engine.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_it_answers_in_the_thread(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            slack = runllm_engine.slack()
            thread = slack.says("#support", f"{slack.mention} How do I change my password?", by="Ada")
            assert "Settings" in thread.read(1)[0]
        ```
    """

    def __init__(self, serving: Serving, team_id: str = TEAM_ID, deliver_to: str = "") -> None:
        super().__init__(serving)
        self.team_id = team_id
        self._platform: FakeSlack = serving.stand_in("slack", self._opened)
        self.mention = f"<@{self._platform.bot_user_id}>"
        self.token = self._do(lambda: self._platform.workspace(team_id))
        self._before = {one["ts"] for where in self._platform.channels.values() for one in where.messages}
        self._whispered, self._delivered = len(self._platform.ephemerals), len(self._platform.deliveries)
        if deliver_to:
            self._platform.deliver_to(deliver_to)

    @property
    def title(self) -> str:
        """What it is called below a failure."""
        return f"Slack, workspace {self.team_id}"

    def channel(self, name: str, id: str = "") -> str:
        """A channel of the workspace with the bot in it, made on first sight.

        Args:
            name: Its name, like `#support`, or its id.
            id: Its id, where the workflow names the channel by it.

        Returns:
            Its id.

        Example:
            ```python
            team = slack.channel("#team", id="C0123456789")
            ```
        """
        return self._do(lambda: self._channel(name, id).id)

    def user(self, name: str, id: str = "") -> str:
        """Somebody who is in the workspace, made on first sight.

        Args:
            name: The name that Slack shows.
            id: Their id, where the workflow names them by it, as in `allowed_users`.

        Returns:
            The id.

        Example:
            ```python
            grace = slack.user("Grace", id="U0123456789")
            ```
        """
        return self._do(lambda: self._user(name, id))

    def says(self, channel: str, text: str, *, by: str = "Ada", files: Files | None = None) -> "ThreadInSlack":
        """Somebody writes in a channel.

        Args:
            channel: Name or id of the channel.
            text: What they write; with `mention` in it, it calls the bot.
            by: Who writes.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The thread that answers to it will hang on.

        Example:
            ```python
            thread = slack.says("#support", "How do I export?", by="Ada")
            thread = slack.says("#support", "What is this?", by="Ada", files={"log.txt": b"Error 17"})
            ```
        """
        where = self.channel(channel)
        return ThreadInSlack(self, where, self._say(where, by, text, files))

    def writes(self, text: str, *, by: str = "Ada", files: Files | None = None) -> "ThreadInSlack":
        """Somebody writes a direct message to the bot, which calls it without a mention.

        Args:
            text: What they write.
            by: Who writes.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The thread that answers to it will hang on.

        Example:
            ```python
            thread = slack.writes("How do I export?", by="Ada")
            ```
        """

        def direct() -> str:
            user = self._user(by)
            id = f"D{self.team_id[1:]}{user[1:]}"
            return self._platform.channel(self.team_id, id, f"{by} and the bot", "im").id

        return self.says(self._do(direct), text, by=by, files=files)

    def thread(self, channel: str, number: int = 1, seconds: float = PATIENCE) -> "ThreadInSlack":
        """A thread that the engine began in a channel, like that of `agent.create_or_get_slack_thread`.

        Args:
            channel: Name or id of the channel.
            number: Which one, the first being 1.
            seconds: How long to wait for it.

        Raises:
            AssertionError: There is none after so many seconds.

        Example:
            ```python
            at_the_team = slack.thread("#team")
            ```
        """
        __tracebackhide__ = True
        where = self.channel(channel)

        def begun() -> str | None:
            own = [str(one["ts"]) for one in self._new(where) if _is_first(one) and one.get("bot_id")]
            return own[number - 1] if len(own) >= number else None

        return ThreadInSlack(
            self, where, self._until(begun, seconds, f"the engine began no thread {number} in {channel}")
        )

    def transcript(self) -> str:
        """What was said in the workspace, a line each."""
        return "\n".join(self._do(lambda: list(self._lines())))

    # What threads use

    def _plan(self, call: Call, times: int, **how: Any) -> None:
        self._platform.next(_CALLS[call], times, **how)

    def _refusal(self) -> dict[str, Any]:
        return {"error": "restricted_action"}

    def _say(self, channel: str, by: str, text: str, files: Files | None, thread: str | None = None) -> str:
        who = self._do(lambda: self._member(by, channel))
        attached = list((files or {}).items())
        return self._finish(self._platform.say(channel, who, text, thread, files=attached or None))

    def _opened(self, at: socket.socket) -> FakeSlack:
        fake = FakeSlack(at)
        fake.signing_secret = self._serving.signing_secret
        return fake

    def _channel(self, name: str, id: str = "") -> Channel:
        shown, every = name.removeprefix("#"), self._platform.channels.values()
        own = [one for one in every if one.team_id == self.team_id]
        for one in reversed(own):  # the newest: another test may have made one of that name without the id
            if one.id == id or (not id and (one.id == name or one.name == shown)):
                return one
        new = id or (f"C{len(self._platform.channels):010}" if name.startswith("#") else name)
        return self._platform.channel(self.team_id, new, shown)

    def _user(self, name: str, id: str = "") -> str:
        users = self._platform.users
        for known, shown in reversed(users.items()):
            if known == id or (not id and name in (known, shown)):
                return known
        new = id or f"U{len(users):010}"
        users[new] = name
        return new

    def _member(self, name: str, channel: str) -> str:
        user = self._user(name)
        self._platform.channels[channel].members.add(user)
        return user

    def _new(self, channel: str) -> list[Json]:
        return [one for one in self._platform.channels[channel].messages if one["ts"] not in self._before]

    def _lines(self) -> Iterator[str]:
        for where in self._platform.channels.values():
            new = self._new(where.id) if where.team_id == self.team_id else []
            if new:
                yield where.name if where.kind == "im" else f"#{where.name or where.id}"
            for first in new:
                if _is_first(first):
                    yield self._line(first)
                    replies = [one for one in new if one.get("thread_ts") == first["ts"] != one["ts"]]
                    yield from (f"  {self._line(one)}" for one in replies)
                    yield from (f"  {one}" for one in self._whispers(first["ts"]))
        failed = [status for _, status in self._platform.deliveries[self._delivered :] if not 200 <= status < 300]
        if failed:
            yield f"({len(failed)} times the engine did not take what it was told: {failed})"
        yield from self._unmet()

    def _line(self, one: Json) -> str:
        said = self._said(one)
        words = said.text.replace("\n", "\n    ")
        line = " ".join([f"{said.author}: {words}", *(f"[{label}]" for label in self._platform.buttons(one))])
        return with_files(line, list(said.files), is_edited=said.is_edited)

    def _said(self, one: Json) -> Said:
        author = one.get("username") or self._platform.users.get(str(one.get("user")), "") or "somebody"
        files = {file["name"]: self._platform.contents[file["id"]] for file in one.get("files", ())}
        return Said(author, _text(self._platform, one), "edited" in one, files)

    def _whispers(self, thread: str) -> Iterator[str]:
        for one in self._platform.ephemerals[self._whispered :]:
            if one.get("thread_ts") == thread:
                yield f"to {self._platform.users[one['to']]} alone: {_text(self._platform, one)}"


@dataclass(frozen=True)
class ThreadInSlack(Place[Said]):
    """A thread in a channel of Slack. It has the methods of `Place`, too: `until_shown` and `until_gone`.

    Attributes:
        slack: The workspace.
        channel: The channel's id.
        ts: The timestamp of its first message, which names it.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_a_click_decides(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            thread = runllm_engine.slack().says("#support", "Can I pay with seashells?")
            thread.read(2)
            assert thread.click("person", by="Ada") is None
            assert "on the way" in thread.read(3)[2]
        ```
    """

    slack: Slack
    channel: str
    ts: str

    @property
    def first(self) -> "MessageInSlack":
        """The message that the thread hangs on, to edit or delete it."""
        return MessageInSlack(self, self.ts)

    def says(self, text: str, *, by: str = "Ada", files: Files | None = None) -> "MessageInSlack":
        """Somebody replies in the thread.

        Args:
            text: What they write.
            by: Who writes.
            files: What they attach: each file's name, and what is in it.

        Returns:
            The message, to edit or delete it.

        Example:
            ```python
            thread.says("With an invoice, please.", by="Ada")
            thread.says("Like this one.", by="Ada", files={"invoice.pdf": b"%PDF-1.7"})
            ```
        """
        return MessageInSlack(self, self.slack._say(self.channel, by, text, files, self.ts))

    def react(self, emoji: str, *, by: str = "Ada", to: str = "") -> None:
        """Somebody puts an emoji on a message.

        Args:
            emoji: Its name, like `eyes`.
            by: Who does.
            to: A part of what the message says, of the newest one that says it; the first message where it is empty.

        Raises:
            AssertionError: No message says that.

        Example:
            ```python
            thread.react("ticket", by="Grace")
            thread.react("eyes", by="Grace", to="in Settings")
            ```
        """
        slack = self.slack
        who = slack._do(lambda: slack._member(by, self.channel))
        ts = slack._do(lambda: self._saying(to)) if to else self.ts
        slack._finish(slack._platform.react(self.channel, ts, who, emoji.strip(":")))

    def read(self, count: int, seconds: float = PATIENCE) -> list[str]:
        """What the engine has posted in the thread, in order, once there are `count` messages.

        Args:
            count: How many to wait for.
            seconds: How long to wait.

        Returns:
            All that the engine posted there, as text without the buttons: more than `count` where there is more. Files
            are messages of their own in Slack; they are in `messages`, and not counted here.

        Raises:
            AssertionError: There are fewer after so many seconds.

        Example:
            ```python
            assert "Settings" in thread.read(1)[0]
            ```
        """
        __tracebackhide__ = True
        platform = self.slack._platform

        def texts() -> list[str]:
            posted = platform.by_app(self.channel, self.ts)
            return [_text(platform, one) for one in posted if one.get("text") or not one.get("files")]

        return self.slack._serving.read(self.slack, texts, count, seconds)

    @property
    def messages(self) -> list[Said]:
        """All messages of the thread as they are shown now, with their files, whoever wrote them.

        A message that was deleted is not among them. Where it was the first one, and has replies, Slack says so there.
        """
        return self.slack._do(self._all)

    def buttons(self) -> list[str]:
        """What the buttons say that can be clicked in the thread now, those of the newest message last.

        Example:
            ```python
            assert thread.buttons() == ["Resolved", "I need a person"]
            ```
        """
        platform = self.slack._platform
        return self.slack._do(
            lambda: [label for one in platform.by_app(self.channel, self.ts) for label in platform.buttons(one)]
        )

    def click(self, button: str, *, by: str = "Ada", seconds: float = PATIENCE) -> str | None:
        """Somebody clicks a button, once it is there, and sees what comes of it.

        Args:
            button: What it says, or the id that the handler gave it.
            by: Who clicks.
            seconds: How long to wait for the button, and again for what comes of the click.

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
        slack, platform = self.slack, self.slack._platform
        who = slack._do(lambda: slack._member(by, self.channel))
        message, label = slack._until(lambda: self._with(button), seconds, f"no button {button!r} came")
        whispered, before = slack._do(lambda: (len(platform.ephemerals), _state(message)))
        [status] = slack._finish(platform.click(self.channel, message["ts"], who, label))
        if status != 200:
            raise AssertionError(f"the engine answered the click on {button!r} with {status} and not with 200")

        def came() -> tuple[str | None] | None:
            told = [_text(platform, one) for one in platform.ephemerals[whispered:] if one["to"] == who]
            return (told[0],) if told else (None,) if _state(message) != before else None

        return slack._until(came, seconds, f"nothing came of the click on {button!r}")[0]

    def _on(self) -> Slack:
        return self.slack

    def _all(self) -> list[Said]:
        return [self.slack._said(one) for one in self.slack._platform.messages(self.channel, self.ts)]

    def _saying(self, text: str) -> str:
        """The newest message that says so, by its timestamp."""
        platform = self.slack._platform
        for one in reversed(platform.messages(self.channel, self.ts)):
            if text in _text(platform, one):
                return str(one["ts"])
        raise AssertionError(f"no message says {text!r}; there is {self._texts()}")

    def _with(self, button: str) -> tuple[Json, str] | None:
        """The newest message of the thread with a button, and what the button says."""
        for message in reversed(self.slack._platform.by_app(self.channel, self.ts)):
            for block in message.get("blocks", ()):
                for one in block.get("elements", ()):
                    id = str(one.get("value", "")).partition(":")[2]
                    if one.get("type") == "button" and button in (id, one["text"]["text"]):
                        return message, one["text"]["text"]
        return None


@dataclass(frozen=True)
class MessageInSlack:
    """A message that somebody wrote in Slack.

    Attributes:
        thread: Where it is.
        ts: Its timestamp, which names it.

    Example:
        ```python
        from runllm.testing import RunningEngine


        def test_an_edit_reaches_the_ticket(runllm_engine: RunningEngine) -> None:
            runllm_engine.publish("support.py")
            slack, zendesk = runllm_engine.slack(), runllm_engine.zendesk()
            thread = slack.says("#support", "My export stops.")
            said = thread.says("My key is 12345", by="Ada")
            said.edit("My key is in the vault")
            zendesk.ticket(1).until_shown("in the vault")
        ```
    """

    thread: ThreadInSlack
    ts: str

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
        slack = self.thread.slack
        slack._do(self._check)
        slack._finish(slack._platform.edit(self.thread.channel, self.ts, text))

    def delete(self) -> None:
        """Who wrote it deletes it.

        Raises:
            AssertionError: It was deleted, or the engine wrote it.

        Example:
            ```python
            thread.says("Sorry, wrong thread").delete()
            ```
        """
        slack = self.thread.slack
        slack._do(self._check)
        slack._finish(slack._platform.delete(self.thread.channel, self.ts))

    def _check(self) -> None:
        messages = self.thread.slack._platform.messages(self.thread.channel, self.thread.ts)
        found = next((one for one in messages if one["ts"] == self.ts), None)
        if found is None or found.get("subtype") == "tombstone":
            raise AssertionError("the message was deleted before")
        if found.get("bot_id"):
            raise AssertionError("the engine wrote that message: people can neither edit nor delete it")


def _text(platform: FakeSlack, message: Json) -> str:
    """What a message says, without the buttons."""
    return platform.words(message).strip()


def _is_first(message: Json) -> bool:
    return message.get("thread_ts") in (None, message["ts"])


def _state(message: Json) -> str:
    """What a message looks like: a click that decides something changes it."""
    return json.dumps([message.get("text"), message.get("blocks")])
