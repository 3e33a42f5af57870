"""What Slack tells us, as `Inbound`s. Pure: bytes and JSON in, our words out.

- One mention is two events, `message` and `app_mention`, with two ids: both get the key of the message.
- An edit is a `message_changed` whose text differs: unfurled links are none.
- What the app itself wrote comes back as an event, and is nothing new.

https://docs.slack.dev/reference/events
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from gateways.adapter import Earlier, Inbound
from gateways.slack import mrkdwn
from gateways.slack.rendering import BUTTON_ACTION, FEEDBACK_ACTION
from runllm.bridge.surfaces import SlackThread, SlackThreadConfig, SurfaceType
from runllm.bridge.triggers import Happening
from runllm.operations import Frozen

_SPOKEN = (None, "", "file_share", "thread_broadcast", "bot_message", "me_message")
"""Subtypes of messages that somebody said. The others tell of joins, topics, pins and the like."""


class Malformed(ValueError):
    """Not what Slack sends: the text says why, and holds nothing of what was sent."""


class Workspace(Frozen):
    """Whose event it is.

    Attributes:
        team_id: The workspace.
        reference: What stands for its installation in `SlackThreadConfig.bot_conn_token`.
        bot_user_id, bot_id: The app's own, by which it knows what it wrote itself.
        url: The workspace's address, for links.
    """

    team_id: str
    reference: str
    bot_user_id: str = ""
    bot_id: str = ""
    url: str = ""

    def thread(self, channel: str, thread_ts: str) -> SlackThread:
        """A thread of this workspace."""
        config = SlackThreadConfig(
            bot_conn_token=self.reference,
            team_id=self.team_id,
            channel=channel,
            thread_ts=thread_ts,
            workspace_url=self.url or None,
        )
        return SlackThread(config=config)

    def wrote(self, said: Mapping[str, Any]) -> bool:
        """Whether the app itself wrote this."""
        return bool(
            (self.bot_id and said.get("bot_id") == self.bot_id)
            or (self.bot_user_id and said.get("user") == self.bot_user_id)
        )


class Reacted(Frozen):
    """Somebody reacted to a message. Slack does not say which thread that is in."""

    channel: str
    ts: str
    user: str
    emoji: str
    event_ts: str


class Gone(Frozen):
    """The workspace removed the app, or took its token back."""

    team_id: str


def read_body(data: bytes, content_type: str) -> dict[str, Any]:
    """The JSON of a request: an event, or what a form carries of a click.

    Raises:
        Malformed: It is neither.
    """
    try:
        text = data.decode()
        if content_type.startswith("application/x-www-form-urlencoded"):
            form = parse_qs(text, max_num_fields=100)
            if "payload" not in form:
                return {name: values[0] for name, values in form.items()}  # slash commands, ssl_check
            text = form["payload"][0]
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("The body is neither JSON nor a form with JSON in it.") from None
    if not isinstance(body, dict):
        raise Malformed("The body is not a JSON object.")
    return body


def teams_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """The workspace that has the app installed, and its organisation; empty where there is none.

    In a channel that two workspaces share, the message's own workspace may be the other one.
    """
    authorizations = body.get("authorizations")
    first = authorizations[0] if isinstance(authorizations, list) and authorizations else {}
    mine = first if isinstance(first, dict) else {}
    team, enterprise = body.get("team"), body.get("enterprise")
    team_id = mine.get("team_id") or body.get("team_id") or (team.get("id") if isinstance(team, dict) else "")
    enterprise_id = (
        mine.get("enterprise_id")
        or body.get("enterprise_id")
        or (enterprise.get("id") if isinstance(enterprise, dict) else "")
    )
    return _text(team_id), _text(enterprise_id)


def event_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The event in a delivery of the Events API; empty where there is none."""
    event = body.get("event")
    return event if isinstance(event, dict) else {}


def people_in(event: Mapping[str, Any]) -> list[str]:
    """Ids of the author and of all whom the message mentions: their names are wanted."""
    said = event.get("message") if isinstance(event.get("message"), dict) else event
    assert isinstance(said, Mapping)
    author = _text(said.get("user"))
    return list(dict.fromkeys([*([author] if author else []), *mrkdwn.mentioned(_text(said.get("text")))]))


def read_event(
    event: Mapping[str, Any], workspace: Workspace, names: Mapping[str, str] | None = None
) -> Inbound | Reacted | Gone | None:
    """What happened; None for what concerns nobody here.

    Args:
        event: The event of a delivery.
        workspace: Whose it is.
        names: What people are called, as far as known.
    """
    match event.get("type"):
        case "message" | "app_mention":
            return _read_message(event, workspace, names or {})
        case "reaction_added":
            return _read_reaction(event, workspace)
        case "app_uninstalled" | "tokens_revoked":
            return _read_end(event, workspace)
        case _:
            return None


