"""How a Zendesk account is connected: credentials are tried, and a webhook and a trigger made that tell us of news."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from gateways.connecting import Checked, Credentials, Finding, Setup
from gateways.outlets import Outlets
from gateways.platforms import PlatformSettings
from gateways.zendesk import oauth
from gateways.zendesk.account import Account, short_name
from gateways.zendesk.account import Credentials as Keys
from gateways.zendesk.accounts import Accounts
from gateways.zendesk.inbound import TEST_SECRET, TRIGGER_BODY
from runllm.errors import NotConnected, Rejected, UsageError

WEBHOOK = "RunLLM engine"
TRIGGER = "RunLLM engine: tell it of comments and of solved tickets"

CONDITIONS = {
    "all": [],
    "any": [
        {"field": "comment_is_public", "operator": "is", "value": "not_relevant"},
        {"field": "status", "operator": "value", "value": "solved"},
        {"field": "status", "operator": "value", "value": "closed"},
    ],
}
"""Any comment, public or internal, and every ticket that becomes solved or closed.

https://developer.zendesk.com/documentation/ticketing/reference-guides/conditions-reference/
"""


async def check(settings: PlatformSettings, credentials: Credentials) -> Checked:
    """Tries credentials: who they are of, what that user may do, and whether Zendesk can tell us of news."""
    keys = _keys(credentials)
    account = Account(keys, settings.zendesk.url)
    try:
        me = await _me(account)
        if me.get("role") not in ("agent", "admin"):
            raise NotConnected(
                f"{keys.subdomain}.zendesk.com does not know these credentials as an agent's. Use an address with an "
                "API token (Admin Center › Apps and integrations › Zendesk API), or an OAuth token with read and write"
            )
        findings = [
            *_who(me),
            *_lasts(settings, keys),
            *_reachable(settings, keys.subdomain),
            *await _installed(account, me),
        ]
    finally:
        account.close()
    return Checked(external_id=keys.subdomain, name=f"{keys.subdomain}.zendesk.com", findings=findings)


async def install(settings: PlatformSettings, credentials: Credentials, checked: Checked) -> Credentials:
    """Makes webhook and trigger, or puts right those that are there. Returns what to keep."""
    keys = _keys(credentials)
    account = Account(keys, settings.zendesk.url)
    try:
        me = await account.me()
        kept = keys.model_copy(update={"bot_user_id": int(me["id"])})
        if me.get("role") != "admin":
            return kept.model_copy(update={"mark": _mark(f"{kept.subdomain} {me['id']}")}).in_the_clear()
        webhook_id = await _webhook(account, _endpoint(settings, keys.subdomain))
        found = await account.get(f"webhooks/{webhook_id}/signing_secret")
        secret = SecretStr(str(found["signing_secret"]["secret"]))
        trigger_id = await _trigger(account, webhook_id)
        made = {"webhook_id": webhook_id, "signing_secret": secret, "trigger_id": trigger_id}
        return kept.model_copy(update={**made, "mark": _mark(webhook_id)}).in_the_clear()
    finally:
        account.close()


async def refresh(outlets: Outlets, subdomain: str) -> None:
    """Renews a sign-in that ends soon."""
    accounts = Accounts(outlets.store, outlets.seal, outlets.settings.zendesk)
    try:
        await accounts.get(subdomain)
    finally:
        accounts.close()


SETUP = Setup(check=check, install=install, link=oauth.link, refresh=refresh)


def _keys(credentials: Mapping[str, Any]) -> Keys:
    """The credentials that somebody gave.

    Raises:
        UsageError: Something is missing; the text says what.
    """
    given = {name: value for name, value in credentials.items() if value not in (None, "")}
    subdomain = short_name(str(given.get("subdomain", "")))
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", subdomain):
        what = f"subdomain {subdomain!r} is no name of an account" if subdomain else "subdomain is missing"
        raise UsageError(f"{what}: it is `company` of `company.zendesk.com`")
    strangers = sorted(set(given) - set(Keys.model_fields))
    if strangers:
        raise UsageError(f"Zendesk takes no {', '.join(strangers)}. It takes subdomain, email, api_token, oauth_token")
    if "oauth_token" not in given and not ("email" in given and "api_token" in given):
        raise UsageError("Zendesk takes an oauth_token, or the email of an agent with an api_token")
    try:
        return Keys.model_validate({**given, "subdomain": subdomain})
    except ValidationError as error:
        fields = ", ".join(str(one["loc"][0]) for one in error.errors(include_input=False))
        raise UsageError(f"These credentials of Zendesk do not fit: {fields}") from None


async def _me(account: Account) -> dict[str, Any]:
    """The user of the credentials.

    Raises:
        NotConnected: There is none, or no such account.
    """
    where = f"{account.subdomain}.zendesk.com"
    try:
        return await account.me()
    except NotConnected:
        raise NotConnected(
            f"{where} does not accept these credentials. Check the address and the token, and that API tokens are "
            "switched on (Admin Center › Apps and integrations › Zendesk API)"
        ) from None
    except Rejected as refusal:
        raise NotConnected(f"There is no Zendesk account at {where}, or it takes no API calls: {refusal}") from None


def _who(me: Mapping[str, Any]) -> list[Finding]:
    who = f"{me.get('name')} ({me.get('role')})"
    found = [Finding(verdict="good", text=f"The engine acts as {who}.")]
    if me.get("suspended") or me.get("active") is False:
        found.append(Finding(verdict="bad", text=f"{who} is suspended or deleted: use another user."))
    if me.get("role") != "admin":
        found.append(
            Finding(
                verdict="bad",
                text=f"{who} is no administrator, so Zendesk lets the engine make no webhook and see no export. It "
                "hears of comments by looking at its open tickets once a minute, and no ticket starts a conversation. "
                "Connect it with an administrator's token.",
            )
        )
    return found


def _lasts(settings: PlatformSettings, keys: Keys) -> list[Finding]:
    """What is to be known of a sign-in that ends."""
    if keys.refresh_token is None or not keys.expires_at:
        return []
    if keys.refused_at:
        return [Finding(verdict="bad", text=oauth.is_over(keys))]
    if not oauth.can_sign_in(settings.zendesk):
        text = (
            f"Somebody signed in to {keys.subdomain}.zendesk.com, and the sign-in ends soon: it is renewed only with "
            "RUNLLM_ZENDESK_CLIENT_ID and RUNLLM_ZENDESK_CLIENT_SECRET, which are not set."
        )
        return [Finding(verdict="bad", text=text)]
    return [Finding(verdict="good", text="Somebody signed in, and the engine renews the sign-in by itself.")]


def _reachable(settings: PlatformSettings, subdomain: str) -> list[Finding]:
    endpoint = _endpoint(settings, subdomain)
    parts = urlsplit(endpoint)
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if is_local and not settings.zendesk.url.startswith("http://"):
        text = (
            f"Zendesk cannot reach {endpoint}: set RUNLLM_PUBLIC_URL to where the gateways are reached from outside, "
            "and connect again. Until then comments arrive by the sweeper, a minute or two late."
        )
        return [Finding(verdict="bad", text=text)]
    if parts.scheme != "https" and not is_local:
        text = f"{endpoint} is not encrypted: anybody on the way reads it. Set RUNLLM_PUBLIC_URL to an https address."
        return [Finding(verdict="bad", text=text)]
    return [Finding(verdict="note", text=f"Zendesk tells the engine of comments at {endpoint}.")]


async def _installed(account: Account, me: Mapping[str, Any]) -> list[Finding]:
    """What is left of what `install` made; nothing to say before that."""
    keys = account.credentials
    if me.get("role") != "admin" or not keys.webhook_id:
        return []
    again = "Connect the account again, and it is put right: runllm connect zendesk"
    hooks = {str(hook["id"]): hook for hook in await _all(account, "webhooks", "webhooks")}
    hook = hooks.get(keys.webhook_id)
    if hook is None or hook.get("status") != "active":
        state = "gone" if hook is None else "switched off"
        return [Finding(verdict="bad", text=f"The webhook that tells the engine of comments is {state}. {again}")]
    found = await account.get(f"webhooks/{keys.webhook_id}/signing_secret")
    if keys.signing_secret is None or found["signing_secret"]["secret"] != keys.signing_secret.get_secret_value():
        text = f"The webhook's signing secret was changed, so nothing that arrives is believed. {again}"
        return [Finding(verdict="bad", text=text)]
    if keys.signing_secret.get_secret_value() == TEST_SECRET:
        return [Finding(verdict="bad", text="The webhook is signed with the secret that Zendesk publishes for tests.")]
    trigger = next((one for one in await _triggers(account) if int(one["id"]) == keys.trigger_id), None)
    if trigger is None or not trigger.get("active", True) or not _is_right(trigger, keys.webhook_id):
        return [Finding(verdict="bad", text=f"The trigger “{TRIGGER}” was changed, switched off or deleted. {again}")]
    return [Finding(verdict="good", text="The webhook and its trigger are in place.")]


async def _webhook(account: Account, endpoint: str) -> str:
    """The webhook that leads to us, made where there is none."""
    wanted = {
        "name": WEBHOOK,
        "endpoint": endpoint,
        "http_method": "POST",
        "request_format": "json",
        "status": "active",
        "subscriptions": ["conditional_ticket_events"],
    }
    found = await _first(account, "webhooks", lambda hook: hook.get("endpoint") == endpoint)
    if found is None:
        made = await account.send("post", "webhooks", {"webhook": wanted})
        return str(made["webhook"]["id"])
    if any(found.get(name) != value for name, value in wanted.items()):
        await account.send("patch", f"webhooks/{found['id']}", {"webhook": wanted})
    return str(found["id"])


async def _trigger(account: Account, webhook_id: str) -> int:
    """The trigger that calls the webhook, made where there is none."""
    wanted = {
        "title": TRIGGER,
        "active": True,
        "conditions": CONDITIONS,
        "actions": [{"field": "notification_webhook", "value": [webhook_id, TRIGGER_BODY]}],
    }
    for trigger in await _triggers(account):
        if any(webhook_id in str(action.get("value")) for action in trigger["actions"]):
            if not trigger.get("active", True) or not _is_right(trigger, webhook_id):
                await account.send("put", f"triggers/{trigger['id']}.json", {"trigger": wanted})
            return int(trigger["id"])
    made = await account.send("post", "triggers.json", {"trigger": wanted})
    return int(made["trigger"]["id"])


def _is_right(trigger: Mapping[str, Any], webhook_id: str) -> bool:
    """Whether it still tells us all that we want; conditions that somebody added narrow it on purpose and may stay."""
    calls = {"field": "notification_webhook", "value": [webhook_id, TRIGGER_BODY]} in trigger["actions"]
    some = trigger["conditions"].get("any") or []
    fields = {(one.get("field"), str(one.get("value"))) for one in some}
    return calls and {(one["field"], one["value"]) for one in CONDITIONS["any"]} <= fields


async def _triggers(account: Account) -> list[dict[str, Any]]:
    return await _all(account, "triggers.json", "triggers")


async def _first(account: Account, path: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    return next((one for one in await _all(account, path, path) if fits(one)), None)


async def _all(account: Account, path: str, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = await account.get(path, **{"page[size]": "100"})
    while True:
        found += page[name]
        following = (page.get("links") or {}).get("next")
        if not (page.get("meta") or {}).get("has_more") or not following:
            return found
        page = await account.get(following)


def _endpoint(settings: PlatformSettings, subdomain: str) -> str:
    return f"{settings.public_url}/zendesk/{subdomain}/webhook"


def _mark(what: str) -> str:
    """What the effects of one engine carry. The webhook leads to one engine, so its id tells it from others."""
    return hashlib.sha256(what.encode()).hexdigest()[:8]
