"""The quick tests first: a plain mistake shows in seconds, not after the last killed process."""

import pytest

# From quick to slow; a test without any of these marks is a unit test and goes first.
SLOWER = ("store", "workflow", "browser", "slow", "faults")


def _rank(item: pytest.Item) -> int:
    return max((rank for rank, mark in enumerate(SLOWER, 1) if item.get_closest_marker(mark)), default=0)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by kind; the sort is stable, so tests of one file stay together."""
    items.sort(key=_rank)