def reaction(
    reacted: Reacted, workspace: Workspace, thread_ts: str, *, is_last: bool, earlier: Sequence[Earlier] = ()
) -> Inbound:
    """A reaction, once it is known where in its thread the message is."""
    thread = workspace.thread(reacted.channel, thread_ts)
    return Inbound(
        kind="reaction",
        dedupe_key=_key(workspace, reacted.channel, reacted.ts, f"{reacted.emoji}:{reacted.user}:{reacted.event_ts}"),
        surface=thread,
        happening=Happening(
            surface=SurfaceType.SLACK_THREAD,
            is_message=False,
            emoji=reacted.emoji,
            is_reply=reacted.ts != thread_ts,
            is_last=is_last,
        ),
        remote_id=reacted.ts,
        user=_person(workspace, reacted.user),
        earlier=list(earlier),
    )


def earlier_message(said: Mapping[str, Any], workspace: Workspace, names: Mapping[str, str]) -> Earlier | None:
    """A message that a thread had before, from `conversations.replies`; None for what nobody said."""
    ts = _text(said.get("ts"))
    if not ts or said.get("subtype") not in _SPOKEN:
        return None
    return Earlier(
        remote_id=ts,
        text=_words(said, workspace, names),
        user=_author(said, workspace),
        author_name=_name(said, names),
        attachments=_files(said, workspace),
        at=_moment(ts),
        is_from_bot=bool(said.get("bot_id")),
    )


def read_actions(body: Mapping[str, Any], workspace: Workspace) -> list[Inbound]:
    """The clicks in a `block_actions` payload, of our own buttons only.

    https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
    """
    actions = body.get("actions")
    found = (_read_action(action, body, workspace) for action in (actions if isinstance(actions, list) else ()))
    return [one for one in found if one is not None]


def _read_action(action: Any, body: Mapping[str, Any], workspace: Workspace) -> Inbound | None:
    if not isinstance(action, dict):
        return None
    name, value = _text(action.get("action_id")), _text(action.get("value"))
    container, message = _dict(body.get("container")), _dict(body.get("message"))
    channel = _text(container.get("channel_id")) or _text(_dict(body.get("channel")).get("id"))
    ts = _text(container.get("message_ts")) or _text(message.get("ts"))
    user = _text(_dict(body.get("user")).get("id"))
    if not (channel and ts and user):
        return None
    thread = workspace.thread(channel, _text(message.get("thread_ts")) or _text(container.get("thread_ts")) or ts)
    common: dict[str, Any] = {"surface": thread, "remote_id": ts, "user": _person(workspace, user)}
    when = _text(action.get("action_ts"))
    if name.startswith(FEEDBACK_ACTION):
        answer = name.removeprefix(f"{FEEDBACK_ACTION}_")
        key = _key(workspace, channel, ts, f"feedback:{user}:{when}")
        return Inbound(kind="feedback", dedupe_key=key, is_helpful=answer == "yes", **common)
    wait, colon, button_id = value.partition(":")
    if not name.startswith(BUTTON_ACTION) or not colon or not wait.isdecimal():
        return None
    key = _key(workspace, channel, ts, f"click:{wait}:{user}:{when}")
    return Inbound(kind="button", dedupe_key=key, wait_id=int(wait), button_id=button_id, **common)


def _read_message(event: Mapping[str, Any], workspace: Workspace, names: Mapping[str, str]) -> Inbound | None:
    subtype = event.get("subtype")
    if subtype == "message_changed":
        return _read_edit(event, workspace, names)
    if subtype == "message_deleted":
        return _read_deletion(event, workspace, _dict(event.get("previous_message")), _text(event.get("deleted_ts")))
    channel, ts = _text(event.get("channel")), _text(event.get("ts"))
    if subtype not in _SPOKEN or workspace.wrote(event) or not channel or not ts:
        return None
    thread_ts = _text(event.get("thread_ts")) or ts
    # Whoever writes to the app directly need not call it by its name.
    is_direct = event.get("channel_type") == "im" or (channel.startswith("D") and not event.get("channel_type"))
    return Inbound(
        kind="message",
        dedupe_key=_key(workspace, channel, ts),
        surface=workspace.thread(channel, thread_ts),
        happening=Happening(
            surface=SurfaceType.SLACK_THREAD,
            is_mention=is_direct or event.get("type") == "app_mention" or _mentions(event, workspace),
            is_reply=thread_ts != ts,
        ),
        remote_id=ts,
        text=_words(event, workspace, names),
        user=_author(event, workspace),
        author_name=_name(event, names),
        attachments=_files(event, workspace),
        is_from_bot=bool(event.get("bot_id")) or subtype == "bot_message",
    )


