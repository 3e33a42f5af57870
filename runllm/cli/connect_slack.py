"""`runllm connect slack`."""

from runllm.cli.connecting import connect_and_say
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Server


def command(json: AsJson = False, server: Server = DEFAULT_SERVER, api_key: ApiKey = "") -> None:
    """Connect Slack: not in this version."""
    connect_and_say("slack", {}, json=json, server=server, api_key=api_key)
