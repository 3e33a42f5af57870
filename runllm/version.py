"""Which version of the engine this is."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "runllm-engine"
"""What the project is called on the package index, where the import's name belongs to somebody else."""


def version_of(distribution: str) -> str:
    """The version that is installed; `0+unknown` for a checkout that is on the path and not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0+unknown"


VERSION = version_of(DISTRIBUTION)
"""The version of this SDK."""