def _read_edit(event: Mapping[str, Any], workspace: Workspace, names: Mapping[str, str]) -> Inbound | None:
    now, before = _dict(event.get("message")), _dict(event.get("previous_message"))
    channel, ts = _text(event.get("channel")), _text(now.get("ts"))
    if workspace.wrote(now) or not channel or not ts:
        return None
    if now.get("subtype") == "tombstone":  # the first message of a thread that has replies
        return _read_deletion(event, workspace, before or now, ts)
    if now.get("subtype") not in _SPOKEN or (before and before.get("text") == now.get("text")):
        return None
    edited = _text(_dict(now.get("edited")).get("ts")) or _text(event.get("event_ts"))
    return Inbound(
        kind="edit",
        dedupe_key=_key(workspace, channel, ts, f"edit:{edited}"),
        surface=workspace.thread(channel, _text(now.get("thread_ts")) or ts),
        remote_id=ts,
        text=_words(now, workspace, names),
        user=_author(now, workspace),
        author_name=_name(now, names),
        is_from_bot=bool(now.get("bot_id")),
        changed_at=_moment(edited),
    )


def _read_deletion(
    event: Mapping[str, Any], workspace: Workspace, before: Mapping[str, Any], ts: str
) -> Inbound | None:
    channel = _text(event.get("channel"))
    if not channel or not ts or workspace.wrote(before):
        return None
    return Inbound(
        kind="delete",
        dedupe_key=_key(workspace, channel, ts, "deleted"),
        surface=workspace.thread(channel, _text(before.get("thread_ts")) or ts),
        remote_id=ts,
        user=_author(before, workspace),
        is_from_bot=bool(before.get("bot_id")),
    )


def _read_reaction(event: Mapping[str, Any], workspace: Workspace) -> Reacted | None:
    item, user = _dict(event.get("item")), _text(event.get("user"))
    channel, ts = _text(item.get("channel")), _text(item.get("ts"))
    emoji = _text(event.get("reaction")).partition("::")[0]  # the colour of a hand's skin is no other emoji
    if item.get("type") != "message" or not (channel and ts and user and emoji) or user == workspace.bot_user_id:
        return None
    event_ts = _text(event.get("event_ts"))
    return Reacted(channel=channel, ts=ts, user=user, emoji=emoji, event_ts=event_ts)


def _read_end(event: Mapping[str, Any], workspace: Workspace) -> Gone | None:
    """The end of the bot's token. That of a person's own token, which is not used here, is none."""
    if event.get("type") == "tokens_revoked" and not _dict(event.get("tokens")).get("bot"):
        return None
    return Gone(team_id=workspace.team_id)


def _key(workspace: Workspace, channel: str, ts: str, what: str = "") -> str:
    """What Slack means by the same event: a message is its workspace, channel and timestamp, whatever delivers it."""
    return ":".join(["slack", workspace.team_id, channel, ts, *([what] if what else [])])[:300]


def _words(said: Mapping[str, Any], workspace: Workspace, names: Mapping[str, str]) -> str:
    """What a message says. Integrations often say it in attachments only."""
    text = _text(said.get("text"))
    if not text and isinstance(said.get("attachments"), list):
        parts = [_text(_dict(one).get("text")) or _text(_dict(one).get("fallback")) for one in said["attachments"]]
        text = "\n\n".join(part for part in parts if part)
    return mrkdwn.as_markdown(text, names, workspace.bot_user_id)


def _mentions(said: Mapping[str, Any], workspace: Workspace) -> bool:
    return bool(workspace.bot_user_id) and workspace.bot_user_id in mrkdwn.mentioned(_text(said.get("text")))


def _author(said: Mapping[str, Any], workspace: Workspace) -> str | None:
    author = _text(said.get("user")) or _text(said.get("bot_id"))
    return _person(workspace, author) if author else None


def _person(workspace: Workspace, user: str) -> str:
    return f"{workspace.team_id}:{user}"


def _name(said: Mapping[str, Any], names: Mapping[str, str]) -> str | None:
    profile = _dict(said.get("bot_profile"))
    return names.get(_text(said.get("user"))) or _text(said.get("username")) or _text(profile.get("name")) or None


def _files(said: Mapping[str, Any], workspace: Workspace) -> list[dict[str, Any]]:
    """Files that came with a message. Nobody may fetch them without the app's token, so they have no address here."""
    files = said.get("files")
    return [
        {
            "name": _text(file.get("name")) or _text(file.get("title")) or "file",
            "mimetype": _text(file.get("mimetype")) or "application/octet-stream",
            "size": file.get("size") if isinstance(file.get("size"), int) else 0,
            "platform": "slack",
            "ref": f"{workspace.team_id}:{_text(file.get('id'))}",
        }
        for file in (files if isinstance(files, list) else ())
        if isinstance(file, dict) and _text(file.get("id"))
    ]


def _moment(ts: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
