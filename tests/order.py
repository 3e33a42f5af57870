"""Which tests run, and in which order.

The quick ones first: a plain mistake shows in seconds, not after the last killed process. Some are too much for
every day, or need what not every machine has; they have a make target of their own, and run with `--also MARK` only.
"""

import pytest

# From quick to slow; a test without any of these marks is a unit test and goes first.
SLOWER = ("store", "workflow", "browser", "slow", "faults", "long", "compose")

ON_DEMAND = ("long", "compose")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--also", action="append", default=[], choices=ON_DEMAND, help="Run the tests with this mark as well."
    )


def _rank(item: pytest.Item) -> int:
    return max((rank for rank, mark in enumerate(SLOWER, 1) if item.get_closest_marker(mark)), default=0)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for, and sort by kind; the sort is stable, so tests of one file stay together."""
    unwanted = set(ON_DEMAND) - set(config.getoption("also"))
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in unwanted)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=_rank)
