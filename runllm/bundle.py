"""The sources of a published workflow: what they are, and how they are collected from the files they live in."""

from typing import Literal

from pydantic import ConfigDict, Field

from runllm.bridge.listeners import AnyListener
from runllm.operations import Frozen


class BundleEntry(Frozen):
    """Where a handler is found in a bundle: `getattr(import_module(module), function)`."""

    name: str
    module: str
    function: str


class Bundle(Frozen):
    """What `Client.publish` uploads: source files and where the handlers are in them.

    Attributes:
        name: The published name.
        files: Path inside the bundle, with forward slashes, to its source text.
        entrypoint: The entrypoint.
        tasks: The tasks.
        listeners: Where the workflow listens, as the client sees it; checked again on the server.
        sdk_version: Version of the SDK that made the bundle.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    files: dict[str, str]
    entrypoint: BundleEntry
    tasks: list[BundleEntry] = []
    listeners: list[AnyListener] = Field(min_length=1)
    sdk_version: str = ""
