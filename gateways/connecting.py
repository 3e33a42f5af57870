"""Connecting a platform: its credentials are tried before they are kept, and what is missing is said in sentences.

Each platform says in its `setup.py` how; `gateways.server` alone knows all of them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateways.outlets import Outlets
from gateways.platforms import PlatformSettings
from runllm.operations import Frozen

Credentials = Mapping[str, Any]


class Finding(Frozen):
    """One thing that was looked at.

    Attributes:
        verdict: `good`; `note`, worth knowing; `bad`, needs a person.
        text: What is so, and where it is not good, what to do. No secrets.
    """

    verdict: Literal["good", "note", "bad"]
    text: str


class Checked(Frozen):
    """What a platform says of credentials that it accepts.

    Attributes:
        external_id: What the platform calls the workspace, account or server: handlers name it by this.
        name: What people call it.
        findings: What was looked at: scopes, rights, whether the platform can reach us.
    """

    external_id: str
    name: str = ""
    findings: list[Finding] = []

    @property
    def is_sound(self) -> bool:
        """Nothing needs a person."""
        return all(finding.verdict != "bad" for finding in self.findings)


Check = Callable[[PlatformSettings, Credentials], Awaitable[Checked]]
"""Looks at credentials, and changes nothing.

Raises:
    NotConnected, Rejected: The platform does not accept them; the text says which, and what to do.
    Unavailable, RateLimited: It cannot say now.
    UsageError: A field is missing or no good; the text names it.
"""

Install = Callable[[PlatformSettings, Credentials, Checked], Awaitable[Credentials]]
"""Makes the platform report to us (webhooks, triggers), and returns the credentials to keep. Done again, it changes
nothing that is right already. Raises as `Check` does."""

EmojiNames = Callable[[Outlets, str], Awaitable[frozenset[str] | None]]
"""Names of all emoji that people can react with in the workspace or server of that id; None where nobody can tell.

Raises:
    SurfaceError: The platform cannot say now.
"""

Link = Callable[[PlatformSettings, str, int, str, str], str]
"""Where somebody signs in, from the settings, our secret, the agent's number, who asks, and which account it is for.

Raises:
    UsageError: Nobody can sign in; the text says what to do.
"""

Refresh = Callable[[Outlets, str], Awaitable[None]]
"""Renews the credentials of the installation of that id, where they end soon. Raises as `Check` does."""


@dataclass(frozen=True)
class Setup:
    """How one platform is connected.

    Attributes:
        check: Tries credentials.
        install: What has to be made on the platform; None where nothing has to.
        given: The credentials that the environment holds, where it does: they are no installation, and are looked at
            like one.
        link: How somebody connects by signing in on a link of ours; None where they cannot.
        refresh: Keeps credentials good that end by themselves; None where they do not.
        emoji: Which emoji there are; None where the platform has no reactions.
    """

    check: Check
    install: Install | None = None
    given: Callable[[PlatformSettings], Credentials | None] | None = None
    link: Link | None = None
    refresh: Refresh | None = None
    emoji: EmojiNames | None = None


Setups = Mapping[str, Setup]
"""How each platform is connected, by its name."""
