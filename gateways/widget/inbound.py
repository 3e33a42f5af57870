"""The chat widget's inbound rules, without any I/O: where a request comes from, and what a token stands for."""

from collections.abc import Mapping
from typing import Any

from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig


def origin_of(headers: Mapping[str, str], scheme: str, host: str) -> str | None:
    """The web page's origin. Browsers send none with a GET of the page's own server, but say that it is one."""
    origin = headers.get("Origin")
    if origin is None and headers.get("Sec-Fetch-Site") == "same-origin":
        return f"{scheme}://{host}"
    return origin


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of an `Authorization` header."""
    kind, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def claims_for(conversation: str, user: str | None, origin: str) -> dict[str, Any]:
    """What a visitor's token says."""
    return {"conversation": conversation, "user": user, "origin": origin}


def surface_of(claims: Mapping[str, Any]) -> ChatWidget:
    """The conversation that a token stands for."""
    return ChatWidget(
        config=ChatWidgetConfig(convo_identifier=str(claims["conversation"]), chat_user_id=claims.get("user"))
    )
