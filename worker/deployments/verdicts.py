"""What is asked of the child processes that judge customer code, and what they answer."""

from pathlib import Path

from gateways.wire import Manifest
from runllm.bridge.listeners import AnyListener
from runllm.bundle import Bundle, BundleEntry
from runllm.operations import Frozen
from worker.session.published import Published


class Unpacked(Frozen):
    """A version whose files are in `directory`."""

    name: str
    build_id: str
    directory: Path
    entrypoint: BundleEntry
    tasks: list[BundleEntry] = []

    @classmethod
    def of(cls, bundle: Bundle, build_id: str, directory: Path) -> "Unpacked":
        """The version that `bundle` is, unpacked in `directory`."""
        return cls(
            name=bundle.name, build_id=build_id, directory=directory, entrypoint=bundle.entrypoint, tasks=bundle.tasks
        )

    def entries(self) -> list[BundleEntry]:
        """All handlers, the entrypoint first."""
        return [self.entrypoint, *self.tasks]

    def published(self) -> Published:
        """The same for the session."""
        return Published(self.name, self.build_id, self.directory, self.entrypoint, self.tasks)


class CheckBundle(Frozen):
    """Is this version a workflow, and does it listen where its publisher says?"""

    version: Unpacked
    listeners: list[AnyListener]
    import_seconds: float = 12.0


class Checked(Frozen):
    """What validation found: a manifest, or problems for the customer to solve."""

    manifest: Manifest | None = None
    problems: list[str] = []


class ReplayRecent(Frozen):
    """Do the newest conversations of a published name take the same path with this version?"""

    version: Unpacked
    at_most: int = 20
    seconds: float = 10.0


class Replayed(Frozen):
    """How recent conversations fared: information, never a reason to refuse a version.

    Attributes:
        same: How many took the same path.
        other: How many take another one.
        first_difference: Where the first of those leaves the path.
        unread: How many there was no time for.
        failure: The new code could not be loaded.
    """

    same: int = 0
    other: int = 0
    first_difference: str = ""
    unread: int = 0
    failure: str = ""

    def sentence(self) -> str:
        """The result as one line for people."""
        if not self.same + self.other:
            return "no conversations yet" if not self.unread else "no time to replay any of the recent conversations"
        text = f"{_conversations(self.same + self.other)}: "
        if not self.other:
            text += "all take the same path" if self.same > 1 else "it takes the same path"
        else:
            verb = "takes" if self.other == 1 else "take"
            text += f"{self.same} the same, {self.other} {verb} another path ({self.first_difference})"
        return text + (f"; no time for {self.unread} more" if self.unread else "")


def _conversations(count: int) -> str:
    return f"{count} recent conversation{'s' if count > 1 else ''}"
