"""Calls of Slack's Web API: tried once, and what Slack answers in our words.

Temporal owns retries, so slack_sdk's own are off: its default handler repeats a call whose connection broke after Slack
had taken it, which doubles the message.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from gateways.platforms import SlackSettings
from runllm.errors import NotConnected, RateLimited, Rejected, SurfaceError, Unavailable

_TIMEOUT = 20

TOKEN_IS_OVER = frozenset(
    {
        "account_inactive",
        "app_uninstalled",
        "invalid_auth",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
"""Errors that no other token than a new one can heal."""

_MAY_PASS = frozenset(
    {
        "fatal_error",
        "internal_error",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
        "two_factor_setup_required",
    }
)
"""Errors of Slack's own. A `fatal_error` may have taken the call, so the next attempt looks first."""

_SENTENCES = {
    "access_denied": "the app may not do that. Run `runllm connect slack` to see which permission it lacks",
    "cannot_reply_to_message": "the message that the thread hangs on takes no replies",
    "cant_update_message": "only the app that posted a message can change it",
    "channel_is_archived": "the channel is archived. Unarchive it, or use another one",
    "channel_type_not_supported": "that kind of channel does not take it",
    "channel_not_found": "there is no such channel, or the app is not in it. Invite the app: /invite @its-name",
    "edit_window_closed": "the workspace does not let messages be changed after so long a time",
    "ekm_access_denied": "the workspace's administrators have suspended access to messages (Enterprise Key Management)",
    "enterprise_is_restricted": "the organisation does not let the app do that here. Ask its administrators",
    "file_deleted": "the file was deleted",
    "file_not_found": "there is no such file, or the app may not see it",
    "file_upload_size_restricted": "the workspace takes no file so large",
    "invalid_blocks": "the blocks are not valid Block Kit",
    "invalid_blocks_format": "the blocks are not valid Block Kit",
    "is_archived": "the channel is archived. Unarchive it, or use another one",
    "malware_detected": "Slack takes the file for malware",
    "message_not_found": "the message is gone",
    "messages_tab_disabled": "nobody can write to the app. Switch on the Messages tab on its page, under App Home",
    "method_not_supported_for_channel_type": "that kind of channel does not take it",
    "missing_scope": "the app lacks a permission. Run `runllm connect slack` to see which, and install it again",
    "msg_blocks_too_long": "the blocks are longer than Slack takes in one message",
    "msg_too_long": "the message is longer than Slack takes",
    "no_permission": "the app may not do that. Run `runllm connect slack` to see which permission it lacks",
    "no_text": "the message is empty",
    "not_in_channel": "the app is not in the channel. Invite it there: /invite @its-name",
    "restricted_action": "the workspace does not let the app post there",
    "restricted_action_non_threadable_channel": "the channel takes no replies in threads",
    "restricted_action_read_only_channel": "the channel is read-only for the app. Its settings say who may post there",
    "restricted_action_thread_locked": "the thread is locked",
    "restricted_action_thread_only_channel": "the channel takes replies in threads only",
    "storage_limit_reached": "the workspace has no room for more files",
    "team_quota_exceeded": "the workspace has no room for more files",
    "thread_not_found": "the thread is gone",
    "user_disabled": "that person is no longer in the workspace",
    "user_not_found": "there is no such person in the workspace",
    "user_not_in_channel": "that person is not in the channel",
}


def web_client(settings: SlackSettings, token: str | None = None, patience: int = _TIMEOUT) -> AsyncWebClient:
    """A client that tries each call once, for `patience` seconds, and reads no proxy from the environment."""
    return AsyncWebClient(
        token=token, base_url=settings.api_url, timeout=patience, retry_handlers=[], trust_env_in_session=False
    )


@contextmanager
def in_our_words(team_id: str, channel: str = "") -> Iterator[None]:
    """Turns whatever a call of Slack raises into one of our errors, which names the workspace, and the channel."""
    try:
        yield
    except SlackApiError as error:
        raise refusal(team_id, error, channel) from None
    except (TimeoutError, aiohttp.ClientError, SlackClientError, OSError) as error:
        raise Unavailable(
            f"Slack could not be reached for workspace {team_id} ({type(error).__name__}). "
            "Check that the machine of the engine reaches slack.com, and try again"
        ) from None


def error_code(error: SlackApiError) -> str:
    """Slack's name for what went wrong; empty where it gave none."""
    answer = getattr(error.response, "data", None)
    return str(answer.get("error") or "") if isinstance(answer, dict) else ""


def refusal(team_id: str, error: SlackApiError, channel: str = "") -> SurfaceError:
    """What Slack answered, as the error that tells Temporal what to do."""
    status = int(getattr(error.response, "status_code", None) or getattr(error.response, "status", None) or 0)
    code = error_code(error)
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return RateLimited(f"Slack wants fewer calls for workspace {team_id}.", _retry_after(error))
    if status >= 500 or code in _MAY_PASS or not code:
        return Unavailable(f"Slack cannot answer for workspace {team_id} now ({code or f'status {status}'}).")
    if code in TOKEN_IS_OVER:
        return NotConnected(
            f"Slack no longer accepts this engine's token for workspace {team_id} ({code}). "
            "Connect the workspace again: runllm connect slack"
        )
    where = f"channel {channel} of workspace {team_id}" if channel else f"workspace {team_id}"
    return Rejected(f"Slack refused, for {where}: {_SENTENCES.get(code, code)} ({code}).{_details(error)}")


def _retry_after(error: SlackApiError) -> float:
    headers = getattr(error.response, "headers", {}) or {}
    text = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(text) if text.isdecimal() else 1.0


def _details(error: SlackApiError) -> str:
    """What Slack says of invalid blocks: places in the JSON, and no text of the message."""
    answer = getattr(error.response, "data", None)
    said = answer.get("response_metadata", {}).get("messages", []) if isinstance(answer, dict) else []
    needed = answer.get("needed") if isinstance(answer, dict) else None
    lines = [f"needed: {needed}"] if needed else [str(line)[:200] for line in said[:3]]
    return f" {'; '.join(lines)}" if lines else ""
