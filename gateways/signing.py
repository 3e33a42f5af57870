"""Tokens that only this installation can have made: a JSON payload and its HMAC, bound to one purpose."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Literal

Purpose = Literal["widget", "console", "login", "seat", "hub", "slack", "zendesk", "zendesk_link"]
"""What a token is for. A token made for one purpose is refused for every other."""


def sign(secret: str, purpose: Purpose, claims: dict[str, Any], lives: float) -> str:
    """A token with `claims` that is good for `lives` seconds."""
    payload = json.dumps({**claims, "exp": int(time.time() + lives)}, separators=(",", ":"), sort_keys=True)
    body = _encode(payload.encode())
    return f"{body}.{_encode(_mac(secret, purpose, body))}"


def read(secret: str, purpose: Purpose, token: str) -> dict[str, Any] | None:
    """The claims of a token that we made and that is still good; None for every other text."""
    body, _, mac = token.partition(".")
    expected = _encode(_mac(secret, purpose, body))
    if not hmac.compare_digest(expected.encode(), mac.encode(errors="replace")):
        return None
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims if isinstance(claims, dict) and claims.get("exp", 0) > time.time() else None


def hub_token(secret: str) -> str:
    """What workers show at `/internal/hub`. It is derived, so that the secret itself never travels."""
    return _encode(_mac(secret, "hub", "bearer"))


def is_hub_token(secret: str, token: str) -> bool:
    """Whether `token` is ours, in constant time."""
    return hmac.compare_digest(hub_token(secret).encode(), token.encode(errors="replace"))


def login_token(secret: str) -> str:
    """For `/console/login?token=…`, for ten minutes: whoever can read the secret may look into the console."""
    return sign(secret, "login", {"by": "local"}, 600)


def _mac(secret: str, purpose: Purpose, body: str) -> bytes:
    return hmac.digest(secret.encode(), f"runllm {purpose}\n{body}".encode(errors="replace"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
