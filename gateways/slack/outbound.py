"""Slack's outbound side: posts to threads, changes what it posted, opens threads, moves files.

Slack has no key for "this message, once". So each message carries its effect's key as metadata, and after an attempt
whose end is unknown the thread is read for it, from when the effect began, before anything is sent again. That is the
last resort and never routine: some apps may read once a minute only.

Two things cannot be looked for. A message for one person (`ephemeral`) is in no history: after an unknown end it is not
sent again, so it is shown at most once. And a file has no metadata: it is looked for by its name.

https://docs.slack.dev/messaging/message-metadata
"""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from gateways.adapter import Content, Effect
from gateways.parts import parts_of, post_parts
from gateways.platforms import SlackSettings
from gateways.slack.rendering import Part, render, settled
from gateways.slack.web_api import error_code, in_our_words, refusal
from gateways.slack.workspaces import Connected, Workspaces
from runllm.bridge.surfaces import ChatSurface, SlackThread, SlackThreadConfig, surface_key
from runllm.errors import NotConnected, Rejected, Unavailable
from store import messages
from store.engine import Store
from store.models import EffectRow, now
from store.sealing import Seal

log = logging.getLogger(__name__)

MARKER = "runllm_effect"
"""`event_type` of the metadata that every message carries."""

LARGEST_FILE = 20 * 1024 * 1024

_CUSTOMIZE = "chat:write.customize"
_CLOCKS_DIFFER = timedelta(minutes=5)
_PAGE = 200
_PAGES = 10
_LONGEST_NAME = 80
_GONE = ("message_not_found", "file_not_found", "file_deleted")


