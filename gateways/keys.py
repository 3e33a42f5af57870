"""`python -m gateways.keys`: keys of the control API, and links into the console, for whoever can read the record.

python -m gateways.keys create NAME    makes a key and prints it: it cannot be read again
python -m gateways.keys login          prints a token for /console/login?token=..., good for ten minutes
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from gateways.signing import login_token
from store import agents
from store.engine import Store, StoreError
from store.settings import StoreSettings

_USAGE = 64


def main(arguments: Sequence[str]) -> None:
    """Does what the arguments say."""
    try:
        settings = StoreSettings.from_env(os.environ)
        match list(arguments):
            case ["create", name] if name:
                print(asyncio.run(create(settings, name)))
            case ["login"]:
                print(login_token(settings.secret.get_secret_value()))
            case _:
                print(__doc__, file=sys.stderr)
                sys.exit(_USAGE)
    except (StoreError, ValueError) as error:
        sys.exit(f"gateways.keys: {error}")


async def create(settings: StoreSettings, name: str) -> str:
    """Writes a new key into the record, and returns it."""
    store = await Store.open(settings.database_url)
    try:
        async with store.begin() as db:
            agent = await agents.ensure_agent(db)
            return await agents.create_key(db, agent.id, name)
    finally:
        await store.close()


if __name__ == "__main__":
    main(sys.argv[1:])
