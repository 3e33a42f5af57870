"""Two statements are the same, nearly the same, contrary, or about different things."""

import pytest

from worker.answering.likeness import Relation, relation


@pytest.mark.parametrize(
    ("statement", "other", "stands"),
    [
        ("Lantern listens on port 4600.", "By default Lantern listens on the port 4600.", "same"),
        ("Lantern listens on port 4600.", "Lantern listens on port 8080.", "conflict"),
        ("Exports are kept for thirty days.", "Exports are kept for 90 days.", "conflict"),
        ("Exports are kept for 30 days.", "Exports are kept for 30 weeks.", "conflict"),
        ("The release ships in May.", "The release ships in June.", "conflict"),
        ("Single sign-on is available on the XL plan.", "Single sign-on is not available on the XL plan.", "conflict"),
        ("Audit logs are enabled by default.", "Audit logs are disabled by default.", "conflict"),
        ("The export is free for owners.", "The export isn't free for owners.", "conflict"),
        (
            "Webhooks are retried five times by the delivery service.",
            "The delivery service retries webhooks.",
            "similar",
        ),
        ("Lantern listens on port 4600.", "The XL plan includes fifty seats.", None),
        ("Exports run at night.", "Backups run at noon.", None),
        ("Yes.", "Yes.", None),
    ],
)
def test_statements_are_compared(statement: str, other: str, stands: Relation | None) -> None:
    assert relation(statement, other) == stands
    assert relation(other, statement) == stands
