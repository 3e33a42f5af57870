"""Where the record is, and the secret that the engine's own processes share."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr
from sqlalchemy import URL


class StoreSettings(BaseModel):
    """What every process that opens the record needs to know.

    Attributes:
        home: Directory of everything this installation keeps.
        database_url: SQLite or PostgreSQL, for `Store.open`.
        secret: Signs what leaves the engine and comes back, and admits our own processes to each other.
    """

    model_config = ConfigDict(frozen=True)

    home: Path
    database_url: str
    secret: SecretStr

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "StoreSettings":
        """Reads RUNLLM_HOME, RUNLLM_DATABASE_URL and RUNLLM_SECRET; makes the secret's file where there is none."""
        home = Path(environ.get("RUNLLM_HOME") or ".runllm").absolute()
        file = URL.create("sqlite", database=str(home / "runllm.db"))
        url = environ.get("RUNLLM_DATABASE_URL") or file.render_as_string(hide_password=False)
        secret = environ.get("RUNLLM_SECRET") or ensure_secret(home / "secret")
        return cls(home=home, database_url=url, secret=SecretStr(secret))


def ensure_secret(path: Path) -> str:
    """The secret in a file that only its owner can read, made on first use: whoever is first, all read the same."""
    try:
        return _read(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    # A whole file appears at once, by a link that fails where another process was quicker.
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read(path)


def _read(path: Path) -> str:
    secret = path.read_text().strip()
    if not secret:
        raise ValueError(f"The secret file {path} is empty. Remove it, and the next start makes a new one.")
    return secret