class SlackAdapter:
    """Posts to Slack threads, and opens them."""

    def __init__(self, store: Store, seal: Seal, settings: SlackSettings) -> None:
        self._store = store
        self._settings = settings
        self._workspaces = Workspaces(store, seal, settings)

    async def post(self, effect: Effect, to: ChatSurface, content: Content) -> str:
        """Shows a message in a thread; a long one as several, and each file as one more. Returns the timestamp of the
        last one with text: buttons are on that.

        Where the thread has a `chat_ts`, the message takes the place of that one.
        """
        thread = _thread(to)
        if content.is_internal:
            raise Rejected("An internal note is not shown in Slack: customers may be in the thread.")
        connected = await self._workspaces.of(thread)
        names_itself = content.author_name is not None and connected.may(_CUSTOMIZE)
        parts = render(content, has_own_name=names_itself)
        user = await self._only_reader(to) if content.ephemeral else ""

        async def send(part: Effect, index: int) -> str:
            if index >= len(parts):
                file = content.files[index - len(parts)]
                return await self.upload(part, to, file.name, file.data)
            shown = _Shown(parts[index], thread, content.author_name if names_itself else None)
            if content.ephemeral:
                return await self._show_to(connected, part, shown, user)
            if thread.chat_ts is not None and index == 0:
                return await self._replace(connected, effect, part, to, shown, content)
            return await self._send(connected, part, shown)

        sent = await post_parts(self._store, effect, to, len(parts) + len(content.files), send)
        return sent[len(parts) - 1]

    async def edit(self, effect: Effect, to: ChatSurface, remote_id: str, content: Content) -> None:
        """Replaces a message. One that became longer gets further ones below, one that became shorter loses some."""
        thread = _thread(to)
        connected = await self._workspaces.of(thread)
        parts = render(content, has_own_name=content.author_name is not None and connected.may(_CUSTOMIZE))
        key, posted = await self._parts_of(to, remote_id)
        shown = [one for one in posted if not _is_file(one)]
        for ts, part in zip(shown, parts, strict=False):
            await self._update(connected, thread, ts, part)
        for ts in shown[len(parts) :]:
            await self._remove(connected, thread, ts)
        if len(parts) > len(shown):
            later = parts[len(shown) :]

            async def send(part: Effect, index: int) -> str:
                if index < len(posted):
                    return posted[index]
                return await self._send(connected, part, _Shown(later[index - len(posted)], thread, None))

            # Under the message's own key, so that they are known as parts of it from now on.
            original = effect.model_copy(update={"key": key})
            await post_parts(self._store, original, to, len(posted) + len(later), send)

    async def delete(self, effect: Effect, to: ChatSurface, remote_id: str) -> None:
        """Removes a message with all its parts; one that is gone already is no error."""
        thread = _thread(to)
        connected = await self._workspaces.of(thread)
        _, posted = await self._parts_of(to, remote_id)
        for one in posted:
            await self._remove(connected, thread, one)

    async def settle_buttons(self, to: ChatSurface, remote_id: str, content: Content, note: str) -> None:
        """Puts `note` in the place of a message's buttons. A message for one person only keeps them: Slack lets nobody
        change it afterwards, and a click on it is answered with what became of the question."""
        if content.ephemeral:
            return
        thread = _thread(to)
        connected = await self._workspaces.of(thread)
        names_itself = content.author_name is not None and connected.may(_CUSTOMIZE)
        last = render(content, has_own_name=names_itself)[-1]
        part = last.model_copy(update={"blocks": settled(last.blocks, note)})
        await self._update(connected, thread, remote_id, part)

    async def read_file(self, attachment: dict[str, Any]) -> bytes:
        """The content of a file that came in on Slack.

        https://docs.slack.dev/reference/objects/file-object
        """
        name = str(attachment.get("name") or "The file")
        team_id, _, file_id = str(attachment.get("ref") or "").partition(":")
        if attachment.get("platform") != "slack" or not file_id:
            raise Rejected(f"{name} is not a file of Slack's.")
        connected = await self._workspaces.need(team_id)
        with in_our_words(team_id):
            answer = await self._workspaces.client(connected).files_info(file=file_id)
        file: dict[str, Any] = answer.get("file") or {}
        if int(file.get("size") or 0) > LARGEST_FILE:
            raise Rejected(f"{name} is larger than {LARGEST_FILE // 1024 // 1024} MB, the most that is passed on.")
        address = str(file.get("url_private_download") or file.get("url_private") or "")
        return await self._download(name, address, connected)

    async def open_slack_thread(self, effect: Effect, team_id: str, channel_id: str) -> SlackThread:
        """Opens a thread in a channel. In Slack a thread hangs on a message, so one is posted to begin it."""
        connected = await self._workspaces.need(team_id)
        thread = connected.workspace.thread(channel_id, "").config.model_copy(update={"thread_ts": None})
        text = f"Conversation #{effect.session_id}"
        part = Part(text=text, blocks=[{"type": "markdown", "text": f"**{text}** — see the thread"}])
        ts = await self._send(connected, effect, _Shown(part, thread, None))
        return connected.workspace.thread(channel_id, ts)

    async def upload(self, effect: Effect, to: ChatSurface, name: str, data: bytes) -> str:
        """Posts a file into a thread once, and returns Slack's id of it.

        https://docs.slack.dev/messaging/working-with-files#uploading_files
        """
        thread = _thread(to)
        if len(data) > LARGEST_FILE or not data:
            raise Rejected(f"{name} is empty, or larger than {LARGEST_FILE // 1024 // 1024} MB.")
        connected = await self._workspaces.of(thread)
        if effect.earlier and (before := await self._uploaded(connected, effect, thread, name)):
            return before
        client = self._workspaces.client(connected)
        with in_our_words(thread.team_id, thread.channel):
            # slack_sdk's own methods put the arguments into the address of a POST: not documented, though it works.
            slot = await client.api_call(
                "files.getUploadURLExternal", http_verb="GET", params={"filename": name, "length": len(data)}
            )
        await self._send_file(str(slot["upload_url"]), name, data)
        with in_our_words(thread.team_id, thread.channel):
            file = {"id": str(slot["file_id"]), "title": name}
            where = {"channel_id": thread.channel, "thread_ts": thread.thread_ts}
            await client.api_call("files.completeUploadExternal", json={"files": [file], **where})
        return str(slot["file_id"])

    # One call each

    async def _send(self, connected: Connected, effect: Effect, shown: "_Shown") -> str:
        thread = shown.thread
        if effect.earlier and (before := await self._sent_before(connected, effect, thread)):
            return before
        with in_our_words(thread.team_id, thread.channel):
            answer = await self._workspaces.client(connected).chat_postMessage(
                channel=thread.channel,
                thread_ts=thread.thread_ts,
                text=shown.part.text,
                blocks=shown.part.blocks,
                username=shown.name,
                metadata=_marker(effect),
                unfurl_links=False,
                unfurl_media=False,
            )
        return str(answer["ts"])

    async def _show_to(self, connected: Connected, effect: Effect, shown: "_Shown", user: str) -> str:
        if effect.earlier:
            log.warning(
                "effect %s was for one person only, and may not have been shown: it is not repeated", effect.key
            )
            return f"ephemeral:{effect.key}"
        with in_our_words(shown.thread.team_id, shown.thread.channel):
            answer = await self._workspaces.client(connected).chat_postEphemeral(
                channel=shown.thread.channel,
                user=user,
                thread_ts=shown.thread.thread_ts,
                text=shown.part.text,
                blocks=shown.part.blocks,
            )
        return str(answer.get("message_ts") or f"ephemeral:{effect.key}")

    async def _replace(
        self, connected: Connected, whole: Effect, effect: Effect, to: ChatSurface, shown: "_Shown", content: Content
    ) -> str:
        """Puts a message in the place of another one of ours; where that is gone, it is posted as any other."""
        thread, ts = shown.thread, shown.thread.chat_ts or ""
        try:
            answer = await self._workspaces.client(connected).chat_update(
                channel=thread.channel, ts=ts, text=shown.part.text, blocks=shown.part.blocks, metadata=_marker(effect)
            )
        except SlackApiError as error:
            if error_code(error) == "message_not_found":
                return await self._send(connected, effect, shown)
            raise refusal(thread.team_id, error, thread.channel) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"Slack could not be reached: {type(error).__name__}") from None
        async with self._store.begin() as db:
            placeholder = await messages.find_posting(db, surface_key(to), ts)
            if placeholder is not None and placeholder.effect_key != whole.key:
                await messages.take_over(db, placeholder, content.chat_id, whole.key)
        return str(answer["ts"])

    async def _update(self, connected: Connected, thread: SlackThreadConfig, ts: str, part: Part) -> None:
        with in_our_words(thread.team_id, thread.channel):
            await self._workspaces.client(connected).chat_update(
                channel=thread.channel, ts=ts, text=part.text, blocks=part.blocks
            )

    async def _remove(self, connected: Connected, thread: SlackThreadConfig, posted: str) -> None:
        client = self._workspaces.client(connected)
        try:
            with in_our_words(thread.team_id, thread.channel):
                if _is_file(posted):
                    await client.api_call("files.delete", json={"file": posted})
                else:
                    await client.api_call("chat.delete", json={"channel": thread.channel, "ts": posted})
        except Rejected as error:
            if not any(gone in str(error) for gone in _GONE):
                raise

    async def _send_file(self, address: str, name: str, data: bytes) -> None:
        """The address is Slack's own secret for this one file: no token goes with it."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
                http.post(address, data=data, headers={"Content-Type": "application/octet-stream"}) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{name} could not be sent to Slack: {type(error).__name__}") from None
        if status != 200:
            raise Unavailable(f"{name} could not be sent to Slack: status {status}")

    async def _download(self, name: str, address: str, connected: Connected) -> bytes:
        host, own = urlsplit(address).hostname or "", urlsplit(self._settings.api_url).hostname
        if host != own and host != "slack.com" and not host.endswith(".slack.com"):
            raise Rejected(f"{name} is not kept by Slack but at {host or 'no address'}, and is not fetched from there.")
        headers = {"Authorization": f"Bearer {connected.credentials.bot_token.get_secret_value()}"}
        data = bytearray()
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
                # Slack sends those without permission to a page to sign in: the token goes to no other address.
                http.get(address, headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status == 429 or answer.status >= 500:
                    raise Unavailable(f"{name} could not be fetched from Slack: status {answer.status}")
                if answer.status != 200:
                    raise Rejected(
                        f"{name} cannot be fetched from Slack (status {answer.status}): it was deleted, or the app "
                        "lacks the scope files:read. Run `runllm connect slack` to see"
                    )
                async for chunk in answer.content.iter_any():
                    data += chunk
                    if len(data) > LARGEST_FILE:
                        raise Rejected(f"{name} is larger than {LARGEST_FILE // 1024 // 1024} MB.")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{name} could not be fetched from Slack: {type(error).__name__}") from None
        return bytes(data)

    # What an earlier attempt left behind

    async def _sent_before(self, connected: Connected, effect: Effect, thread: SlackThreadConfig) -> str | None:
        """The timestamp of the message that an earlier attempt posted; None where it posted none."""
        async for said in self._since(connected, effect, thread):
            marker = said.get("metadata") or {}
            if marker.get("event_type") == MARKER and marker.get("event_payload", {}).get("effect") == effect.key:
                return str(said["ts"])
        return None

    async def _uploaded(self, connected: Connected, effect: Effect, thread: SlackThreadConfig, name: str) -> str | None:
        async for said in self._since(connected, effect, thread):
            for file in said.get("files") or ():
                if connected.workspace.wrote(said) and file.get("title") == name:
                    return str(file["id"])
        return None

    async def _since(
        self, connected: Connected, effect: Effect, thread: SlackThreadConfig
    ) -> AsyncIterator[dict[str, Any]]:
        """The messages of a thread, or of a channel, since the effect began."""
        client, cursor = self._workspaces.client(connected), ""
        oldest = await self._began(effect)
        for _ in range(_PAGES):
            answer = await self._page(client, thread, oldest, cursor)
            for said in answer.get("messages") or ():
                yield said
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return
        raise Unavailable(
            f"So much is being written in Slack channel {thread.channel} that it cannot be told whether an earlier "
            "attempt has posted the message"
        )

    async def _page(self, client: AsyncWebClient, thread: SlackThreadConfig, oldest: str, cursor: str) -> Any:
        how: dict[str, Any] = {"oldest": oldest, "limit": _PAGE, "include_all_metadata": True}
        if cursor:
            how["cursor"] = cursor
        with in_our_words(thread.team_id, thread.channel):
            if thread.thread_ts is None:
                return await client.conversations_history(channel=thread.channel, **how)
            return await client.conversations_replies(channel=thread.channel, ts=thread.thread_ts, **how)

    async def _began(self, effect: Effect) -> str:
        async with self._store.read() as db:
            row = await db.get(EffectRow, effect.key)
        started = row.started_at if row is not None else now() - timedelta(days=1)
        return f"{(started - _CLOCKS_DIFFER).timestamp():.6f}"

    # The record

    async def _parts_of(self, to: ChatSurface, remote_id: str) -> tuple[str, list[str]]:
        """The key of the effect that posted a message, and the timestamps of all its parts."""
        async with self._store.read() as db:
            posting = await messages.find_posting(db, surface_key(to), remote_id)
        if posting is None or posting.effect_key is None:
            raise Rejected(f"This engine posted no message {remote_id} in {surface_key(to)}, so it cannot change it.")
        found = await parts_of(self._store, posting.effect_key)
        return posting.effect_key, found if remote_id in found else [remote_id, *found]

    async def _only_reader(self, to: ChatSurface) -> str:
        """Who a message for one person is for: whoever wrote last."""
        async with self._store.read() as db:
            author = await messages.last_author(db, surface_key(to))
        if author is None:
            raise Rejected(
                "Nobody has written in this Slack thread yet, so there is nobody to show a message to that only one "
                "person may see. Send it with ephemeral=False."
            )
        return author.rpartition(":")[2]


class _Shown:
    """One message of Slack's, and where it goes."""

    def __init__(self, part: Part, thread: SlackThreadConfig, name: str | None) -> None:
        self.part = part
        self.thread = thread
        self.name = name[:_LONGEST_NAME] if name else None


def _is_file(posted: str) -> bool:
    """Messages are known by timestamps, files by ids that begin with a letter."""
    return posted.startswith("F")


def _marker(effect: Effect) -> dict[str, Any]:
    return {"event_type": MARKER, "event_payload": {"effect": effect.key}}


def _thread(to: ChatSurface) -> SlackThreadConfig:
    if not isinstance(to, SlackThread):
        raise NotConnected(f"Slack cannot show a message on a {to.type}.")
    return to.config
