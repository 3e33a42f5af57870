"""How Discord is connected. It cannot be yet, and says so."""

from gateways.connecting import Checked, Credentials, Setup
from gateways.platforms import PlatformSettings
from runllm.errors import Rejected


async def check(settings: PlatformSettings, credentials: Credentials) -> Checked:
    """Tries credentials."""
    raise Rejected("Discord cannot be connected in this version: it comes with a later one.")


SETUP = Setup(check)
