"""Credentials at rest: sealed with a key derived from the secret, so a copy of the database opens nothing."""

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from store.engine import StoreError

_PURPOSE = b"runllm installations"


class Seal:
    """Seals and opens what platforms gave us: tokens, secrets, passwords."""

    def __init__(self, secret: SecretStr | str) -> None:
        text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
        # The secret is random and long (see `store.settings`), so a fast derivation bound to one purpose is enough.
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(text.encode())
        self._fernet = Fernet(urlsafe_b64encode(derived))

    def close(self, values: dict[str, Any]) -> bytes:
        """`values` as bytes that only this installation can read."""
        return self._fernet.encrypt(json.dumps(values, sort_keys=True).encode())

    def open(self, sealed: bytes) -> dict[str, Any]:
        """What `close` was given.

        Raises:
            StoreError: It was sealed with another secret.
        """
        try:
            values = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise StoreError(
                "A platform's credentials were sealed with another RUNLLM_SECRET. Set the one from before, or connect "
                "the platform again: runllm connect"
            ) from None
        return dict(values)
