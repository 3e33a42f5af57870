"""Signing in to Zendesk in the browser, and keeping the sign-in: the pure part, without any I/O.

The authorization code grant with PKCE. A sign-in that ends is renewed with a refresh token, which is good for once.

https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/
"""

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr

from gateways.platforms import PlatformSettings, ZendeskSettings
from gateways.renewing import left_open
from gateways.signing import sign
from gateways.zendesk.account import Credentials, short_name
from runllm.errors import UsageError

LINK_PATH = "/zendesk/sign_in"
REDIRECT_PATH = "/zendesk/oauth_redirect"
LINK_LIVES = 600

_SCOPE = "read write"


def link(settings: PlatformSettings, secret: str, agent_id: int, who: str, account: str) -> str:
    """Where somebody signs in to an account, for ten minutes. It connects that account and no other.

    Args:
        agent_id: Whose account it becomes.
        who: Who asked for the link.
        account: `acme`, or `acme.zendesk.com`.

    Raises:
        UsageError: Nobody can sign in here, or that is no name of an account; the text says what to do.
    """
    if not can_sign_in(settings.zendesk):
        raise UsageError(
            "Nobody can sign in to Zendesk here: set RUNLLM_ZENDESK_CLIENT_ID and RUNLLM_ZENDESK_CLIENT_SECRET for the "
            "engine, from an OAuth client (Admin Center › Apps and integrations › APIs › OAuth clients) with the "
            f"redirect URL {redirect_uri(settings)}. Or connect with an API token"
        )
    name = short_name(account)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(f"{account!r} is no name of an account: it is `company` of `company.zendesk.com`")
    token = sign(secret, "zendesk_link", {"account": name, "agent": agent_id, "who": who}, LINK_LIVES)
    return f"{settings.public_url}{LINK_PATH}?{urlencode({'link': token})}"


def can_sign_in(settings: ZendeskSettings) -> bool:
    """Whether the engine has an OAuth client."""
    return bool(settings.client_id) and settings.client_secret is not None


def redirect_uri(settings: PlatformSettings) -> str:
    """Where Zendesk sends people back to: the OAuth client has to name it."""
    return f"{settings.public_url}{REDIRECT_PATH}"


def challenge_of(verifier: str) -> str:
    """What is shown of the secret that only this browser and we know (PKCE, S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode(errors="replace")).digest()).rstrip(b"=").decode()


def authorize_url(settings: PlatformSettings, account: str, state: str, challenge: str) -> str:
    """Where Zendesk asks the person whether the engine may act for them."""
    query = {
        "response_type": "code",
        "client_id": settings.zendesk.client_id,
        "redirect_uri": redirect_uri(settings),
        "scope": _SCOPE,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{settings.zendesk.url.replace('{subdomain}', account)}/oauth/authorizations/new?{urlencode(query)}"


def exchange(settings: PlatformSettings, code: str, verifier: str) -> dict[str, Any]:
    """What is asked for with the code that came back."""
    return {
        **_client(settings.zendesk),
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri(settings),
    }


def renewal(settings: ZendeskSettings, refresh_token: SecretStr) -> dict[str, Any]:
    """What is asked for with a refresh token."""
    return {
        **_client(settings),
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.get_secret_value(),
    }


def signed_in(before: Credentials, answer: Mapping[str, Any]) -> Credentials:
    """Credentials with the tokens of Zendesk's answer. Zendesk leaves out what does not end."""
    lives, refresh = float(answer.get("expires_in") or 0), answer.get("refresh_token")
    return before.model_copy(
        update={
            "oauth_token": SecretStr(str(answer["access_token"])),
            "refresh_token": SecretStr(str(refresh)) if refresh else None,
            "lives": lives,
            "expires_at": time.time() + lives if lives else 0.0,
            "asked_at": 0.0,
            "refused_at": 0.0,
        }
    )


def is_over(credentials: Credentials) -> str:
    """What to do where Zendesk renews a sign-in no more."""
    name = credentials.subdomain
    return (
        f"Zendesk does not renew the sign-in to {name}.zendesk.com (invalid_grant).{left_open(credentials.asked_at)} "
        f"Sign in again: runllm connect zendesk --subdomain {name} --sign-in"
    )


def _client(settings: ZendeskSettings) -> dict[str, Any]:
    assert settings.client_secret is not None
    return {
        "client_id": settings.client_id,
        "client_secret": settings.client_secret.get_secret_value(),
        "scope": _SCOPE,
        # The longest that Zendesk gives: clients made before 2026 get tokens without an end where nothing is asked for.
        "expires_in": 172_000,
        "refresh_token_expires_in": 7_770_000,
    }
